"""Contact alerts, the part about a relation itself: who it is, its tier, when it ended, which teams have it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from events.recorded import Recorded, instant, iso, local_date
from projections.institution import ALL
from projections.names import name_key
from projections.rows import Row, Rows

# column of the relation's row -> field of the payload, by kind
_REGISTERS: Final[Mapping[str, Mapping[str, str]]] = {
    "relation.registered": {"name": "name", "kind": "kind"},
    "relation.details_changed": {"name": "name", "kind": "kind"},
    "relation.owner_assigned": {"owner": "employee"},
}


class End(NamedTuple):
    """The end of a relation: the first day on which it is ended, and the event that says so."""

    on: date
    position: int
    recorded_at: datetime


def end_of(row: Row) -> End | None:
    """The end that a relation's row knows of."""
    ended: list[Any] | None = row["ended"]
    return None if ended is None else End(date.fromisoformat(ended[1]), ended[2], instant(ended[3]))


def fold_department(rows: Rows, event: Recorded) -> None:
    known = rows.get("department", event.department)
    if known is None or event.recorded_at > known["last_at"]:
        rows.put("department", {"department": event.department, "last_at": event.recorded_at})


def fold_relation(rows: Rows, event: Recorded) -> None:
    """Every event of a relation counts in its row's version."""
    row = _counted(rows, event)
    for column, field in _REGISTERS.get(event.kind, {}).items():
        value = event.data.get(field)
        if value is not None and event.stamp > row["stamps"].get(column, []):
            row[column] = value
            row["stamps"] = {**row["stamps"], column: event.stamp}
            if column == "name":
                row["name_key"] = name_key(value)
    if event.kind == "relation.tier_assigned":
        assigned = [event.stamp, event.data["tier"], event.position, iso(event.recorded_at)]
        row["tiers"] = sorted([t for t in row["tiers"] if t[0] != event.stamp] + [assigned])
        row["tier"] = row["tiers"][-1][1]
    elif event.kind == "relation.ended" and (row["ended"] is None or event.stamp > row["ended"][0]):
        on = local_date(event.occurred_at).isoformat()
        row["ended"] = [event.stamp, on, event.position, iso(event.recorded_at)]
    rows.put("relation", row)


def fold_withdrawn(rows: Rows, event: Recorded, withdrawal: Recorded) -> None:
    """Of a withdrawn event the version is left, and that the due days may follow from its withdrawal."""
    row = _counted(rows, event)
    if withdrawal.position > row["withdrawn_position"]:
        row.update(withdrawn_position=withdrawal.position, withdrawn_at=withdrawal.recorded_at)
    rows.put("relation", row)


def fold_assignment(rows: Rows, event: Recorded) -> None:
    team, stamp = event.data["team"], event.stamp
    known = rows.get("assignment", event.relation, team)
    if known is None or stamp > known["stamp"]:
        assigned = event.kind == "team.relation_assigned"
        rows.put("assignment", {"relation": event.relation, "team": team, "assigned": assigned, "stamp": stamp})


def _counted(rows: Rows, event: Recorded) -> Row:
    """The relation's row with this event counted, to be put; a new one, and its place in the roster, at the first."""
    known: Row | None = rows.get("relation", event.relation)
    if known is None:
        rows.put("roster", {"whole": ALL, "relation": event.relation})
        known = {
            "relation": event.relation, "version": 0, "name": None, "name_key": None, "kind": None, "tier": None,
            "tiers": [], "ended": None, "owner": None, "stamps": {}, "withdrawn_position": 0, "withdrawn_at": None,
            "root": event.relation,
        }  # fmt: skip
    return {**known, "version": max(known["version"], event.version)}
