"""When contact is due on a schedule line, and the line's state (SPEC section 5, *Due* and *States*).

Pure: the time is an argument. Dates are local dates in Europe/Amsterdam; periods and grace come from the line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal

from events.recorded import local_date
from projections.periods import add_period, period_of
from projections.schedule_line import (
    Cadence,
    Due,
    Line,
    Meeting,
    Pause,
    Qualifying,
    Quota,
    Rolling,
    cadence_of,
    qualifies,
)
from projections.working_calendar import WorkingCalendar

__all__ = [
    "LEAD_WORKING_DAYS", "Cadence", "Due", "Line", "LineState", "Meeting", "Pause", "Qualifying", "Quota", "Rolling",
    "State", "anchored_due", "cadence_of", "evaluate", "meets_in_time", "missed", "overdue_days", "overdue_since",
    "paused", "qualifies", "rolling_due", "spans", "working_days_overdue",
]  # fmt: skip

LEAD_WORKING_DAYS: Final = 10

State = Literal[
    "ended", "paused", "not_started", "vacant", "snoozed", "escalated", "overdue", "planned", "due", "never_contacted",
    "on_track",
]  # fmt: skip

# (first day, first day after), in order, not overlapping
Spans = tuple[tuple[date, date], ...]

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class LineState:
    """A line at a moment. A missed quota period shows that period's days.

    `overdue_on` is None where no contact is owed (a quota that is met, or a period that is not owed). `remaining`:
    contacts still to be had in the calendar period that contains today; None for a rolling line.
    """

    state: State
    anchor_on: date
    due_on: date
    last_ok_on: date
    overdue_on: date | None
    working_days_overdue: int
    remaining: int | None


def evaluate(
    line: Line,
    contacts: Sequence[Qualifying],
    planned: Sequence[Meeting],
    now: datetime,
    calendar: WorkingCalendar,
    *,
    escalated: bool = False,
    snoozed_until: date | None = None,
    lead_working_days: int = LEAD_WORKING_DAYS,
) -> LineState:
    """The line's state at `now`. `contacts` are those that qualify, ascending by date.

    `escalated` and `snoozed_until` (the first day on which it is no longer snoozed) say it of the line's open alert.
    """
    today = local_date(now)
    late = missed(line, contacts, today, calendar, lead_working_days)
    remaining: int | None = None
    owed = True
    if isinstance(line.cadence, Quota):
        first, last = period_of(line.cadence.per, today)
        remaining = max(0, line.cadence.times - _count(contacts, first, last))
        owed = remaining > 0 and _owed(line, first, last)
        due = late or _quota_due(first, last, calendar, lead_working_days)
    else:
        due = rolling_due(line, contacts, today, calendar)
    state: State
    if line.ended_on is not None and today >= line.ended_on:
        state = "ended"
    elif paused(line, today):
        state = "paused"
    elif today < line.starts_on:
        state = "not_started"
    elif line.vacant(today):
        state = "vacant"
    elif late is not None:
        snoozed = snoozed_until is not None and today < snoozed_until
        state = "snoozed" if snoozed else "escalated" if escalated else "overdue"
    elif meets_in_time(line, planned, due, now):
        state = "planned"
    elif owed and today >= calendar.add_working_days(due.due_on, -lead_working_days):
        state = "due"
    else:
        state = "on_track" if contacts else "never_contacted"
    return LineState(
        state=state,
        anchor_on=due.anchor_on,
        due_on=due.due_on,
        last_ok_on=due.last_ok_on,
        overdue_on=due.overdue_on if late or owed else None,
        working_days_overdue=working_days_overdue(line, late, today, calendar) if late else 0,
        remaining=remaining,
    )


def rolling_due(line: Line, contacts: Sequence[Qualifying], today: date, calendar: WorkingCalendar) -> Due:
    """The days of a rolling line. They depend on `today` only while a pause has no end yet."""
    if not isinstance(line.cadence, Rolling):
        raise TypeError("only a rolling line has an anchor")
    anchor = max(line.starts_on, contacts[-1].on) if contacts else line.starts_on
    pauses = spans(line.pauses, today)
    return anchored_due(line.cadence.every, line.grace_working_days, anchor, pauses, calendar)


@lru_cache(maxsize=50_000)
def anchored_due(
    every: str, grace: int, anchor: date, pauses: tuple[tuple[date, date], ...], calendar: WorkingCalendar
) -> Due:
    """The days of a period after `anchor`. `pauses`: (first day, first day after), in order, not overlapping."""
    due_on = calendar.next_working_day(add_period(anchor, every))
    last_ok_on = calendar.add_working_days(due_on, grace)
    for start, until in pauses:
        if start > last_ok_on:
            break
        lost = calendar.working_days_between(max(start - _DAY, anchor), until - _DAY)
        due_on = calendar.add_working_days(due_on, lost)
        last_ok_on = calendar.add_working_days(due_on, grace)
    return Due(anchor, due_on, last_ok_on, last_ok_on + _DAY)


def missed(
    line: Line,
    contacts: Sequence[Qualifying],
    today: date,
    calendar: WorkingCalendar,
    lead_working_days: int = LEAD_WORKING_DAYS,
) -> Due | None:
    """What is overdue today, whatever else there is to say of the line (end, pause, vacancy); None when nothing is.

    Rolling: today is on or after overdue_on. Quota: the last period before today that was owed had too few contacts,
    and no contact came after it.
    """
    if isinstance(line.cadence, Rolling):
        due = rolling_due(line, contacts, today, calendar)
        return due if today >= due.overdue_on else None
    first, last = period_of(line.cadence.per, today)
    while True:
        first, last = period_of(line.cadence.per, first - _DAY)
        if first < line.starts_on:
            return None
        if _owed(line, first, last):
            break
    met = _count(contacts, first, last) >= line.cadence.times or (bool(contacts) and contacts[-1].on > last)
    return None if met else _quota_due(first, last, calendar, lead_working_days)


def _quota_due(first: date, last: date, calendar: WorkingCalendar, lead_working_days: int) -> Due:
    return Due(first, calendar.add_working_days(last, -lead_working_days), last, last + _DAY)


def _owed(line: Line, first: date, last: date) -> bool:
    """Whether a calendar period is owed: wholly between start and end of the line, not wholly paused."""
    if first < line.starts_on or (line.ended_on is not None and line.ended_on <= last):
        return False
    return not any(start <= first and until > last for start, until in spans(line.pauses, last))


def _count(contacts: Sequence[Qualifying], first: date, last: date) -> int:
    return sum(first <= c.on <= last for c in contacts)


def paused(line: Line, today: date) -> bool:
    return any(p.from_on <= today and (p.until_on is None or today < p.until_on) for p in line.pauses)


def working_days_overdue(line: Line, due: Due, today: date, calendar: WorkingCalendar) -> int:
    """Working days after last_ok_on up to and including today; a pause halts the count."""
    return overdue_days(due.last_ok_on, today, spans(line.pauses, today), calendar)


def overdue_days(last_ok_on: date, today: date, halts: Spans, calendar: WorkingCalendar) -> int:
    """Working days after `last_ok_on` up to and including `today`, without those in `halts`."""
    count = calendar.working_days_between(last_ok_on, today)
    for start, until in halts:
        count -= calendar.working_days_between(max(start - _DAY, last_ok_on), min(until - _DAY, today))
    return count


def overdue_since(last_ok_on: date, days: int, halts: Spans, calendar: WorkingCalendar) -> date:
    """The first day on which `overdue_days` is `days`, as far as the halts are known."""
    reached = calendar.add_working_days(last_ok_on, days)
    for start, until in halts:
        if start > reached:
            break
        lost = calendar.working_days_between(max(start - _DAY, last_ok_on), until - _DAY)
        reached = calendar.add_working_days(reached, lost)
    return reached


def meets_in_time(line: Line, planned: Sequence[Meeting], due: Due, now: datetime) -> bool:
    """Whether a qualifying meeting is planned on or before last_ok_on whose end has not passed."""
    return any(
        m.ends_at > now and local_date(m.starts_at) <= due.last_ok_on and qualifies(line, m.pairs, m.channel)
        for m in planned
    )


def spans(pauses: Iterable[Pause], today: date) -> Spans:
    """The pauses as (first day, first day after), in order of start, overlapping ones joined: their days count once.

    One without an end lasts, as far as today knows, through today.
    """
    joined: list[tuple[date, date]] = []
    all_of_them = ((p.from_on, p.until_on or max(today, p.from_on) + _DAY) for p in pauses)
    for start, until in sorted(s for s in all_of_them if s[0] < s[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], until))
        else:
            joined.append((start, until))
    return tuple(joined)
