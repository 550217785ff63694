"""What a reader sees of one relation's satisfaction: a pure function of its rows and the book's now.

An anonymous answer shows nowhere singly: figures only, and only from `min_n` answers on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from events.recorded import local_date
from projections.heads import iso_day
from projections.rows import Row, Rows
from projections.satisfaction import by_wording, figure, figures

# Fewer colleagues than this who answered are not shown as a score: one could be told from another.
STAFF_MIN_N: Final = 5
_UNITS: Final = {"length_of_stay": "days", "waiting_time": "days"}


def present_satisfaction(rows: Rows, relation: str, now: datetime, *, hidden: int) -> dict[str, Any] | None:
    """{relation, relation_name, tier, figures, loops, loops_open, loops_late, rounds, complaints, outcomes, staff};
    None when the relation is not registered.

    `figures` as `satisfaction.figures` gives them, with `layers` (figures by their layer, by the same rule). `loops`
    has the open ones first, the first due first; a loop about an anonymous answer names neither answer nor evidence.
    `hidden` holds the restrictions that the reader does not satisfy (see viewer.py).
    """
    head = rows.get("relation", relation)
    if head is None or head["name"] is None:
        return None
    responses = rows.group("response", relation)
    names = {r["instrument"] for r in responses}
    instruments = {name: rows.group("instrument", name) for name in names}
    loops = loops_of(rows.group("loop", relation), responses, local_date(now), hidden=hidden)
    return {
        "relation": relation,
        "relation_name": head["name"],
        "tier": head["tier"],
        "figures": with_layers(responses, instruments),
        "loops": loops,
        "loops_open": sum(1 for loop in loops if loop["state"] != "closed"),
        "loops_late": sum(1 for loop in loops if loop["late"]),
        "complaints": [
            {"period": c["period"], "count": c["count"], "resolved": c["resolved"], "evidence": [c["position"]]}
            for c in sorted(rows.group("complaints", relation), key=lambda c: c["period"])
            if not c["hidden"] & hidden
        ],
        "outcomes": [
            {
                "indicator": o["indicator"], "period": o["period"], "value": o["value"],
                "unit": _UNITS.get(o["indicator"], "count"), "n": o["n"], "evidence": [o["position"]],
            }
            for o in sorted(rows.group("outcome", relation), key=lambda o: (o["indicator"], o["period"]))
            if not o["hidden"] & hidden
        ],
    }  # fmt: skip


def with_layers(responses: Iterable[Row], instruments: Mapping[str, Sequence[Row]]) -> list[dict[str, Any]]:
    mine = list(responses)
    asked = by_wording(mine, instruments)
    out: list[dict[str, Any]] = []
    for one in figures(mine, instruments):
        wording, answers = asked[one["instrument"], one["wording_version"]]
        layers = sorted({r["layer"] for r in answers if r["layer"] is not None})
        by_layer = [
            {"layer": layer, "n": f["n"], "mean": f["mean"], "nps": f["nps"], "low_share": f["low_share"]}
            for layer, f in (
                (layer, figure(wording, [r for r in answers if r["layer"] == layer])) for layer in layers
            )
        ]  # fmt: skip
        # What is counted can be looked up in the book, except where that would point at who answered.
        named = [r["position"] for r in answers if not r["anonymous"]]
        out.append({**one, "layers": by_layer, "evidence": sorted(named) if one["mean"] is not None else []})
    return out


def loops_of(loops: Iterable[Row], responses: Iterable[Row], today: date, *, hidden: int) -> list[dict[str, Any]]:
    answers = {r["response"]: r for r in responses}
    found: list[dict[str, Any]] = []
    for loop in loops:
        answer = answers.get(loop["response"])
        if loop["opened_on"] is None or (answer is not None and answer["hidden"] & hidden):
            continue
        singly = answer is not None and not answer["anonymous"]
        found.append(
            {
                "loop": loop["loop"], "state": loop["state"], "instrument": loop["instrument"],
                "response": loop["response"] if singly else None, "due_on": iso_day(loop["due_on"]),
                "late": loop["state"] == "open" and loop["due_on"] is not None and loop["due_on"] < today,
                "level": loop["level"], "owner": loop["owner"], "opened_on": iso_day(loop["opened_on"]),
                "followed_up_on": iso_day(loop["followed_up_on"]), "closed_on": iso_day(loop["closed_on"]),
                "reason": loop["reason"], "evidence": loop["evidence"] if singly else [],
            }
        )  # fmt: skip
    return sorted(found, key=lambda x: (x["state"] == "closed", x["due_on"] or "", x["loop"]))


def rounds_of(
    rounds: Iterable[Row], responses: Iterable[Row], instruments: Mapping[str, Sequence[Row]]
) -> list[dict[str, Any]]:
    """The closed rounds of the instruments that this relation answered, with its own figures in each: the answers after
    the round before (of the same wording) and up to its closing day."""
    closed = sorted(rounds, key=lambda r: (r["instrument"], r["wording_version"], r["closed_on"], r["round"]))
    found: list[dict[str, Any]] = []
    for key, (wording, answers) in sorted(by_wording(responses, instruments).items()):
        since = date.min
        for one in (r for r in closed if (r["instrument"], r["wording_version"]) == key):
            within = [a for a in answers if since < local_date(a["scored_at"]) <= one["closed_on"]]
            since = one["closed_on"]
            shown = figure(wording, within)
            found.append(
                {
                    "round": one["round"], "instrument": key[0], "wording_version": key[1],
                    "closed_on": iso_day(one["closed_on"]), "invited": one["invited"], "n": shown["n"],
                    "mean": shown["mean"], "nps": shown["nps"], "low_share": shown["low_share"],
                    "evidence": [one["position"]],
                }
            )  # fmt: skip
    return found


def staff_of(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """How content our own units are, by unit and period; no score where fewer than five answered."""
    return [
        {
            "unit": s["unit"], "period": s["period"], "n": s["n"],
            "score": s["score"] if s["n"] >= STAFF_MIN_N else None, "retention_pct": s["retention_pct"],
            "evidence": [s["position"]],
        }
        for s in sorted(rows, key=lambda s: (s["unit"], s["period"]))
    ]  # fmt: skip
