"""Contact alerts: what each schedule line follows from, its alerts, and when to look at it again.

The fold reads no clock. After each batch `settle` computes, for every line that the batch touched, the first instant
at which its alerts are not what they should be (`check_at`); the alert service asks for the lines whose instant has
come and publishes what `alert_rule.decide` says. So a tick costs what is due, not what exists.

Facts that replace each other take effect by `Recorded.stamp`: the same facts give the same rows in any order, but for
positions and recorded times. The book's own `alert.*` events have one writer and apply in the order of the book.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from datetime import date
from functools import partial
from typing import Any, Final

from events.recorded import ORGANISATION, Recorded, instant, iso, local_date
from projections import contact_facts, line_facts
from projections.alert_rule import anchor_on, settle_line
from projections.alert_tables import metadata
from projections.contact_facts import CONTACT_KINDS
from projections.due import LEAD_WORKING_DAYS
from projections.line_facts import LINE_KINDS
from projections.rows import Group, Need, One, Projection, Row, Rows
from projections.working_calendar import WorkingCalendar

_ALERT_KINDS: Final = frozenset(
    f"alert.{verb}" for verb in ("raised", "resolved", "reopened", "acknowledged", "snoozed", "escalated")
)
_ASSIGNMENT_KINDS: Final = frozenset({"team.relation_assigned", "team.relation_unassigned"})
_NOTHING: Final[dict[str, list[Any]]] = {}
# column of the relation's row -> field of the payload, by kind
_REGISTERS: Final[Mapping[str, Mapping[str, str]]] = {
    "relation.registered": {"name": "name"},
    "relation.details_changed": {"name": "name"},
    "relation.tier_assigned": {"tier": "tier"},
    "relation.owner_assigned": {"owner": "employee"},
}


def needs(event: Recorded) -> Iterable[Need]:
    """The rows that `evolve` reads for this event."""
    if event.relation == ORGANISATION:
        return ()
    relation, kind = One("relation", (event.relation,)), event.kind
    if kind in CONTACT_KINDS:
        contact = One("contact", (event.relation, event.data["contact"]))
        return relation, contact, Group("bucket", event.relation), Group("line", event.relation)
    if kind in LINE_KINDS:
        return relation, One("line", (event.relation, event.data["line"]))
    if kind in _ALERT_KINDS:
        alert = One("alert", (event.relation, event.data["alert"]))
        return relation, alert, Group("line", event.relation), Group("bucket", event.relation)
    if kind in _ASSIGNMENT_KINDS:
        return relation, One("assignment", (event.relation, event.data["team"]))
    return (relation,)


def settle_needs(relation: str) -> Iterable[Need]:
    return Group("line", relation), Group("bucket", relation)


def evolve(rows: Rows, event: Recorded) -> None:
    """Folds one event in. Events of one relation come in the order of the book."""
    if event.relation == ORGANISATION:
        return
    kind = event.kind
    _relation(rows, event, _REGISTERS.get(kind, {}))
    if kind in CONTACT_KINDS:
        _contact(rows, event)
    elif kind in LINE_KINDS:
        _line(rows, event)
    elif kind in _ALERT_KINDS:
        _alert(rows, event)
    elif kind in _ASSIGNMENT_KINDS:
        _assignment(rows, event)


def settle(rows: Rows, relations: Iterable[str], *, calendar: WorkingCalendar, lead_working_days: int) -> None:
    """Recomputes when to look again at the lines that changed."""
    for relation in relations:
        for known in list(rows.group("line", relation)):
            if known["stale"]:
                row = {**known, "stale": False}
                bucket = None if row["pair"] is None else rows.get("bucket", relation, row["pair"])
                settle_line(row, bucket, calendar, lead_working_days)
                rows.put("line", row)


def build(calendar: WorkingCalendar, lead_working_days: int = LEAD_WORKING_DAYS) -> Projection:
    """The projection for an institution's calendar and lead."""
    return Projection(
        name="contact_alerts",
        version=1,
        metadata=metadata,
        needs=needs,
        evolve=evolve,
        settle=partial(settle, calendar=calendar, lead_working_days=lead_working_days),
        settle_needs=settle_needs,
    )


PROJECTION: Final = build(WorkingCalendar())


def _relation(rows: Rows, event: Recorded, registers: Mapping[str, str]) -> None:
    known: Row = rows.get("relation", event.relation) or {
        "relation": event.relation, "version": 0, "name": None, "tier": None, "owner": None, "stamps": {},
    }  # fmt: skip
    row: Row = {**known, "version": max(known["version"], event.version)}
    for column, field in registers.items():
        value = event.data.get(field)
        if value is not None and event.stamp > row["stamps"].get(column, []):
            row[column] = value
            row["stamps"] = {**row["stamps"], column: event.stamp}
    rows.put("relation", row)


def _assignment(rows: Rows, event: Recorded) -> None:
    team, stamp = event.data["team"], event.stamp
    known = rows.get("assignment", event.relation, team)
    if known is None or stamp > known["stamp"]:
        assigned = event.kind == "team.relation_assigned"
        rows.put("assignment", {"relation": event.relation, "team": team, "assigned": assigned, "stamp": stamp})


def _contact(rows: Rows, event: Recorded) -> None:
    contact = event.data["contact"]
    before: Row = rows.get("contact", event.relation, contact) or {
        "relation": event.relation, "contact": contact, "position": None, "pairs": 0, "channel": None, "held_on": None,
        "starts_at": None, "ends_at": None, "facts": {},
    }  # fmt: skip
    facts = contact_facts.add_fact(before["facts"], event)
    now = contact_facts.derive(facts)
    starts_at = now["starts_at"] if now["state"] == "planned" else None
    after: Row = {
        **before, "facts": facts, "pairs": now["pairs"], "channel": now["channel"],
        "held_on": now["held_on"] if now["counted"] else None,
        "starts_at": None if starts_at is None else iso(starts_at),
        "ends_at": None if starts_at is None else iso(now["ends_at"] or starts_at),
    }  # fmt: skip
    if event.kind == "contact.held" and after["position"] is None:
        after["position"] = event.position
    rows.put("contact", after)
    changed = _move(rows, event.relation, before, after)
    if changed:
        channels = {before["channel"], after["channel"]}
        for line in list(rows.group("line", event.relation)):
            accepted = line["channels"] is None or not channels.isdisjoint(line["channels"])
            if line["pair"] is not None and line["pair"] & changed and accepted:
                rows.put("line", _caused(line, event))


def _move(rows: Rows, relation: str, before: Row, after: Row) -> int:
    """Takes what a contact was out of its buckets and puts in what it is; the bits of the pairs where that differs."""
    was, is_ = _entries(before), _entries(after)
    if was == is_ and before["pairs"] == after["pairs"]:
        return 0
    changed, left = 0, before["pairs"] | after["pairs"]
    while left:
        pair = left & -left
        left ^= pair
        out = was if before["pairs"] & pair else _NOTHING
        into = is_ if after["pairs"] & pair else _NOTHING
        if out == into:
            continue
        changed |= pair
        known = rows.get("bucket", relation, pair) or {"relation": relation, "pair": pair, "dates": [], "meetings": []}
        row = dict(known)
        for column, entry in out.items():
            row[column] = _without(row[column], entry)
        for column, entry in into.items():
            row[column] = _with(row[column], entry)
        rows.put("bucket", row)
    return changed


def _entries(contact: Row) -> dict[str, list[Any]]:
    if contact["held_on"] is not None:
        return {"dates": [contact["held_on"].isoformat(), contact["position"], contact["channel"]]}
    if contact["starts_at"] is not None:
        return {"meetings": [contact["contact"], contact["starts_at"], contact["ends_at"], contact["channel"]]}
    return {}


def _with(entries: list[Any], entry: list[Any]) -> list[Any]:
    entries = list(entries)
    insort(entries, entry)
    return entries


def _without(entries: list[Any], entry: list[Any]) -> list[Any]:
    at = bisect_left(entries, entry)
    return [*entries[:at], *entries[at + 1 :]] if entries[at : at + 1] == [entry] else entries


def _line(rows: Rows, event: Recorded) -> None:
    line = event.data["line"]
    known: Row = rows.get("line", event.relation, line) or {
        "relation": event.relation, "line": line, "facts": {}, "positions": {}, "cause_position": 0,
        "cause_at": event.recorded_at, "seen_at": event.recorded_at, "open": None, "alerts": {},
        "last_overdue_on": None, "check_at": None, "overdue_from": None, "overdue_on": None, "stale": True,
    }  # fmt: skip
    facts = line_facts.add_fact(known["facts"], event)
    positions: dict[str, Any] = dict(known["positions"])
    name = {"schedule.line_set": "set", "schedule.line_ended": "ended"}.get(event.kind)
    if name is not None and facts.get(name) != known["facts"].get(name):
        positions[name] = event.position
    if event.kind in ("schedule.line_paused", "schedule.line_resumed"):
        positions["pauses"] = [*positions.get("pauses", ()), event.position]
    rows.put("line", _caused({**known, **line_facts.derive(facts), "facts": facts, "positions": positions}, event))


def _caused(row: Row, event: Recorded) -> Row:
    cause_at, seen_at = max(row["cause_at"], event.recorded_at), max(row["seen_at"], event.recorded_at)
    position = max(row["cause_position"], event.position)
    return {**row, "cause_position": position, "cause_at": cause_at, "seen_at": seen_at, "stale": True}


def _raised(event: Recorded) -> Row:
    data = event.data
    return {
        "relation": event.relation, "alert": data["alert"], "rule": data["rule"], "rule_version": data["rule_version"],
        "line": data.get("line"), "state": "open", "due_on": date.fromisoformat(data["due_on"]),
        "overdue_on": date.fromisoformat(data["overdue_on"]), "last_ok_on": date.fromisoformat(data["last_ok_on"]),
        "owner": data.get("owner"), "level": data.get("level", 0), "evidence": data["evidence"],
        "silent": data["silent"], "raised_at": event.recorded_at, "position": event.position, "resolved_at": None,
        "resolution": None, "resolution_evidence": [], "acknowledged_at": None, "snoozed_until": None,
    }  # fmt: skip


def _changes(event: Recorded) -> dict[str, Any]:
    data = event.data
    match event.kind:
        case "alert.resolved":
            evidence = data.get("evidence", [])
            return {
                "state": "resolved", "resolved_at": event.recorded_at, "resolution": data["reason"],
                "resolution_evidence": evidence, "level": 0, "acknowledged_at": None, "snoozed_until": None,
            }  # fmt: skip
        case "alert.reopened":
            return {
                "state": "open", "evidence": data["evidence"], "silent": data["silent"], "resolved_at": None,
                "resolution": None, "resolution_evidence": [],
            }  # fmt: skip
        case "alert.acknowledged":
            return {"acknowledged_at": event.occurred_at}
        case "alert.snoozed":
            return {"snoozed_until": local_date(instant(data["until"]))}
        case _:
            return {"level": data["level"]}


def _alert(rows: Rows, event: Recorded) -> None:
    known = rows.get("alert", event.relation, event.data["alert"])
    row = _raised(event) if event.kind == "alert.raised" else {**_found(known), **_changes(event)}
    rows.put("alert", row)
    line = None if row["line"] is None else rows.get("line", event.relation, row["line"])
    if line is not None and event.kind in ("alert.raised", "alert.resolved", "alert.reopened"):
        bucket = None if line["pair"] is None else rows.get("bucket", event.relation, line["pair"])
        rows.put("line", _turned(line, bucket, row, event))


def _found(row: Row | None) -> Row:
    if row is None:
        # A gap in the book: parks the relation.
        raise LookupError("an alert that was never raised")
    return row


def _turned(line: Row, bucket: Row | None, alert: Row, event: Recorded) -> Row:
    """The line's row with this alert opened or closed."""
    resolution: str | None = alert["resolution"]
    alerts = {**line["alerts"], str(alert["due_on"]): [alert["alert"], resolution]}
    row: Row = {**line, "alerts": alerts, "seen_at": max(line["seen_at"], event.recorded_at), "stale": True}
    if resolution is None:
        row["open"] = {
            "alert": alert["alert"], "rule_version": alert["rule_version"], "position": event.position,
            "anchor_on": str(anchor_on(line, bucket, alert["due_on"], alert["last_ok_on"])),
            **{name: str(alert[name]) for name in ("due_on", "last_ok_on", "overdue_on")},
        }  # fmt: skip
    elif row["open"] is not None and row["open"]["alert"] == alert["alert"]:
        row["open"] = None
        row["last_overdue_on"] = alert["overdue_on"]
    return row
