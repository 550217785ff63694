"""What a batch must know before it is judged, read from the ledger's own schema in as few look-ups as can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import orjson

from events.batch import Batch, NotLoaded
from events.book import LINKING, Thing, identifier_keys, keys_of, relation_of, subject_keys
from events.catalog import Submission
from events.deciding import Arrival
from events.errors import KeyMissing
from events.identity import relation_key
from events.keys import KEPT, Named, of_event, of_person
from events.postgres import Connection
from events.privacy import Privacy
from events.recorded import decode
from events.recording import NotLookedUp, People
from events.rules import RULES
from events.verdict import Verdict
from events.withdrawing import event_key, event_thing, named_event
from events.writing import as_json, expanded

_KNOWN_IDENTIFIERS: Final = 200_000
# Keys of one event that only show while it is judged: a chain of merges and what it is named by.
_MOST_LOOKS: Final = 64

_Judged = TypeVar("_Judged")

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


class Lookups:
    """Fills batches. Identifiers, which are never taken away again, stay in memory from one batch to the next."""

    def __init__(self, privacy: Privacy, people: People) -> None:
        self._privacy, self._people = privacy, people
        self._identifiers: dict[str, Thing] = {}

    async def load(self, conn: Connection, batch: Batch, arrivals: Sequence[Arrival]) -> None:
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

    async def loading(self, conn: Connection, batch: Batch, arrival: Arrival, judge: Callable[[], _Judged]) -> _Judged:
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
                await self.load_people(conn, [arrival])
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

    async def load_people(self, conn: Connection, arrivals: Sequence[Arrival]) -> None:
        """Everybody whom these events name and who is not in memory; who is not in the ledger either is new."""
        lookups = self._people.missing([a.submission for a in arrivals if a.submission is not None])
        rows = [r for r in await conn.fetch(_PEOPLE, lookups) if _has_key(r)] if lookups else []
        keys = await self._privacy.keys.unwrap([(of_person(r["ref"]), r["key"]) for r in rows])
        for r, key in zip(rows, keys, strict=True):
            self._people.found(r["lookup"], r["ref"], key)


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
