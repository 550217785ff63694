"""For which overdue period a line should have an alert, and when that answer changes (SPEC section 5). Pure.

`wanted` gives the answer at a moment, `moments` the instants at which it can change while no new fact comes: between
two of them it is constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final

from events.recorded import day_end, local_date
from projections.due import LEAD_WORKING_DAYS, meets_in_time, missed, rolling_due
from projections.periods import period_of
from projections.schedule_line import Due, Line, Meeting, Qualifying, Rolling
from projections.working_calendar import WorkingCalendar

_DAY: Final = timedelta(days=1)


@lru_cache(maxsize=20_000)
def day_start(on: date) -> datetime:
    """The first instant (UTC) of a day in Amsterdam."""
    return day_end(on - _DAY)


def wanted(
    line: Line,
    contacts: Sequence[Qualifying],
    planned: Sequence[Meeting],
    now: datetime,
    calendar: WorkingCalendar,
    lead_working_days: int = LEAD_WORKING_DAYS,
) -> Due | None:
    """What an alert should be open for at `now`: what is overdue, unless the line is ended or vacant, or a meeting that
    was planned in time is still to be held. Whether a pause keeps an alert from being raised is `paused`."""
    today = local_date(now)
    if line.vacant(today) or today < line.starts_on or (line.ended_on is not None and today >= line.ended_on):
        return None
    late = missed(line, contacts, today, calendar, lead_working_days)
    return None if late is None or meets_in_time(line, planned, late, now) else late


def moments(
    line: Line, contacts: Sequence[Qualifying], planned: Sequence[Meeting], since: datetime, calendar: WorkingCalendar
) -> list[datetime]:
    """`since` and every later instant at which the answer of `wanted` or `paused` can change by time alone, ascending.

    For a quota the first two periods that end after each boundary stand for all later ones: a period that is owed and
    has no contacts yet is missed, so the answer changes there if it ever does.
    """
    today = local_date(since)
    days: set[date] = {line.starts_on}
    days.update(on for on in (line.ended_on, line.vacant_on) if on is not None)
    for pause in line.pauses:
        days.update(d for d in pause if d is not None)
    if isinstance(line.cadence, Rolling):
        days.add(rolling_due(line, contacts, today, calendar).overdue_on)
    else:
        for day in {today, *days}:
            ends = [period_of(line.cadence.per, day)[1] + _DAY]
            ends.append(period_of(line.cadence.per, ends[0])[1] + _DAY)
            days.update(ends)
    instants = {day_start(day) for day in days}
    instants.update(m.ends_at for m in planned)
    return [since, *sorted(at for at in instants if at > since)]
