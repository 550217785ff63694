"""The clock of a trial, over restarts: it goes on where it was, and never before what was recorded."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from events.clock import advance_clock, book_now, set_clock, system_now
from events.errors import SetupError
from events.tables import head

JANUARY, MARCH, JUNE = (datetime(2026, month, 5, 8, tzinfo=UTC) for month in (1, 3, 6))


async def test_a_trial_goes_on_where_it_was_and_never_before_what_was_recorded(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await set_clock(conn, JANUARY)
        await advance_clock(conn, JUNE)
        await conn.execute(update(head).values(recorded_at=JUNE))
        await set_clock(conn, JANUARY)
        assert await book_now(conn) == JUNE, "started as before: where `clock advance` brought it"
        with pytest.raises(SetupError, match="niet terug"):
            await set_clock(conn, MARCH)
        assert await book_now(conn) == JUNE
        before = system_now()
        await set_clock(conn, None)
        assert await book_now(conn) >= before, "free: the system's"
        with pytest.raises(SetupError, match="niet terug"):
            await set_clock(conn, JANUARY)


async def test_an_instant_after_the_last_recorded_time_is_taken(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await set_clock(conn, JANUARY)
        await conn.execute(update(head).values(recorded_at=JANUARY))
        await advance_clock(conn, JUNE)
        await set_clock(conn, MARCH)
        assert await book_now(conn) == MARCH
