"""A schedule line and what is held against it: the values that the due rules work on (SPEC section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from projections.periods import Per


class Rolling(NamedTuple):
    """Contact within a period (`every`, ISO 8601: P3M) after the last one."""

    every: str


class Quota(NamedTuple):
    """`times` contacts in each calendar period."""

    times: int
    per: Per


Cadence = Rolling | Quota


class Pause(NamedTuple):
    """From `from_on` up to, not including, `until_on`; None: until further notice."""

    from_on: date
    until_on: date | None


@dataclass(frozen=True, slots=True)
class Line:
    """A schedule line with its end and pauses. `channels` None: any. `ended_on`: the first day that it is ended;
    `vacant_on`: the first day on which the person that it names is gone."""

    line: str
    our_layer: str
    their_layer: str
    cadence: Cadence
    channels: frozenset[str] | None
    starts_on: date
    grace_working_days: int
    owner: str | None = None
    ended_on: date | None = None
    pauses: tuple[Pause, ...] = ()
    vacant_on: date | None = None

    def vacant(self, today: date) -> bool:
        """Whether there is nobody to have contact with: a gap, not overdue (SPEC section 5)."""
        return self.vacant_on is not None and today >= self.vacant_on


class Qualifying(NamedTuple):
    """A contact that qualifies for the line in question: its date and the position of the event that told of it."""

    on: date
    position: int


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting that is planned, not called off and not (yet) held."""

    contact: str
    starts_at: datetime
    ends_at: datetime
    channel: str | None
    pairs: frozenset[tuple[str, str]]


class Due(NamedTuple):
    """The days of one duty to have contact. `anchor_on`: what the period is counted from (quota: its first day)."""

    anchor_on: date
    due_on: date
    last_ok_on: date
    overdue_on: date


def cadence_of(data: Mapping[str, Any]) -> Cadence:
    """The cadence of a stored `schedule.line_set`."""
    return Rolling(data["every"]) if data["mode"] == "rolling" else Quota(data["times"], data["per"])


def qualifies(line: Line, pairs: Iterable[tuple[str, str]], channel: str | None) -> bool:
    """Whether a contact between these (our, their) layers over this channel counts for the line."""
    accepted = line.channels is None or channel in line.channels
    return accepted and (line.our_layer, line.their_layer) in pairs
