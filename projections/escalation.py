"""Who is asked next about an open alert, and when (SPEC section 5): owner, then team lead, then the board. Pure.

The steps count working days overdue; days on which the line is paused or its alert put off are not counted, and on such
a day nothing is escalated.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from projections.alert_line import snoozes_of
from projections.due import Spans, overdue_days, overdue_since, paused, spans
from projections.institution import Institution
from projections.rows import Row
from projections.schedule_line import Line


def steps_of(row: Row, opened: Mapping[str, Any], institution: Institution) -> tuple[int, ...]:
    """The steps of an open alert: those of the policy version that it keeps, as far as its tier goes."""
    return institution.steps(row["tier"], opened.get("policy_version"))


def level_due(row: Row, line: Line, opened: Mapping[str, Any], today: date, institution: Institution) -> int | None:
    """The level to which an open alert is to be brought today; None when it is there, or put off, or paused."""
    snoozes = snoozes_of(opened)
    if paused(line, today) or any(s.from_on <= today and (s.until_on or today) > today for s in snoozes):
        return None
    last_ok = date.fromisoformat(opened["last_ok_on"])
    days = overdue_days(last_ok, today, _halts(line, opened, today), institution.calendar)
    level = sum(step <= days for step in steps_of(row, opened, institution))
    return level if level > opened["level"] else None


def next_level_on(
    row: Row, line: Line, opened: Mapping[str, Any], today: date, institution: Institution
) -> date | None:
    """The first day on which `level_due` says something, as far as is known; None: never."""
    steps = steps_of(row, opened, institution)
    level: int = opened["level"]
    if level >= len(steps):
        return None
    last_ok = date.fromisoformat(opened["last_ok_on"])
    return overdue_since(last_ok, steps[level], _halts(line, opened, today), institution.calendar)


def _halts(line: Line, opened: Mapping[str, Any], today: date) -> Spans:
    return spans((*line.pauses, *snoozes_of(opened)), today)
