"""Family `partnership`: interests and performances, ours and theirs. Known and acknowledged are two states."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from events.fields import CalendarPeriod, Ident, Maybe, Note, OccurredOn, Payload, Side, told

_TEAM = "the team that deals with the relation"

Interest = Annotated[Ident, told("Id of the interest, unique within the relation", origin=_TEAM)]
Performance = Annotated[Ident, told("Id of the performance, unique within the relation", origin=_TEAM)]


class InterestRecorded(Payload):
    """We know of an interest: of ours, of theirs, or shared."""

    interest: Interest
    holder: Annotated[Literal["ours", "theirs", "shared"], told("Whose interest it is", origin=_TEAM)]
    text: Annotated[Note, told("What the interest is", origin=_TEAM)]
    occurred_on: OccurredOn


class InterestAcknowledged(Payload):
    """The other side says that it sees the interest. Nobody acknowledges their own."""

    interest: Interest
    by: Annotated[Side, told("Who acknowledges it", origin=_TEAM)]
    occurred_on: OccurredOn


class PerformanceReported(Payload):
    """One side tells what it did for the partnership."""

    performance: Performance
    by: Annotated[Side, told("Whose performance it is", origin=_TEAM)]
    text: Annotated[Note, told("What was done", origin=_TEAM)]
    period: Annotated[Maybe[CalendarPeriod], told("The year, half year, quarter or month", origin=_TEAM)] = None
    occurred_on: OccurredOn


class PerformanceAcknowledged(Payload):
    """The other side says that it sees the performance. Nobody acknowledges their own."""

    performance: Performance
    by: Annotated[Side, told("Who acknowledges it", origin=_TEAM)]
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {
    "interest_recorded.v1": InterestRecorded,
    "interest_acknowledged.v1": InterestAcknowledged,
    "performance_reported.v1": PerformanceReported,
    "performance_acknowledged.v1": PerformanceAcknowledged,
}
