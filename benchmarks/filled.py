"""A large book, filled fast: one relation by intake, everything else by COPY with true hashes.

Relation 0 comes in by the door, with keys and encrypted texts: `OWN_EVENTS` contacts over two years. After it a `Year`
is written as the ledger would have it: the same stored bytes, chains and leaf hashes, so that it can be proven. The
stream stays empty of it, so no service that reads the stream may run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any, Final

import msgspec

from benchmarks.load import Load, identifier, in_arrays, send_array
from benchmarks.results import STDERR
from benchmarks.servers import Rig
from benchmarks.year import Year, relation_of
from events.canonical import canonical
from events.postgres import connect
from events.proof import GENESIS, entry_hash
from events.recorded import ORGANISATION, Recorded, decode

OWN: Final = relation_of(identifier(0))
OWN_EVENTS: Final = 1_000
_AT_ONCE: Final = 10_000
_COLUMNS: Final = (
    "position", "relation", "version", "source", "id", "type", "department", "recorded_at", "payload", "prev", "leaf",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FilledBook:
    """`own`: the events of relation 0 and of the institution that came in first, `year` what follows them."""

    own: list[Recorded]
    year: Year

    @property
    def head(self) -> int:
        return len(self.own) + self.year.count

    def __iter__(self) -> Iterator[Recorded]:
        yield from self.own
        yield from self.year


async def fill(rig: Rig, *, relations: int, events: int) -> FilledBook:
    """Wants an empty book."""
    load = Load(rig.source)
    async with rig.service("intake"), rig.connect_department() as nc:
        own = [e for e in load.structure() if e["subject"] in (ORGANISATION, identifier(0))]
        for body in in_arrays([*own, *(load.contact(0) for _ in range(OWN_EVENTS - len(own) + 1))]):
            await send_array(nc, body)
    began = perf_counter()
    async with _ledger(rig) as conn:
        rows: Any = await conn.fetch("SELECT payload, version, leaf FROM ledger.entry ORDER BY position")
        first = [decode(row["payload"], row["version"]) for row in rows]
        chains = {e.relation: (e.version, bytes(row["leaf"])) for e, row in zip(first, rows, strict=True)}
        year = Year(relations, events - len(first), after=len(first), versions=chains[ORGANISATION][0])
        await _append(conn, year, chains)
    STDERR.print(f"  {events:,} entries in the ledger in {perf_counter() - began:.0f} s")
    return FilledBook(first, year)


@asynccontextmanager
async def _ledger(rig: Rig) -> AsyncGenerator[Any]:
    conn = await connect(rig.settings.owner_database_url or "")
    try:
        await conn.execute("SET synchronous_commit = off")  # filling is not what is measured
        yield conn
    finally:
        await conn.close()


async def _append(conn: Any, events: Iterable[Recorded], chains: dict[str, tuple[int, bytes]]) -> None:
    entries = _entries(events, chains)
    last: tuple[Any, ...] | None = None
    while batch := list(islice(entries, _AT_ONCE)):
        await conn.copy_records_to_table("entry", schema_name="ledger", columns=_COLUMNS, records=batch)
        last = batch[-1]
    if last is None:
        return
    ends = [(relation, version, leaf) for relation, (version, leaf) in chains.items()]
    async with conn.transaction():
        await conn.execute("DELETE FROM ledger.chain")
        await conn.copy_records_to_table(
            "chain", schema_name="ledger", columns=("relation", "version", "leaf"), records=ends
        )
        await conn.execute("UPDATE ledger.head SET position = $1, recorded_at = $2", last[0], last[7])
    await conn.execute("VACUUM ANALYZE")


def _entries(events: Iterable[Recorded], chains: dict[str, tuple[int, bytes]]) -> Iterator[tuple[Any, ...]]:
    """Rows of `ledger.entry`, as `events.recording` makes them; `chains` moves on."""
    for e in events:
        prev = chains[e.relation][1] if e.relation in chains else GENESIS
        attributes: dict[str, Any] = {
            "specversion": "1.0", "id": e.id, "source": e.source, "type": e.type, "subject": e.subject,
            "datacontenttype": "application/json", "visibility": e.visibility,
            "recordedtime": e.recorded_at.isoformat(), "department": e.department, "relation": e.relation,
            "time": e.time,
        }  # fmt: skip
        data = canonical(e.data)
        leaf = entry_hash(attributes, data, e.position, e.version, prev)
        chains[e.relation] = (e.version, leaf)
        payload = msgspec.json.encode({**attributes, "sequence": f"{e.position:020d}", "data": msgspec.Raw(data)})
        yield (
            e.position, e.relation, e.version, e.source, e.id, e.type, e.department, e.recorded_at, payload, prev, leaf,
        )  # fmt: skip
