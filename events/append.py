"""Appending to the ledger: one transaction per batch, which first locks the one head row.

Everything that `decide` needs is read under that lock from the ledger's own schema, never from a projection. What is
accepted gets its position, version and hash, and its personal fields encrypted; what is parked or rejected is kept
with its reason. Two replicas take turns at the lock; order and versions stay dense. A batch of one costs five round
trips and one fsync, a batch of a thousand the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import orjson

from events import erasing
from events.batch import Batch, NotLoaded
from events.catalog import check
from events.clock import system_now
from events.deciding import Arrival, Judge
from events.keys import KEPT
from events.lookups import Lookups
from events.postgres import Connection, connect
from events.privacy import Privacy, unseal
from events.recorded import iso
from events.recording import NotLookedUp, People, Stored
from events.verdict import Verdict
from events.writing import write

_RELEASE_AT_ONCE: Final = 500

_HEAD = "SELECT position, recorded_at, clock_at, parked, erasures FROM ledger.head FOR UPDATE"
_ERASED = "SELECT lookup FROM ledger.person_key WHERE erased_by > 0 AND lookup IS NOT NULL"
_HELD = "SELECT ref FROM ledger.hold WHERE ref = ANY($1::text[]) AND released_at IS NULL"
_NAMED = "SELECT ref, lookup FROM ledger.person_key WHERE ref = ANY($1::text[]) AND lookup IS NOT NULL"
_OUTBOX = "INSERT INTO ledger.outbox (department, position, verdict) VALUES ($1, $2, $3)"
_READY = "SELECT * FROM ledger.parked WHERE ready = 1 ORDER BY arrival LIMIT $1"


@dataclass(slots=True)
class Appended:
    """What one batch did: verdicts in the order of the arrivals, entries in the order of the book."""

    verdicts: list[Verdict]
    entries: list[Stored]
    released: int
    head: int
    more_ready: bool


class Ledger:
    """The writing side. Owns one connection; `append` is not for two callers at once (the intake's one committer)."""

    def __init__(self, dsn: str, privacy: Privacy) -> None:
        self._dsn = dsn
        self._privacy = privacy
        self._conn: Connection | None = None
        self._people = People(privacy)
        self._lookups = Lookups(privacy, self._people)
        self._judge = Judge(privacy, self._people)
        self._erasures: int | None = None  # the head's counter when `People.erased` was read

    async def close(self) -> None:
        if self._conn is not None:
            await self._conn.close(timeout=5)
            self._conn = None

    async def _connection(self) -> Connection:
        if self._conn is None or self._conn.is_closed():
            # The look-ups are by unique keys in arrays of unknown length: a plan by index is right for every length.
            settings = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}
            self._conn = await connect(self._dsn, settings)
        return self._conn

    async def append(self, arrivals: Sequence[Arrival], *, heed_holds: bool = True) -> Appended:
        """Judges the arrivals in order and makes what it decides durable, all or nothing.

        Parked events that earlier batches made ready are judged first. Raises asyncpg's errors and OSError when
        PostgreSQL is out; then nothing of the batch was stored, or all of it: sent again it answers `duplicate`.
        `heed_holds` is off only where an erasure of before is put in force again.
        """
        conn = await self._connection()
        try:
            async with conn.transaction():
                done, people = await self._transact(conn, arrivals, heed_holds)
        except BaseException:
            self._people.forget()
            self._erasures = None
            raise
        self._people.keep(people)
        return done

    async def _transact(
        self, conn: Connection, arrivals: Sequence[Arrival], heed_holds: bool
    ) -> tuple[Appended, Mapping[bytes, Any]]:
        row = await conn.fetchrow(_HEAD)
        if row["erasures"] != self._erasures:
            self._people.now_erased([bytes(r["lookup"]) for r in await conn.fetch(_ERASED)])
            self._erasures = row["erasures"]
        now: datetime = row["clock_at"] or system_now()
        now = max(now, row["recorded_at"] or now).astimezone(UTC)
        batch = Batch(now=now, recorded=iso(now), position=row["position"])
        ready: list[Any] = await conn.fetch(_READY, _RELEASE_AT_ONCE) if row["parked"] else []
        keys = await self._privacy.keys.unwrap([(KEPT, r["key"]) for r in ready])
        waiting = [(r, _reopen(r, key)) for r, key in zip(ready, keys, strict=True)]
        await self._lookups.load(conn, batch, [a for _, a in waiting] + list(arrivals))
        erasures = [a for a in arrivals if a.submission and a.submission.event_type.kind == erasing.PERSON_ERASED]
        await self._lookups.load_people(conn, [*erasures, *(a for _, a in waiting)])
        if erasures:
            asked = [self._judge.to_erase(a.submission) for a in erasures if a.submission]
            batch.erasing = {r["ref"]: bytes(r["lookup"]) for r in await conn.fetch(_NAMED, asked)}
            if heed_holds:
                batch.held = {r["ref"] for r in await conn.fetch(_HELD, asked)}

        released: list[tuple[str, Verdict]] = []
        for parked, arrival in waiting:
            verdict = await self._lookups.loading(
                conn, batch, arrival, partial(self._judge.retry, batch, parked, arrival)
            )
            if verdict is not None:
                released.append((arrival.department, verdict))
        verdicts = await self._judge_all(conn, batch, arrivals)
        await self._explain(conn, batch, [*verdicts, *(v for _, v in released)])
        if released:
            rows = [(d, v.position, orjson.dumps(v.as_json()).decode()) for d, v in released]
            await conn.executemany(_OUTBOX, rows)
        more = await write(conn, batch, self._people, self._privacy.keys, had_parked=bool(row["parked"]))
        head = batch.position
        more_ready = more or len(ready) == _RELEASE_AT_ONCE
        return Appended(verdicts, batch.entries, len(released), head, more_ready), self._people.fresh

    async def _judge_all(self, conn: Connection, batch: Batch, arrivals: Sequence[Arrival]) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for n, arrival in enumerate(arrivals):
            try:
                verdicts.append(self._judge.judge(batch, arrival))
            except (NotLoaded, NotLookedUp) as asked:
                if isinstance(asked, NotLookedUp):
                    await self._lookups.load_people(conn, arrivals[n:])
                judge = partial(self._judge.judge, batch, arrival)
                verdicts.append(await self._lookups.loading(conn, batch, arrival, judge))
        return verdicts

    async def _explain(self, conn: Connection, batch: Batch, verdicts: Sequence[Verdict]) -> None:
        """A conflict shows the event that was first: which, of what type, from which department, at which version."""
        wanted = {
            int(v.problem["conflicting"]["sequence"]): v for v in verdicts if v.problem and "conflicting" in v.problem
        }
        if not wanted:
            return
        mine = {s.position: s for s in batch.entries}
        rows = await conn.fetch(
            "SELECT position, source, id, type, department, version FROM ledger.entry WHERE position = ANY($1)",
            [p for p in wanted if p not in mine],
        )
        known: dict[int, Mapping[str, Any]] = {r["position"]: dict(r) for r in rows}
        for v in verdicts:
            if v.problem and "conflicting" in v.problem:
                position = int(v.problem["conflicting"]["sequence"])
                first = mine.get(position)
                found = known.get(position, {})
                for name in ("source", "id", "type", "department", "version"):
                    v.problem["conflicting"][name] = getattr(first, name) if first else found.get(name)


def _reopen(row: Any, key: bytes) -> Arrival:
    """A parked event as it came. It was valid then, and the contracts only ever widen."""
    raw = unseal(key, row["sealed"], b"parked")
    return Arrival(row["department"], raw, check(orjson.loads(raw), tiers=None))
