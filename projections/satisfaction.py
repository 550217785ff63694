"""Satisfaction figures of one relation: per instrument and wording, never across wordings, none below `min_n`. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from events.recorded import local_date
from projections.rows import Row


def figures(responses: Iterable[Row], instruments: Mapping[str, Sequence[Row]]) -> list[dict[str, Any]]:
    """[{instrument, kind, wording_version, n, min_n, mean, nps, low_share, bands, trend, direction}] in the order of
    instrument and version.

    `instruments` holds the wordings per instrument. `mean` is on the instrument's own scale, `nps` from −100 to 100
    (of kinds nps and enps only), `low_share` from 0 to 1: the part of the answers in the low band; `bands` says it of
    each band. With fewer than `min_n` answers these are None; `n` says how many there are. `trend` has the figures of
    each quarter by the same rule, within one wording only; `direction` compares the last two quarters that have any:
    `up` is better, `down` is worse, `same`; None: nothing to compare.
    """
    asked = by_wording(responses, instruments)
    return [
        {**figure(wording, mine), "trend": (trend := trend_of(wording, mine)), "direction": direction(wording, trend)}
        for wording, mine in (asked[key] for key in sorted(asked))
    ]


def by_wording(
    responses: Iterable[Row], instruments: Mapping[str, Sequence[Row]]
) -> dict[tuple[str, int], tuple[Row, list[Row]]]:
    """(instrument, wording version) → that wording and the responses to it."""
    found: dict[tuple[str, int], tuple[Row, list[Row]]] = {}
    for response in responses:
        wording = wording_of(response, instruments.get(response["instrument"], ()))
        if wording is not None:
            key = (response["instrument"], wording["wording_version"])
            found.setdefault(key, (wording, []))[1].append(response)
    return found


def trend_of(wording: Row, responses: Iterable[Row]) -> list[dict[str, Any]]:
    """The figures of each quarter in which there were answers, the first one first."""
    quarters: dict[str, list[Row]] = defaultdict(list)
    for response in responses:
        on = local_date(response["scored_at"])
        quarters[f"{on.year}-Q{(on.month + 2) // 3}"].append(response)
    fields = ("n", "mean", "nps", "low_share")
    return [
        {"quarter": quarter, **{f: one[f] for f in fields}}
        for quarter, one in ((q, figure(wording, quarters[q])) for q in sorted(quarters))
    ]


def direction(wording: Row, trend: Sequence[Mapping[str, Any]]) -> str | None:
    last = [q for q in trend if q["mean"] is not None][-2:]
    if len(last) < 2:
        return None
    by_nps = last[0]["nps"] is not None and last[1]["nps"] is not None
    before, after = (q["nps"] if by_nps else q["mean"] for q in last)
    if before == after:
        return "same"
    return "up" if (after > before) is (by_nps or not wording["low_is_best"]) else "down"


def wording_of(response: Row, wordings: Sequence[Row]) -> Row | None:
    """The wording that was asked: the last one defined when the score was given, else the first there is."""
    by_time = sorted(wordings, key=lambda w: (w["defined_at"], w["wording_version"]))
    asked = [w for w in by_time if w["defined_at"] <= response["scored_at"]]
    return asked[-1] if asked else next(iter(by_time), None)


def figure(wording: Row, responses: Sequence[Row]) -> dict[str, Any]:
    """One figure, without trend. A single anonymous answer is no figure, however low `min_n` is."""
    scores = [r["score"] for r in responses]
    n = len(scores)
    figure: dict[str, Any] = {
        "instrument": wording["instrument"], "kind": wording["kind"], "wording_version": wording["wording_version"],
        "n": n, "min_n": wording["min_n"], "mean": None, "nps": None, "low_share": None, "bands": None,
    }  # fmt: skip
    if n < max(wording["min_n"], 1) or (n == 1 and responses[0]["anonymous"]):
        return figure
    figure["bands"] = [
        {"name": band["name"], "n": sum(1 for s in scores if band["from"] <= s <= band["to"])}
        for band in wording["bands"]
    ]
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
