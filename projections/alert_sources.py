"""How fresh the sources of an alert are: which departments told of its evidence, and when each was last heard (SPEC 5).

A department is silent when so many whole working days have gone by without any event of it; then an alert that lives
on what it tells may be an alert about the source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import TYPE_PREFIX, iso, local_date
from events.tables import entry
from projections.working_calendar import WorkingCalendar

SILENT_WORKING_DAYS: Final = 5
_OWN: Final = "relatieboek"
_DAY: Final = timedelta(days=1)


class Told(NamedTuple):
    """An event of the evidence: who published it, and what kind it is."""

    position: int
    kind: str
    department: str


class Source(NamedTuple):
    """A department that an alert lives on, and when its last event was recorded."""

    department: str
    last_at: datetime | None
    silent_working_days: int
    silent: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "department": self.department,
            "last_event_at": None if self.last_at is None else iso(self.last_at),
            "working_days_silent": self.silent_working_days,
            "silent": self.silent,
        }


async def told_by(conn: AsyncConnection, positions: Iterable[int]) -> dict[int, Told]:
    """Who published these events, by position."""
    wanted = sorted(set(positions))
    if not wanted:
        return {}
    query = select(entry.c.position, entry.c.type, entry.c.department).where(entry.c.position.in_(wanted))
    return {
        r.position: Told(r.position, r.type.removeprefix(TYPE_PREFIX).rsplit(".v", 1)[0], r.department)
        for r in await conn.execute(query)
    }


def feeding(told: Iterable[Told]) -> list[str]:
    """The departments that feed a line: those that told of its contacts; where there were none, of its schedule."""
    contacts = {t.department for t in told if t.kind.startswith("contact.")}
    others = {t.department for t in told if not t.kind.startswith("alert.")}
    return sorted((contacts or others) - {_OWN})


async def sources(
    conn: AsyncConnection,
    tables: Mapping[str, Table],
    departments: Sequence[str],
    now: datetime,
    calendar: WorkingCalendar,
    silent_after: int = SILENT_WORKING_DAYS,
) -> dict[str, Source]:
    """How fresh these departments are at `now`, by name."""
    if not departments:
        return {}
    department = tables["department"]
    query = select(department).where(department.c.department.in_(departments))
    last = {r.department: r.last_at for r in await conn.execute(query)}
    return {name: _source(name, last.get(name), local_date(now), calendar, silent_after) for name in departments}


def _source(name: str, last_at: datetime | None, today: date, calendar: WorkingCalendar, silent_after: int) -> Source:
    if last_at is None:
        return Source(name, None, 0, silent=False)
    days = calendar.working_days_between(local_date(last_at), today - _DAY)
    return Source(name, last_at, days, silent=days >= silent_after)
