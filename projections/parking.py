"""Events that a projection could not apply: listed, and applied in order once the cause is gone.

Only positions are kept; the events are read again from the ledger. A retry takes the checkpoint's row first and raises
its epoch: the running service waits for it, is fenced, and reopens with fresh rows and what is still parked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events import ledger
from events.errors import Fenced
from events.recorded import Recorded
from projections.folding import LIMITS, Folded, Folder
from projections.postgres import (
    DATA_ERRORS,
    Connection,
    PostgresLoader,
    Shape,
    close,
    connect,
    make_scratch,
    shapes,
    write,
)
from projections.rows import Projection
from projections.store import live, versioned
from projections.tables import checkpoint, parked
from projections.working_set import WorkingSet

_TAKE: Final = """
UPDATE projection.checkpoint SET epoch = epoch + 1
WHERE name = $1 AND version = $2 AND state = 'live' RETURNING position
"""
_POSITIONS: Final = """
SELECT position FROM projection.parked WHERE name = $1 AND version = $2 AND relation = $3 ORDER BY position
"""
_APPLIED: Final = """
DELETE FROM projection.parked WHERE name = $1 AND version = $2 AND relation = $3 AND position <= $4
"""
_ERROR: Final = """
UPDATE projection.parked SET error = $4, parked_at = now() WHERE name = $1 AND version = $2 AND position = $3
"""


@dataclass(frozen=True, slots=True)
class Parked:
    """One position that a projection has not applied. `version` is the build number; `error` holds no data."""

    projection: str
    version: int
    position: int
    relation: str
    error: str
    parked_at: datetime


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry did for one relation: events applied, events still parked, and why the first of those fails."""

    projection: str
    relation: str
    applied: int
    left: int
    error: str | None


async def list_parked(conn: AsyncConnection, projection: str | None = None) -> list[Parked]:
    """What the live builds have parked, by projection and position."""
    query = (
        select(parked)
        .join(checkpoint, (checkpoint.c.name == parked.c.name) & (checkpoint.c.version == parked.c.version))
        .where(checkpoint.c.state == "live")
        .order_by(parked.c.name, parked.c.position)
    )
    if projection is not None:
        query = query.where(parked.c.name == projection)
    rows = await conn.execute(query)
    return [Parked(r.name, r.version, r.position, r.relation, r.error, r.parked_at) for r in rows]


async def retry_parked(engine: AsyncEngine, projection: Projection, relation: str | None = None) -> list[Retried]:
    """Applies what the live build has parked (of one relation, or of all), in order, each relation in a transaction.

    Stops at the first event of a relation that still fails; it and the later ones stay parked. Safe beside a running
    service. Raises NotYetThere without a live build, Fenced when the build was switched away meanwhile.
    """
    async with engine.connect() as conn:
        version = (await live(conn, projection)).version
        waiting = await list_parked(conn, projection.name)
    relations = dict.fromkeys(p.relation for p in waiting if relation is None or p.relation == relation)
    return [await _retry(engine, projection, version, r) for r in relations]


async def _retry(engine: AsyncEngine, projection: Projection, version: int, relation: str) -> Retried:
    async with engine.connect() as conn:
        history = {e.position: e for e in await ledger.read_relation(conn, relation)}
    name = projection.name
    by_table = shapes(versioned(projection, version))
    connection = await connect(engine, name=f"relatieboek-{name}-retry")
    try:
        await make_scratch(connection, by_table)
        async with connection.transaction():
            if await connection.fetchrow(_TAKE, name, version) is None:
                raise Fenced(f"build {version} of {name} is not live any more")
            positions = [r["position"] for r in await connection.fetch(_POSITIONS, name, version, relation)]
            # an event that was accepted after the history was read stays parked, for the next retry
            events = [history[p] for p in positions if p in history]
            start = _start(projection, history, events)
            applied, error = 0, None
            for n, event in enumerate(events[start:], start):
                error = await _apply(connection, projection, by_table, event)
                if error is not None:
                    await connection.execute(_ERROR, name, version, event.position, error)
                    break
                applied = n + 1
            if applied:
                await connection.execute(_APPLIED, name, version, relation, events[applied - 1].position)
    finally:
        await close(connection)
    return Retried(name, relation, applied, len(positions) - applied, error)


def _start(projection: Projection, history: Mapping[int, Recorded], events: Sequence[Recorded]) -> int:
    """Which of the parked events is to be applied first.

    The last withdrawal, where there is one: it folds the whole history up to itself again, and may take away the very
    event that was poison.
    """
    found = 0
    for n, event in enumerate(events):
        gone = None if event.withdraws is None else history.get(event.withdraws)
        if gone is not None and projection.takes(gone):
            found = n
    return found


async def _apply(
    connection: Connection, projection: Projection, by_table: Mapping[str, Shape], event: Recorded
) -> str | None:
    """Folds and writes in a savepoint; None, or why it cannot be done."""
    rows = WorkingSet(projection.metadata)
    folder = Folder(projection, rows, PostgresLoader(connection, by_table), LIMITS, ())
    result = await folder.fold([event], announcing=False)
    if not isinstance(result, Folded):
        return next(iter(result.values())).error
    try:
        async with connection.transaction():
            await write(connection, by_table, rows.hand_over())
    except DATA_ERRORS as error:
        return f"{type(error).__name__} in PostgreSQL"
    return None
