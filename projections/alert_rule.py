"""The rule `contact_overdue`: which alert a line should have at a moment, and the one event that leads there.

Pure. A line's row and its bucket hold every fact that is needed; the time is an argument. The event's id is made of
alert, transition and the position of the cause, so that the same decision, taken twice, is one event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from events.recorded import local_date
from projections.alert_line import (
    RELATION_ENDED,
    RULE,
    RULE_VERSION,
    alert_id,
    alert_known,
    contacts_of,
    last_overdue_on,
    meetings_of,
    named,
    open_of,
    set_line,
    settled_by_hand,
)
from projections.due import LEAD_WORKING_DAYS, paused
from projections.escalation import level_due
from projections.institution import Institution
from projections.overdue import wanted
from projections.periods import period_of
from projections.rows import Row
from projections.schedule_line import Due, Line, Qualifying, Quota
from projections.transition import MAX_EVIDENCE, Transition
from projections.viewer import telling

__all__ = [
    "RULE", "RULE_VERSION", "alert_id", "anchor_on", "contacts_of", "decide", "differs", "evidence_of", "meetings_of",
    "set_line",
]  # fmt: skip


def decide(
    row: Row,
    bucket: Row | None,
    version: int,
    now: datetime,
    institution: Institution,
    lead_working_days: int = LEAD_WORKING_DAYS,
) -> Transition | None:
    """The one event that brings the line's alerts nearer to what they should be at `now`; None when they are right.

    A change of due date takes two: the open alert resolves first, the next call raises the new one. `version` is that
    of the relation `row["target"]`.
    """
    line, opened = set_line(row), open_of(row)
    today, calendar = local_date(now), institution.calendar
    if line is None:
        # What set the line was withdrawn: nothing is asked any more.
        return None if opened is None else _resolved(row, opened, version, "recomputed", [row["cause_position"]], today)
    contacts = contacts_of(line, bucket)
    meetings = meetings_of(line, bucket, now)
    due = None if row["conflict"] else wanted(line, contacts, meetings, now, calendar, lead_working_days)
    if not differs(row, due, is_paused=paused(line, today)):
        level = None if opened is None else level_due(row, line, opened, today, institution)
        return None if opened is None or level is None else _escalated(row, opened, level, version, today)
    if opened is not None:
        reason, evidence = _resolution(row, line, contacts, due, today)
        return _resolved(row, opened, version, reason, evidence, today)
    return None if due is None else _raised(row, line, contacts, due, version, today, institution)


def differs(row: Row, due: Due | None, *, is_paused: bool) -> bool:
    """Whether the line's alerts are not what they should be, when `due` is wanted (escalation apart)."""
    opened = open_of(row)
    if opened is not None:
        return due is None or str(due.due_on) != opened["due_on"] or opened["relation"] != row["root"]
    if due is None or is_paused:
        return False
    # Resolved by a person: that holds for this due date.
    return not settled_by_hand(row, due.due_on)


def anchor_on(row: Row, bucket: Row | None, due_on: date, last_ok_on: date) -> date:
    """What an alert's period is counted from, by the facts at the moment that it is raised: a later contact is new."""
    line = set_line(row)
    if line is None:
        return due_on
    if isinstance(line.cadence, Quota):
        return period_of(line.cadence.per, last_ok_on)[0]
    contacts = contacts_of(line, bucket)
    return max(line.starts_on, contacts[-1].on) if contacts else line.starts_on


def evidence_of(row: Row, line: Line, contacts: Sequence[Qualifying], due: Due) -> list[int]:
    """Ascending: the contacts that the days follow from, what set the line, its pauses, the last cause, and the facts
    that say how restricted the line is. Where there are more than an event may name the first contacts go, then the
    first pauses: neither restricts more (see alert_sight.py)."""
    until = due.last_ok_on if isinstance(line.cadence, Quota) else due.anchor_on
    counted = [c.position for c in contacts if due.anchor_on <= c.on <= until]
    positions: Mapping[str, Any] = row["positions"]
    own = {positions["set"], row["cause_position"], *telling(dict(positions.get("restricted", ())))}
    own.update(_last(positions.get("pauses", ()) if line.pauses else (), MAX_EVIDENCE - len(own)))
    room = MAX_EVIDENCE - len(own)
    return sorted({*own, *(_last(counted, room) if room else ())})


def _raised(
    row: Row, line: Line, contacts: Sequence[Qualifying], due: Due, version: int, today: date, institution: Institution
) -> Transition:
    relation: str = row["root"]
    field, name = named(relation, row)
    alert = alert_id(relation, name, due.due_on)
    again = alert_known(row, relation, due.due_on) is not None
    silent = _about_the_past(row, due) or (not again and _not_later(row, due))
    common = {"evidence": evidence_of(row, line, contacts, due), "silent": silent, "occurred_on": str(today)}
    if again:
        return _transition("alert.reopened", row, relation, version, {"alert": alert, **common})
    owner = {} if row["owner"] is None else {"owner": row["owner"]}
    policy = institution.policy(row["tier"], due.overdue_on)
    kept: int | None = row["policy_version"] or (None if policy is None else policy.version)
    days = {"due_on": str(due.due_on), "overdue_on": str(due.overdue_on), "last_ok_on": str(due.last_ok_on)}
    data = {
        "alert": alert, "rule": RULE, "rule_version": RULE_VERSION, field: name,
        **({} if kept is None else {"policy_version": kept}), **days, **owner, "level": 0, **common,
    }  # fmt: skip
    return _transition("alert.raised", row, relation, version, data)


def _escalated(row: Row, opened: Mapping[str, Any], level: int, version: int, today: date) -> Transition:
    """The cause of an escalation is the time that went by since the alert was raised or reopened, not an event."""
    data = {"alert": opened["alert"], "level": level, "occurred_on": str(today)}
    event_id = _event_id(opened["alert"], f"escalated:{level}", opened["position"])
    return Transition("alert.escalated", opened["relation"], event_id, version, data)


def _resolved(
    row: Row, opened: Mapping[str, Any], version: int, reason: str, evidence: list[int], today: date
) -> Transition:
    data = {"alert": opened["alert"], "reason": reason, "evidence": evidence, "occurred_on": str(today)}
    return _transition("alert.resolved", row, opened["relation"], version, data)


def _resolution(
    row: Row, line: Line, contacts: Sequence[Qualifying], due: Due | None, today: date
) -> tuple[str, list[int]]:
    opened = open_of(row)
    cause: int = row["cause_position"]
    if opened is None:
        raise LookupError("no alert is open")
    if opened["relation"] != row["root"] or row["conflict"]:
        # Merged: it goes on under the survivor, or another line stands. Unmerged: it goes back to where it was.
        return ("recomputed" if opened["relation"] != row["relation"] else "merged"), [cause]
    if line.ended_on is not None and today >= line.ended_on:
        where = row["positions"]
        return "line_ended", [where.get(RELATION_ENDED) or where.get("ended", cause)]
    if opened["rule_version"] < RULE_VERSION:
        return "rule_changed", [cause]
    last_ok = date.fromisoformat(opened["last_ok_on"])
    # Contacts that the book did not know when it raised the alert; one that was corrected is none of these.
    new = [c for c in contacts if c.position > opened["position"]]
    anchor = _anchor(line, contacts, opened, last_ok)
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


def _anchor(line: Line, contacts: Sequence[Qualifying], opened: Mapping[str, Any], last_ok: date) -> date:
    """What the open alert counts from. A line that the relation has not set itself had no terms yet when the alert was
    folded: then the contacts that the book knew at that time tell."""
    if opened["anchor_on"] is not None:
        return date.fromisoformat(opened["anchor_on"])
    if isinstance(line.cadence, Quota):
        return period_of(line.cadence.per, last_ok)[0]
    known = [c.on for c in contacts if c.position < opened["position"] and c.on <= last_ok]
    return max(line.starts_on, known[-1]) if known else line.starts_on


def _last(positions: Sequence[int], count: int = MAX_EVIDENCE) -> list[int]:
    return sorted(set(positions))[-count:]


def _about_the_past(row: Row, due: Due) -> bool:
    """Whether it was overdue before the book learned of its last cause: imported or late facts notify nobody."""
    return due.overdue_on < local_date(row["cause_at"])


def _not_later(row: Row, due: Due) -> bool:
    """Whether it would take the place of an alert that was overdue as late or later: of that one people know."""
    before = last_overdue_on(row)
    return before is not None and due.overdue_on <= before


def _transition(kind: str, row: Row, relation: str, version: int, data: Mapping[str, Any]) -> Transition:
    verb = kind.removeprefix("alert.")
    return Transition(kind, relation, _event_id(data["alert"], verb, row["cause_position"]), version, data)


def _event_id(alert: str, transition: str, cause: int) -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:relatieboek:alert:{alert}:{transition}:{cause}"))
