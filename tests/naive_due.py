"""When contact is due on each line and in which state it is (SPEC section 5, *Due*, *States*), counted day by day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from events.recorded import Recorded
from tests import naive_alerts, naive_contacts
from tests.naive import Row, counting, local
from tests.naive_days import DAY, WorkingDays, days_of, paused_days, period_after, period_with
from tests.naive_lines import every, members, owner, qualifying

LEAD = 10


class Due(NamedTuple):
    anchor_on: date
    due_on: date
    last_ok_on: date
    overdue_on: date


class Scheduled(NamedTuple):
    """A line with what counts for it: its terms, the days of contact, the meetings that are planned."""

    relation: str
    line: str
    terms: Row
    met: list[date]
    meetings: list[Row]

    def on(self, name: str) -> date:
        return self.terms[name]

    def over(self, today: date) -> bool:
        return self.terms["ended_on"] is not None and self.terms["ended_on"] <= today

    def vacant(self, today: date) -> bool:
        return self.terms["vacant_on"] is not None and self.terms["vacant_on"] <= today

    def paused(self, today: date) -> bool:
        return any(start <= str(today) < until for start, until in self.terms["pauses"])


def scheduled(events: Iterable[Recorded]) -> list[Scheduled]:
    """Every line that is set."""
    events = counting(events)
    counted, planned = naive_contacts.contacts(events), naive_contacts.rows(events)
    found: list[Scheduled] = []
    for (relation, line), terms in every(events).items():
        family = members(events, terms["root"])
        meetings = [
            row for (of, _), row in planned.items()
            if of in family and row["state"] == "planned" and row["starts_at"] is not None
            and row["pairs"] & terms["pair"] and (terms["channels"] is None or row["channel"] in terms["channels"])
        ]  # fmt: skip
        found.append(Scheduled(relation, line, terms, qualifying(events, terms, counted), meetings))
    return found


def rolling(line: Scheduled, days: WorkingDays) -> Due:
    """A pause that starts on or before the last day that is in time, as moved so far, moves it by its working days
    after the anchor; days of overlapping pauses count once."""
    anchor = max([line.on("starts_on"), *line.met])
    due_on = days.first_from(period_after(anchor, line.terms["cadence"]["every"]))
    grace: int = line.terms["grace_working_days"]
    last_ok_on, gone = days.after(due_on, grace), set[date]()
    for start, until in sorted(line.terms["pauses"]):
        if start > str(last_ok_on):
            break
        new = set(days_of(date.fromisoformat(start), date.fromisoformat(until))) - gone
        gone |= new
        due_on = days.after(due_on, sum(on > anchor and days.has(on) for on in new))
        last_ok_on = days.after(due_on, grace)
    return Due(anchor, due_on, last_ok_on, last_ok_on + DAY)


def quota(first: date, last: date, days: WorkingDays) -> Due:
    return Due(first, days.before(last, LEAD), last, last + DAY)


def owed(line: Scheduled, first: date, last: date) -> bool:
    """Wholly between start and end of the line, and not wholly paused."""
    within = first >= line.on("starts_on") and not line.over(last)
    return within and not set(days_of(first, last + DAY)) <= paused_days(line.terms["pauses"], last)


def missed(line: Scheduled, today: date, days: WorkingDays) -> Due | None:
    """What is overdue today, whether or not anybody is to be told."""
    cadence: dict[str, Any] = line.terms["cadence"]
    if cadence["mode"] == "rolling":
        due = rolling(line, days)
        return due if today >= due.overdue_on else None
    first, last = period_with(today, cadence["per"])
    while first > line.on("starts_on"):
        first, last = period_with(first - DAY, cadence["per"])
        if owed(line, first, last):
            late = sum(first <= on <= last for on in line.met) < cadence["times"]
            return quota(first, last, days) if late and not any(on > last for on in line.met) else None
    return None


def in_time(line: Scheduled, due: Due, now: datetime) -> bool:
    """Whether a meeting that was planned in time is still to be held."""
    return any(
        (m["ends_at"] or m["starts_at"]) > now and local(m["starts_at"]) <= due.last_ok_on for m in line.meetings
    )


def wanted(line: Scheduled, now: datetime, days: WorkingDays) -> Due | None:
    """What an alert should be open for; while a line is paused an open one stays, and none is raised."""
    today = local(now)
    if line.terms["conflict"] or line.vacant(today) or line.over(today) or today < line.on("starts_on"):
        return None
    late = missed(line, today, days)
    return None if late is None or in_time(line, late, now) else late


def days_overdue(line: Scheduled, due: Due, today: date, days: WorkingDays, halts: Sequence[Any] = ()) -> int:
    """Working days after the last one that was in time; those of a pause, or on which it is put off, do not count."""
    return days.between(due.last_ok_on, today, paused_days([*line.terms["pauses"], *halts], today))


def schedule(events: Sequence[Recorded], relation: str, now: datetime) -> list[Row]:
    """The lines of a relation as its readers see them."""
    known, days, today = counting(events), WorkingDays(events), local(now)
    alerts = {
        (row["line_relation"], row["line"]): row
        for row in naive_alerts.alerts(known).values()
        if row["line"] is not None and row["state"] == "open"
    }
    found: list[Row] = []
    for line in scheduled(known):
        if line.terms["root"] != relation:
            continue
        cadence: dict[str, Any] = line.terms["cadence"]
        late, remaining, asked = missed(line, today, days), None, True
        if cadence["mode"] == "rolling":
            due = rolling(line, days)
        else:
            first, last = period_with(today, cadence["per"])
            remaining = max(0, cadence["times"] - sum(first <= on <= last for on in line.met))
            asked = remaining > 0 and owed(line, first, last)
            due = late or quota(first, last, days)
        alert = alerts.get((line.relation, line.line))
        found.append({
            **{name: line.terms[name] for name in ("our_layer", "their_layer", "cadence", "channels")},
            "conflict": line.terms["conflict"] and not line.over(today),
            "line": line.line, "state": _state(line, due, late, asked, alert, now, days),
            **{name: str(getattr(due, name)) for name in ("anchor_on", "due_on", "last_ok_on")},
            "overdue_on": str(due.overdue_on) if late or asked else None,
            "working_days_overdue": 0 if late is None else days_overdue(line, late, today, days),
            "remaining": remaining, "last_contact_on": str(line.met[-1]) if line.met else None,
            "contacts": len(line.met), "owner": owner(known, relation, line.terms, today),
        })  # fmt: skip
    return found


def _state(
    line: Scheduled, due: Due, late: Due | None, asked: bool, alert: Row | None, now: datetime, days: WorkingDays
) -> str:
    """The first that holds, in the order of SPEC section 5."""
    today = local(now)
    put_off = alert is not None and alert["snoozed_until"] is not None and today < alert["snoozed_until"]
    states = {
        "ended": line.over(today), "paused": line.paused(today), "not_started": today < line.on("starts_on"),
        "vacant": line.vacant(today), "snoozed": late is not None and put_off,
        "escalated": late is not None and alert is not None and alert["level"] > 0, "overdue": late is not None,
        "planned": in_time(line, due, now), "due": asked and today >= days.before(due.due_on, LEAD),
        "never_contacted": not line.met, "on_track": True,
    }  # fmt: skip
    return next(name for name, holds in states.items() if holds)
