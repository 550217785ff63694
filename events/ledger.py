"""Reading the ledger: the book's entries in order, one relation's history, and who an identifier belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.identity import is_uuid
from events.recorded import Recorded, decode
from events.tables import chain, entry, thing
from events.tables import head as head_table


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


async def resolve(conn: AsyncConnection, ident: str) -> str | None:
    """The relation's UUID for a UUID or `<scheme>:<value>`, or None when the book does not know it.

    A `local:<value>` is found when just one department has it; `local:<department>:<value>` names the department.
    """
    if is_uuid(ident):
        return await conn.scalar(select(chain.c.relation).where(chain.c.relation == ident.lower()))
    scheme, _, value = ident.partition(":")
    if not value:
        return None
    exact = await conn.scalar(select(thing.c.value["relation"].astext).where(thing.c.key == f"identifier:{ident}"))
    if exact is not None or scheme != "local":
        return exact
    pattern = "identifier:local:%:" + value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    query = select(thing.c.value["relation"].astext).where(thing.c.key.like(pattern)).limit(2)
    found = set(await conn.scalars(query))
    return found.pop() if len(found) == 1 else None
