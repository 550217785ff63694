"""The state of a relation's schedule lines, from rows of the relation view and the rules of `due`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from projections.due import LEAD_WORKING_DAYS, LineState, evaluate
from projections.layers import pairs_in
from projections.rows import Row
from projections.schedule_line import Line, Meeting, Pause, Qualifying, cadence_of, qualifies
from projections.working_calendar import WorkingCalendar

# One for all: it keeps the years that it computed.
_CALENDAR: Final = WorkingCalendar()


@dataclass(frozen=True, slots=True)
class Rules:
    """What is configured of the due rules: working days, and how long before its due date a line shows as due."""

    calendar: WorkingCalendar = _CALENDAR
    lead_working_days: int = LEAD_WORKING_DAYS


DEFAULT_RULES: Final = Rules()


def line_of(row: Row) -> Line:
    """The line of a row that is set."""
    channels = row["channels"]
    return Line(
        line=row["line"],
        our_layer=row["our_layer"],
        their_layer=row["their_layer"],
        cadence=cadence_of(row["cadence"]),
        channels=None if channels is None else frozenset(channels),
        starts_on=row["starts_on"],
        grace_working_days=row["grace_working_days"],
        owner=row["owner"],
        ended_on=row["ended_on"],
        vacant_on=row.get("vacant_on"),
        pauses=tuple(
            Pause(from_on=date.fromisoformat(start), until_on=None if until is None else date.fromisoformat(until))
            for start, until in row["pauses"]
        ),
    )


def schedule_of(
    lines: Sequence[Row],
    contacts: Sequence[Row],
    open_alerts: Sequence[Row],
    now: datetime,
    rules: Rules,
) -> list[dict[str, Any]]:
    """The schedule of one relation: a JSON object a line, in the order of the line ids; lines not set yet left out."""
    alerts = {(a["relation"], a["line"]): a for a in open_alerts if a["line"] is not None}
    # After a merge an alert of the survivor names the relation of the line (docs/decisions/0008).
    elsewhere = {a["line"]: a for a in open_alerts}
    held = sorted((c for c in contacts if c["counted"]), key=lambda c: (c["held_on"], c["contact"]))
    meetings = [
        Meeting(
            contact=c["contact"], starts_at=c["starts_at"], ends_at=c["ends_at"] or c["starts_at"],
            channel=c["channel"], pairs=frozenset(pairs_in(c["pairs"])),
        )
        for c in contacts
        if c["state"] == "planned" and c["starts_at"] is not None
    ]  # fmt: skip
    schedule: list[dict[str, Any]] = []
    for row in lines:
        if row["our_layer"] is None:
            continue
        line = line_of(row)
        on = [c["held_on"] for c in held if qualifies(line, pairs_in(c["pairs"]), c["channel"])]
        alert = alerts.get((row["relation"], row["line"])) or elsewhere.get(f"{row['relation']}:{row['line']}")
        state = evaluate(
            line,
            # The rules look at dates only; the position matters to alerts, which name their evidence.
            [Qualifying(on=day, position=0) for day in on],
            meetings,
            now,
            rules.calendar,
            lead_working_days=rules.lead_working_days,
            escalated=alert is not None and alert["level"] > 0,
            snoozed_until=None if alert is None else alert["snoozed_until"],
        )
        schedule.append(_as_json(row, line, state, on))
    return schedule


def _as_json(row: Row, line: Line, state: LineState, on: Sequence[date]) -> dict[str, Any]:
    cadence: Mapping[str, Any] = row["cadence"]
    return {
        "line": line.line,
        "our_layer": line.our_layer,
        "their_layer": line.their_layer,
        "cadence": cadence,
        "channels": row["channels"],
        "state": state.state,
        "anchor_on": _iso(state.anchor_on),
        "due_on": _iso(state.due_on),
        "last_ok_on": _iso(state.last_ok_on),
        "overdue_on": _iso(state.overdue_on),
        "working_days_overdue": state.working_days_overdue,
        "remaining": state.remaining,
        "last_contact_on": _iso(on[-1]) if on else None,
        "contacts": len(on),
        "owner": line.owner,
        "conflict": bool(row.get("conflict")) and state.state != "ended",
    }


def _iso(on: date | None) -> str | None:
    return None if on is None else on.isoformat()
