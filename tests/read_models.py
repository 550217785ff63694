"""Read models as a runner that has caught up leaves them, for tests of queries."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncEngine

from events import tables
from events.recorded import Recorded
from projections import relation_view, team_timeline
from projections.attention_sums import SPENT
from projections.rows import Projection, fold
from projections.store import versioned
from projections.tables import checkpoint
from tests.given import stored

PROJECTIONS = (relation_view.PROJECTION, team_timeline.PROJECTION)


async def record(
    engine: AsyncEngine, events: Sequence[Recorded], projections: Sequence[Projection] = PROJECTIONS
) -> None:
    """Makes these events, numbered from 1, the whole book: ledger, rows of the projections, checkpoints."""
    async with engine.begin() as conn:
        await conn.execute(
            # Told again with more events: the ledger only grows.
            upsert(tables.entry).on_conflict_do_nothing(),
            [
                {
                    "position": e.position, "relation": e.relation, "version": e.version, "source": e.source,
                    "id": e.id, "type": e.type, "department": e.department, "recorded_at": e.recorded_at,
                    "payload": stored(e), "prev": bytes(32), "leaf": bytes(32),
                }
                for e in events
            ],
        )  # fmt: skip
        await conn.execute(update(tables.head).values(position=len(events), recorded_at=events[-1].recorded_at))
        for projection in projections:
            rows = fold(projection, events)
            for name, table in versioned(projection).items():
                if name == SPENT:  # kept by PostgreSQL itself
                    continue
                await conn.execute(delete(table))
                if rows.tables[name]:
                    await conn.execute(insert(table), list(rows.tables[name].values()))
            await conn.execute(
                update(checkpoint).where(checkpoint.c.name == projection.name).values(position=len(events))
            )
