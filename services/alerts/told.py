"""What is left of a mail for who reads it: of its alerts and loops those that this recipient may see now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.alert_queries import show_alert
from projections.contact_alerts import PROJECTION
from projections.store import live
from projections.workflows.loop_queries import find_loop
from projections.working_calendar import WorkingCalendar
from services.alerts.effects import notice
from services.alerts.notices import What
from services.alerts.recipients import viewer_of


class Told(NamedTuple):
    """One event in a mail. `shown`: the alert or loop (`what`) as it is now, in references."""

    position: int
    what: What
    transition: str
    shown: Mapping[str, Any]


async def told_in(
    conn: AsyncConnection, mail_id: int, recipient: str, now: datetime, calendar: WorkingCalendar
) -> list[Told]:
    """What the mail says, in the order of the book. Raises NotYetThere while a read model is made."""
    query = select(notice.c.position, notice.c.what, notice.c.alert, notice.c.transition)
    held = (await conn.execute(query.where(notice.c.mail_id == mail_id).order_by(notice.c.position))).all()
    viewer = await viewer_of(conn, (await live(conn, PROJECTION)).tables, recipient)
    found: list[Told] = []
    for position, what, id_, transition in held:
        if what == "loop":
            loop = await find_loop(conn, id_, now, viewer, calendar)
            shown = None if loop is None else loop.shown
        else:
            shown = await show_alert(conn, id_, now, viewer, calendar)
        if shown is not None:
            found.append(Told(position, what, transition, shown))
    return found
