"""Relation view, the part about what is written, agreed and promised: plan, actions, knowledge, commitments."""

from __future__ import annotations

from typing import Final

from events.recorded import Recorded, local_date
from projections.registers import day, later, put_newest
from projections.rows import Row, Rows

_ACTION_FACTS: Final = {"plan.action_agreed": "agreed", "plan.action_deferred": "deferred"}


def fold_plan(rows: Rows, event: Recorded, relation: Row) -> None:
    plan, on = event.data["plan"], local_date(event.occurred_at)
    known = rows.get("plan", event.relation, plan)
    row: Row = dict(known) if known is not None else {
        "relation": event.relation, "plan": plan, "started_on": on, "approved_on": None, "stamp": None,
    }  # fmt: skip
    row["started_on"] = min(row["started_on"], on)
    if event.kind == "plan.approved" and (row["stamp"] is None or event.stamp > row["stamp"]):
        row.update(approved_on=on, stamp=event.stamp)
    rows.put("plan", row)
    if event.kind == "plan.question_answered":
        question = event.data["question"]
        text: Row = {
            "relation": event.relation, "plan": plan, "question": question, "answer": event.data["answer"],
            "answered_on": on, "stamp": event.stamp,
        }  # fmt: skip
        put_newest(rows, "answer", text, event.relation, plan, question)


def fold_action(rows: Rows, event: Recorded, relation: Row) -> None:
    data, stamp = event.data, event.stamp
    if "plan" in data:
        fold_plan(rows, event, relation)
    known = rows.get("action", event.relation, data["action"])
    row: Row = dict(known) if known is not None else {
        "relation": event.relation, "action": data["action"], "plan": None, "what": None, "owner": None,
        "due_on": None, "state": "open", "facts": {},
    }  # fmt: skip
    facts = dict(row["facts"])
    if later(facts, _ACTION_FACTS.get(event.kind, "ended"), stamp):
        match event.kind:
            case "plan.action_agreed":
                row.update(plan=data.get("plan"), what=data["what"], owner=data["owner"])
            case "plan.action_completed":
                row["state"] = "completed"
            case "plan.action_dropped":
                row["state"] = "dropped"
            case _:
                pass
        if data.get("due_on") and later(facts, "due", stamp):
            row["due_on"] = day(data["due_on"])
    rows.put("action", {**row, "facts": facts})


def fold_knowledge(rows: Rows, event: Recorded, relation: Row) -> None:
    data = event.data
    row: Row = {
        "relation": event.relation, "item": data["item"], "text": data.get("text"),
        "valid_until": day(data.get("valid_until")), "recorded_on": local_date(event.occurred_at),
        "stamp": event.stamp,
    }  # fmt: skip
    put_newest(rows, "knowledge", row, event.relation, data["item"])


def fold_commitment(rows: Rows, event: Recorded, relation: Row) -> None:
    data = event.data
    known = rows.get("commitment", event.relation, data["commitment"])
    row: Row = dict(known) if known is not None else {
        "relation": event.relation, "commitment": data["commitment"], "by": None, "what": None, "due_on": None,
        "state": "open", "facts": {},
    }  # fmt: skip
    facts = dict(row["facts"])
    if event.kind == "commitment.made":
        if later(facts, "made", event.stamp):
            row.update(by=data["by"], what=data.get("what"), due_on=day(data.get("due_on")))
    elif later(facts, "ended", event.stamp):
        row["state"] = event.kind.removeprefix("commitment.")
    rows.put("commitment", {**row, "facts": facts})
