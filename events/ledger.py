"""Reading the ledger: the book's entries in order, one relation's history, and who an identifier belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Text, bindparam, literal, literal_column, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from events.identity import is_uuid
from events.recorded import ORGANISATION, Recorded, decode
from events.tables import MERGED, UNMERGED, chain, entry, thing
from events.tables import head as head_table

MERGES: Final = (MERGED, UNMERGED)


# Asked in every request that names a relation: made once, since making a statement costs as much as sending it.
_KNOWN: Final = select(chain.c.relation).where(chain.c.relation == bindparam("relation", type_=Text))
_IDENTIFIED: Final = select(thing.c.value["relation"].astext).where(thing.c.key == bindparam("key", type_=Text))


@dataclass(frozen=True, slots=True)
class Head:
    position: int
    recorded_at: datetime | None
    clock_at: datetime | None
    stream_created: str | None


async def head(conn: AsyncConnection) -> Head:
    row = (await conn.execute(select(head_table))).one()
    return Head(row.position, row.recorded_at, row.clock_at, row.stream_created)


async def read(conn: AsyncConnection, after: int, limit: int) -> list[Recorded]:
    """Entries after a position, in order, at most `limit`."""
    query = select(entry.c.payload, entry.c.version).where(entry.c.position > after)
    rows = await conn.execute(query.order_by(entry.c.position).limit(limit))
    return [decode(r.payload, r.version) for r in rows]


async def read_relation(conn: AsyncConnection, relation: str) -> list[Recorded]:
    """Every entry of one relation (or `organisation`), in the order of its versions."""
    query = select(entry.c.payload, entry.c.version).where(entry.c.relation == relation)
    rows = await conn.execute(query.order_by(entry.c.version))
    return [decode(r.payload, r.version) for r in rows]


async def read_relations(conn: AsyncConnection, relations: Sequence[str]) -> list[Recorded]:
    """Every entry of these relations, in the order of the book."""
    query = select(entry.c.payload, entry.c.version).where(entry.c.relation.in_(relations))
    rows = await conn.execute(query.order_by(entry.c.position))
    return [decode(r.payload, r.version) for r in rows]


async def read_with_shared(
    conn: AsyncConnection, relation: str, types: Sequence[str]
) -> tuple[list[Recorded], list[Recorded]]:
    """A relation's entries, and those that may matter to it: every merge of the book, and the organisation's entries of
    these types. One query; both in the order of the book. A merge of the relation itself stands in both.
    """
    columns = (entry.c.payload, entry.c.version, entry.c.position)
    own = select(*columns, literal(True).label("own")).where(entry.c.relation == relation)
    merges = select(*columns, literal(False)).where(entry.c.type.in_([literal_column(f"'{t}'") for t in MERGES]))
    shared = select(*columns, literal(False)).where(entry.c.relation == ORGANISATION, entry.c.type.in_(types))
    both = union_all(own, merges, shared)
    mine: list[Recorded] = []
    others: list[Recorded] = []
    for row in await conn.execute(both.order_by(both.selected_columns.position)):
        (mine if row.own else others).append(decode(row.payload, row.version))
    return mine, others


async def survivor_of(conn: AsyncConnection, relation: str) -> str | None:
    """Whose relation this is now, at the end of the chain of merges; None when it is its own."""
    found = None
    while above := await conn.scalar(select(chain.c.absorbed_by).where(chain.c.relation == (found or relation))):
        found = above
    return found


async def resolve(conn: AsyncConnection, ident: str) -> str | None:
    """The relation's UUID for a UUID or `<scheme>:<value>`, or None when the book does not know it.

    A `local:<value>` is found when just one department has it; `local:<department>:<value>` names the department.
    """
    if is_uuid(ident):
        return await conn.scalar(_KNOWN, {"relation": ident.lower()})
    scheme, _, value = ident.partition(":")
    if not value:
        return None
    exact = await conn.scalar(_IDENTIFIED, {"key": f"identifier:{ident}"})
    if exact is not None or scheme != "local":
        return exact
    pattern = "identifier:local:%:" + value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    query = select(thing.c.value["relation"].astext).where(thing.c.key.like(pattern)).limit(2)
    found = set(await conn.scalars(query))
    return found.pop() if len(found) == 1 else None
