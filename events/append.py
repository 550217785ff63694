"""Appending to the ledger: one transaction per batch, which first locks the one head row.

Everything that `decide` needs is read under that lock from the ledger's own schema, never from a projection. What is
accepted gets its position, version and hash, and its personal fields encrypted; what is parked or rejected is kept
with its reason. Two replicas take turns at the lock; order and versions stay dense. A batch of one costs five round
trips and one fsync, a batch of a thousand the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import orjson

from events import erasing
from events.batch import ACCEPTED, DUPLICATE, LATE, PARKED, REJECTED, Batch, NotLoaded
from events.book import (
    LINKING,
    Accept,
    Decision,
    Park,
    Reject,
    Thing,
    decide,
    identifier_keys,
    keys_of,
    relation_of,
    subject_keys,
)  # fmt: skip
from events.catalog import Submission, check
from events.clock import system_now
from events.errors import FieldError, KeyMissing
from events.identity import relation_key
from events.keys import KEPT, Named, of_event, of_person
from events.postgres import Connection, connect
from events.privacy import REF, Privacy, content_mac, new_event_key, seal, unseal
from events.proof import GENESIS
from events.recorded import decode, iso
from events.recording import NotLookedUp, People, Stored, content_of, record
from events.rules import RULES
from events.verdict import Verdict, problem
from events.withdrawing import event_key, event_thing, named_event
from events.writing import as_json, expanded, write

_RELEASE_AT_ONCE: Final = 500
_LATE_AFTER: Final = timedelta(days=7)
_OWN: Final = "relatieboek"
_KNOWN_IDENTIFIERS: Final = 200_000
# Keys of one event that only show while it is judged: a chain of merges and what it is named by.
_MOST_LOOKS: Final = 64

_Judged = TypeVar("_Judged")

_HEAD = "SELECT position, recorded_at, clock_at, parked, erasures FROM ledger.head FOR UPDATE"
_ERASED = "SELECT lookup FROM ledger.person_key WHERE erased_by > 0 AND lookup IS NOT NULL"
_HELD = "SELECT ref FROM ledger.hold WHERE ref = ANY($1::text[]) AND released_at IS NULL"
_LOOK = expanded("""
SELECT 'entry' AS what, e.source AS a, e.id AS b, e.position AS n, e.version AS m, e.leaf AS x, k.content_mac AS y,
       e.relation AS c, k.key AS z
  FROM ROWS FROM (texts(1, 2)) AS q(source, id) JOIN ledger.entry e USING (source, id)
  LEFT JOIN ledger.event_key k ON k.position = e.position
UNION ALL
SELECT 'parked', p.source, p.id, p.arrival, 0, NULL, p.content_mac, p.problem::text, p.key
  FROM ROWS FROM (texts(1, 2)) AS q(source, id) JOIN ledger.parked p USING (source, id)
UNION ALL
SELECT 'thing', t.key, '', t.version, t.position, NULL, NULL, t.value::text, NULL
  FROM ROWS FROM (texts(3)) AS q(key) JOIN ledger.thing t USING (key)
UNION ALL
SELECT 'chain', c.relation, coalesce(c.absorbed_by, ''), c.version, 0, c.leaf, NULL, '', NULL
  FROM ROWS FROM (texts(4)) AS q(relation) JOIN ledger.chain c USING (relation)
""")
_PEOPLE = """
SELECT p.ref, p.lookup, p.key, p.erased_by FROM unnest($1::bytea[]) AS q(lookup) JOIN ledger.person_key p USING (lookup)
"""
_ABOVE = """
WITH RECURSIVE up AS (
    SELECT relation, absorbed_by FROM ledger.chain WHERE relation = ANY($1::text[])
    UNION SELECT c.relation, c.absorbed_by FROM up JOIN ledger.chain c ON c.relation = up.absorbed_by)
SELECT relation, absorbed_by FROM up WHERE absorbed_by IS NOT NULL
"""
# Events that withdrawals of the batch name.
_EVENTS = """
SELECT e.payload, e.version FROM unnest($1::text[], $2::text[]) AS q(source, id) JOIN ledger.entry e USING (source, id)
"""
_OUTBOX = "INSERT INTO ledger.outbox (department, position, verdict) VALUES ($1, $2, $3)"
_READY = "SELECT * FROM ledger.parked WHERE ready = 1 ORDER BY arrival LIMIT $1"


class Arrival(msgspec.Struct, frozen=True):
    """One event at a door: as sent, and either its validated submission or the refusal that needed no state.

    `sent` is its JSON text, or its value when it came in an array: most events are never written out again.
    """

    department: str
    sent: bytes | dict[str, Any]
    submission: Submission | None
    refusal: Reject | None = None
    source: str | None = None
    id: str | None = None
    type: str | None = None

    @property
    def raw(self) -> bytes:
        """The event as JSON text."""
        return self.sent if isinstance(self.sent, bytes) else orjson.dumps(self.sent)


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
        self._identifiers: dict[str, Thing] = {}
        self._people = People(privacy)
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
        await self._load(conn, batch, [a for _, a in waiting] + list(arrivals))
        erasures = [a for a in arrivals if a.submission and a.submission.event_type.kind == erasing.PERSON_ERASED]
        await self._load_people(conn, [*erasures, *(a for _, a in waiting)])
        if heed_holds and erasures:
            asked = [self._to_erase(a.submission) for a in erasures if a.submission]
            batch.held = {r["ref"] for r in await conn.fetch(_HELD, asked)}

        released: list[tuple[str, Verdict]] = []
        for parked, arrival in waiting:
            verdict = await self._loading(conn, batch, arrival, partial(self._retry, batch, parked, arrival))
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
                verdicts.append(self._judge(batch, arrival))
            except (NotLoaded, NotLookedUp) as asked:
                if isinstance(asked, NotLookedUp):
                    await self._load_people(conn, arrivals[n:])
                judge = partial(self._judge, batch, arrival)
                verdicts.append(await self._loading(conn, batch, arrival, judge))
        return verdicts

    async def _load(self, conn: Connection, batch: Batch, arrivals: Sequence[Arrival]) -> None:
        """Two look-ups at most: what names the relations, then what is known of those relations."""
        subs = [(a.department, a.submission) for a in arrivals if a.submission is not None]
        pairs = [(s.source, s.id) for _, s in subs]
        keys = {k for d, s in subs for k in subject_keys(s, d)}
        unknown = [k for k in keys if k not in self._identifiers]
        batch.things.update({k: self._identifiers.get(k) for k in keys})
        first_keys, chains = set(unknown), set[str]()
        if not unknown:
            more, chains = self._second(batch, subs)
            first_keys |= more
        if subs:
            await self._look(conn, batch, pairs, first_keys, chains)
        if unknown:
            more, chains = self._second(batch, subs)
            await self._look(conn, batch, [], more - first_keys, chains)

    def _second(self, batch: Batch, subs: Sequence[tuple[str, Submission]]) -> tuple[set[str], set[str]]:
        """Keys and chains of the relations that these events are about, those that the batch itself links included."""
        keys, chains = set[str](), set[str]()
        linked: dict[str, Thing] = {}

        def look(key: str) -> Thing | None:
            return batch.things.get(key) or linked.get(key)

        for department, sub in subs:
            relation = relation_of(sub, department, look)
            if relation is not None:
                if sub.event_type.kind in LINKING:
                    for key in identifier_keys(sub, department):
                        linked.setdefault(key, Thing({"relation": relation}, 0, 0))
                    linked.setdefault(relation_key(relation), Thing({}, 0, 0))
                rule = RULES[sub.event_type.kind]
                keys.update(keys_of(rule, sub, department, relation, self._people.pseudonym))
                chains.add(relation)
        return keys, chains

    async def _loading(self, conn: Connection, batch: Batch, arrival: Arrival, judge: Callable[[], _Judged]) -> _Judged:
        """What `judge` says, once all that it asks for is loaded; it changes nothing before it has that.

        Keys that were not foreseen are rare: a link of this batch was refused and a later one taken, or a rule goes on
        from what it found (a chain of merges).
        """
        for _ in range(_MOST_LOOKS):
            try:
                return judge()
            except NotLoaded as asked:
                await self._load_one(conn, batch, arrival, asked.key)
            except NotLookedUp:
                await self._load_people(conn, [arrival])
        kind = arrival.submission.event_type.kind if arrival.submission else arrival.type
        raise RuntimeError(f"decide looked at more than {_MOST_LOOKS} keys that keys_of does not name, for {kind}")

    async def _load_one(self, conn: Connection, batch: Batch, arrival: Arrival, key: str) -> None:
        sub = arrival.submission
        assert sub is not None
        keys, chains = self._second(batch, [(arrival.department, sub)])
        missing = {k for k in (key, *keys, *subject_keys(sub, arrival.department)) if k not in batch.things}
        await self._look(conn, batch, [], missing, {c for c in chains if c not in batch.chains})

    async def _look(
        self, conn: Connection, batch: Batch, pairs: Sequence[tuple[str, str]], keys: set[str], chains: set[str]
    ) -> None:
        for key in keys:
            batch.things.setdefault(key, None)
        absorbed: list[str] = []
        locked: list[tuple[Named, Any]] = []  # keys of events that are there already, with their rows
        sources, ids = as_json([p[0] for p in pairs]), as_json([p[1] for p in pairs])
        rows = await conn.fetch(_LOOK, sources, ids, as_json(list(keys)), as_json(list(chains)))
        for r in rows:
            what = r["what"]
            if what == "thing":
                found = Thing(orjson.loads(r["c"]), r["n"], r["m"])
                batch.things[r["a"]] = found
                if r["a"].startswith("identifier:") and len(self._identifiers) < _KNOWN_IDENTIFIERS:
                    self._identifiers[r["a"]] = found  # an identifier is never taken away again
            elif what == "chain":
                batch.chains[r["a"]] = (r["n"], r["x"])
                if r["b"] and r["a"] not in batch.absorbed:
                    absorbed.append(r["a"])
            elif r["z"] is None:
                batch.seen[(r["a"], r["b"])] = (_first(r), None, None)
            else:
                locked.append(((of_event(r["n"]) if what == "entry" else KEPT, r["z"]), r))
        opened = await self._privacy.keys.unwrap([named for named, _ in locked])
        for (_, r), key in zip(locked, opened, strict=True):
            batch.seen[(r["a"], r["b"])] = (_first(r), key, r["y"])
        named = [pair for key in keys if (pair := named_event(key)) is not None]
        if named:
            for r in await conn.fetch(_EVENTS, [p[0] for p in named], [p[1] for p in named]):
                e = decode(r["payload"], r["version"])
                known = event_thing(e.kind, e.relation, e.department, e.data, e.version, e.position)
                batch.things[event_key(e.source, e.id)] = known
        if absorbed:
            for r in await conn.fetch(_ABOVE, absorbed):
                batch.absorbed.setdefault(r["relation"], r["absorbed_by"])

    async def _load_people(self, conn: Connection, arrivals: Sequence[Arrival]) -> None:
        """Everybody whom these events name and who is not in memory; who is not in the ledger either is new."""
        lookups = self._people.missing([a.submission for a in arrivals if a.submission is not None])
        rows = [r for r in await conn.fetch(_PEOPLE, lookups) if _has_key(r)] if lookups else []
        keys = await self._privacy.keys.unwrap([(of_person(r["ref"]), r["key"]) for r in rows])
        for r, key in zip(rows, keys, strict=True):
            self._people.found(r["lookup"], r["ref"], key)

    def _judge(self, batch: Batch, arrival: Arrival) -> Verdict:
        sub = arrival.submission
        if sub is None or arrival.refusal is not None:
            return self._reject(batch, arrival, arrival.refusal or Reject("schema", ()))
        content = content_of(sub)
        seen = batch.seen.get((sub.source, sub.id))
        if seen is not None:
            first, key, mac = seen
            same = arrival.department == _OWN or key is None or mac is None or content_mac(key, content) == mac
            if same:
                batch.count(arrival.department, DUPLICATE)
                first = _again(first) if first.verdict == "accepted" else first
                survivor = batch.survivor(first.relation)
                return first if survivor is None else msgspec.structs.replace(first, survivor=survivor)
            return self._reject(batch, arrival, _other_content(first))
        decision = self._decide(batch, arrival, sub, on_arrival=True)
        if isinstance(decision, Accept):
            return self._accept(batch, arrival, sub, decision, content)
        if isinstance(decision, Park):
            return self._park(batch, arrival, sub, decision, content)
        return self._reject(batch, arrival, decision)

    def _to_erase(self, sub: Submission) -> str | None:
        """The reference of the person whom this event erases."""
        if sub.event_type.kind != erasing.PERSON_ERASED:
            return None
        named: str = sub.data["person"]
        return named if named.startswith(REF) else self._people.of("person", named).ref

    def _decide(self, batch: Batch, arrival: Arrival, sub: Submission, *, on_arrival: bool) -> Decision:
        if pointers := self._people.names_erased(sub):
            return Reject("erased_person", tuple(FieldError(p, erasing.DETAIL) for p in pointers))
        if batch.held and self._to_erase(sub) in batch.held:
            return Reject("on_hold", (FieldError("/data/person", "a legal hold forbids to erase this person now"),))
        rule = RULES[sub.event_type.kind]
        look = batch.look
        pseudonym = self._people.pseudonym
        return decide(rule, sub, arrival.department, look, batch.now, pseudonym, on_arrival=on_arrival)

    def _retry(self, batch: Batch, parked: Any, arrival: Arrival) -> Verdict | None:
        """Judges a parked event again; None when it still waits."""
        sub = arrival.submission
        assert sub is not None
        decision = self._decide(batch, arrival, sub, on_arrival=False)
        if isinstance(decision, Park):
            text = orjson.dumps(problem(decision.code, decision.errors)).decode()
            batch.reparked.append((parked["arrival"], list(decision.waits_for), text))
            return None
        batch.seen.pop((sub.source, sub.id), None)
        if isinstance(decision, Reject):
            verdict = self._reject(batch, arrival, decision)
        else:
            verdict = self._accept(batch, arrival, sub, decision, content_of(sub))
        batch.unparked.append(parked["arrival"])
        return verdict

    def _accept(self, batch: Batch, arrival: Arrival, sub: Submission, decision: Accept, content: bytes) -> Verdict:
        version, prev = batch.chains.get(decision.relation, (0, GENESIS))
        key = new_event_key()
        stored = record(
            sub, department=arrival.department, relation=decision.relation, position=batch.position + 1,
            version=version + 1, prev=prev, now=batch.now, recorded=batch.recorded, key=key,
            mac=content_mac(key, content), people=self._people, made=decision.attributes,
        )  # fmt: skip
        batch.position += 1
        batch.entries.append(stored)
        work = erasing.work_of(sub.event_type.kind, sub.data, stored.position, self._to_erase(sub))
        if work is not None:
            batch.works.append(work)
            if work.ref is not None:
                self._people.erase(work.ref)
        batch.chains[decision.relation] = (stored.version, stored.leaf)
        for k, value in decision.touched.items():
            batch.things[k] = Thing(value, stored.version, stored.position)
            batch.touched.add(k)
        named = event_key(sub.source, sub.id)
        if named in batch.things:  # a withdrawal later in this batch names it
            kind = sub.event_type.kind
            batch.things[named] = event_thing(
                kind, decision.relation, arrival.department, sub.data, stored.version, stored.position
            )
        merged = decision.attributes.get("absorbed")
        if merged is not None:
            kind = sub.event_type.kind
            batch.absorbed[merged] = batch.merges[merged] = decision.relation if kind == "relation.merged" else None
        verdict = Verdict(
            "accepted", sub.id, sub.source, stored.position, decision.relation, stored.version, stored.leaf.hex(),
            survivor=batch.survivor(decision.relation),
        )  # fmt: skip
        batch.seen[(sub.source, sub.id)] = (verdict, key, stored.content_mac)
        batch.count(arrival.department, ACCEPTED)
        if batch.now - stored.occurred_at > _LATE_AFTER:
            batch.count(arrival.department, LATE)
        return verdict

    def _park(self, batch: Batch, arrival: Arrival, sub: Submission, decision: Park, content: bytes) -> Verdict:
        document = problem(decision.code, decision.errors)
        key = new_event_key()
        mac = content_mac(key, content)
        sealed = seal(key, arrival.raw, b"parked")
        batch.parked.append(
            (arrival.department, sub.source, sub.id, sub.type, list(decision.waits_for),
             orjson.dumps(document).decode(), system_now(), sealed, key, mac)
        )  # fmt: skip
        verdict = Verdict("parked", sub.id, sub.source, problem=document)
        batch.seen[(sub.source, sub.id)] = (verdict, key, mac)
        batch.count(arrival.department, PARKED)
        return verdict

    def _reject(self, batch: Batch, arrival: Arrival, decision: Reject) -> Verdict:
        document = problem(decision.code, decision.errors, **decision.more)
        if decision.conflict is not None:
            document["conflicting"] = {"sequence": f"{decision.conflict:020d}"}
        sub = arrival.submission
        source, id_, type_ = (sub.source, sub.id, sub.type) if sub else (arrival.source, arrival.id, arrival.type)
        if arrival.department == _OWN and decision.code == "conflict":
            # The book's own services lost a race and evaluate again: nothing to keep, nothing to count.
            return Verdict("rejected", id_, source, problem=document)
        # What may not be kept: data of a patient, and of somebody who was erased.
        names = decision.code in ("patient_data", "erased_person") or (
            bool(self._people.erased) and erasing.names(self._privacy, arrival.raw, self._people.erased)
        )
        key = None if names else new_event_key()
        sealed = None if key is None else seal(key, arrival.raw, b"rejected")
        batch.rejected.append(
            (arrival.department, source, id_, type_, decision.code, document, system_now(), sealed, key)
        )
        batch.count(arrival.department, REJECTED)
        return Verdict("rejected", id_, source, problem=document)

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
    return Arrival(row["department"], raw, check(orjson.loads(raw)))


def _has_key(row: Any) -> bool:
    """False for somebody who was erased. Raises KeyMissing where a person's key is gone without a tombstone."""
    if row["key"] is None and row["erased_by"] is None:
        raise KeyMissing(row["ref"])
    return row["key"] is not None


def _first(row: Any) -> Verdict:
    """The verdict that an event that is there already got, as its sender hears it again."""
    if row["what"] == "parked":
        return Verdict("parked", row["b"], row["a"], problem=orjson.loads(row["c"]))
    return Verdict("duplicate", row["b"], row["a"], row["n"], row["c"], row["m"], bytes(row["x"]).hex())


def _again(verdict: Verdict) -> Verdict:
    return Verdict(
        "duplicate", verdict.id, verdict.source, verdict.position, verdict.relation, verdict.version, verdict.leaf_hash
    )


def _other_content(first: Verdict) -> Reject:
    detail = (
        "this source and id were used for an event with other content; "
        "an event never changes: send the change as a new event with a new id"
    )
    return Reject("content_conflict", (FieldError("/id", detail),), conflict=first.position)
