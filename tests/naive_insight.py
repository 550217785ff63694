"""Satisfaction, agreements, chains and partnerships, read off the facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any

from events.recorded import Recorded
from tests.naive import Row, Table, bits, counting, day, grouped, last, newest, on, party, positions
from tests.naive import without_relation as bare


def instruments(events: Iterable[Recorded]) -> Table:
    def row(e: Recorded) -> Row:
        kept = {name: e.data[name] for name in ("kind", "scale_min", "scale_max", "bands", "min_n")}
        return {**kept, "low_is_best": e.data.get("low_is_best", False), "defined_at": e.occurred_at}

    return bare(newest(events, ["instrument", "wording_version"], "satisfaction.instrument_defined", row))


def responses(events: Iterable[Recorded]) -> Table:
    def row(e: Recorded) -> Row:
        kept = {name: e.data.get(name) for name in ("instrument", "score", "layer", "anonymous")}
        return {**kept, "scored_at": e.occurred_at, "hidden": bits(e), "position": e.position}

    return newest(events, ["response"], "satisfaction.scored", row)


def rounds(events: Iterable[Recorded]) -> Table:
    def row(e: Recorded) -> Row:
        kept = {name: e.data.get(name) for name in ("instrument", "wording_version", "invited")}
        return {**kept, "closed_on": day(e), "position": e.position}

    return bare(newest(events, ["round"], "satisfaction.round_closed", row))


def staff(events: Iterable[Recorded]) -> Table:
    def row(e: Recorded) -> Row:
        return {**{name: e.data.get(name) for name in ("n", "score", "retention_pct")}, "position": e.position}

    return bare(newest(events, ["unit", "period"], "satisfaction.staff_reported", row))


def complaints(events: Iterable[Recorded]) -> Table:
    def row(e: Recorded) -> Row:
        kept = {name: e.data.get(name) for name in ("count", "resolved")}
        return {**kept, "hidden": bits(e), "position": e.position}

    return newest(events, ["period"], "satisfaction.complaints_reported", row)


def outcomes(events: Iterable[Recorded]) -> Table:
    def row(e: Recorded) -> Row:
        return {"value": e.data["value"], "n": e.data.get("n"), "hidden": bits(e), "position": e.position}

    return newest(events, ["indicator", "period"], "satisfaction.outcome_reported", row)


def agreements(events: Iterable[Recorded]) -> Table:
    """A renewal from before the signing is overtaken by it."""
    found: Table = {}
    for key, mine in grouped(events, ["agreement"], "agreement.signed", "agreement.renewed", "agreement.ended").items():
        signed, ended = last(mine, "agreement.signed"), last(mine, "agreement.ended")
        renewals = [e for e in mine if e.kind == "agreement.renewed"]
        data: dict[str, Any] = {} if signed is None else signed.data
        until, frame = data.get("until"), data.get("frame", [])
        for e in renewals:
            if signed is None or mine.index(e) > mine.index(signed):
                until, frame = e.data["until"], e.data.get("frame", frame)
        found[key] = {
            **{name: data.get(name) for name in ("type", "name", "basis", "insured_share_pct")},
            "parties": [party(p) for p in data.get("parties", [])], "from_on": on(data.get("from")),
            "until_on": on(until), "frame": frame, "signed_on": None if signed is None else day(signed),
            "renewals": [
                {
                    "on": str(day(e)), "until": e.data["until"], "position": e.position, "stamp": e.stamp,
                    **({"frame": e.data["frame"]} if "frame" in e.data else {}),
                }
                for e in renewals
            ],
            "ended_on": None if ended is None else day(ended),
            "end_reason": None if ended is None else ended.data.get("reason"),
            "hidden": bits(*mine), "positions": positions(mine),
        }  # fmt: skip
    return found


_PROGRAMMES = ("programme.started", "programme.progress_reported", "programme.steering_decision_taken")


def programmes(events: Iterable[Recorded]) -> Table:
    found: Table = {}
    for key, mine in grouped(events, ["programme"], *_PROGRAMMES).items():
        started = last(mine, "programme.started")
        data: dict[str, Any] = {} if started is None else started.data
        reports = [e for e in mine if e.kind == "programme.progress_reported"]
        names = {i["indicator"] for i in data.get("indicators", [])} | {e.data["indicator"] for e in reports}
        indicators = {name: _indicator(name, data, reports) for name in names}
        rags = {i["rag"] for i in indicators.values()}
        days = [i["reported_on"] for i in indicators.values() if i["reported_on"] is not None]
        red = [i["red_since"] for i in indicators.values() if i["red_since"] is not None]
        found[key] = {
            "agreement": data.get("agreement"), "name": data.get("name"), "starts_on": on(data.get("starts_on")),
            "ends_on": on(data.get("ends_on")), "indicators": indicators,
            "rag": next((rag for rag in ("red", "amber", "green") if rag in rags), None),
            "reported_on": on(max(days)) if days else None, "red_since": on(min(red)) if red else None,
            "hidden": 0 if started is None else bits(started),
            "positions": positions(e for e in mine if e.kind == "programme.started"),
        }  # fmt: skip
    return found


def _indicator(name: str, started: Row, reports: Sequence[Recorded]) -> Row:
    """How an indicator stands: its last report, what the start said of it, and since when it is red without a break."""
    mine = [e for e in reports if e.data["indicator"] == name]
    said: list[Row] = [i for i in started.get("indicators", []) if i["indicator"] == name]
    first: Row = said[-1] if said else {}
    of_days = {day(e): e.data["rag"] for e in mine}  # of one day's reports the last
    red_since = None
    for at, rag in sorted(of_days.items(), reverse=True):
        if rag != "red":
            break
        red_since = at
    data = mine[-1].data if mine else {}
    return {
        "unit": first.get("unit"), "baseline": data.get("baseline", first.get("baseline")),
        "target": data.get("target", first.get("target")), "actual": data.get("actual"), "rag": data.get("rag"),
        "red_since": None if red_since is None else str(red_since),
        "reported_on": str(day(mine[-1])) if mine else None, "position": mine[-1].position if mine else None,
        "hidden": bits(*mine[-1:]),
    }  # fmt: skip


def _each(events: Iterable[Recorded], kind: str, row: Callable[[Recorded], Row]) -> Table:
    """A row for each fact of a programme, under the name of its event."""
    return {
        (e.relation, e.data["programme"], f"{e.source} {e.id}"): {
            **row(e), "hidden": bits(e), "position": e.position,
        }
        for e in counting(events)
        if e.kind == kind
    }  # fmt: skip


def reports(events: Iterable[Recorded]) -> Table:
    fields = ("indicator", "baseline", "target", "actual", "rag")

    def row(e: Recorded) -> Row:
        return {**{f: e.data.get(f) for f in fields}, "reported_on": day(e)}

    return _each(events, "programme.progress_reported", row)


def decisions(events: Iterable[Recorded]) -> Table:
    def row(e: Recorded) -> Row:
        parties = [party(p) for p in e.data["parties"]]
        return {
            "decision": e.data["decision"], "parties": parties, "due_on": on(e.data["due_on"]), "taken_on": day(e),
        }  # fmt: skip

    return _each(events, "programme.steering_decision_taken", row)


def figures(events: Iterable[Recorded]) -> dict[str, Any]:
    """{n, mean, nps, low_share, by quarter: n, mean, nps, low_share} of each relation that answered the one wording."""
    events = list(events)
    wording = next(e.data for e in counting(events) if e.kind == "satisfaction.instrument_defined")
    answers: dict[str, list[tuple[date, int]]] = {}
    for (relation, _), mine in grouped(events, ["response"], "satisfaction.scored").items():
        answers.setdefault(relation, []).append((day(mine[-1]), mine[-1].data["score"]))

    def of(scores: list[int]) -> tuple[int, float | None, float | None, float | None]:
        n = len(scores)
        if n < wording["min_n"]:
            return n, None, None, None
        low, high = sum(s <= 6 for s in scores), sum(s >= 9 for s in scores)
        return n, round(sum(scores) / n, 2), round(100 * high / n - 100 * low / n, 1), round(low / n, 4)

    found: dict[str, Any] = {}
    for relation, given in answers.items():
        quarters = sorted({(on.year, (on.month - 1) // 3 + 1) for on, _ in given})
        found[relation] = (
            of([s for _, s in given]),
            [
                (f"{y}-Q{q}", *of([s for on, s in given if (on.year, (on.month - 1) // 3 + 1) == (y, q)]))
                for y, q in quarters
            ],
        )
    return found
