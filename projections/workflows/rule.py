"""What a rule is: a pure function from facts to duties.

A duty is something that should be done by a day. While it is not, from the first day after that an alert (or loop)
should be open for it. A rule reads no clock: it says from which day on a duty stands open, as the facts are now, and
the framework knows the rest (`reconcile`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Final, Literal

from projections.transition import MAX_EVIDENCE
from projections.viewer import telling
from projections.workflows.facts import HIDDEN, Entry, Keep, Known
from projections.workflows.thresholds import Terms, Thresholds, steps_of

DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Duty:
    """What should be open, as the facts are now.

    `about` names it within its rule and relation. Open from `from_on` up to, not including, `until_on` (None: until a
    fact ends it). `due_on`: when it should have been done, `last_ok_on` the last day on which it is in time.
    `evidence`: the entries that it follows from. `done`: the fact that ended it, then nothing should be open. `ended`:
    that its relation ended, on `until_on`. `owner`: whose it is, where that is not the relation's owner. `more`:
    further fields of the event (of a loop: response, instrument). `relation`: under which it is told, if not the
    survivor.
    """

    about: str
    due_on: date
    last_ok_on: date
    from_on: date
    evidence: tuple[Entry, ...]
    until_on: date | None = None
    done: Entry | None = None
    ended: Entry | None = None
    owner: str | None = None
    relation: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])


def overdue(
    about: str, last_ok_on: date, *evidence: Entry | None, due_on: date | None = None, owner: str | None = None,
    until_on: date | None = None, done: Entry | None = None,
) -> Duty:  # fmt: skip
    """The common duty: open from the day after the last day on which it is in time."""
    return Duty(
        about, due_on or last_ok_on, last_ok_on, last_ok_on + DAY, tuple(e for e in evidence if e is not None),
        until_on=until_on, done=done, owner=owner,
    )  # fmt: skip


def positions(evidence: Iterable[Entry]) -> list[int]:
    """Ascending. Where there are more than an event may name: those that say how restricted all of them are, since an
    alert is as restricted as what it names, and of the others the last ones."""
    found = {e.position: e.data.get(HIDDEN, 0) for e in evidence}
    restricted = telling(found)
    by_weight = sorted(found, key=lambda position: (position in restricted, position))
    return sorted(by_weight[-MAX_EVIDENCE:])


def known_on(evidence: Iterable[Entry]) -> date:
    """The day on which the book had learned all of it."""
    return max((e.recorded_on for e in evidence), default=date.min)


def _alert_steps(thresholds: Thresholds) -> tuple[int, ...]:
    return steps_of(thresholds.alert_escalation_working_days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One workflow. `version` goes up whenever `wanted` changes its answers.

    `keeps`: what it needs of which events. `wanted`: the duties as the facts are now, each `about` once; None for a
    rule that holds relations against each other: those are surveyed at a tick (`neglected`). `steps`: after how many
    working days the next one is asked.
    """

    name: str
    version: int
    keeps: tuple[Keep, ...]
    wanted: Callable[[Known, Terms], Iterable[Duty]] | None
    opens: Literal["alert", "loop"] = "alert"
    steps: Callable[[Thresholds], tuple[int, ...]] = _alert_steps

    @property
    def looks_at(self) -> frozenset[str]:
        """The sorts of facts that its answer can follow from."""
        return frozenset(keep.fact for keep in self.keeps)


def duties_of(rule: Rule, known: Known, terms: Terms) -> list[Duty]:
    """What the rule wants. Nothing is asked of a relation from the day on which it ended."""
    if rule.wanted is None:
        return []
    ended = known.own("ended")
    found = list(rule.wanted(known, terms))
    return found if ended is None else [_until(duty, ended) for duty in found]


def _until(duty: Duty, ended: Entry) -> Duty:
    if duty.until_on is not None and duty.until_on <= ended.on:
        return duty
    return replace(duty, until_on=ended.on, ended=ended)
