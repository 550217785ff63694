"""What the relation view holds beside contacts, and what is shown of it, read off the facts.

Written apart from the projections: nothing is kept between one event and the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from events.recorded import Recorded
from tests.naive import Facts, counting, day


def _by(events: Sequence[Recorded], field: str, *kinds: str) -> dict[tuple[str, str], list[Recorded]]:
    """The facts of these kinds by relation and the value of the field, by stamp."""
    found: dict[tuple[str, str], list[Recorded]] = {}
    for e in counting(events):
        if e.kind in kinds:
            found.setdefault((e.relation, e.data[field]), []).append(e)
    return found


def plans(events: Sequence[Recorded]) -> Facts:
    """started_on, horizon_on, approved_on, superseded_on, superseded_by of every plan that any fact names."""
    kinds = [
        *(f"plan.{k}" for k in ("drafted", "question_answered", "approved", "superseded")),
        *(f"plan.action_{k}" for k in ("agreed", "completed", "deferred", "dropped")),
    ]
    found: Facts = {}
    for key, mine in _by(events, "plan", *kinds).items():
        drafted = [e for e in mine if e.kind == "plan.drafted"]
        approved = [day(e) for e in mine if e.kind == "plan.approved"]
        turns = [e for e in mine if e.kind in ("plan.approved", "plan.superseded")]
        gone = turns[-1] if turns and turns[-1].kind == "plan.superseded" else None
        found[key] = (
            min(day(e) for e in mine),
            date.fromisoformat(drafted[-1].data["horizon_on"]) if drafted else None,
            approved[-1] if approved else None,
            None if gone is None else day(gone),
            None if gone is None else gone.data["by"],
        )
    return found


def actions(events: Sequence[Recorded]) -> Facts:
    """plan, owner, due_on, state, deferred_on, ended_on of every action that was agreed."""
    ends = {"plan.action_completed": "completed", "plan.action_dropped": "dropped"}
    found: Facts = {}
    for key, mine in _by(events, "action", "plan.action_agreed", "plan.action_deferred", *ends).items():
        agreed = [e for e in mine if e.kind == "plan.action_agreed"]
        due = [e for e in mine if e.kind not in ends]
        deferred = [day(e) for e in mine if e.kind == "plan.action_deferred"]
        ended = [e for e in mine if e.kind in ends]
        if agreed:
            found[key] = (
                agreed[-1].data["plan"], agreed[-1].data["owner"], date.fromisoformat(due[-1].data["due_on"]),
                ends[ended[-1].kind] if ended else "open", deferred[-1] if deferred else None,
                day(ended[-1]) if ended else None,
            )  # fmt: skip
    return found


def commitments(events: Sequence[Recorded]) -> Facts:
    """by, due_on, state of every commitment that was made."""
    kinds = [f"commitment.{k}" for k in ("made", "fulfilled", "broken", "released")]
    found: Facts = {}
    for key, mine in _by(events, "commitment", *kinds).items():
        made = [e for e in mine if e.kind == kinds[0]]
        ended = [e.kind.removeprefix("commitment.") for e in mine if e.kind != kinds[0]]
        if made:
            due_on = date.fromisoformat(made[-1].data["due_on"])
            found[key] = made[-1].data["by"], due_on, ended[-1] if ended else "open"
    return found


def counterparts(events: Sequence[Recorded]) -> Facts:
    """layer, function, present, departed_on of every person at a relation."""
    kinds = [f"counterpart.{k}" for k in ("added", "moved", "departed")]
    found: Facts = {}
    for key, mine in _by(events, "person", *kinds).items():
        row: dict[str, Any] = {"layer": None, "function": None, "present": True, "departed_on": None}
        for e in mine:
            if e.kind == "counterpart.departed":
                row |= {"present": False, "departed_on": day(e)}
            else:
                row |= {f: e.data[f] for f in ("layer", "function") if f in e.data}
            if e.kind == "counterpart.added":
                row |= {"present": True, "departed_on": None}
        found[key] = tuple(row.values())
    return found


def figures(events: Sequence[Recorded]) -> dict[str, Any]:
    """{n, mean, nps, low_share, by quarter: n, mean, nps, low_share} of each relation that answered the one wording."""
    wording = next(e.data for e in counting(events) if e.kind == "satisfaction.instrument_defined")
    answers: dict[str, list[tuple[date, int]]] = {}
    for (relation, _), mine in _by(events, "response", "satisfaction.scored").items():
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


def pockets(events: Sequence[Recorded]) -> dict[tuple[str, str, str | None], tuple[int, int, int, int]]:
    """Invested, returned, shared and net cents by relation, organisation and financing system (of one chain)."""
    facts = [e for e in counting(events) if e.family == "chain"]
    found: dict[tuple[str, str, str | None], list[int]] = {}
    for n, kind in enumerate(("chain.investment_recorded", "chain.return_recorded")):
        for e in facts:
            if e.kind == kind:
                cell = found.setdefault((e.relation, e.data["organisation"], e.data["financing_system"]), [0, 0, 0])
                cell[n] += e.data["cents"]
    assessed = {(e.relation, e.data["assessment"]) for e in facts if e.kind == "chain.savings_assessed"}
    shared = _by(events, "assessment", "chain.savings_distributed")
    for (relation, _), mine in ((k, v) for k, v in shared.items() if k in assessed):
        for amount in mine[-1].data["amounts"]:
            organisation = amount["organisation"]
            systems = {
                e.data["financing_system"] for e in facts
                if e.relation == relation and e.data.get("financing_system") is not None
                and (e.data.get("by") or e.data["organisation"]) == organisation
            }  # fmt: skip
            system = systems.pop() if len(systems) == 1 else None
            found.setdefault((relation, organisation, system), [0, 0, 0])[2] += amount["cents"]
    return {key: (i, r, s, r + s - i) for key, (i, r, s) in found.items()}
