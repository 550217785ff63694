"""Family `agreement`: contracts, covenants, chain agreements and coalitions."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from events.contracts.party import Parties
from events.fields import Cents, Closed, Day, Ident, Maybe, Name, Note, OccurredOn, Payload, Percentage, told
from events.values import FIRST_YEAR, LAST_YEAR, Whole, refuse

_REGISTER = "the contract register"

Agreement = Annotated[Ident, told("Id of the agreement, unique within the relation", origin=_REGISTER)]


class FrameYear(Closed):
    """What the agreement is worth in one year, and how certain that is."""

    year: Annotated[
        int, Whole(FIRST_YEAR, LAST_YEAR), told("The calendar year", unit="calendar year", origin=_REGISTER)
    ]
    cents: Annotated[Cents, told("What it is worth in that year", unit="euro cents", origin=_REGISTER)]
    certainty: Annotated[Literal["firm", "expected", "possible"], told("How certain it is", origin=_REGISTER)]


def _once_a_year(frame: tuple[FrameYear, ...]) -> tuple[FrameYear, ...]:
    if len({(f.year, f.certainty) for f in frame}) < len(frame):
        raise refuse("A year stands twice in the frame with the same certainty; add the two up.")
    return frame


Frame = Annotated[
    tuple[FrameYear, ...],
    Field(max_length=20),
    told("What it is worth, year by year", origin=_REGISTER),
]


def year_after(day: date) -> date:
    """The same day a year later; 28 February for 29 February."""
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return date(day.year + 1, 2, 28)


class Signed(Payload):
    """An agreement is signed. A coalition spans more than a year."""

    agreement: Agreement
    type: Annotated[
        Literal["contract", "covenant", "chain", "coalition"], told("What kind of agreement it is", origin=_REGISTER)
    ]
    name: Annotated[Maybe[Name], told("What it is called", origin=_REGISTER)] = None
    parties: Annotated[Parties, told("Who signed: 'us' and relations, each once", origin=_REGISTER)]
    from_: Annotated[Day, Field(alias="from"), told("First day on which it holds", origin=_REGISTER)]
    until: Annotated[Day, told("Last day on which it holds", origin=_REGISTER)]
    basis: Annotated[
        Literal["volume_price", "transformation"],
        told("What is paid for: volume and price, or change", origin=_REGISTER),
    ]
    frame: Frame = ()
    insured_share_pct: Annotated[
        Maybe[Percentage],
        told("Part of the relation's insured that it covers", unit="percent", origin="the care insurer"),
    ] = None
    occurred_on: OccurredOn

    _frame = field_validator("frame")(_once_a_year)

    @model_validator(mode="after")
    def _spans(self) -> Self:
        if self.until <= self.from_:
            raise refuse("The agreement ends before it has begun; give an until after from.", "until")
        if self.type == "coalition" and self.until <= year_after(self.from_):
            raise refuse("A coalition spans more than a year; give a later until, or another type.", "until")
        return self


class Renewed(Payload):
    """The agreement goes on until another day."""

    agreement: Agreement
    until: Annotated[Day, told("Last day on which it now holds", origin=_REGISTER)]
    frame: Annotated[
        Maybe[Annotated[tuple[FrameYear, ...], Field(max_length=20)]],
        told("What it is worth, year by year; replaces the frame, which stays when left out", origin=_REGISTER),
    ] = None
    occurred_on: OccurredOn

    @field_validator("frame")
    @classmethod
    def _years(cls, frame: tuple[FrameYear, ...], info: ValidationInfo) -> tuple[FrameYear, ...]:
        return _once_a_year(frame)


class Ended(Payload):
    """The agreement is over before its time, or was not renewed."""

    agreement: Agreement
    reason: Annotated[Maybe[Note], told("Why", origin="who recorded it")] = None
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {
    "signed.v1": Signed,
    "renewed.v1": Renewed,
    "ended.v1": Ended,
}
