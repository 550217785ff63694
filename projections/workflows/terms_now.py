"""The terms that rules are judged by at a tick and at reading: the settings, and what the institution laid down."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import local_date
from projections.institution import Institution
from projections.store import last_switch
from projections.workflows.projection import PROJECTION
from projections.workflows.thresholds import Terms
from projections.working_calendar import WorkingCalendar

Tables = Mapping[str, Table]


async def terms_now(conn: AsyncConnection, tables: Tables, terms: Terms) -> Terms:
    """`terms`, which have the public holidays, under the institution's own working calendar as it stands, and with the
    last switch of builds."""
    rows = (await conn.execute(select(tables["institution"]))).mappings()
    terms = terms.under([dict(r) for r in rows])
    switch = await last_switch(conn, PROJECTION)
    return terms if switch is None else terms._replace(switched_at=switch.position, switched_on=local_date(switch.at))


async def calendar_now(conn: AsyncConnection, tables: Tables, base: WorkingCalendar) -> WorkingCalendar:
    """The institution's working calendar; `base` has the public holidays."""
    rows = (await conn.execute(select(tables["institution"]))).mappings()
    return Institution.of([dict(r) for r in rows], base).calendar
