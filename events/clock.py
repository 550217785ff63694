"""The book's clock. It is an argument everywhere; this module is where it comes from.

Live, it is the system's clock. In a trial or an audit it stands still at `ledger.head.clock_at`, which every process
reads, so that all of them have the same now, and which `relatieboek clock advance` moves.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import SetupError
from events.tables import head

_CLOCK_AT: Final = select(head.c.clock_at)


def system_now() -> datetime:
    return datetime.now(UTC)


async def book_now(conn: AsyncConnection) -> datetime:
    """The book's now (UTC)."""
    fixed = await conn.scalar(_CLOCK_AT)
    return fixed.astimezone(UTC) if fixed is not None else system_now()


async def set_clock(conn: AsyncConnection, at: datetime | None) -> None:
    """Fixes the clock at an instant, or sets it free (None). Run once, when an instance starts.

    A trial that starts again with the instant that it was started with goes on where `clock advance` brought it. Raises
    SetupError when `at` is another instant, before the last recorded time (INTERFACE section 4).
    """
    row = (await conn.execute(select(head.c.recorded_at, head.c.clock_at, head.c.clock_from).with_for_update())).one()
    if at is not None:
        if row.clock_at is not None and row.clock_from == at:
            return
        _refuse_before(at, row.recorded_at)
    await conn.execute(update(head).values(clock_at=at, clock_from=at))


async def advance_clock(conn: AsyncConnection, to: datetime) -> datetime:
    """Moves a fixed clock forward and returns where it stood. Raises SetupError in a live run, and for a way back."""
    row = (await conn.execute(select(head.c.recorded_at, head.c.clock_at).with_for_update())).one()
    if row.clock_at is None:
        raise SetupError("De klok loopt gewoon mee: verzetten kan alleen in een proef met RELATIEBOEK_CLOCK.")
    _refuse_before(to, row.clock_at)
    _refuse_before(to, row.recorded_at)
    await conn.execute(update(head).values(clock_at=to))
    return row.clock_at.astimezone(UTC)


def _refuse_before(at: datetime, last: datetime | None) -> None:
    if last is not None and at < last:
        raise SetupError(
            f"De klok kan niet terug: {at.isoformat()} ligt voor {last.isoformat()}. Kies een later tijdstip."
        )
