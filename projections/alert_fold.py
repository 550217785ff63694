"""Folding the book's own `alert.*` events: they have one writer and apply in the order of the book."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Final

from events.recorded import Recorded, instant, local_date
from projections.alert_line import POLICY, line_key
from projections.alert_rule import anchor_on
from projections.alert_sight import bits_of
from projections.alert_terms import blank_line
from projections.institution import ALL
from projections.rows import Group, Need, One, Row, Rows

ALERT_KINDS: Final = frozenset(
    f"alert.{verb}" for verb in ("raised", "resolved", "reopened", "acknowledged", "snoozed", "escalated")
)
_TURNING: Final = ("alert.raised", "alert.resolved", "alert.reopened")


def alert_needs(event: Recorded) -> Iterable[Need]:
    """The rows that `fold_alert` reads of this event."""
    relation = event.relation
    yield One("alert", (relation, event.data["alert"]))
    yield from (Group(table, relation) for table in ("line", "bucket", "foreign_alert"))


def fold_alert(rows: Rows, event: Recorded) -> None:
    """Notes what became of an alert, at the alert and at its line; after `fold_sight`."""
    known = rows.get("alert", event.relation, event.data["alert"])
    row = _raised(event) if event.kind == "alert.raised" else {**_found(known), **_changes(event, known or {})}
    row["hidden"] = bits_of(rows, event)
    rows.put("alert", row)
    if row["line"] is None:
        return
    if row["line_relation"] != event.relation:
        _fold_foreign(rows, row, event)
        return
    line = rows.get("line", event.relation, row["line"])
    if line is None and row["line"].startswith(POLICY):
        line = blank_line(event.relation, row["line"])
    if line is not None:
        bucket = None if line["pair"] is None else rows.get("bucket", event.relation, line["pair"])
        # A policy's line has its terms from elsewhere: what this batch knows of them depends on the batch.
        anchor = None if row["line"].startswith(POLICY) else anchor_on(line, bucket, row["due_on"], row["last_ok_on"])
        seen_at = max(line["own_seen_at"], event.recorded_at)
        rows.put("line", {**_turned(line, row, event, anchor), "own_seen_at": seen_at, "stale": True})


def _fold_foreign(rows: Rows, alert: Row, event: Recorded) -> None:
    guest, line = alert["line_relation"], alert["line"]
    known: Row = rows.get("foreign_alert", event.relation, guest, line) or {
        "relation": event.relation, "guest": guest, "line": line, "open": None, "alerts": {}, "last_overdue_on": None,
        "seen_at": event.recorded_at,
    }  # fmt: skip
    seen_at = max(known["seen_at"], event.recorded_at)
    rows.put("foreign_alert", {**_turned(known, alert, event, None), "seen_at": seen_at})
    if event.kind == "alert.raised":
        rows.put("lodging", {"whole": ALL, "host": event.relation, "guest": guest})


def _raised(event: Recorded) -> Row:
    data = event.data
    of, line = line_key(event.relation, data) or (None, None)
    return {
        "relation": event.relation, "alert": data["alert"], "rule": data["rule"], "rule_version": data["rule_version"],
        "line": line, "line_relation": of, "about": data.get("about"), "policy_version": data.get("policy_version"),
        "state": "open", "due_on": date.fromisoformat(data["due_on"]),
        "overdue_on": date.fromisoformat(data["overdue_on"]), "last_ok_on": date.fromisoformat(data["last_ok_on"]),
        "owner": data.get("owner"), "level": data.get("level", 0), "evidence": data["evidence"],
        "silent": data["silent"], "raised_at": event.recorded_at, "turned_at": event.recorded_at,
        "position": event.position, "resolved_at": None, "resolution": None, "resolution_evidence": [],
        "acknowledged_at": None, "snoozed_until": None, "snoozes": 0, "escalated_at": None,
    }  # fmt: skip


def _changes(event: Recorded, known: Row) -> dict[str, Any]:
    """What a resolved alert went through (level, acknowledged, put off) stays to be seen until it is opened again."""
    data = event.data
    match event.kind:
        case "alert.resolved":
            evidence = data.get("evidence", [])
            return {
                "state": "resolved", "resolved_at": event.recorded_at, "resolution": data["reason"],
                "resolution_evidence": evidence,
            }  # fmt: skip
        case "alert.reopened":
            return {
                "state": "open", "evidence": data["evidence"], "silent": data["silent"], "resolved_at": None,
                "resolution": None, "resolution_evidence": [], "level": 0, "acknowledged_at": None,
                "snoozed_until": None, "snoozes": 0, "escalated_at": None, "turned_at": event.recorded_at,
            }  # fmt: skip
        case "alert.acknowledged":
            return {"acknowledged_at": event.occurred_at}
        case "alert.snoozed":
            return {"snoozed_until": local_date(instant(data["until"])), "snoozes": known["snoozes"] + 1}
        case _:
            return {"level": data["level"], "escalated_at": event.recorded_at}


def _found(row: Row | None) -> Row:
    if row is None:
        # A gap in the book: parks the relation.
        raise LookupError("an alert that was never raised")
    return row


def _turned(holder: Row, alert: Row, event: Recorded, anchor: date | None) -> Row:
    """The row that keeps a line's alerts, after this event."""
    row = {**holder}
    opened = row["open"]
    if event.kind in _TURNING:
        resolution: str | None = alert["resolution"]
        row["alerts"] = {**row["alerts"], str(alert["due_on"]): [alert["alert"], resolution]}
        if resolution is None:
            row["open"] = {
                "alert": alert["alert"], "relation": alert["relation"], "rule_version": alert["rule_version"],
                "policy_version": alert["policy_version"], "position": event.position,
                "anchor_on": None if anchor is None else str(anchor), "level": alert["level"], "snoozes": [],
                **{name: str(alert[name]) for name in ("due_on", "last_ok_on", "overdue_on")},
            }  # fmt: skip
        elif opened is not None and opened["alert"] == alert["alert"]:
            row["open"] = None
            row["last_overdue_on"] = alert["overdue_on"]
    elif opened is not None and opened["alert"] == alert["alert"]:
        if event.kind == "alert.escalated":
            row["open"] = {**opened, "level": alert["level"]}
        elif event.kind == "alert.snoozed":
            row["open"] = {**opened, "snoozes": _put_off(opened["snoozes"], event, alert["snoozed_until"])}
    return row


def _put_off(before: list[list[str]], event: Recorded, until: date) -> list[list[str]]:
    """The spans in which it is put off: the last word on a day counts."""
    start = local_date(event.occurred_at).isoformat()
    kept = [[a, min(b, start)] for a, b in before if a < start]
    return [*kept, [start, str(until)]]
