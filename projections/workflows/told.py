"""What the book's own services told: which alerts and loops are open. One writer, so they apply in the book's order."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from events.recorded import Recorded, instant, local_date
from projections.alert_sight import bits_of
from projections.rows import Row, Rows
from projections.workflows import low_score
from projections.workflows.reconcile import blank
from projections.workflows.rulebook import RULES

ALERT_KINDS: Final = frozenset(f"alert.{verb}" for verb in ("raised", "resolved", "reopened", "snoozed", "escalated"))
LOOP_KINDS: Final = frozenset(f"loop.{verb}" for verb in ("opened", "followed_up", "escalated", "closed"))
# Stands in a relation's `stale` for a duty of which what is open changed.
TOLD: Final = "told"


def fold(rows: Rows, event: Recorded) -> list[str]:
    """Folds one event of an alert or a loop; `TOLD` when it is one of these rules'."""
    if event.kind in LOOP_KINDS:
        _loop(rows, event)
    duty = _duty(rows, event)
    if duty is None:
        return []
    rows.put("duty", _opened(duty, event) if _verb(event) in ("raised", "opened") else _changed(duty, event))
    return [TOLD]


def _verb(event: Recorded) -> str:
    return event.kind.partition(".")[2]


def _duty(rows: Rows, event: Recorded) -> Row | None:
    """The duty that the event is about; None for alerts of other services."""
    data, relation = event.data, event.relation
    if event.kind == "alert.raised":
        if data["rule"] not in RULES:
            return None
        return rows.get("duty", relation, data["rule"], data["about"]) or blank(relation, data["rule"], data["about"])
    if event.kind == "loop.opened":
        about = low_score.about(data["response"])
        return rows.get("duty", relation, low_score.NAME, about) or blank(relation, low_score.NAME, about)
    id_ = data.get("alert") or data["loop"]
    return next((row for row in rows.group("duty", relation) if id_ in row["past"]), None)


def _opened(duty: Row, event: Recorded) -> Row:
    data = event.data
    id_ = data.get("alert") or data["loop"]
    opened = {
        "id": id_, "due_on": data["due_on"], "last_ok_on": data.get("last_ok_on") or data["due_on"],
        "rule_version": data.get("rule_version", RULES[duty["rule"]].version), "level": data.get("level", 0),
        "silent": data["silent"], "position": event.position, "snoozed_until": None,
        "opened_on": local_date(event.recorded_at).isoformat(),
    }  # fmt: skip
    past = {**duty["past"], id_: [data["due_on"], None, opened["last_ok_on"], opened["rule_version"]]}
    return {**duty, "open": opened, "past": past}


def _changed(duty: Row, event: Recorded) -> Row:
    data, opened = event.data, duty["open"]
    id_ = data.get("alert") or data["loop"]
    due_on, _, last_ok_on, rule_version = duty["past"][id_]
    match _verb(event):
        case "resolved" | "closed":
            past = {**duty["past"], id_: [due_on, data["reason"], last_ok_on, rule_version]}
            return {**duty, "past": past, "open": None if opened is None or opened["id"] == id_ else opened}
        case "reopened":
            again = {
                "id": id_, "due_on": due_on, "last_ok_on": last_ok_on, "rule_version": rule_version, "level": 0,
                "silent": data["silent"], "position": event.position, "snoozed_until": None,
                "opened_on": local_date(event.recorded_at).isoformat(),
            }  # fmt: skip
            return {**duty, "open": again, "past": {**duty["past"], id_: [due_on, None, last_ok_on, rule_version]}}
        case "escalated":
            return duty if opened is None else {**duty, "open": {**opened, "level": data["level"]}}
        case "snoozed":
            until = local_date(instant(data["until"])).isoformat()
            return duty if opened is None else {**duty, "open": {**opened, "snoozed_until": until}}
        case _:
            return duty


def _loop(rows: Rows, event: Recorded) -> None:
    data = event.data
    known = rows.get("loop", event.relation, data["loop"])
    if event.kind == "loop.opened":
        row: Row = {
            "relation": event.relation, "loop": data["loop"], "response": data["response"],
            "instrument": data["instrument"], "state": "open", "due_on": date.fromisoformat(data["due_on"]), "level": 0,
            "owner": data.get("owner"), "silent": data["silent"], "evidence": data["evidence"],
            "position": event.position, "opened_at": event.recorded_at, "followed_up_at": None, "note": None,
            "closed_at": None, "reason": None, "closing_evidence": [], "hidden": bits_of(rows, event),
        }  # fmt: skip
        rows.put("loop", row)
        return
    if known is None:
        # A gap in the book: parks the relation.
        raise LookupError("a loop that was never opened")
    changes: dict[str, Any]
    match event.kind:
        case "loop.followed_up":
            changes = {"followed_up_at": event.occurred_at, "note": data.get("note")}
        case "loop.escalated":
            changes = {"level": data["level"]}
        case _:
            changes = {
                "state": "closed", "closed_at": event.recorded_at, "reason": data["reason"],
                "closing_evidence": data["evidence"],
            }  # fmt: skip
    rows.put("loop", {**known, **changes, "hidden": bits_of(rows, event)})
