"""Events that are kept beside the book, parked or rejected, and name somebody; also who is named nowhere else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from events import erasing
from events.errors import NotFound
from events.keys import KEPT, of_person
from events.privacy import KINDS, Privacy, new_key, new_ref, seal
from events.tables import person_key
from services.privacy.persons import Person, find

_QUERIES = {
    "parked": text("SELECT department, type, sealed, key, parked_at AS at FROM ledger.parked ORDER BY 1, 5"),
    "rejected": text("SELECT department, type, sealed, key, rejected_at AS at FROM ledger.rejected ORDER BY 1, 5"),
}


class Kept(NamedTuple):
    """`state`: `parked` or `rejected`; `sent`: the event as it came; `at`: since when it is kept."""

    state: str
    department: str
    type: str | None
    at: datetime
    sent: bytes


async def naming(conn: AsyncConnection, privacy: Privacy, lookup: bytes) -> AsyncGenerator[Kept]:
    """Those that name the person with this lookup: of each department and the oldest first. Opens all that is kept."""
    for state, query in _QUERIES.items():
        result = await conn.stream(query)
        async for part in result.partitions(500):
            there = [row for row in part if row.key is not None]
            keys = await privacy.keys.unwrap([(KEPT, row.key) for row in there])
            for row, key in zip(there, keys, strict=True):
                raw = erasing.opened(key, row.sealed)
                if erasing.names(privacy, raw, {lookup}):
                    yield Kept(state, row.department, row.type, row.at, raw)


async def find_anywhere(conn: AsyncConnection, privacy: Privacy, named: str) -> Person:
    """As `persons.find`; also somebody whom only kept events name, with a reference that stands nowhere yet."""
    try:
        return await find(conn, privacy, named)
    except NotFound:
        kind, _, id_ = named.partition(":")
        for known in KINDS:
            if known == kind and id_:
                lookup = privacy.lookup(known, id_)
                if [kept async for kept in naming(conn, privacy, lookup)]:
                    return Person(new_ref(), known, id_, None, None, lookup)
        raise


async def admit(conn: AsyncConnection, privacy: Privacy, person: Person) -> Person:
    """Gives somebody whom only kept events name their row in the key table, so that they can be erased. The row that is
    there by now, where an event was faster. In a transaction."""
    await conn.execute(text("SELECT 1 FROM ledger.head FOR UPDATE"))
    assert person.id is not None
    known = await conn.scalar(select(person_key.c.ref).where(person_key.c.lookup == person.lookup))
    if known is None:
        known, key = person.ref, new_key()
        (wrapped,) = await privacy.keys.wrap([(of_person(known), key)])
        sealed = seal(key, person.id.encode(), known.encode())
        row = {"ref": known, "kind": person.kind, "lookup": person.lookup, "key": wrapped, "sealed_id": sealed}
        await conn.execute(insert(person_key).values(row))
    return await find(conn, privacy, known)
