"""Interests, performance, promises, opportunities and who contributes, read off the facts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from events.recorded import Recorded
from tests.naive import Row, Table, bits, day, grouped, last, on, positions


def _acknowledged(mine: list[Recorded], kind: str) -> Row:
    found: Row = {}
    for side in ("us", "them"):
        e = last([e for e in mine if e.kind == kind and e.data["by"] == side], kind)
        found[f"by_{side}_on"] = None if e is None else day(e)
    return {**found, "hidden": bits(*mine), "positions": positions(mine)}


def interests(events: Iterable[Recorded]) -> Table:
    found: Table = {}
    kinds = ("partnership.interest_recorded", "partnership.interest_acknowledged")
    for key, mine in grouped(events, ["interest"], *kinds).items():
        e = last(mine, kinds[0])
        found[key] = {
            "holder": None if e is None else e.data["holder"], "text": None if e is None else e.data["text"],
            "recorded_on": None if e is None else day(e), **_acknowledged(mine, kinds[1]),
        }  # fmt: skip
    return found


def performances(events: Iterable[Recorded]) -> Table:
    found: Table = {}
    kinds = ("partnership.performance_reported", "partnership.performance_acknowledged")
    for key, mine in grouped(events, ["performance"], *kinds).items():
        e = last(mine, kinds[0])
        found[key] = {
            "by": None if e is None else e.data["by"], "text": None if e is None else e.data["text"],
            "period": None if e is None else e.data.get("period"), "reported_on": None if e is None else day(e),
            **_acknowledged(mine, kinds[1]),
        }  # fmt: skip
    return found


def opportunities(events: Iterable[Recorded]) -> Table:
    names = ("tender_announced", "offer_submitted", "won", "lost")
    announced_, offered_, won, lost = (f"opportunity.{name}" for name in names)
    found: Table = {}
    for key, mine in grouped(events, ["opportunity"], announced_, offered_, won, lost).items():
        announced, offered, decided = last(mine, announced_), last(mine, offered_), last(mine, won, lost)
        values = [e.data["value_cents"] for e in mine if e.data.get("value_cents") is not None]
        state = "announced" if offered is None else "offered"
        found[key] = {
            "title": None if announced is None else announced.data["title"],
            "state": state if decided is None else decided.kind.removeprefix("opportunity."),
            "value_cents": values[-1] if values else None,
            "announced_on": None if announced is None else day(announced),
            "closes_on": None if announced is None else on(announced.data.get("closes_on")),
            "offered_on": None if offered is None else day(offered),
            "decided_on": None if decided is None else day(decided),
            "decided_position": None if decided is None else decided.position,
            "reason": None if decided is None else decided.data.get("reason"),
            "hidden": bits(*mine), "positions": positions(mine),
        }  # fmt: skip
    return found


def contributors(events: Iterable[Recorded]) -> Table:
    """Who leaves is no longer there, until profiled again."""
    found: Table = {}
    for key, mine in grouped(events, ["employee"], "contributor.profiled", "employee.left").items():
        profiled = last(mine, "contributor.profiled")
        found[key[1:]] = {
            "profile": None if profiled is None else profiled.data["profile"],
            "stage": None if profiled is None else profiled.data["stage"],
            "present": int(mine[-1].kind == "contributor.profiled"),
        }
    return found


_PER_YEAR = {"month": 12, "quarter": 4, "half_year": 2, "year": 1}


def asks(events: Iterable[Recorded]) -> Table:
    """What the relations' own schedule lines ask of us."""
    found: Table = {}
    for key, mine in grouped(events, ["line"], "schedule.line_set", "schedule.line_ended").items():
        line = last(mine, "schedule.line_set")
        found[key] = {
            "our_layer": None if line is None else line.data["our_layer"],
            "contacts_per_year": None if line is None else _per_year(line.data["cadence"]),
            "starts_on": None if line is None else on(line.data["starts_on"]),
            "ended_on": day(mine[-1]) if mine[-1].kind == "schedule.line_ended" else None,
        }
    return found


def _per_year(cadence: dict[str, Any]) -> float:
    """Of the few cadences that the histories know: a period of 1, 3 or 6 months, or a quota."""
    if cadence["mode"] == "quota":
        return float(cadence["times"] * _PER_YEAR[cadence["per"]])
    return {"P1M": 12.0, "P3M": 4.0, "P6M": 2.0, "P30D": 12.17, "P2W": 26.07}[cadence["every"]]
