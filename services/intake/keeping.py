"""What intake keeps and for how long: parked events that waited too long become rejected, old rejections go."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events.clock import system_now
from events.errors import FieldError
from events.tables import head, outbox, parked, rejected, tally
from events.verdict import Verdict, problem

log = structlog.get_logger(__name__)

_EVERY_S = 600.0
_AT_ONCE = 500


async def expire(conn: AsyncConnection, *, parked_days: int, rejected_days: int) -> int:
    """One transaction's worth: returns how many parked events it turned into rejected ones (at most 500).

    Takes the head's lock first, as every append does. Expiry runs on the system's clock (INTERFACE section 4).
    """
    now = system_now()
    await conn.execute(select(head.c.position).with_for_update())
    query = select(parked).where(parked.c.parked_at < now - timedelta(days=parked_days))
    rows = (await conn.execute(query.order_by(parked.c.arrival).limit(_AT_ONCE))).all()
    if rows:
        problems = [_expired(row.problem, parked_days) for row in rows]
        # Every append waits meanwhile: a statement for all of them, not four for each.
        # Kept under the same key, but sealed as parked: `rejected retry` opens both.
        await conn.execute(
            insert(rejected),
            [
                {
                    "department": row.department, "source": row.source, "id": row.id, "type": row.type,
                    "code": "expired", "problem": document, "rejected_at": now, "sealed": row.sealed, "key": row.key,
                }
                for row, document in zip(rows, problems, strict=True)
            ],
        )  # fmt: skip
        await conn.execute(
            insert(outbox),
            [
                {
                    "department": row.department,
                    "position": None,
                    "verdict": Verdict("rejected", row.id, row.source, problem=document).as_json(),
                }
                for row, document in zip(rows, problems, strict=True)
            ],
        )
        await conn.execute(delete(parked).where(parked.c.arrival.in_([row.arrival for row in rows])))
        for name, count in Counter(row.department for row in rows).items():
            await conn.execute(
                update(tally).where(tally.c.department == name).values(rejected=tally.c.rejected + count)
            )
        await conn.execute(update(head).values(parked=head.c.parked - len(rows)))
    await conn.execute(delete(rejected).where(rejected.c.rejected_at < now - timedelta(days=rejected_days)))
    return len(rows)


def _expired(waited: Mapping[str, Any], days: int) -> dict[str, Any]:
    """The problem of an event that waited in vain, made of the one that it waited with."""
    reasons = "; ".join(error["detail"] for error in waited.get("errors", []))
    return problem("expired", [FieldError("", f"it waited {days} days in vain: {reasons}")])


async def keep(engine: AsyncEngine, wake: asyncio.Event, *, parked_days: int, rejected_days: int) -> None:
    """Runs `expire` every ten minutes, for as long as the service lives."""
    while True:
        try:
            expired = _AT_ONCE
            while expired == _AT_ONCE:
                async with engine.begin() as conn:
                    expired = await expire(conn, parked_days=parked_days, rejected_days=rejected_days)
                if expired:
                    wake.set()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("expiry waits", exc_info=error)
        await asyncio.sleep(_EVERY_S)
