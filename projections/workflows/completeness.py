"""What a relation has of what an A relation should have, and until when: schedule, board line, plan, knowledge,
satisfaction. Pure; question 4 and the rules `incomplete` and `tier_without_schedule` read the same answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any, Final, NamedTuple, get_args

from events.fields import KnowledgeItem
from projections.periods import add_period
from projections.viewer import narrowest
from projections.workflows.facts import HIDDEN, Entry, Keep, Known
from projections.workflows.plan_due import PLAN_KEEPS, horizon, in_force
from projections.workflows.rule import DAY
from projections.workflows.thresholds import Thresholds

# `history` is the stream itself: it is always there.
ITEMS: Final = tuple(item for item in get_args(KnowledgeItem) if item != "history")
PARTS: Final = ("schedule", "board_line", "plan", "knowledge", "satisfaction")

LINE_KEEPS: Final = (
    Keep("schedule.line_set", "line", "{line}", "set", ("our_layer", "their_layer")),
    Keep("schedule.line_ended", "line", "{line}", "ended"),
)
RESPONSE_KEEPS: Final = (Keep("satisfaction.scored", "response", "{response}", "scored"),)
COMPLETENESS_KEEPS: Final = (
    *LINE_KEEPS,
    *PLAN_KEEPS,
    Keep("knowledge.item_recorded", "knowledge", "{item}", "recorded", ("valid_until",)),
    *RESPONSE_KEEPS,
)


class Standing(NamedTuple):
    """`until`: the first day on which the part lacks (None: it lacks from the start; date.max: it holds on).

    `evidence`: the entries that say so. `missing`: what there is none of, or what is the first to be stale.
    """

    until: date | None
    evidence: tuple[Entry, ...] = ()
    missing: tuple[str, ...] = ()


class Falling(NamedTuple):
    """Satisfaction fell between two quarters, of one instrument and wording. `since`: the day that it showed."""

    instrument: str
    since: date
    before: float
    after: float
    evidence: tuple[Entry, ...]


def standings(known: Known, thresholds: Thresholds) -> dict[str, Standing]:
    """How each of PARTS stands, as the facts are now."""
    return {
        "schedule": _lines(known, board_only=False),
        "board_line": _lines(known, board_only=True),
        "plan": _plan(known),
        "knowledge": _knowledge(known),
        "satisfaction": _satisfaction(known, thresholds),
    }


def schedule_until(known: Known) -> date | None:
    """The first day without any line in the contact schedule; None when there never was one."""
    return _lines(known, board_only=False).until


def _lines(known: Known, *, board_only: bool) -> Standing:
    """A line counts from the moment that it is set until it ends; a line of the board is one of our board's."""
    found = Standing(None)
    for fact in known.all("line"):
        line, ended = fact.get("set"), fact.get("ended")
        if line is None or (board_only and line.data["our_layer"] != "board"):
            continue
        over = ended if ended is not None and ended.stamp > line.stamp else None
        until = date.max if over is None else over.on
        if found.until is None or until > found.until:
            found = Standing(until, (line,) if over is None else (over,))
    return found


def _plan(known: Known) -> Standing:
    """A plan that is approved holds until its horizon, or until it is superseded."""
    plan = in_force(known)
    if plan is None:
        gone = [e for p in known.all("plan") if (e := p.get("superseded")) is not None and p.get("approved")]
        last = max(gone, key=lambda e: e.stamp, default=None)
        return Standing(None) if last is None else Standing(last.on, (last,))
    approved, last = plan.entries["approved"], horizon(plan)
    return Standing(date.max, (approved,)) if last is None else Standing(last[0] + DAY, (approved, last[1]))


def _knowledge(known: Known) -> Standing:
    items = {f.id: e for f in known.all("knowledge") if (e := f.get("recorded")) is not None}
    missing = tuple(item for item in ITEMS if item not in items)
    if missing:
        return Standing(None, (), missing)
    until = {item: date.fromisoformat(items[item].data["valid_until"]) for item in ITEMS}
    first = min(until.values())
    stale = tuple(item for item in ITEMS if until[item] == first)
    return Standing(first + DAY, tuple(items[item] for item in stale), stale)


def _satisfaction(known: Known, thresholds: Thresholds) -> Standing:
    scores = [e for f in known.all("response") if (e := f.get("scored")) is not None]
    last = max(scores, key=lambda e: e.stamp, default=None)
    if last is None:
        return Standing(None)
    return Standing(add_period(last.on, f"P{thresholds.satisfaction_months}M") + DAY, (last,))


def falling(known: Known, thresholds: Thresholds) -> Falling | None:
    """The steepest fall between the last two quarters that have a figure (at least `min_n` responses) each.

    Per instrument and wording version, never across; the fall is at least `satisfaction_fall_pct` of the scale.
    """
    series: dict[tuple[str, int], dict[tuple[int, int], list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for fact in known.all("response"):
        entry = fact.get("scored")
        if entry is not None and entry.data.get("wording_version") is not None:
            key = entry.data["instrument"], entry.data["wording_version"]
            series[key][entry.on.year, (entry.on.month + 2) // 3].append(entry)
    found = [
        f for (instrument, _), quarters in sorted(series.items()) if (f := _fall(instrument, quarters, thresholds))
    ]
    return max(found, key=lambda f: abs(f.before - f.after), default=None)


def _fall(instrument: str, quarters: dict[tuple[int, int], list[Entry]], thresholds: Thresholds) -> Falling | None:
    figures = [q for _, q in sorted(quarters.items()) if len(q) >= max(1, q[0].data["min_n"])]
    if len(figures) < 2:
        return None
    before, after = (_mean(q) for q in figures[-2:])
    terms = figures[-1][0].data
    worse = after - before if terms["low_is_best"] else before - after
    if worse <= 0 or worse * 100 < thresholds.satisfaction_fall_pct * terms["span"]:
        return None
    by_time = sorted(figures[-1], key=lambda e: e.stamp)
    since = by_time[max(1, terms["min_n"]) - 1].on
    evidence = (*sorted(figures[-2], key=lambda e: e.stamp), *by_time)
    return Falling(instrument, since, round(before, 2), round(after, 2), evidence)


def _mean(entries: Sequence[Entry]) -> float:
    # summed in one order, so that arrival does not show in the last digit
    return sum(sorted(e.data["score"] for e in entries)) / len(entries)


def summary(known: Known, thresholds: Thresholds) -> dict[str, Any]:
    """The columns of a relation's row: `<part>_until` for each part, `falling`, and `standing`, which says why."""
    parts = standings(known, thresholds)
    fall = falling(known, thresholds)
    tier = known.own("tier")
    standing: dict[str, Any] = {
        name: {**_told(part.evidence or ((tier,) if tier else ())), "missing": list(part.missing)}
        for name, part in parts.items()
    }
    if fall is not None:
        standing["falling"] = {
            "instrument": fall.instrument, "since": str(fall.since), "before": fall.before, "after": fall.after,
            **_told(fall.evidence),
        }  # fmt: skip
    return {**{f"{name}_until": part.until for name, part in parts.items()}, "falling": fall is not None,
            "standing": standing}  # fmt: skip


def _told(evidence: Sequence[Entry]) -> dict[str, Any]:
    """The last 20 positions, and the restriction bits of all."""
    hidden = narrowest(e.data.get(HIDDEN, 0) for e in evidence)
    return {"evidence": sorted({e.position for e in evidence})[-20:], "hidden": hidden}
