"""A relation of tier A gets less attention than the B relations: fewer contacts, or fewer minutes, in the last 12
months than the median of the B relations.

This holds relations against each other, so no fold of one relation can say when it becomes true: it is surveyed at a
tick, once a day of the book's time, over the projection's own table of contacts. Judged is a relation that has been
tier A for 3 months (default), and only when there are at least 5 B relations (default) to hold it against. `due_on` is
the first day of the month in which it was found, so within a month it is the same alert that comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import Final, NamedTuple

from projections.periods import add_period
from projections.workflows.facts import Entry
from projections.workflows.rule import Rule
from projections.workflows.thresholds import Thresholds

NAME: Final = "a_relation_neglected"
ABOUT: Final = "attention"


class Attention(NamedTuple):
    """What a relation got in twelve months."""

    contacts: int
    minutes: int


@dataclass(frozen=True, slots=True)
class Judged:
    """One A relation in a survey: since when it is A, and what it got."""

    relation: str
    tier: Entry
    got: Attention


def usual(others: Sequence[Attention], thresholds: Thresholds) -> tuple[float, float] | None:
    """The median contacts and minutes of the B relations; None when there are too few to have one."""
    if len(others) < max(1, thresholds.neglected_min_others):
        return None
    return median(a.contacts for a in others), median(a.minutes for a in others)


def is_neglected(judged: Judged, usual: tuple[float, float] | None, today: date, thresholds: Thresholds) -> bool:
    """Whether it should have an alert today."""
    if usual is None or today < add_period(judged.tier.on, f"P{thresholds.neglected_after_months}M"):
        return False
    return judged.got.contacts < usual[0] or judged.got.minutes < usual[1]


RULE: Final = Rule(name=NAME, version=1, keeps=(), wanted=None)
