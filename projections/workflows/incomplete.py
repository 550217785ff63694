"""A relation of tier A is incomplete: no line of the board, no approved plan, stale or missing knowledge, no fresh or
falling satisfaction.

Each lack is a duty of its own, open 20 working days (default) after it began, or after the relation became tier A.
That it has no schedule at all is told by `tier_without_schedule`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from projections.workflows.completeness import COMPLETENESS_KEEPS, falling, standings
from projections.workflows.facts import Known
from projections.workflows.rule import DAY, Duty, Rule, overdue
from projections.workflows.thresholds import Terms

_ASKED: Final = ("board_line", "plan", "knowledge", "satisfaction")


def wanted(known: Known, terms: Terms) -> Iterator[Duty]:
    tier = known.tier_a()
    if tier is None:
        return
    grace = terms.thresholds.incomplete_grace_working_days
    parts = standings(known, terms.thresholds)
    for name in _ASKED:
        part = parts[name]
        if part.until == date.max:
            continue
        lacks_from = tier.on if part.until is None else max(tier.on, part.until - DAY)
        last = terms.calendar.add_working_days(lacks_from, grace)
        yield overdue(f"lack:{name}", last, tier, *part.evidence)
    fall = falling(known, terms.thresholds)
    if fall is not None:
        last = terms.calendar.add_working_days(max(tier.on, fall.since), grace)
        yield overdue("falling:satisfaction", last, tier, *fall.evidence)


RULE: Final = Rule(name="a_relation_incomplete", version=2, keeps=COMPLETENESS_KEEPS, wanted=wanted)
