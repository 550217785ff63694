"""Family `schedule`: which of our layers has contact with which of theirs, how often, and who sees to it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from events.fields import (
    Channel,
    Closed,
    Day,
    EmployeeRef,
    Ident,
    Layer,
    Maybe,
    Note,
    OccurredOn,
    Payload,
    PeriodText,
    PersonRef,
    told,
)
from events.values import Whole, refuse

_SCHEDULE = "the contact schedule"

# The most contacts that a calendar period can owe: one a day.
_DAYS: Final = {"month": 31, "quarter": 92, "half_year": 184, "year": 366}


class Rolling(Closed):
    """Every so often after the last qualifying contact."""

    mode: Annotated[Literal["rolling"], told("Which cadence this is", origin=_SCHEDULE)]
    every: Annotated[PeriodText, told("Period between contacts, 1 day to 10 years", unit="ISO 8601", origin=_SCHEDULE)]


class Quota(Closed):
    """So many contacts in each calendar period."""

    mode: Annotated[Literal["quota"], told("Which cadence this is", origin=_SCHEDULE)]
    per: Annotated[Literal["month", "quarter", "half_year", "year"], told("The calendar period", origin=_SCHEDULE)]
    times: Annotated[int, Whole(1, 366), told("How many a period", unit="contacts", origin=_SCHEDULE)]

    @field_validator("times")
    @classmethod
    def _within(cls, times: int, info: ValidationInfo) -> int:
        per = info.data.get("per")
        if isinstance(per, str) and times > _DAYS[per]:
            raise refuse(f"A {per} cannot owe more than {_DAYS[per]} contacts, one a day; give fewer times.")
        return times


Line = Annotated[Ident, told("Id of the schedule line, unique within the relation", origin=_SCHEDULE)]
Owner = Annotated[EmployeeRef, told("Reference to the colleague who sees to it", origin=_SCHEDULE)]
Reason = Annotated[Maybe[Note], told("Why", origin="who decided it")]


class LineSet(Payload):
    """A line of the contact schedule begins, or takes other terms."""

    line: Line
    our_layer: Annotated[Layer, told("Our layer that has the contact", origin=_SCHEDULE)]
    their_layer: Annotated[Layer, told("Their layer that it has contact with", origin=_SCHEDULE)]
    their_person: Annotated[
        Maybe[PersonRef], told("The person that the contact is with, where it is about one", origin=_SCHEDULE)
    ] = None
    cadence: Annotated[Rolling | Quota, Field(discriminator="mode"), told("How often", origin=_SCHEDULE)]
    channels: Annotated[
        Maybe[Annotated[tuple[Channel, ...], Field(min_length=1, max_length=7)]],
        told("Channels that count; any when left out", origin=_SCHEDULE),
    ] = None
    starts_on: Annotated[Day, told("First day of the line", origin=_SCHEDULE)]
    grace_working_days: Annotated[
        int, Whole(0, 260), told("How long a due contact may be late", unit="working days", origin=_SCHEDULE)
    ]
    owner: Owner
    occurred_on: OccurredOn


class LinePaused(Payload):
    """Nothing is owed on the line from `occurred_on` up to, not including, `until`."""

    line: Line
    occurred_on: OccurredOn
    until: Annotated[Day, told("First day after the pause", origin="who decided it")]
    reason: Reason = None

    @field_validator("until")
    @classmethod
    def _later(cls, until: date, info: ValidationInfo) -> date:
        begun = info.data.get("occurred_on")
        if isinstance(begun, date) and until <= begun:
            raise refuse("The pause ends before it has begun; give an until after occurred_on.")
        return until


class LineResumed(Payload):
    """A pause of the line ends before its `until`."""

    line: Line
    occurred_on: OccurredOn


class LineEnded(Payload):
    """The line is over: nothing is owed on it any more."""

    line: Line
    occurred_on: OccurredOn


class LineReassigned(Payload):
    """Another colleague sees to the line."""

    line: Line
    owner: Owner
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {
    "line_set.v1": LineSet,
    "line_paused.v1": LinePaused,
    "line_resumed.v1": LineResumed,
    "line_ended.v1": LineEnded,
    "line_reassigned.v1": LineReassigned,
}
