"""A ledger that is behind its stream, because a backup was put back, is filled from it before a door opens.

The stream holds whole entries: what comes back is the very bytes, every leaf hash made again and every chain followed
from where the ledger ends, so every proof from before still verifies. What `decide` needs to know is worked out again
by the function that worked it out the first time (`events.book.touched_by`), in the same order.

What does not come back, since the stream never had it: the keys of these events' texts and of the people whom they were
the first to name (both read as "gegevens verloren bij herstel"), and what was parked or rejected after the backup. Of a
refilled event no content can be compared: the same source and id is `duplicate`, as after an erasure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import orjson
import structlog
from nats.js.errors import NotFoundError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from events.book import Case, Thing, Value, keys_of, touched_by
from events.catalog import TYPES, Submission
from events.errors import Diverged
from events.fields import Mark
from events.marked import replaced
from events.postgres import Connection, connect
from events.privacy import ERASED, LOST, LOST_BY, REF, Kind, Privacy
from events.reconcile import Chains, Report, check_entries
from events.recorded import Recorded, decode
from events.rules import RULES
from events.stream import MOST_IN_BATCH, Held, Stream
from events.tables import person_key
from events.verdict import Verdict
from events.withdrawing import event_key, event_thing, named_event

log = structlog.get_logger(__name__)

Progress = Callable[[int, int], None]

_OWN: Final = "relatieboek"
_LATE_AFTER: Final = timedelta(days=7)
# Keys of one event that only show while it is looked at: a chain of merges and what it is named by.
_MOST_LOOKS: Final = 64

_THINGS: Final = "SELECT key, value::text, version, position FROM ledger.thing WHERE key = ANY($1::text[])"
_EVENT: Final = "SELECT payload, version FROM ledger.entry WHERE source = $1 AND id = $2"
_CHAINS: Final = "SELECT relation, version, leaf FROM ledger.chain WHERE relation = ANY($1::text[])"
_KNOWN_REFS: Final = "SELECT ref FROM ledger.person_key WHERE ref = ANY($1::text[])"
_ENTRIES: Final = """
INSERT INTO ledger.entry
       (position, relation, version, source, id, type, department, recorded_at, payload, prev, leaf)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::timestamptz[], $9::bytea[], $10::bytea[], $11::bytea[])
"""
_CHAIN: Final = """
INSERT INTO ledger.chain AS c (relation, version, leaf)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])
ON CONFLICT (relation) DO UPDATE SET version = excluded.version, leaf = excluded.leaf
"""
_ABSORB: Final = """
UPDATE ledger.chain c SET absorbed_by = q.survivor
  FROM unnest($1::text[], $2::text[]) AS q(absorbed, survivor) WHERE c.relation = q.absorbed
"""
_THING: Final = """
INSERT INTO ledger.thing AS t (key, value, version, position)
SELECT * FROM unnest($1::text[], $2::jsonb[], $3::bigint[], $4::bigint[])
ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, position = excluded.position
"""
_TALLY: Final = """
INSERT INTO ledger.tally AS t (department, accepted, late, last_event_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (department) DO UPDATE SET accepted = t.accepted + excluded.accepted, late = t.late + excluded.late,
    last_event_at = greatest(t.last_event_at, excluded.last_event_at)
"""
_LOST_TEXTS: Final = "INSERT INTO ledger.event_key (position, erased_by) SELECT p, $2 FROM unnest($1::bigint[]) AS q(p)"
_LOST_PEOPLE: Final = """
INSERT INTO ledger.person_key (ref, kind, erased_by)
SELECT ref, kind, $3 FROM unnest($1::text[], $2::text[]) AS q(ref, kind)
"""
_UNPARK: Final = """
DELETE FROM ledger.parked p USING unnest($1::text[], $2::text[]) AS q(source, id)
 WHERE p.source = q.source AND p.id = q.id RETURNING p.source, p.id
"""
_FREE: Final = "UPDATE ledger.parked SET ready = 1 WHERE ready = 0 AND waits_for && $1::text[]"
_OUTBOX: Final = "INSERT INTO ledger.outbox (department, position, verdict) VALUES ($1, $2, $3)"


class _NotLoaded(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(slots=True)
class _Known:
    """What `touched_by` looks at: things by key (None: there is none), and those that this batch changed."""

    things: dict[str, Thing | None] = field(default_factory=dict[str, Thing | None])
    changed: set[str] = field(default_factory=set[str])

    def look(self, key: str) -> Thing | None:
        try:
            return self.things[key]
        except KeyError:
            raise _NotLoaded(key) from None


async def refill(
    dsn: str, stream: Stream, engine: AsyncEngine, privacy: Privacy, progress: Progress = lambda done, total: None,
    *, at_once: int = MOST_IN_BATCH,
) -> int:  # fmt: skip
    """Takes what the stream has beyond the ledger's head, in one transaction; returns how many entries that were.

    0 where the ledger is not behind, and where stream and ledger do not belong together: that is for `Relay.open` to
    say. Holds the head's lock, so of two intakes one refills and the other finds it done; killed in the middle, it
    leaves nothing behind. Raises Diverged, with the position, when the stream does not go on from the ledger's last
    entry or an entry does not fit its hashes; Unavailable and asyncpg's errors when an engine is out.
    """
    try:
        state = await stream.state()
    except NotFoundError:
        return 0
    if state.deleted or state.messages != state.last:
        return 0
    conn = await connect(dsn)
    try:
        async with conn.transaction():
            head = await conn.fetchrow("SELECT position, stream_created FROM ledger.head FOR UPDATE")
            first: int = head["position"] + 1
            if head["stream_created"] != state.created or state.last < first:
                return 0
            if first > 1:
                mine = await conn.fetchval("SELECT leaf FROM ledger.entry WHERE position = $1", first - 1)
                if mine is None or bytes(mine) != await stream.leaf_at(first - 1):
                    raise Diverged("stream and ledger have different events at one position", first - 1)
            log.warning("refilling the ledger from the stream", first=first, last=state.last)
            async with aclosing(stream.read(first - 1, state.last, at_once)) as runs:
                async for held in runs:
                    await _Batch(conn, engine, privacy).take(held)
                    progress(held[-1].position - first + 1, state.last - first + 1)
    finally:
        await conn.close()
    log.warning("the ledger was refilled", entries=state.last - first + 1)
    return state.last - first + 1


def _row(held: Held) -> dict[str, Any]:
    """An entry as the ledger's table has it. Raises Diverged when it cannot be read."""
    try:
        event: dict[str, Any] = orjson.loads(held.payload)
        headers = held.headers
        return {
            "position": held.position, "relation": headers["Relatieboek-Relation"],
            "version": int(headers["Relatieboek-Version"]), "source": event["source"], "id": event["id"],
            "type": event["type"], "department": event["department"],
            "recorded_at": datetime.fromisoformat(event["recordedtime"]), "payload": held.payload,
            "prev": bytes.fromhex(headers["Relatieboek-Prev"]), "leaf": held.leaf,
        }  # fmt: skip
    except (KeyError, ValueError) as error:
        raise Diverged("an entry of the stream cannot be read", held.position) from error


def _submission(event: Mapping[str, Any], position: int) -> Submission:
    """A stored event as rules read it: its tokens stand where persons and texts were."""
    event_type = TYPES.get(event["type"])
    if event_type is None:
        raise Diverged("the stream has an event type that this version does not know; use a newer one", position)
    return Submission(
        event["id"], event["source"], event["type"], event["subject"], event.get("time"), event.get("actor"),
        event.get("visibility"), event.get("correlationid"), event.get("causationid"), event.get("expectedversion"),
        event.get("traceparent"), event.get("datacontenttype"), event.get("dataschema"), event["data"],
        event_type.model.model_construct(), event_type,
    )  # fmt: skip


class _Batch:
    """One run of the stream's messages on its way into the ledger, inside the transaction of the refill."""

    def __init__(self, conn: Connection, engine: AsyncEngine, privacy: Privacy) -> None:
        self._conn, self._engine, self._privacy = conn, engine, privacy
        self._known = _Known()
        self._names: dict[str, str] = {}

    async def take(self, held: Sequence[Held]) -> None:
        rows = [_row(h) for h in held]
        await self._check(rows)
        await self._write(rows)  # first: a withdrawal finds the event that it names in the ledger
        subs = [_submission(orjson.loads(h.payload), h.position) for h in held]
        await self._people(subs)
        await self._load(
            {
                key
                for row, sub in zip(rows, subs, strict=True)
                for key in keys_of(
                    RULES[sub.event_type.kind], sub, row["department"], row["relation"], self._pseudonym(row)
                )
            }
        )
        for row, sub in zip(rows, subs, strict=True):
            for key, value in (await self._touched(row, sub)).items():
                self._known.things[key] = Thing(value, row["version"], row["position"])
                self._known.changed.add(key)
        await self._write_things(rows)

    async def _check(self, rows: Sequence[Mapping[str, Any]]) -> None:
        found = await self._conn.fetch(_CHAINS, list({r["relation"] for r in rows}))
        chains = Chains({r["relation"]: (r["version"], bytes(r["leaf"])) for r in found})
        report = Report()
        check_entries(rows, rows[0]["position"], chains, report)
        if report.differences:
            what = report.differences[0].removeprefix("ledger: ")
            raise Diverged(f"the ledger cannot be refilled from the stream: {what}", rows[0]["position"])

    async def _people(self, subs: Sequence[Submission]) -> None:
        """The pseudonyms of those whose key is there; who is unknown lost it with the database, and is noted."""
        kinds: dict[str, Kind] = {}

        def take(mark: Mark, value: str, pointer: str) -> str:
            if value.startswith(REF) and (mark.kind == "person" or mark.kind == "employee"):
                kinds[value] = mark.kind
            return value

        for sub in subs:
            replaced(sub.event_type.model, sub.data, take)
        known = {r["ref"] for r in await self._conn.fetch(_KNOWN_REFS, list(kinds))}
        lost = [ref for ref in kinds if ref not in known]
        await self._conn.execute(_LOST_PEOPLE, lost, [kinds[ref] for ref in lost], LOST_BY)
        async with self._engine.connect() as conn:
            # Those of an earlier batch of this refill are not there yet for others, and have no name anyhow.
            named = {r.ref for r in await conn.execute(select(person_key.c.ref).where(person_key.c.ref.in_(known)))}
            names: dict[str, str] = await self._privacy.reveal(conn, {ref: ref for ref in named})
        lookup = self._privacy.lookup
        self._names = {ref: lookup("person", id_).hex()[:32] for ref, id_ in names.items() if id_ not in (ERASED, LOST)}

    def _pseudonym(self, row: Mapping[str, Any]) -> Callable[[str], str]:
        """As the first time: of the person's id, or, in what the book's own services wrote, of the reference itself.

        Nobody ever asks for the key that a lost person's reference gives.
        """
        if row["department"] == _OWN:
            return lambda ref: self._privacy.lookup("person", ref).hex()[:32]
        return lambda ref: self._names.get(ref, ref)

    async def _touched(self, row: Mapping[str, Any], sub: Submission) -> Mapping[str, Value]:
        case = Case(sub, row["department"], row["relation"], row["recorded_at"], self._known.look)
        for _ in range(_MOST_LOOKS):
            try:
                return touched_by(RULES[sub.event_type.kind], case, self._pseudonym(row))
            except _NotLoaded as asked:
                await self._load({asked.key})
        raise Diverged("an event of the stream rests on more than this version can follow", row["position"])

    async def _load(self, keys: set[str]) -> None:
        wanted = [k for k in keys if k not in self._known.things]
        self._known.things.update(dict.fromkeys(wanted))
        for r in await self._conn.fetch(_THINGS, wanted):
            self._known.things[r["key"]] = Thing(orjson.loads(r["value"]), r["version"], r["position"])
        for key in wanted:
            pair = named_event(key)
            if pair is not None and (r := await self._conn.fetchrow(_EVENT, *pair)) is not None:
                e: Recorded = decode(r["payload"], r["version"])
                known = event_thing(e.kind, e.relation, e.department, e.data, e.version, e.position)
                self._known.things[key] = known

    async def _write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        try:
            await self._conn.execute(_ENTRIES, *([r[name] for r in rows] for name in rows[0]))
        except asyncpg.UniqueViolationError as error:
            raise Diverged(
                "an event of the stream has the source and id of an earlier one", rows[0]["position"]
            ) from error
        await self._conn.execute(_LOST_TEXTS, [r["position"] for r in rows], LOST_BY)
        last = {r["relation"]: r for r in rows}
        await self._conn.execute(
            _CHAIN, list(last), [r["version"] for r in last.values()], [r["leaf"] for r in last.values()]
        )

    async def _write_things(self, rows: Sequence[Mapping[str, Any]]) -> None:
        conn = self._conn
        things = {k: t for k in self._known.changed if (t := self._known.things[k]) is not None}
        await conn.execute(
            _THING, list(things), [orjson.dumps(t.value).decode() for t in things.values()],
            [t.version for t in things.values()], [t.position for t in things.values()],
        )  # fmt: skip
        recorded = [decode(r["payload"], r["version"]) for r in rows]
        merges = {e.absorbed: e.relation if e.kind == "relation.merged" else None for e in recorded if e.absorbed}
        if merges:
            await conn.execute(_ABSORB, list(merges), list(merges.values()))
        for department in {e.department for e in recorded}:
            own = [e for e in recorded if e.department == department]
            late = sum(e.recorded_at - e.occurred_at > _LATE_AFTER for e in own)
            await conn.execute(_TALLY, department, len(own), late, own[-1].recorded_at)
        freed = await conn.fetch(_UNPARK, [r["source"] for r in rows], [r["id"] for r in rows])
        parked = {(r["source"], r["id"]) for r in freed}
        for r in rows:
            if (r["source"], r["id"]) in parked:  # it may have been told before the loss; better twice than never
                verdict = Verdict(
                    "accepted", r["id"], r["source"], r["position"], r["relation"], r["version"], r["leaf"].hex()
                )
                document = orjson.dumps(verdict.as_json()).decode()
                await conn.execute(_OUTBOX, r["department"], r["position"], document)
        await conn.execute(_FREE, [*self._known.changed, *(event_key(r["source"], r["id"]) for r in rows)])
        await conn.execute(
            "UPDATE ledger.head SET position = $1, recorded_at = $2, parked = parked - $3",
            rows[-1]["position"], rows[-1]["recorded_at"], len(parked),
        )  # fmt: skip
