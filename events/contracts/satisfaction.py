"""Family `satisfaction`: instruments, and what relations answered."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from events.fields import (
    About,
    CalendarPeriod,
    Closed,
    Flag,
    Ident,
    InstrumentKind,
    Label,
    Layer,
    Maybe,
    OccurredOn,
    Payload,
    Percentage,
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

    subject: ClassVar[About] = "organisation"
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


_COUNT: Final = 10_000_000  # more than anything of one institution in one period

Period = Annotated[CalendarPeriod, told("The year, half year, quarter or month", origin="the report")]


class RoundClosed(Payload):
    """A round of a survey is over: no more responses come in."""

    subject: ClassVar[About] = "organisation"
    round: Annotated[Ident, told("Id of the round, unique in the institution", origin=_SURVEY)]
    instrument: Instrument
    wording_version: Annotated[
        int, Whole(1, 10_000), told("Version of the wording that was asked", unit="version number", origin=_SURVEY)
    ]
    invited: Annotated[
        Maybe[Annotated[int, Whole(0, _COUNT)]], told("How many were asked", unit="invitations", origin=_SURVEY)
    ] = None
    occurred_on: OccurredOn


class StaffReported(Payload):
    """How content our own people of a unit are. Totals only, nothing about one colleague."""

    subject: ClassVar[About] = "organisation"
    period: Period
    unit: Annotated[Label, told("The unit of the institution", origin="the HR system")]
    n: Annotated[int, Whole(1, _COUNT), told("How many answered", unit="responses", origin="the staff survey")]
    score: Annotated[Points, told("Their mean score", unit="points", origin="the staff survey")]
    retention_pct: Annotated[
        Maybe[Percentage], told("Part of the staff that stayed in the period", unit="percent", origin="the HR system")
    ] = None
    occurred_on: OccurredOn


class ComplaintsReported(Payload):
    """How many complaints the relation made. Totals only, nothing about one complaint."""

    period: Period
    count: Annotated[int, Whole(0, _COUNT), told("How many came in", unit="complaints", origin="complaints register")]
    resolved: Annotated[
        Maybe[Annotated[int, Whole(0, _COUNT)]],
        told("How many of them were resolved", unit="complaints", origin="complaints register"),
    ] = None
    occurred_on: OccurredOn

    @field_validator("resolved")
    @classmethod
    def _of_those(cls, resolved: int, info: ValidationInfo) -> int:
        count = info.data.get("count")
        if isinstance(count, int) and resolved > count:
            raise refuse("More complaints were resolved than came in; count those of the same period.")
        return resolved


_IN_DAYS: Final = frozenset({"length_of_stay", "waiting_time"})


class OutcomeReported(Payload):
    """What came of care for this relation, as one total. Nothing about one patient."""

    indicator: Annotated[
        Literal["referrals", "complications", "length_of_stay", "waiting_time", "falls", "medication_errors"],
        told("What was measured", origin="quality register"),
    ]
    period: Period
    value: Annotated[
        Annotated[float, Number(0, _COUNT)],
        told(
            "The mean time for length_of_stay and waiting_time, else how often it happened",
            unit="days, else a count",
            origin="quality register",
        ),
    ]
    n: Annotated[
        Maybe[Annotated[int, Whole(1, _COUNT)]],
        told("How many cases it is about", unit="cases", origin="quality register"),
    ] = None
    occurred_on: OccurredOn

    @field_validator("value")
    @classmethod
    def _counted(cls, value: float, info: ValidationInfo) -> float:
        indicator = info.data.get("indicator")
        if isinstance(indicator, str) and indicator not in _IN_DAYS and not value.is_integer():
            raise refuse("This indicator is counted, so its value is a whole number.")
        return value


MODELS: Final[dict[str, type[Payload]]] = {
    "instrument_defined.v1": InstrumentDefined,
    "scored.v1": Scored,
    "round_closed.v1": RoundClosed,
    "staff_reported.v1": StaffReported,
    "complaints_reported.v1": ComplaintsReported,
    "outcome_reported.v1": OutcomeReported,
}
