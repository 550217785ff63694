"""The rules of instruments, scores, rounds and reports (SPEC section 3, `satisfaction`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from events.book import Case, Decision, Need, Park, Reject, Rule, Value
from events.errors import FieldError

_INSTRUMENT = Need("instrument:{instrument}", "unknown_instrument", "/data/instrument")


def _instrument_key(instrument: object) -> str:
    return f"instrument:{instrument}"


def _new_wording(case: Case) -> Decision | None:
    """An instrument is immutable; a new wording is a new, higher version."""
    data = case.event.data
    known = case.look(_instrument_key(data["instrument"]))
    if known is None or data["wording_version"] > known.value["wording_version"]:
        return None
    detail = (
        f"version {known.value['wording_version']} of this instrument is defined and cannot change; "
        "send a new wording with a higher wording_version, or a new instrument"
    )
    return Reject("id_taken", (FieldError("/data/wording_version", detail),), known.position)


def _define(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    keep = ("scale_min", "scale_max", "wording_version")
    return {_instrument_key(data["instrument"]): {k: data[k] for k in keep}}


def _on_scale(case: Case) -> Decision | None:
    data = case.event.data
    known = case.look(_instrument_key(data["instrument"]))
    if known is None or known.value["scale_min"] <= data["score"] <= known.value["scale_max"]:
        return None
    low, high = known.value["scale_min"], known.value["scale_max"]
    detail = f"score {data['score']} is outside the scale of {data['instrument']}, which runs from {low} to {high}"
    return Reject("scale", (FieldError("/data/score", detail),))


def _scored(case: Case) -> Mapping[str, Value]:
    """Which instrument was answered: a loop is about a response, and must name the same."""
    data = case.event.data
    return {f"response:{case.relation}:{data['response']}": {"instrument": data["instrument"]}}


def _wording_known(case: Case) -> Decision | None:
    data = case.event.data
    key = _instrument_key(data["instrument"])
    known = case.look(key)
    if known is None or data["wording_version"] <= known.value["wording_version"]:
        return None
    detail = f"version {data['wording_version']} of this instrument is not defined yet; it is kept until it is"
    return Park("unknown_instrument", (key,), (FieldError("/data/wording_version", detail),))


SURVEYING: Final[dict[str, Rule]] = {
    "satisfaction.instrument_defined": Rule(touches=("instrument:{instrument}",), check=_new_wording, values=_define),
    # A bad score opens no loop here: loops exist only through the book's own `loop.*` events.
    "satisfaction.scored": Rule(
        touches=("response:{relation}:{response}",),
        once="response:{relation}:{response}",
        needs=(_INSTRUMENT,),
        check=_on_scale,
        values=_scored,
    ),
    "satisfaction.round_closed": Rule(
        touches=("round:{round}",), once="round:{round}", needs=(_INSTRUMENT,), check=_wording_known
    ),
    "satisfaction.staff_reported": Rule(touches=("staff:{period}:{unit}",)),
    "satisfaction.complaints_reported": Rule(touches=("complaints:{relation}:{period}",)),
    "satisfaction.outcome_reported": Rule(touches=("outcome:{relation}:{indicator}:{period}",)),
}
