"""Family `satisfaction`: instruments, and what relations answered."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from events.fields import (
    Closed,
    Flag,
    Ident,
    InstrumentKind,
    Label,
    Layer,
    Maybe,
    OccurredOn,
    Payload,
    PersonRef,
    Prose,
    told,
)
from events.values import Number, Whole, refuse

_SURVEY = "the survey tool"

Instrument = Annotated[Ident, told("Id of the instrument, unique in the institution", origin=_SURVEY)]
Points = Annotated[float, Number(-1000, 1000)]


class Band(Closed):
    """A named part of the scale."""

    name: Annotated[Label, told("Name of the band, for instance low", origin=_SURVEY)]
    from_: Annotated[Points, Field(alias="from"), told("Lowest score in it", unit="points", origin=_SURVEY)]
    to: Annotated[Points, told("Highest score in it", unit="points", origin=_SURVEY)]


def _bands_problem(bands: tuple[Band, ...], low: float, high: float) -> str | None:
    """The bands must run from the lowest to the highest score; whole scales step by one between bands."""
    if len({b.name for b in bands}) < len(bands):
        return "Two bands have the same name; give each its own."
    ordered = sorted(bands, key=lambda b: b.from_)
    if any(b.from_ > b.to for b in ordered):
        return "A band ends below its begin; let from be at most to."
    if ordered[0].from_ != low or ordered[-1].to != high:
        return "The bands do not run from scale_min to scale_max; begin at scale_min and end at scale_max."
    for before, after in pairwise(ordered):
        if after.from_ <= before.to:
            return "Two bands overlap; begin each above the end of the one before."
        if after.from_ - before.to > 1:
            return "There is a hole between two bands; begin each at most one point above the end of the one before."
    return None


class InstrumentDefined(Payload):
    """A survey instrument: one wording, one scale, one set of bands. Another wording is another version."""

    about: ClassVar[Literal["relation", "organisation"]] = "organisation"
    instrument: Instrument
    kind: Annotated[InstrumentKind, told("Kind of survey", origin=_SURVEY)]
    scale_min: Annotated[Points, told("Lowest score possible", unit="points", origin=_SURVEY)]
    scale_max: Annotated[Points, told("Highest score possible", unit="points", origin=_SURVEY)]
    low_is_best: Annotated[Maybe[Flag], told("Whether a low score is good; no when left out", origin=_SURVEY)] = None
    bands: Annotated[
        tuple[Band, ...],
        Field(min_length=1, max_length=20),
        told("The scale in named parts, without holes or overlap", origin=_SURVEY),
    ]
    min_n: Annotated[
        int, Whole(1, 1000), told("Fewer responses than this show no figure", unit="responses", origin="policy")
    ]
    wording_version: Annotated[
        int, Whole(1, 10_000), told("Version of the wording", unit="version number", origin=_SURVEY)
    ]
    occurred_on: OccurredOn

    @field_validator("scale_max")
    @classmethod
    def _above(cls, high: float, info: ValidationInfo) -> float:
        low = info.data.get("scale_min")
        if isinstance(low, float) and high <= low:
            raise refuse("The scale has no length; give a scale_max above scale_min.")
        return high

    @field_validator("bands")
    @classmethod
    def _cover(cls, bands: tuple[Band, ...], info: ValidationInfo) -> tuple[Band, ...]:
        low, high = info.data.get("scale_min"), info.data.get("scale_max")
        if isinstance(low, float) and isinstance(high, float) and (problem := _bands_problem(bands, low, high)):
            raise refuse(problem)
        return bands


class Scored(Payload):
    """Somebody at the relation answered a survey."""

    response: Annotated[Ident, told("Id of the response, unique within the relation", origin=_SURVEY)]
    instrument: Instrument
    score: Annotated[Points, told("The score, within the instrument's scale", unit="points", origin=_SURVEY)]
    layer: Annotated[Maybe[Layer], told("Layer of the one who answered", origin=_SURVEY)] = None
    anonymous: Annotated[Flag, told("Whether it was answered anonymously", origin=_SURVEY)]
    respondent: Annotated[
        Maybe[PersonRef], told("Reference to the one who answered; never with an anonymous score", origin=_SURVEY)
    ] = None
    comment: Annotated[Maybe[Prose], told("What was written beside the score", origin=_SURVEY)] = None
    occurred_on: OccurredOn

    @field_validator("respondent")
    @classmethod
    def _unnamed(cls, respondent: str, info: ValidationInfo) -> str:
        if info.data.get("anonymous") is True:
            raise refuse("An anonymous score names nobody; leave respondent out.")
        return respondent


MODELS: Final[dict[str, type[Payload]]] = {"instrument_defined.v1": InstrumentDefined, "scored.v1": Scored}
