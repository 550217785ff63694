"""Where builds of a projection live: one PostgreSQL schema per build, and the checkpoints that say which one is live.

A build is numbered by `version`: relation_view's first is in schema `relation_view_v1`. Which *code* folded into it is
its `code_version` (`Projection.version`). Readers ask `live` and then query its tables on the same connection; a build
that was switched away stays, so a reader that is half-way finishes on what it began with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Table, insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.schema import CreateIndex, CreateTable

from events.clock import book_now
from events.errors import NotYetThere, SetupError
from projections.rows import Projection
from projections.tables import checkpoint, parked

State = Literal["building", "live", "old"]

# `live.position.<projection>` tells every commit of a live build: {"position"}. A hint, which may be lost.
POSITION_SUBJECT: Final = "live.position"

# The role that all services use; a build that the owner makes is opened to it.
SERVICE_ROLE: Final = "relatieboek_service"
_LOCK_CLASS: Final = 7231002

# Statements that every read begins with: made once, since making one costs as much as sending it.
_NAMED: Final = checkpoint.c.name == sa.bindparam("name", type_=sa.Text)
_BUILDS: Final = select(checkpoint).where(_NAMED).order_by(checkpoint.c.version)
_POSITION: Final = select(checkpoint.c.position).where(_NAMED, checkpoint.c.state == "live")

_versioned: dict[tuple[sa.MetaData, str, int], Mapping[str, Table]] = {}


@dataclass(frozen=True, slots=True)
class Live:
    """A build of a projection: its tables by plain name, and its checkpoint as it was when asked.

    `version` is the build number; `position` the last position that the tables hold (they may be further by the time
    that they are read); `paused` says why it stands still, if it does.
    """

    tables: Mapping[str, Table]
    version: int
    code_version: int
    position: int
    epoch: int
    state: State
    paused: str | None
    stream_created: str | None


def schema_name(name: str, version: int) -> str:
    return f"{name}_v{version}"


def versioned(projection: Projection, version: int | None = None) -> Mapping[str, Table]:
    """The projection's tables in the schema of build `version` (None: the first), by their plain names."""
    number = 1 if version is None else version
    key = (projection.metadata, projection.name, number)
    found = _versioned.get(key)
    if found is None:
        target = sa.MetaData(schema=schema_name(projection.name, number))
        found = {t.name: t.to_metadata(target) for t in projection.metadata.sorted_tables}
        _versioned[key] = found
    return found


async def builds(conn: AsyncConnection, projection: Projection) -> list[Live]:
    """Every build of the projection that there is, oldest first."""
    rows = await conn.execute(_BUILDS, {"name": projection.name})
    return [
        Live(
            tables=versioned(projection, r.version), version=r.version, code_version=r.code_version,
            position=r.position, epoch=r.epoch, state=r.state, paused=r.paused, stream_created=r.stream_created,
        )
        for r in rows
    ]  # fmt: skip


async def live(conn: AsyncConnection, projection: Projection) -> Live:
    """The live build. Raises NotYetThere when there is none that this code can read (it is being made)."""
    found = await live_of_any_code(conn, projection)
    if found is None or found.code_version != projection.version:
        raise NotYetThere(f"{projection.name} is being built", retry_after_s=5.0)
    return found


async def live_of_any_code(conn: AsyncConnection, projection: Projection) -> Live | None:
    """The live build, folded by whatever version of the code; None when there is none yet."""
    return next((b for b in await builds(conn, projection) if b.state == "live"), None)


async def install(conn: AsyncConnection, projection: Projection) -> None:
    """Makes the first build, live at position 0, when the projection has none. Idempotent, safe at the same moment.

    A live build of older code is left alone: the runner makes a new one beside it. Best called by the services' own
    role, so that later builds can be removed by the same role; a build that the owner makes is opened to that role.
    """
    await conn.execute(select(sa.func.pg_advisory_xact_lock(_LOCK_CLASS, sa.func.hashtext(projection.name))))
    if not await builds(conn, projection):
        await create_build(conn, projection, 1, "live", indexes=True)


async def next_version(conn: AsyncConnection, projection: Projection) -> int:
    """A build number that was not used before."""
    return 1 + max((b.version for b in await builds(conn, projection)), default=0)


async def create_build(
    conn: AsyncConnection, projection: Projection, version: int, state: State, *, indexes: bool
) -> None:
    """Makes schema, empty tables and checkpoint (position 0) of a build.

    Without `indexes` rows go in faster: it also lacks the triggers then, until `complete`."""
    schema = _quoted(schema_name(projection.name, version))
    await conn.exec_driver_sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    await conn.exec_driver_sql(f"CREATE SCHEMA {schema}")
    for table in versioned(projection, version).values():
        await conn.execute(CreateTable(table))
    if indexes:
        await complete(conn, projection, version)
    me, role = (
        await conn.execute(
            sa.text("SELECT current_user, (SELECT rolname FROM pg_roles WHERE rolname = :r)"), {"r": SERVICE_ROLE}
        )
    ).one()
    if role is not None and me != role:
        await conn.exec_driver_sql(f"GRANT ALL ON SCHEMA {schema} TO {SERVICE_ROLE}")
        await conn.exec_driver_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {SERVICE_ROLE}")
    await conn.execute(
        insert(checkpoint).values(
            name=projection.name, version=version, code_version=projection.version, state=state, position=0, epoch=0,
            updated_at=sa.func.now(),
        )
    )  # fmt: skip


async def complete(conn: AsyncConnection, projection: Projection, version: int) -> None:
    """The secondary indexes of a build's tables, fresh statistics, and what PostgreSQL keeps by itself from here on."""
    for table in versioned(projection, version).values():
        for index in sorted(table.indexes, key=lambda i: str(i.name)):
            await conn.execute(CreateIndex(index))
    for statement in projection.triggers(_quoted(schema_name(projection.name, version))):
        await conn.exec_driver_sql(statement)
    for table in versioned(projection, version).values():
        await conn.exec_driver_sql(f"ANALYZE {_quoted(str(table.schema))}.{_quoted(table.name)}")


async def drop_build(conn: AsyncConnection, projection: Projection, version: int) -> None:
    """Removes a build that is not live: its tables, its checkpoint, what it parked."""
    gone = await conn.execute(
        checkpoint.delete().where(
            checkpoint.c.name == projection.name, checkpoint.c.version == version, checkpoint.c.state != "live"
        )
    )
    if gone.rowcount != 1:
        raise SetupError(f"{projection.name} has no build {version} that may go")
    await conn.execute(parked.delete().where(parked.c.name == projection.name, parked.c.version == version))
    await conn.exec_driver_sql(f"DROP SCHEMA IF EXISTS {_quoted(schema_name(projection.name, version))} CASCADE")


async def switch(conn: AsyncConnection, projection: Projection, version: int) -> None:
    """Makes build `version` the live one and keeps the one before as `old`, within the caller's transaction.

    Also the way back: with the number of an `old` build it is live again, and catches up from its own position. Both
    are fenced, so a running writer notices at its next write or its next look. The old build's checkpoint keeps the
    book's time of the switch (`last_switch`).
    """
    mine = checkpoint.c.name == projection.name
    epoch = checkpoint.c.epoch + 1
    gone = {"state": "old", "epoch": epoch, "updated_at": await book_now(conn)}
    await conn.execute(update(checkpoint).where(mine, checkpoint.c.state == "live").values(gone))
    this = checkpoint.c.version == version
    now_live = {"state": "live", "epoch": epoch, "updated_at": sa.func.now()}
    done = await conn.execute(update(checkpoint).where(mine, this).values(now_live))
    if done.rowcount != 1:
        raise SetupError(f"{projection.name} has no build {version}")


class Switched(NamedTuple):
    """The last switch of builds: the position that the one before held, and when it was (the book's time)."""

    position: int
    at: datetime


async def last_switch(conn: AsyncConnection, projection: Projection) -> Switched | None:
    """The last switch; None while the first build is the only one."""
    mine = (checkpoint.c.name == projection.name, checkpoint.c.state == "old")
    wanted = select(checkpoint.c.position, checkpoint.c.updated_at).where(*mine)
    row = (await conn.execute(wanted.order_by(checkpoint.c.updated_at.desc()).limit(1))).one_or_none()
    return None if row is None else Switched(row.position, row.updated_at)


async def position_of(engine: AsyncEngine, projection: Projection) -> int:
    """The last position that the live build holds; 0 when there is none."""
    async with engine.connect() as conn:
        # One round trip a look instead of three: there is nothing that a transaction would hold together.
        alone = await conn.execution_options(isolation_level="AUTOCOMMIT")
        return await alone.scalar(_POSITION, {"name": projection.name}) or 0


async def wait_for(engine: AsyncEngine, projection: Projection, position: int, timeout_s: float = 5.0) -> None:
    """Returns once the live build holds `position`. Raises NotYetThere after `timeout_s`.

    Holds no connection while it waits: many readers may.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    pause_s = 0.002
    while True:
        at = await position_of(engine, projection)
        if at >= position:
            return
        left_s = until - loop.time()
        if left_s <= 0:
            raise NotYetThere(f"{projection.name} is at {at}, not yet at {position}", retry_after_s=1.0)
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, 0.05)


async def set_paused(engine: AsyncEngine, projection: Projection, reason: str | None) -> None:
    """Notes at the live checkpoint why the projection stands still (None: it does not). For people; best effort."""
    statement = (
        update(checkpoint)
        .where(
            checkpoint.c.name == projection.name, checkpoint.c.state == "live",
            checkpoint.c.paused.is_distinct_from(reason),
        )
        .values(paused=reason)
    )  # fmt: skip
    try:
        async with engine.begin() as conn:
            await conn.execute(statement)
    except (DBAPIError, OSError):
        return  # the database is what is out, most likely: the log and the health answer say so too


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
