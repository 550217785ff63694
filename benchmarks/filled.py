"""A large book, filled fast: one relation by intake, everything else by COPY with true hashes.

Relation 0 comes in by the door, with keys and encrypted texts: `OWN_EVENTS` contacts over two years. After it a `Year`
is written as the ledger would have it: stored bytes, keys, chains and leaf hashes, so it can be read and proven. The
stream stays empty of it, so no service that reads the stream may run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any, Final

import msgspec

from benchmarks.load import Json, Load, identifier, in_arrays, send_array
from benchmarks.results import STDERR
from benchmarks.servers import Rig
from benchmarks.year import TEXTS, Year, relation_of
from events.canonical import canonical
from events.keys import of_event, of_person
from events.postgres import Connection, connect
from events.privacy import Kind, Privacy, aad_of, new_key, seal, text_token
from events.proof import GENESIS, entry_hash
from events.recorded import ORGANISATION, Recorded, decode
from services.keys import privacy_of

OWN: Final = relation_of(identifier(0))
OWN_EVENTS: Final = 1_000
_AT_ONCE: Final = 10_000
_ENTRY: Final = (
    "position", "relation", "version", "source", "id", "type", "department", "recorded_at", "payload", "prev", "leaf",
)  # fmt: skip

Chains = dict[str, tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class FilledBook:
    """`own`: the last position of relation 0, whose events and those of its institution came in first."""

    own: int
    head: int


async def fill(rig: Rig, *, relations: int, events: int) -> FilledBook:
    """Wants an empty book."""
    load = Load(rig.source)
    async with rig.service("intake"), rig.connect_department() as nc:
        own = [e for e in load.structure() if e["subject"] in (ORGANISATION, identifier(0))]
        for body in in_arrays([*own, *(load.contact(0) for _ in range(OWN_EVENTS - len(own) + 1))]):
            await send_array(nc, body)
    began = perf_counter()
    conn = await connect(rig.settings.owner_database_url or "")
    try:
        await conn.execute("SET synchronous_commit = off")  # filling is not what is measured
        chain = await conn.fetch("SELECT relation, version, leaf FROM ledger.chain")
        chains: Chains = {row["relation"]: (row["version"], bytes(row["leaf"])) for row in chain}
        first = await conn.fetchval("SELECT position FROM ledger.head")
        year = Year(relations, events - first, after=first, versions=chains[ORGANISATION][0])
        await _Filling(conn, privacy_of(rig.settings), chains).write(year)
        await conn.execute("VACUUM ANALYZE")
    finally:
        await conn.close()
    STDERR.print(f"  {events:,} entries in the ledger in {perf_counter() - began:.0f} s")
    return FilledBook(first, events)


async def recorded(conn: Connection, after: int, most: int) -> list[Recorded]:
    """The next events of the ledger."""
    rows: Any = await conn.fetch(
        "SELECT payload, version FROM ledger.entry WHERE position > $1 ORDER BY position LIMIT $2", after, most
    )
    return [decode(row["payload"], row["version"]) for row in rows]


class _Filling:
    """Writes what `events.recording` would have made of a year. `chains`: the ends of the relations' chains so far."""

    def __init__(self, conn: Connection, privacy: Privacy, chains: Chains) -> None:
        self._conn, self._privacy, self._chains = conn, privacy, chains

    async def write(self, year: Year) -> None:
        events = iter(year)
        while batch := list(islice(events, _AT_ONCE)):
            keys = [new_key() for _ in batch]
            names = [(of_event(e.position), key) for e, key in zip(batch, keys, strict=True)]
            wrapped = await self._privacy.keys.wrap(names)
            await self._copy("entry", _ENTRY, [self._entry(e, key) for e, key in zip(batch, keys, strict=True)])
            rows = [(e.position, w) for e, w in zip(batch, wrapped, strict=True)]
            await self._copy("event_key", ("position", "key"), rows)
        await self._write_people(year)
        async with self._conn.transaction():
            await self._conn.execute("DELETE FROM ledger.chain")
            ends = [(relation, *end) for relation, end in self._chains.items()]
            await self._copy("chain", ("relation", "version", "leaf"), ends)
            await self._conn.execute(
                "UPDATE ledger.head SET (position, recorded_at) = "
                "(SELECT position, recorded_at FROM ledger.entry ORDER BY position DESC LIMIT 1)"
            )

    async def _copy(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        await self._conn.copy_records_to_table(table, schema_name="ledger", columns=columns, records=rows)

    def _entry(self, e: Recorded, key: bytes) -> tuple[Any, ...]:
        prev = self._chains[e.relation][1] if e.relation in self._chains else GENESIS
        attributes: dict[str, Any] = {
            "specversion": "1.0", "id": e.id, "source": e.source, "type": e.type, "subject": e.subject,
            "datacontenttype": "application/json", "visibility": e.visibility,
            "recordedtime": e.recorded_at.isoformat(), "department": e.department, "relation": e.relation,
            "time": e.time,
        }  # fmt: skip
        data = canonical(_sealed(e, key))
        leaf = entry_hash(attributes, data, e.position, e.version, prev)
        self._chains[e.relation] = (e.version, leaf)
        payload = msgspec.json.encode({**attributes, "sequence": f"{e.position:020d}", "data": msgspec.Raw(data)})
        return (
            e.position, e.relation, e.version, e.source, e.id, e.type, e.department, e.recorded_at, payload, prev, leaf,
        )  # fmt: skip

    async def _write_people(self, year: Year) -> None:
        people: list[tuple[str, Kind, str, bytes]] = [
            (ref, kind, id_, new_key()) for ref, (kind, id_) in year.people.items()
        ]
        wrapped = await self._privacy.keys.wrap([(of_person(ref), key) for ref, _, _, key in people])
        rows = [
            (ref, kind, self._privacy.lookup(kind, f"year:{id_}"), w, seal(key, id_.encode(), ref.encode()))
            for (ref, kind, id_, key), w in zip(people, wrapped, strict=True)
        ]
        await self._copy("person_key", ("ref", "kind", "lookup", "key", "sealed_id"), rows)


def _sealed(event: Recorded, key: bytes) -> Json:
    field = next((f for f in TEXTS if f in event.data), None)
    if field is None:
        return event.data
    pointer = f"/data/{field}"
    aad = aad_of(event.type, event.source, event.id, pointer)
    return {**event.data, field: text_token(key, event.position, pointer, aad, event.data[field])}
