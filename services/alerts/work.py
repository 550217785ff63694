"""What the service contact-alerts does at a tick: look at the lines whose instant has come, and say what is wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from projections.alert_rule import decide
from projections.due import LEAD_WORKING_DAYS
from projections.lines_to_check import lines_to_check
from projections.store import Live
from projections.working_calendar import WorkingCalendar
from services.ticking.ticker import Portion, Work

BATCH: Final = 500
MOST_BATCHES: Final = 20


def contact_work(calendar: WorkingCalendar, lead_working_days: int = LEAD_WORKING_DAYS, batch: int = BATCH) -> Work:
    """The contact rule under an institution's calendar. Each line gets at most one event a tick."""

    async def work(conn: AsyncConnection, build: Live, now: datetime) -> AsyncIterator[Portion]:
        after: tuple[datetime, str, str] | None = None
        for _ in range(MOST_BATCHES):
            found = await lines_to_check(conn, build, now, after, batch, calendar)
            wanted = (decide(c.line, c.bucket, c.version, now, c.institution, lead_working_days) for c in found)
            yield Portion(len(found), [t for t in wanted if t is not None])
            if len(found) < batch:
                return
            after = found[-1].key

    return work
