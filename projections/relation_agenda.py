"""Relation view, the part about what is written, agreed and promised: plan, actions, knowledge, commitments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from events.recorded import Recorded, local_date
from projections.registers import day, later, put_newest
from projections.rows import Row, Rows
from projections.viewer import narrowest, restriction

_PLAN_FACTS: Final = frozenset({"plan.drafted", "plan.approved", "plan.superseded"})
_TOLD: Final = "told"  # the least restricted of its answers and actions
_ACTION_FACTS: Final = {"plan.action_agreed": "agreed", "plan.action_deferred": "deferred"}


def fold_plan(rows: Rows, event: Recorded, relation: Row) -> None:
    data, plan, on = event.data, event.data["plan"], local_date(event.occurred_at)
    known = rows.get("plan", event.relation, plan)
    row: Row = dict(known) if known is not None else {
        "relation": event.relation, "plan": plan, "started_on": on, "template": None, "horizon_on": None,
        "drafted_on": None, "approved_on": None, "superseded_on": None, "superseded_by": None, "hidden": 0, "facts": {},
    }  # fmt: skip
    row["started_on"] = min(row["started_on"], on)
    facts = dict(row["facts"])
    hidden: dict[str, int] = dict(facts.get("hidden", {}))
    if event.kind not in _PLAN_FACTS:
        hidden[_TOLD] = min(hidden.get(_TOLD, restriction(event)), restriction(event))
    elif later(facts, event.kind, event.stamp):
        hidden[event.kind] = restriction(event)
        match event.kind:
            case "plan.drafted":
                row.update(template=data["template"], horizon_on=day(data["horizon_on"]), drafted_on=on)
            case "plan.approved":
                row.update(approved_on=on)
            case _:
                row.update(superseded_on=on, superseded_by=data.get("by"))
    # Approved anew: what took its place before that does so no longer.
    if facts.get("plan.approved", []) > facts.get("plan.superseded", []):
        row.update(superseded_on=None, superseded_by=None)
    facts["hidden"] = hidden
    rows.put("plan", {**row, "hidden": _restrictions_of(row, hidden), "facts": facts})
    if event.kind == "plan.question_answered":
        _answer(rows, event)


def _restrictions_of(plan: Row, hidden: Mapping[str, int]) -> int:
    """Of what says that there is a plan, until when and in force: while it has only answers and actions, of those."""
    standing = [kind for kind in hidden if kind in _PLAN_FACTS]
    if plan["superseded_on"] is None:
        standing = [kind for kind in standing if kind != "plan.superseded"]
    return narrowest(hidden[kind] for kind in standing or [_TOLD])


def _answer(rows: Rows, event: Recorded) -> None:
    """The answer that stands, and every answer that was given, each under the (source, id) of its event."""
    plan, question = event.data["plan"], event.data["question"]
    text: Row = {
        "relation": event.relation, "plan": plan, "question": question, "answer": event.data["answer"],
        "answered_on": local_date(event.occurred_at), "hidden": restriction(event),
        "position": event.position, "stamp": event.stamp,
    }  # fmt: skip
    put_newest(rows, "answer", text, event.relation, plan, question)
    about: Row = {
        "fact": f"{event.source} {event.id}", "recorded_at": event.recorded_at, "department": event.department,
        "actor": event.actor,
    }  # fmt: skip
    rows.put("answer_version", {**text, **about})


def fold_action(rows: Rows, event: Recorded, relation: Row) -> None:
    data, stamp = event.data, event.stamp
    if "plan" in data:
        fold_plan(rows, event, relation)
    known = rows.get("action", event.relation, data["action"])
    row: Row = dict(known) if known is not None else {
        "relation": event.relation, "action": data["action"], "plan": None, "what": None, "owner": None,
        "due_on": None, "state": "open", "marketing": False, "deferred_on": None, "ended_on": None, "reason": None,
        "hidden": 0, "facts": {},
    }  # fmt: skip
    facts, on = dict(row["facts"]), local_date(event.occurred_at)
    row["hidden"] |= restriction(event)
    if later(facts, _ACTION_FACTS.get(event.kind, "ended"), stamp):
        match event.kind:
            case "plan.action_agreed":
                row.update(
                    plan=data.get("plan"), what=data["what"], owner=data["owner"],
                    marketing=bool(data.get("marketing")),
                )  # fmt: skip
            case "plan.action_completed":
                row.update(state="completed", ended_on=on)
            case "plan.action_dropped":
                row.update(state="dropped", ended_on=on)
            case _:
                row["deferred_on"] = on
        if data.get("reason") is not None and later(facts, "reason", stamp):
            row["reason"] = data["reason"]
        if data.get("due_on") and later(facts, "due", stamp):
            row["due_on"] = day(data["due_on"])
    rows.put("action", {**row, "facts": facts})


def fold_knowledge(rows: Rows, event: Recorded, relation: Row) -> None:
    data = event.data
    row: Row = {
        "relation": event.relation, "item": data["item"], "text": data.get("text"),
        "valid_until": day(data.get("valid_until")), "recorded_on": local_date(event.occurred_at),
        "hidden": restriction(event), "stamp": event.stamp,
    }  # fmt: skip
    put_newest(rows, "knowledge", row, event.relation, data["item"])


def fold_position(rows: Rows, event: Recorded, relation: Row) -> None:
    data = event.data
    row: Row = {
        "relation": event.relation, "year": data["year"], "revenue_cents": data["revenue_cents"],
        "share_pct": data["share_pct"], "measured_on": local_date(event.occurred_at),
        "hidden": restriction(event), "position": event.position, "stamp": event.stamp,
    }  # fmt: skip
    known = rows.get("measured", event.relation, row["year"])
    if known is None or row["stamp"] > known["stamp"]:
        rows.put("measured", row)


def fold_link(rows: Rows, event: Recorded, relation: Row) -> None:
    data = event.data
    row: Row = {
        "relation": event.relation, "ours": data["ours"], "theirs": data["theirs"], "coverage": data["coverage"],
        "basis": data.get("basis"), "assessed_on": local_date(event.occurred_at),
        "hidden": restriction(event), "position": event.position, "stamp": event.stamp,
    }  # fmt: skip
    put_newest(rows, "link", row, event.relation, row["ours"], row["theirs"])


def fold_commitment(rows: Rows, event: Recorded, relation: Row) -> None:
    data = event.data
    known = rows.get("commitment", event.relation, data["commitment"])
    row: Row = dict(known) if known is not None else {
        "relation": event.relation, "commitment": data["commitment"], "by": None, "what": None, "due_on": None,
        "state": "open", "hidden": 0, "facts": {},
    }  # fmt: skip
    facts = dict(row["facts"])
    row["hidden"] |= restriction(event)
    if event.kind == "commitment.made":
        if later(facts, "made", event.stamp):
            row.update(by=data["by"], what=data.get("what"), due_on=day(data.get("due_on")))
    elif later(facts, "ended", event.stamp):
        row["state"] = event.kind.removeprefix("commitment.")
    rows.put("commitment", {**row, "facts": facts})
