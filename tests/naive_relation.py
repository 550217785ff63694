"""What the relation view holds beside contacts and lines, read off the facts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from events.recorded import Recorded
from tests import naive_heads
from tests.naive import Row, Table, bits, counting, day, grouped, last, newest, on
from tests.naive_contacts import contacts

_ACTIONS = tuple(f"plan.action_{k}" for k in ("agreed", "completed", "deferred", "dropped"))
_PLANS = tuple(f"plan.{k}" for k in ("drafted", "question_answered", "approved", "superseded"))
_COMMITMENTS = tuple(f"commitment.{k}" for k in ("made", "fulfilled", "broken", "released"))
_COUNTERPARTS = tuple(f"counterpart.{k}" for k in ("added", "moved", "departed"))


def relations(events: Iterable[Recorded]) -> Table:
    events = list(events)
    counted = contacts(events)
    found: Table = {}
    for (relation,), row in naive_heads.relations(events).items():
        minutes = [data["duration_min"] for (of, _), data in counted.items() if of == relation]
        found[relation,] = {**row, "contacts_total": len(minutes), "minutes_total": sum(minutes)}
    return found


def plans(events: Iterable[Recorded]) -> Table:
    """Every plan that any fact names; approved again after it was superseded, it is not superseded."""
    found: Table = {}
    for key, mine in grouped(events, ["plan"], *_PLANS, *_ACTIONS).items():
        drafted, approved = last(mine, "plan.drafted"), last(mine, "plan.approved")
        turn = last(mine, "plan.approved", "plan.superseded")
        gone = turn if turn is not None and turn.kind == "plan.superseded" else None
        standing = [e for e in (drafted, approved, gone) if e is not None]
        found[key] = {
            "started_on": min(day(e) for e in mine),
            "template": None if drafted is None else drafted.data["template"],
            "horizon_on": None if drafted is None else on(drafted.data["horizon_on"]),
            "drafted_on": None if drafted is None else day(drafted),
            "approved_on": None if approved is None else day(approved),
            "superseded_on": None if gone is None else day(gone),
            "superseded_by": None if gone is None else gone.data["by"],
            "hidden": bits(*standing) if standing else min(bits(e) for e in mine),
        }
    return found


def _answer(e: Recorded) -> Row:
    return {"answer": e.data["answer"], "answered_on": day(e), "hidden": bits(e), "position": e.position}


def answers(events: Iterable[Recorded]) -> Table:
    return newest(events, ["plan", "question"], "plan.question_answered", _answer)


def answer_versions(events: Iterable[Recorded]) -> Table:
    return {
        (e.relation, e.data["plan"], e.data["question"], f"{e.source} {e.id}"): {
            **_answer(e), "recorded_at": e.recorded_at, "department": e.department, "actor": e.actor,
        }
        for e in counting(events)
        if e.kind == "plan.question_answered"
    }  # fmt: skip


def actions(events: Iterable[Recorded]) -> Table:
    """Every action that any fact names."""
    found: Table = {}
    for key, mine in grouped(events, ["action"], *_ACTIONS).items():
        agreed, deferred = last(mine, _ACTIONS[0]), last(mine, "plan.action_deferred")
        due = last(mine, _ACTIONS[0], "plan.action_deferred")
        ended = last(mine, "plan.action_completed", "plan.action_dropped")
        whys = [e for e in (deferred, ended) if e is not None and e.data.get("reason") is not None]
        reasons = [e.data["reason"] for e in sorted(whys, key=mine.index)]
        found[key] = {
            "plan": None if agreed is None else agreed.data["plan"],
            "what": None if agreed is None else agreed.data["what"],
            "owner": None if agreed is None else agreed.data["owner"],
            "marketing": agreed is not None and bool(agreed.data.get("marketing")),
            "due_on": None if due is None else on(due.data["due_on"]),
            "state": "open" if ended is None else ended.kind.removeprefix("plan.action_"),
            "deferred_on": None if deferred is None else day(deferred),
            "ended_on": None if ended is None else day(ended),
            "reason": reasons[-1] if reasons else None,
            "hidden": bits(*mine),
        }
    return found


def knowledge(events: Iterable[Recorded]) -> Table:
    def row(e: Recorded) -> Row:
        return {
            "text": e.data["text"], "valid_until": on(e.data["valid_until"]), "recorded_on": day(e), "hidden": bits(e),
        }  # fmt: skip

    return newest(events, ["item"], "knowledge.item_recorded", row)


def measured(events: Iterable[Recorded]) -> Table:
    def row(e: Recorded) -> Row:
        kept = {name: e.data[name] for name in ("revenue_cents", "share_pct")}
        return {**kept, "measured_on": day(e), "hidden": bits(e), "position": e.position}

    return newest(events, ["year"], "knowledge.position_measured", row)


def links(events: Iterable[Recorded]) -> Table:
    def row(e: Recorded) -> Row:
        kept = {name: e.data.get(name) for name in ("coverage", "basis")}
        return {**kept, "assessed_on": day(e), "hidden": bits(e), "position": e.position}

    return newest(events, ["ours", "theirs"], "matrix.link_assessed", row)


def commitments(events: Iterable[Recorded]) -> Table:
    """As the relation view has them."""
    kept = ("by", "what", "due_on", "state", "hidden")
    return {key: {name: row[name] for name in kept} for key, row in promises(events).items()}


def promises(events: Iterable[Recorded]) -> Table:
    """Every commitment that any fact names."""
    found: Table = {}
    for key, mine in grouped(events, ["commitment"], *_COMMITMENTS).items():
        made, ended = last(mine, "commitment.made"), last(mine, *_COMMITMENTS[1:])
        found[key] = {
            "by": None if made is None else made.data["by"], "what": None if made is None else made.data["what"],
            "made_on": None if made is None else day(made),
            "due_on": None if made is None else on(made.data["due_on"]),
            "state": "open" if ended is None else ended.kind.removeprefix("commitment."),
            "ended_on": None if ended is None else day(ended), "hidden": bits(*mine),
            "positions": sorted(e.position for e in mine),
        }  # fmt: skip
    return found


def counterparts(events: Iterable[Recorded]) -> Table:
    """A move says only what changed; who is added again after leaving is there."""
    found: Table = {}
    for key, mine in grouped(events, ["person"], *_COUNTERPARTS).items():
        row: dict[str, Any] = dict.fromkeys(("name", "function", "layer", "decision_role"))
        row |= {"present": True, "departed_on": None, "moved_on": None, "present_hidden": 0, "layer_hidden": 0}
        for e in mine:
            if e.kind == "counterpart.departed":
                row |= {"present": False, "departed_on": day(e), "present_hidden": bits(e)}
                continue
            fields = ("name", "function", "layer", "decision_role")
            row |= {f: e.data.get(f) for f in fields if f in e.data or e.kind == "counterpart.added"}
            if e.kind == "counterpart.added":
                row |= {"present": True, "departed_on": None, "moved_on": None}
                row |= {"present_hidden": bits(e), "layer_hidden": bits(e)}
            elif "layer" in e.data:
                row |= {"moved_on": day(e), "layer_hidden": bits(e)}
        found[key] = {**row, "hidden": bits(*mine)}
    return found
