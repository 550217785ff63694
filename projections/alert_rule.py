"""The rule `contact_overdue`: which alert a line should have at a moment, and the one event that leads there.

Pure. A line's row and its bucket hold every fact that is needed; the time is an argument. The event's id is made of
alert, transition and the position of the cause, so that the same decision, taken twice, is one event.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from events.recorded import instant, iso, local_date
from projections.due import LEAD_WORKING_DAYS, anchored_due, meets_in_time, paused
from projections.line_state import line_of
from projections.overdue import day_start, moments, wanted
from projections.periods import period_of
from projections.rows import Row
from projections.schedule_line import Due, Line, Meeting, Qualifying, Quota
from projections.working_calendar import WorkingCalendar

RULE: Final = "contact_overdue"
RULE_VERSION: Final = 1
MAX_EVIDENCE: Final = 20

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Transition:
    """An event to publish about a relation: `kind` is alert.raised, alert.resolved or alert.reopened.

    `expected_version` is the relation's version at which the line was evaluated.
    """

    kind: str
    relation: str
    event_id: str
    expected_version: int
    data: Mapping[str, Any]


def alert_id(relation: str, line: str, due_on: date | str, rule: str = RULE) -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:relatieboek:alert:{rule}:{relation}:{line}:{due_on}"))


def set_line(row: Row) -> Line | None:
    """The line as the due rules want it; None while only later facts of it are known."""
    return None if row["our_layer"] is None else line_of(row)


def contacts_of(line: Line, bucket: Row | None, since: date = date.min) -> list[Qualifying]:
    """The contacts of the line's layers that its channels accept, from `since` on, ascending by date."""
    dates: Sequence[Any] = () if bucket is None else bucket["dates"]
    start = bisect_left(dates, [since.isoformat()])
    channels = line.channels
    return [
        Qualifying(date.fromisoformat(on), position)
        for on, position, channel in dates[start:]
        if channels is None or channel in channels
    ]


def meetings_of(line: Line, bucket: Row | None, now: datetime) -> list[Meeting]:
    """The planned meetings of the line's layers that have not ended at `now`."""
    text = iso(now)
    pairs = frozenset({(line.our_layer, line.their_layer)})
    meetings: Sequence[Any] = () if bucket is None else bucket["meetings"]
    return [
        Meeting(contact, instant(starts_at), instant(ends_at), channel, pairs)
        for contact, starts_at, ends_at, channel in meetings
        if ends_at > text
    ]


def settle_line(row: Row, bucket: Row | None, calendar: WorkingCalendar, lead_working_days: int) -> None:
    """Sets `check_at`, `overdue_from` and `overdue_on` of the line's row, counting from its `seen_at`."""
    row["check_at"] = row["overdue_from"] = row["overdue_on"] = None
    if row["our_layer"] is None or _settle_plain(row, bucket, calendar):
        return
    line, since = line_of(row), row["seen_at"]
    contacts = _enough(line, bucket, local_date(since))
    meetings = meetings_of(line, bucket, since)
    for at in moments(line, contacts, meetings, since, calendar):
        late = wanted(line, contacts, (), at, calendar, lead_working_days)
        if late is not None and row["overdue_from"] is None:
            row["overdue_from"], row["overdue_on"] = at, late.overdue_on
        if row["check_at"] is None:
            meeting = late is not None and meets_in_time(line, meetings, late, at)
            if _differs(row, None if meeting else late, paused(line, local_date(at))):
                row["check_at"] = at
        if row["check_at"] is not None and row["overdue_from"] is not None:
            return


def _settle_plain(row: Row, bucket: Row | None, calendar: WorkingCalendar) -> bool:
    """The common case at a fraction of the cost: a rolling line without pause, end or planned meeting.

    Nothing is wanted before its one overdue_on, and always after it. False: not the common case, nothing was set.
    """
    if row["cadence"]["mode"] != "rolling" or row["pauses"] or row["ended_on"] is not None:
        return False
    anchor: date = row["starts_on"]
    if bucket is not None:
        if bucket["meetings"]:
            return False
        channels = row["channels"]
        for on, _, channel in reversed(bucket["dates"]):
            if channels is None or channel in channels:
                anchor = max(anchor, date.fromisoformat(on))
                break
    due = anchored_due(row["cadence"]["every"], row["grace_working_days"], anchor, (), calendar)
    since, start = row["seen_at"], day_start(due.overdue_on)
    row["overdue_from"], row["overdue_on"] = max(since, start), due.overdue_on
    if row["open"] is None:
        row["check_at"] = max(since, start) if _differs(row, due, False) else None
    elif since < start or _differs(row, due, False):
        row["check_at"] = since
    return True


def decide(
    row: Row,
    bucket: Row | None,
    version: int,
    now: datetime,
    calendar: WorkingCalendar,
    lead_working_days: int = LEAD_WORKING_DAYS,
) -> Transition | None:
    """The one event that brings the line's alerts nearer to what they should be at `now`; None when they are right.

    A change of due date takes two: the open alert resolves first, the next call raises the new one.
    """
    line = set_line(row)
    if line is None:
        return None
    contacts = contacts_of(line, bucket)
    due = wanted(line, contacts, meetings_of(line, bucket, now), now, calendar, lead_working_days)
    today = local_date(now)
    if not _differs(row, due, paused(line, today)):
        return None
    if row["open"] is not None:
        reason, evidence = _resolution(row, line, contacts, due, today)
        resolved = {"alert": row["open"]["alert"], "reason": reason, "evidence": evidence, "occurred_on": str(today)}
        return _transition("alert.resolved", row, version, resolved)
    if due is None:
        return None
    alert = alert_id(row["relation"], row["line"], due.due_on)
    again = str(due.due_on) in row["alerts"]
    silent = _about_the_past(row, due) or (not again and _not_later(row, due))
    common = {"evidence": evidence_of(row, line, contacts, due), "silent": silent, "occurred_on": str(today)}
    if again:
        return _transition("alert.reopened", row, version, {"alert": alert, **common})
    owner = {} if row["owner"] is None else {"owner": row["owner"]}
    days = {"due_on": str(due.due_on), "overdue_on": str(due.overdue_on), "last_ok_on": str(due.last_ok_on)}
    data = {
        "alert": alert, "rule": RULE, "rule_version": RULE_VERSION, "line": row["line"], **days, **owner, "level": 0,
        **common,
    }  # fmt: skip
    return _transition("alert.raised", row, version, data)


def anchor_on(row: Row, bucket: Row | None, due_on: date, last_ok_on: date) -> date:
    """What an alert's period is counted from, by the facts at the moment that it is raised: a later contact is new."""
    line = set_line(row)
    if line is None:
        return due_on
    if isinstance(line.cadence, Quota):
        return period_of(line.cadence.per, last_ok_on)[0]
    contacts = contacts_of(line, bucket)
    return max(line.starts_on, contacts[-1].on) if contacts else line.starts_on


def _enough(line: Line, bucket: Row | None, today: date) -> list[Qualifying]:
    """The contacts that can matter from `today` on: rolling the last, quota those since the last period owed."""
    if isinstance(line.cadence, Quota):
        first = period_of(line.cadence.per, min([today, *(p.from_on for p in line.pauses)]))[0]
        return contacts_of(line, bucket, period_of(line.cadence.per, first - _DAY)[0])
    dates: Sequence[Any] = () if bucket is None else bucket["dates"]
    for on, position, channel in reversed(dates):
        if line.channels is None or channel in line.channels:
            return [Qualifying(date.fromisoformat(on), position)]
    return []


def _differs(row: Row, due: Due | None, is_paused: bool) -> bool:
    opened = row["open"]
    if opened is not None:
        return due is None or str(due.due_on) != opened["due_on"]
    if due is None or is_paused:
        return False
    # Resolved by a person: that holds for this due date.
    return row["alerts"].get(str(due.due_on), (None, None))[1] != "manual"


def _resolution(
    row: Row, line: Line, contacts: Sequence[Qualifying], due: Due | None, today: date
) -> tuple[str, list[int]]:
    opened = row["open"]
    cause: int = row["cause_position"]
    if line.ended_on is not None and today >= line.ended_on:
        return "line_ended", [row["positions"].get("ended", cause)]
    if opened["rule_version"] < RULE_VERSION:
        return "rule_changed", [cause]
    anchor, last_ok = date.fromisoformat(opened["anchor_on"]), date.fromisoformat(opened["last_ok_on"])
    # Contacts that the book did not know when it raised the alert; one that was corrected is none of these.
    new = [c for c in contacts if c.position > opened["position"]]
    if isinstance(line.cadence, Quota):
        in_time = [c for c in new if anchor <= c.on <= last_ok]
        met = sum(anchor <= c.on <= last_ok for c in contacts) >= line.cadence.times
    else:
        in_time = [c for c in new if anchor < c.on <= last_ok]
        met = True
    if in_time and met:
        return "late_evidence", _last([c.position for c in in_time])
    later = [c for c in new if c.on > last_ok]
    if later and due is None:
        return "contact_held", _last([c.position for c in later])
    return "recomputed", [cause]


def evidence_of(row: Row, line: Line, contacts: Sequence[Qualifying], due: Due) -> list[int]:
    """Ascending: the contacts that the days follow from, the line's own events, and the last cause."""
    until = due.last_ok_on if isinstance(line.cadence, Quota) else due.anchor_on
    counted = [c.position for c in contacts if due.anchor_on <= c.on <= until]
    own = [row["positions"]["set"], row["cause_position"], *(row["positions"].get("pauses", ()) if line.pauses else ())]
    return sorted({*own[:2], *_last([*counted, *own[2:]], MAX_EVIDENCE - 2)})


def _last(positions: Sequence[int], count: int = MAX_EVIDENCE) -> list[int]:
    return sorted(set(positions))[-count:]


def _about_the_past(row: Row, due: Due) -> bool:
    """Whether it was overdue before the book learned of its last cause: imported or late facts notify nobody."""
    return due.overdue_on < local_date(row["cause_at"])


def _not_later(row: Row, due: Due) -> bool:
    """Whether it would take the place of an alert that was overdue as late or later: of that one people know."""
    before: date | None = row["last_overdue_on"]
    return before is not None and due.overdue_on <= before


def _transition(kind: str, row: Row, version: int, data: Mapping[str, Any]) -> Transition:
    verb = kind.removeprefix("alert.")
    event_id = uuid5(NAMESPACE_URL, f"urn:relatieboek:alert:{data['alert']}:{verb}:{row['cause_position']}")
    return Transition(kind, row["relation"], str(event_id), version, data)
