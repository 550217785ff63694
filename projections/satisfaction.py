"""Satisfaction figures of one relation: per instrument and wording, never across wordings, none below `min_n`. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from projections.rows import Row


def figures(responses: Iterable[Row], instruments: Mapping[str, Sequence[Row]]) -> list[dict[str, Any]]:
    """[{instrument, kind, wording_version, n, min_n, mean, nps, low_share}] in the order of instrument and version.

    `instruments` holds the wordings per instrument. `mean` is on the instrument's own scale, `nps` from −100 to 100
    (of kinds nps and enps only), `low_share` from 0 to 1: the part of the answers in the low band. With fewer than
    `min_n` answers the three are None; `n` says how many there are.
    """
    scores: dict[tuple[str, int], list[float]] = defaultdict(list)
    wordings: dict[tuple[str, int], Row] = {}
    for response in responses:
        wording = _wording(response, instruments.get(response["instrument"], ()))
        if wording is not None:
            key = (response["instrument"], wording["wording_version"])
            wordings[key] = wording
            scores[key].append(response["score"])
    return [_figure(wordings[key], scores[key]) for key in sorted(scores)]


def _wording(response: Row, wordings: Sequence[Row]) -> Row | None:
    """The wording that was asked: the last one defined when the score was given, else the first there is."""
    by_time = sorted(wordings, key=lambda w: (w["defined_at"], w["wording_version"]))
    asked = [w for w in by_time if w["defined_at"] <= response["scored_at"]]
    return asked[-1] if asked else next(iter(by_time), None)


def _figure(wording: Row, scores: Sequence[float]) -> dict[str, Any]:
    n = len(scores)
    figure: dict[str, Any] = {
        "instrument": wording["instrument"], "kind": wording["kind"], "wording_version": wording["wording_version"],
        "n": n, "min_n": wording["min_n"], "mean": None, "nps": None, "low_share": None,
    }  # fmt: skip
    if n < max(wording["min_n"], 1):
        return figure
    low = _share(scores, _band(wording, "low"))
    figure["mean"] = round(sum(scores) / n, 2)
    figure["low_share"] = None if low is None else round(low, 4)
    if wording["kind"] in {"nps", "enps"}:
        high = _share(scores, _band(wording, "high"))
        figure["nps"] = None if low is None or high is None else round(100 * (high - low), 1)
    return figure


def _band(wording: Row, name: str) -> Mapping[str, Any] | None:
    """The band of this name; where bands have other names, the worst (`low`) or the best (`high`) one."""
    bands = sorted(wording["bands"], key=lambda b: b["from"])
    for band in bands:
        if band["name"] == name:
            return band
    if not bands:
        return None
    return bands[0] if (name == "low") is not wording["low_is_best"] else bands[-1]


def _share(scores: Sequence[float], band: Mapping[str, Any] | None) -> float | None:
    if band is None:
        return None
    return sum(1 for s in scores if band["from"] <= s <= band["to"]) / len(scores)
