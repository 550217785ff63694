"""When to look at a line again: the first instant at which its alerts are not what they should be. Pure, no clock."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from events.recorded import local_date
from projections.alert_line import contacts_of, meetings_of, newest_of, open_of
from projections.alert_rule import differs
from projections.due import anchored_due, meets_in_time, paused
from projections.escalation import next_level_on
from projections.institution import Institution
from projections.line_state import line_of
from projections.overdue import day_start, moments, wanted
from projections.periods import period_of
from projections.rows import Row
from projections.schedule_line import Line, Qualifying, Quota

_DAY: Final = timedelta(days=1)


def settle_line(row: Row, bucket: Row | None, institution: Institution, lead_working_days: int) -> None:
    """Sets `last_on`, `check_at`, `overdue_from` and `overdue_on` of the line's row, counting from its `seen_at`."""
    row["last_on"] = row["check_at"] = row["overdue_from"] = row["overdue_on"] = None
    if row["our_layer"] is None:
        row["check_at"] = None if open_of(row) is None else row["seen_at"]
        return
    newest = newest_of(row["channels"], bucket)
    row["last_on"] = None if newest is None else newest.on
    if row["conflict"]:
        row["check_at"] = None if open_of(row) is None else row["seen_at"]
        return
    if not _settle_plain(row, bucket, institution):
        _settle_moments(row, bucket, institution, lead_working_days)
    _settle_escalation(row, institution)


def _settle_moments(row: Row, bucket: Row | None, institution: Institution, lead_working_days: int) -> None:
    calendar = institution.calendar
    line, since = line_of(row), row["seen_at"]
    contacts = _enough(line, bucket, local_date(since))
    meetings = meetings_of(line, bucket, since)
    for at in moments(line, contacts, meetings, since, calendar):
        late = wanted(line, contacts, (), at, calendar, lead_working_days)
        if late is not None and row["overdue_from"] is None:
            row["overdue_from"], row["overdue_on"] = at, late.overdue_on
        if row["check_at"] is None:
            meeting = late is not None and meets_in_time(line, meetings, late, at)
            if differs(row, None if meeting else late, is_paused=paused(line, local_date(at))):
                row["check_at"] = at
        if row["check_at"] is not None and row["overdue_from"] is not None:
            return


def _settle_plain(row: Row, bucket: Row | None, institution: Institution) -> bool:
    """The common case at a fraction of the cost: a rolling line without pause, end, vacancy or planned meeting.

    Nothing is wanted before its one overdue_on, and always after it. False: not the common case, nothing was set.
    """
    if row["cadence"]["mode"] != "rolling" or row["pauses"] or row["ended_on"] or row["vacant_on"]:
        return False
    anchor: date = row["starts_on"]
    if bucket is not None and bucket["meetings"]:
        return False
    if row["last_on"] is not None:
        anchor = max(anchor, row["last_on"])
    due = anchored_due(row["cadence"]["every"], row["grace_working_days"], anchor, (), institution.calendar)
    since, start = row["seen_at"], day_start(due.overdue_on)
    row["overdue_from"], row["overdue_on"] = max(since, start), due.overdue_on
    if open_of(row) is None:
        row["check_at"] = max(since, start) if differs(row, due, is_paused=False) else None
    elif since < start or differs(row, due, is_paused=False):
        row["check_at"] = since
    return True


def _settle_escalation(row: Row, institution: Institution) -> None:
    opened = open_of(row)
    if opened is None:
        return
    since = row["seen_at"]
    on = next_level_on(row, line_of(row), opened, local_date(since), institution)
    if on is not None:
        at = max(since, day_start(on))
        row["check_at"] = at if row["check_at"] is None else min(at, row["check_at"])


def _enough(line: Line, bucket: Row | None, today: date) -> list[Qualifying]:
    """The contacts that can matter from `today` on: rolling the last, quota those since the last period owed."""
    if isinstance(line.cadence, Quota):
        first = period_of(line.cadence.per, min([today, *(p.from_on for p in line.pauses)]))[0]
        return contacts_of(line, bucket, period_of(line.cadence.per, first - _DAY)[0])
    newest = newest_of(line.channels, bucket)
    return [] if newest is None else [newest]
