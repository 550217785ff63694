"""How complete a relation is, and what the workflows keep of it, read off the facts (SPEC section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from events.recorded import ORGANISATION, Recorded
from tests import naive_heads, naive_insight
from tests.naive import Row, Table, bits, counting, day, last, name_key, on, positions
from tests.naive_days import DAY, months_after

ITEMS: Final = (
    "objectives", "issues", "critical_success_factors", "facts_and_figures", "contacts_and_matrix", "position",
    "market", "competition", "strategy", "direction", "need_for_our_services", "specific_wishes",
)  # fmt: skip
# First day on which it lacks (None: there never was one; date.max: it holds on), the facts that say so, what is missing
Part = tuple[date | None, list[Recorded], list[str]]


def by(own: Sequence[Recorded], field: str, *kinds: str) -> dict[str, Recorded]:
    """The last of these facts for each value of the field."""
    return {e.data[field]: e for e in own if e.kind in kinds}


def roster(events: Iterable[Recorded]) -> Table:
    named = {r for e in events for r in (e.relation, e.absorbed) if r is not None}
    return {("all", relation): {} for relation in named - {ORGANISATION}}


def instruments(events: Iterable[Recorded]) -> Table:
    """A wording judges the scores that came after it, so its place in the book counts."""
    events = list(events)
    defined = {
        (e.data["instrument"], e.data["wording_version"]): e
        for e in counting(events)
        if e.kind == "satisfaction.instrument_defined"
    }
    kept = ("scale_min", "scale_max", "low_is_best", "bands", "min_n")
    return {
        key: {
            **{name: row[name] for name in kept}, "position": defined[key].position,
            "defined_at": naive_heads.utc(row["defined_at"]),
        }
        for key, row in naive_insight.instruments(events).items()
    }  # fmt: skip


def relations(events: Iterable[Recorded]) -> Table:
    events = list(events)
    known = counting(events)
    found: Table = {}
    for _, relation in roster(events):
        own = [e for e in known if e.relation == relation]
        ended, owner = last(own, "relation.ended"), last(own, "relation.owner_assigned")
        named, tier = naive_heads.told(own, "name"), last(own, "relation.tier_assigned")
        name = None if named is None else named.data["name"]
        parts, fall = standings(own), falling(own, known)
        standing: Row = {
            part: {**_told(told or ([tier] if tier else [])), "missing": missing}
            for part, (_, told, missing) in parts.items()
        }
        if fall is not None:
            since, before, after, told = fall
            standing["falling"] = {
                "instrument": "nps", "since": str(since), "before": round(before, 2), "after": round(after, 2),
                **_told(told),
            }  # fmt: skip
        found[relation,] = {
            "name": name, "name_key": name_key(name), "tier": None if tier is None else tier.data["tier"],
            "owner": None if owner is None else owner.data["employee"],
            "ended_on": None if ended is None else day(ended), "falling": fall is not None,
            **{f"{part}_until": until for part, (until, _, _) in parts.items()}, "standing": standing, "stale": [],
        }  # fmt: skip
    return found


def _told(evidence: Sequence[Recorded]) -> Row:
    return {"evidence": positions(evidence)[-20:], "hidden": bits(*evidence)}


def standings(own: Sequence[Recorded]) -> dict[str, Part]:
    """Schedule, board line, plan, knowledge and satisfaction of a relation; `own`: its facts by stamp."""
    return {
        "schedule": _lines(own, {"board", "senior_management", "tactical_management", "professional"}),
        "board_line": _lines(own, {"board"}), "plan": _plan(own), "knowledge": _knowledge(own),
        "satisfaction": _satisfaction(own),
    }  # fmt: skip


def _lines(own: Sequence[Recorded], layers: set[str]) -> Part:
    ended = by(own, "line", "schedule.line_ended")
    found: Part = (None, [], [])
    for line, e in sorted(by(own, "line", "schedule.line_set").items()):
        end = ended.get(line)
        goes_on = end is None or own.index(end) < own.index(e)
        if e.data["our_layer"] in layers:
            until = date.max if goes_on or end is None else day(end)
            if found[0] is None or until > found[0]:
                found = until, [e if goes_on or end is None else end], []
    return found


def _plan(own: Sequence[Recorded]) -> Part:
    plan = plan_in_force(own)
    if plan is not None:
        ends_on = horizon(own, plan)
        return (date.max if ends_on is None else ends_on + DAY), [plan, *drafted(own, plan)], []
    approved = by(own, "plan", "plan.approved")
    gone = [e for e in own if e.kind == "plan.superseded" and e.data["plan"] in approved]
    return (day(gone[-1]), gone[-1:], []) if gone else (None, [], [])


def superseded(own: Sequence[Recorded], plan: str) -> Recorded | None:
    """What took the place of this plan, unless it was approved again after that."""
    ends = [e for e in own if e.kind in ("plan.approved", "plan.superseded") and e.data["plan"] == plan]
    return ends[-1] if ends and ends[-1].kind == "plan.superseded" else None


def plan_in_force(own: Sequence[Recorded]) -> Recorded | None:
    """The approval of the plan that holds: the last one that nothing took the place of."""
    approved = [e for e in own if e.kind == "plan.approved" and superseded(own, e.data["plan"]) is None]
    return approved[-1] if approved else None


def horizon(own: Sequence[Recorded], approved: Recorded) -> date | None:
    """The last day of a plan, if that is not before it was approved."""
    drafted = by(own, "plan", "plan.drafted").get(approved.data["plan"])
    ends_on = None if drafted is None else on(drafted.data["horizon_on"])
    return None if ends_on is None or ends_on < day(approved) else ends_on


def drafted(own: Sequence[Recorded], approved: Recorded) -> list[Recorded]:
    """What says the last day of a plan, if that counts."""
    return [by(own, "plan", "plan.drafted")[approved.data["plan"]]] if horizon(own, approved) is not None else []


def _knowledge(own: Sequence[Recorded]) -> Part:
    told = by(own, "item", "knowledge.item_recorded")
    missing = [item for item in ITEMS if item not in told]
    if missing:
        return None, [], missing
    first = min(told[item].data["valid_until"] for item in ITEMS)
    stale = [item for item in ITEMS if told[item].data["valid_until"] == first]
    return date.fromisoformat(first) + DAY, [told[item] for item in stale], stale


def _satisfaction(own: Sequence[Recorded]) -> Part:
    scores = list(by(own, "response", "satisfaction.scored").values())
    newest = max(scores, key=own.index, default=None)
    return (None, [], []) if newest is None else (months_after(day(newest), 12) + DAY, [newest], [])


def falling(own: Sequence[Recorded], known: Sequence[Recorded]) -> tuple[date, float, float, list[Recorded]] | None:
    """Since when, from what and to what satisfaction fell between the last two quarters with a figure, by at least a
    twentieth of the scale; of the one wording that the histories know."""
    wording: dict[str, Any] = next(e.data for e in known if e.kind == "satisfaction.instrument_defined")
    quarters: dict[tuple[int, int], list[Recorded]] = {}
    for e in sorted(by(own, "response", "satisfaction.scored").values(), key=own.index):
        quarters.setdefault((day(e).year, (day(e).month + 2) // 3), []).append(e)
    figures = [mine for _, mine in sorted(quarters.items()) if len(mine) >= wording["min_n"]]
    if len(figures) < 2:
        return None
    before, after = (sum(e.data["score"] for e in mine) / len(mine) for mine in figures[-2:])
    if before <= after or before - after < 0.05 * (wording["scale_max"] - wording["scale_min"]):
        return None
    enough: int = wording["min_n"]
    return day(figures[-1][enough - 1]), before, after, [*figures[-2], *figures[-1]]
