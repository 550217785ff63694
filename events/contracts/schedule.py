"""Family `schedule`: which of our layers has contact with which of theirs, how often, and who sees to it."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from events.contracts.tier import known_tier
from events.fields import (
    About,
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
    Tier,
    told,
)
from events.values import FIRST_YEAR, LAST_YEAR, Whole, refuse

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
CadenceField = Annotated[Rolling | Quota, Field(discriminator="mode"), told("How often", origin=_SCHEDULE)]
ChannelsField = Annotated[
    Maybe[Annotated[tuple[Channel, ...], Field(min_length=1, max_length=7)]],
    told("Channels that count; any when left out", origin=_SCHEDULE),
]
GraceField = Annotated[
    int, Whole(0, 260), told("How long a due contact may be late", unit="working days", origin=_SCHEDULE)
]
Reason = Annotated[Maybe[Note], told("Why", origin="who decided it")]


class LineSet(Payload):
    """A line of the contact schedule begins, or takes other terms."""

    line: Line
    our_layer: Annotated[Layer, told("Our layer that has the contact", origin=_SCHEDULE)]
    their_layer: Annotated[Layer, told("Their layer that it has contact with", origin=_SCHEDULE)]
    their_person: Annotated[
        Maybe[PersonRef], told("The person that the contact is with, where it is about one", origin=_SCHEDULE)
    ] = None
    cadence: CadenceField
    channels: ChannelsField = None
    starts_on: Annotated[Day, told("First day of the line", origin=_SCHEDULE)]
    grace_working_days: GraceField
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


_TIER = "the schedule policy"


class PolicyLine(Closed):
    """What a policy asks for between one of our layers and one of theirs."""

    our_layer: Annotated[Layer, told("Our layer that has the contact", origin=_TIER)]
    their_layer: Annotated[Layer, told("Their layer that it has contact with", origin=_TIER)]
    cadence: CadenceField
    channels: ChannelsField = None
    grace_working_days: GraceField


class PolicySet(Payload):
    """What relations of a tier are owed, from a day on. Another policy is another version; none is ever changed."""

    subject: ClassVar[About] = "organisation"
    tier: Annotated[Tier, told("The tier that it is for", origin=_TIER)]
    policy_version: Annotated[
        int, Whole(1, 10_000), told("Version of the policy of this tier", unit="version number", origin=_TIER)
    ]
    lines: Annotated[
        tuple[PolicyLine, ...], Field(max_length=40), told("Which contacts are owed; none when empty", origin=_TIER)
    ]
    escalation_working_days: Annotated[
        tuple[Annotated[int, Whole(1, 260)], ...],
        Field(min_length=1, max_length=3),
        told("After how many days overdue the next one is asked, ascending", unit="working days", origin=_TIER),
    ] = (5, 10)
    effective_on: Annotated[Day, told("First day on which it holds; never makes late what was not", origin=_TIER)]
    occurred_on: OccurredOn

    _known = field_validator("tier")(known_tier)

    @field_validator("escalation_working_days")
    @classmethod
    def _ascending(cls, days: tuple[int, ...]) -> tuple[int, ...]:
        if any(after <= before for before, after in pairwise(days)):
            raise refuse("The steps of the escalation do not ascend; give each more working days than the one before.")
        return days


_CALENDAR = "the institution's calendar"
_Days = Annotated[tuple[Day, ...], Field(max_length=60)]


class WorkingCalendarSet(Payload):
    """Days on which the institution is closed beside weekends and holidays, and holidays on which it works.

    The newest stands whole: what it does not name is no longer extra.
    """

    subject: ClassVar[About] = "organisation"
    year: Annotated[
        Maybe[Annotated[int, Whole(FIRST_YEAR, LAST_YEAR)]],
        told("The year that it is for; any when left out", unit="calendar year", origin=_CALENDAR),
    ] = None
    closed_on: Annotated[_Days, told("Working days on which it is closed", origin=_CALENDAR)] = ()
    open_on: Annotated[_Days, told("Holidays on which it works", origin=_CALENDAR)] = ()
    occurred_on: OccurredOn

    @field_validator("closed_on", "open_on")
    @classmethod
    def _each_once(cls, days: tuple[date, ...], info: ValidationInfo) -> tuple[date, ...]:
        if len(set(days)) < len(days):
            raise refuse("A day stands in the list twice; name each once.")
        year = info.data.get("year")
        if isinstance(year, int) and any(day.year != year for day in days):
            raise refuse(f"A day lies outside the year {year}; leave it or the year out.")
        return days

    @field_validator("open_on")
    @classmethod
    def _not_both(cls, open_on: tuple[date, ...], info: ValidationInfo) -> tuple[date, ...]:
        closed_on = info.data.get("closed_on")
        if isinstance(closed_on, tuple) and set(open_on) & set(closed_on):  # pyright: ignore[reportUnknownArgumentType]
            raise refuse("A day is both open and closed; name it once.")
        return open_on


MODELS: Final[dict[str, type[Payload]]] = {
    "line_set.v1": LineSet,
    "line_paused.v1": LinePaused,
    "line_resumed.v1": LineResumed,
    "line_ended.v1": LineEnded,
    "line_reassigned.v1": LineReassigned,
    "policy_set.v1": PolicySet,
    "working_calendar_set.v1": WorkingCalendarSet,
}
