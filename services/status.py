"""How the book is doing: the document of `relatieboek status --json` and of `GET /v1/status`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events.recorded import iso
from events.tables import department, entry, head, tally
from projections.registry import PROJECTIONS
from projections.tables import checkpoint
from projections.tables import parked as projection_parked
from services.bus import Bus, health
from services.settings import SERVICES

# A read model that lets an event wait for longer than this is not healthy.
MAX_LAG_S: Final = 30.0
# More than this unrelayed, and the doors are about to answer busy.
MAX_UNRELAYED: Final = 5_000

# Recorded times never go back, so the first entry of the last minute is found by halving: some 20 look-ups by primary
# key in a book of a million, and no index on time that every append would pay for.
_SINCE: Final = text(
    """
    WITH RECURSIVE search (lo, hi) AS (
        SELECT CAST(0 AS bigint), CAST(:head AS bigint)
      UNION ALL
        SELECT CASE WHEN e.recorded_at < now() - interval '1 minute' THEN e.position ELSE s.lo END,
               CASE WHEN e.recorded_at < now() - interval '1 minute' THEN s.hi ELSE e.position - 1 END
          FROM search s JOIN ledger.entry e ON e.position = (s.lo + s.hi + 1) / 2
         WHERE s.lo < s.hi
    )
    SELECT lo FROM search WHERE lo = hi
    """
)


async def status(
    engine: AsyncEngine, bus: Bus, *, services: Sequence[str] = SERVICES, own: str = "api"
) -> dict[str, Any]:
    """The state of log, projections, intake, departments and services, and whether all of it is well.

    `log.head` is the ledger's last position, `log.stream` the stream's (None: it cannot be reached), `rate_1m` events
    per second recorded in the last minute (0 while the book's clock stands still). A projection's `lag` is in events;
    `lag_seconds` is how long its next event has waited, at most the time since it last moved. `own` is the service that
    asks and need not ask itself.
    Raises a database error when PostgreSQL is out.
    """
    others = [name for name in services if name != own]
    # The stream first: what it holds is in the ledger already, so only a divergence puts it ahead.
    end, states = await asyncio.gather(bus.stream_end(), asyncio.gather(*(health(bus, name) for name in others)))
    document, names = await _from_ledger(engine)
    log = document["log"]
    log["stream"] = end
    unrelayed = 0 if end is None else max(0, log["head"] - end)
    document["intake"]["pending"] = await bus.waiting(names) + unrelayed
    document["services"] = [*([{"service": own, "state": "ready"}] if own in services else []), *states]
    document["healthy"] = (
        end is not None
        and end <= log["head"]
        and unrelayed <= MAX_UNRELAYED
        and all(s["state"] == "ready" for s in states)
        and {p["name"] for p in document["projections"] if _well(p)} >= set(PROJECTIONS)
    )
    return document


def _well(projection: dict[str, Any]) -> bool:
    """A live build without parked events, that is not behind for long. Builds in the making neither help nor hurt."""
    return projection["state"] == "live" and projection["parked"] == 0 and projection["lag_seconds"] <= MAX_LAG_S


async def builds(engine: AsyncEngine) -> list[dict[str, Any]]:
    """The `projections` of the status alone."""
    async with engine.connect() as conn:
        top = (await conn.execute(select(head))).one()
        return await _projections(conn, top.position, clock_stands=top.clock_at is not None)


async def _from_ledger(engine: AsyncEngine) -> tuple[dict[str, Any], list[str]]:
    """What PostgreSQL knows, as of one moment, and the names of the departments that are not revoked."""
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        top = (await conn.execute(select(head))).one()
        counts = (
            await conn.execute(
                select(
                    *(func.coalesce(func.sum(tally.c[n]), 0).label(n) for n in ("accepted", "duplicates", "rejected"))
                )
            )
        ).one()
        document: dict[str, Any] = {
            "log": {"head": top.position, "stream": None, "rate_1m": await _rate(conn, top.position)},
            "projections": await _projections(conn, top.position, clock_stands=top.clock_at is not None),
            "intake": {
                "pending": 0,
                "accepted": int(counts.accepted),
                "duplicates": int(counts.duplicates),
                "rejected": int(counts.rejected),
                "parked": top.parked,
            },
            "departments": await _departments(conn),
            "clock": None if top.clock_at is None else iso(top.clock_at),
        }
        names = await conn.scalars(select(department.c.name).where(department.c.revoked_at.is_(None)))
        return document, list(names)


async def _rate(conn: AsyncConnection, position: int) -> float:
    before = await conn.scalar(_SINCE, {"head": position})
    return round((position - (position if before is None else before)) / 60, 2)


async def _projections(conn: AsyncConnection, position: int, *, clock_stands: bool) -> list[dict[str, Any]]:
    c, p = checkpoint.c, projection_parked.c
    waiting = select(func.count()).where(p.name == c.name, p.version == c.version).scalar_subquery().label("parked")
    following = select(entry.c.recorded_at).where(entry.c.position == c.position + 1).scalar_subquery()
    # While the book's clock stands still, recorded times tell no age; the time since the last move does.
    since = func.greatest(c.updated_at, following) if not clock_stands else c.updated_at
    idle = func.extract("epoch", func.clock_timestamp() - since).label("idle_s")
    rows = await conn.execute(
        select(c.name, c.version, c.state, c.position, c.paused, idle, waiting)
        .where(c.state != "old")
        .order_by(c.name, c.version)
    )
    found: list[dict[str, Any]] = []
    for r in rows:
        lag = max(0, position - r.position)
        found.append(
            {
                "name": r.name,
                "version": r.version,
                "state": "paused" if r.paused and r.state == "live" else r.state,
                "position": r.position,
                "lag": lag,
                "lag_seconds": max(0.0, round(float(r.idle_s), 1)) if lag else 0.0,
                "parked": r.parked,
                **({"detail": r.paused} if r.paused else {}),
            }
        )
    return found


async def _departments(conn: AsyncConnection) -> list[dict[str, Any]]:
    rows = await conn.execute(
        select(department.c.name, tally)
        .outerjoin(tally, tally.c.department == department.c.name)
        .order_by(department.c.name)
    )
    return [
        {
            "name": r.name,
            "last_event_at": None if r.last_event_at is None else iso(r.last_event_at),
            "accepted": r.accepted or 0,
            "rejected": r.rejected or 0,
            "late": r.late or 0,
            "duplicates": r.duplicates or 0,
        }
        for r in rows
    ]
