"""Family `programme`: what is done together under an agreement, how it goes, and what is decided about it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from events.contracts.party import Parties
from events.fields import Amount, Closed, Day, Ident, Label, Maybe, Name, Note, OccurredOn, Payload, told
from events.values import refuse

_OFFICE = "the programme office"
_UNIT = "that of the indicator"

Programme = Annotated[Ident, told("Id of the programme, unique within the relation", origin=_OFFICE)]
_Indicator = Annotated[Ident, told("Id of the indicator, unique within the programme", origin=_OFFICE)]


class Indicator(Closed):
    """What shows how a programme goes."""

    indicator: _Indicator
    baseline: Annotated[Amount, told("Where it started", unit=_UNIT, origin=_OFFICE)]
    target: Annotated[Amount, told("What is aimed at", unit=_UNIT, origin=_OFFICE)]
    unit: Annotated[Label, told("What it is counted in, for instance days", origin=_OFFICE)]


class Started(Payload):
    """A programme begins."""

    programme: Programme
    agreement: Annotated[
        Maybe[Ident], told("The agreement that it is part of, of the same relation", origin="the contract register")
    ] = None
    name: Annotated[Name, told("What the programme is called", origin=_OFFICE)]
    starts_on: Annotated[Day, told("First day of the programme", origin=_OFFICE)]
    ends_on: Annotated[Day, told("Last day of the programme", origin=_OFFICE)]
    indicators: Annotated[
        tuple[Indicator, ...], Field(max_length=20), told("What shows how it goes, each once", origin=_OFFICE)
    ] = ()
    occurred_on: OccurredOn

    @field_validator("ends_on")
    @classmethod
    def _later(cls, ends_on: date, info: ValidationInfo) -> date:
        starts_on = info.data.get("starts_on")
        if isinstance(starts_on, date) and ends_on <= starts_on:
            raise refuse("The programme ends before it has begun; give an ends_on after starts_on.")
        return ends_on

    @field_validator("indicators")
    @classmethod
    def _each_once(cls, indicators: tuple[Indicator, ...]) -> tuple[Indicator, ...]:
        if len({i.indicator for i in indicators}) < len(indicators):
            raise refuse("An indicator stands in the list twice; name each once.")
        return indicators


class ProgressReported(Payload):
    """How a programme stands on one indicator."""

    programme: Programme
    indicator: _Indicator
    baseline: Annotated[Maybe[Amount], told("Where it started", unit=_UNIT, origin=_OFFICE)] = None
    target: Annotated[Amount, told("What is aimed at by now", unit=_UNIT, origin=_OFFICE)]
    actual: Annotated[Amount, told("Where it is now", unit=_UNIT, origin=_OFFICE)]
    rag: Annotated[
        Literal["red", "amber", "green"], told("How that is judged: green on course, red off course", origin=_OFFICE)
    ]
    occurred_on: OccurredOn


class SteeringDecisionTaken(Payload):
    """The parties decide together to change course."""

    programme: Programme
    decision: Annotated[Note, told("What was decided", origin="minutes of the steering group")]
    parties: Annotated[Parties, told("Who decided: 'us' and relations, each once", origin="minutes")]
    due_on: Annotated[Day, told("When it must be done", origin="minutes")]
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {
    "started.v1": Started,
    "progress_reported.v1": ProgressReported,
    "steering_decision_taken.v1": SteeringDecisionTaken,
}
