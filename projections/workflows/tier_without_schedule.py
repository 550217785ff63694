"""A relation became tier A, and 10 working days later (default) it has no line in its contact schedule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from projections.workflows.completeness import LINE_KEEPS, schedule_until
from projections.workflows.facts import Known
from projections.workflows.rule import Duty, Rule, overdue
from projections.workflows.thresholds import Terms


def wanted(known: Known, terms: Terms) -> Iterator[Duty]:
    tier = known.tier_a()
    if tier is not None and schedule_until(known) is None:
        last = terms.calendar.add_working_days(tier.on, terms.thresholds.schedule_working_days)
        yield overdue("schedule", last, tier)


RULE: Final = Rule(name="tier_without_schedule", version=1, keeps=LINE_KEEPS, wanted=wanted)
