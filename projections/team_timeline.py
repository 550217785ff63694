"""Team timeline: every fact of the relations that a team shares. Fold and live messages; tables and queries beside it.

A fact is one appended row that never changes. What later facts say about it (corrected by, retracted by, who has the
relation now, what it is called) stands in small rows that are joined at reading, so the arrival order does not matter.
An anonymous score gets no row: it shows nowhere singly (SPEC section 6).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from events.in_force import with_withdrawals
from events.recorded import ORGANISATION, Recorded
from projections.alert_sight import RESTRICTED, bits_of, fold_sight, sight_needs
from projections.contact_same import DECLARED, turns
from projections.kin import ALL, KIN_KINDS, fold_alias
from projections.layers import layer_bit, layer_bits
from projections.rows import Group, LiveMessage, Need, One, Projection, Row, Rows
from projections.timeline_tables import metadata
from projections.viewer import DEPARTMENT, NAMED, restriction

_ROLES: Final = {
    "contact.held": "held",
    "contact.planned": "planned",
    "contact.rescheduled": "planned",
    "contact.corrected": "corrected",
    "contact.retracted": "retracted",
    "contact.cancelled": "off",
    "contact.no_show": "off",
}
_ASSIGNMENTS: Final = frozenset({"team.relation_assigned", "team.relation_unassigned"})
_NAMES: Final = frozenset({"relation.registered", "relation.details_changed"})
_TIER: Final = "relation.tier_assigned"
# Whose contact it is: what took place says more than a plan, and what mends it more than that.
_OURS_RANK: Final = {"planned": 0, "held": 1, "corrected": 2}


_KIN: Final = (Group("alias", ALL), Group("kin_team", ALL))


def needs(event: Recorded) -> Iterable[Need]:
    if event.relation == ORGANISATION:
        return [One("team", (event.data["team"],))] if event.kind == "team.formed" else []
    # All teams of the relation: an assignment changes one of them, and `announce` tells them all.
    found: list[Need] = [Group("assignment", event.relation), *_KIN, *sight_needs(event)]
    if event.absorbed is not None:
        found.append(Group("assignment", event.absorbed))
    elif event.kind in _ROLES:
        found.append(One("contact", (event.relation, event.data["contact"])))
    elif event.kind == DECLARED:
        found.append(Group("same", event.relation))
    elif event.withdraws is not None:
        found.append(_entry_of(event))
    elif event.kind in _NAMES or event.kind == _TIER:
        found.append(One("relation", (event.relation,)))
    return found


def evolve(rows: Rows, event: Recorded) -> None:
    if event.relation == ORGANISATION:
        if event.kind == "team.formed":
            _newest(rows, "team", {"team": event.data["team"], "name": event.data["name"], "stamp": event.stamp})
        return
    if event.withdraws is not None and rows.get("entry", *_entry_of(event).key) is not None:
        return  # it came with what it withdraws
    _context(rows, event)
    if not is_anonymous(event):
        rows.put("entry", _entry(rows, event))


def fold_context(rows: Rows, events: Iterable[Recorded]) -> None:
    """What these events, of relations, in the order of the book, give but the entries themselves: who has which
    relation, and what became of each contact."""
    for event, withdrawal in with_withdrawals(events):
        if withdrawal is None:
            _context(rows, event)
        elif event.kind in _ROLES:
            row = _contact_row(rows, event)
            rows.put("contact", {**row, "restricted": row["restricted"] | restriction(event)})


def _context(rows: Rows, event: Recorded) -> None:
    kind = event.kind
    fold_sight(rows, event)
    if kind in _ASSIGNMENTS:
        row: Row = {
            "relation": event.relation, "team": event.data["team"], "assigned": kind == "team.relation_assigned",
            "stamp": event.stamp,
        }  # fmt: skip
        _newest(rows, "assignment", row)
        if any(event.relation in (known["absorbed"], known["survivor"]) for known in rows.group("alias", ALL)):
            _share(rows, event.relation)
    elif kind in KIN_KINDS:
        fold_alias(rows, event)
        for one in (event.relation, event.absorbed):
            _share(rows, one)
    elif kind in _NAMES and "name" in event.data:
        _head(rows, event, "name", "stamp")
    elif kind == _TIER:
        _head(rows, event, "tier", "tier_stamp")
    elif kind in _ROLES:
        _contact(rows, event)
    elif kind == DECLARED:
        turns(rows, event, lambda contact: None)


def evolve_withdrawn(rows: Rows, event: Recorded, withdrawal: Recorded) -> None:
    """A fact that was withdrawn stays in the timeline, as withdrawn, and says nothing about any other."""
    if event.relation == ORGANISATION:
        return
    fold_sight(rows, event)
    if event.kind in _ASSIGNMENTS:
        rows.delete("kin_team", ALL, event.relation, event.data["team"])
        if any(event.relation in (known["absorbed"], known["survivor"]) for known in rows.group("alias", ALL)):
            _share(rows, event.relation)
    elif event.kind in _ROLES:
        row = _contact_row(rows, event)
        rows.put("contact", {**row, "restricted": row["restricted"] | restriction(event)})
    if not is_anonymous(event):
        rows.put("entry", {**_entry(rows, event), "withdrawn": withdrawal.position})
    # What is said about a fact is as restricted as the fact.
    said = _entry(rows, withdrawal)
    rows.put("entry", {**said, "restricted": said["restricted"] | bits_of(rows, event)})


def announce(rows: Rows, event: Recorded) -> Iterable[LiveMessage]:
    """To each team that has the relation now, when the fact is one that the team may see."""
    if event.relation == ORGANISATION or is_anonymous(event) or _hidden(rows, event):
        return []
    body = {"position": event.position, "relation": event.relation, "type": event.type}
    teams = {row["team"] for row in rows.group("assignment", event.relation) if row["assigned"]}
    aliases = rows.group("alias", ALL)
    if aliases:
        roots = {r["root"] for r in aliases if r["absorbed"] in (event.relation, event.absorbed)} - {None}
        roots |= {event.relation, event.absorbed or event.relation}
        members = roots | {r["absorbed"] for r in aliases if r["root"] is not None and r["root"] in roots}
        if len(members) > 1:
            teams |= {r["team"] for r in rows.group("kin_team", ALL) if r["assigned"] and r["relation"] in members}
    return [LiveMessage(f"live.team.{team}", body) for team in sorted(teams)]


def _share(rows: Rows, relation: str | None) -> None:
    for row in rows.group("assignment", relation):
        shared: Row = {"whole": ALL, "relation": relation, "team": row["team"], "assigned": row["assigned"]}
        if rows.get("kin_team", ALL, relation, row["team"]) != shared:
            rows.put("kin_team", shared)


def _hidden(rows: Rows, event: Recorded) -> bool:
    """Left out of a team's timeline altogether: restricted, and no contact that was held."""
    role = _ROLES.get(event.kind)
    restricted = bits_of(rows, event)
    if role == "held":
        return False
    if role in INHERITING:
        row = rows.get("contact", event.relation, event.data["contact"])
        restricted |= 0 if row is None else row["restricted"]
    if event.withdraws is not None:
        row = rows.get("entry", *_entry_of(event).key)
        restricted |= 0 if row is None else row["restricted"]
    return bool(restricted & (DEPARTMENT | NAMED))


# What says something about another fact of the contact is as restricted as the narrowest of the contact's facts.
INHERITING: Final = frozenset({"corrected", "retracted", "off"})


def is_anonymous(event: Recorded) -> bool:
    """An anonymous score: it counts in figures and shows nowhere singly."""
    return event.kind == "satisfaction.scored" and bool(event.data.get("anonymous"))


def role_of(event: Recorded) -> str | None:
    """What the event does to a contact: held, planned, corrected, retracted or off; None for any other fact."""
    return _ROLES.get(event.kind)


def _newest(rows: Rows, table: str, row: Row) -> None:
    key = [row[c.name] for c in metadata.tables[table].primary_key.columns]
    known = rows.get(table, *key)
    if known is None or row["stamp"] > known["stamp"]:
        rows.put(table, row)


def _head(rows: Rows, event: Recorded, field: str, stamp: str) -> None:
    blank: Row = {"relation": event.relation, "name": None, "stamp": None, "tier": None, "tier_stamp": None}
    row = dict(rows.get("relation", event.relation) or blank)
    if row[stamp] is None or event.stamp > row[stamp]:
        rows.put("relation", {**row, field: event.data[field], stamp: event.stamp})


def _contact_row(rows: Rows, event: Recorded) -> Row:
    name = event.data["contact"]
    known = rows.get("contact", event.relation, name)
    return dict(known) if known is not None else {
        "relation": event.relation, "contact": name, "restricted": 0, "employees": [], "layers": 0, "topics": [],
        "held": None, "planned": None, "corrected": None, "retracted": None, "off": None, "stamps": {},
    }  # fmt: skip


def _entry_of(event: Recorded) -> One:
    return One("entry", (event.relation, event.occurred_at, event.position))


def _contact(rows: Rows, event: Recorded) -> None:
    role = _ROLES[event.kind]
    row = _contact_row(rows, event)
    row["restricted"] |= restriction(event)
    row["layers"] |= _layers(event)
    topics = _topics(event)
    if topics:
        row["topics"] = sorted({*row["topics"], *topics})
    ours: list[dict[str, Any]] | None = _said(event).get("ours")
    if ours is not None and role in _OURS_RANK:
        told: list[Any] = [_OURS_RANK[role], event.stamp]
        before: list[Any] | None = row["stamps"].get("employees")
        if before is None or told > before:
            row["employees"] = sorted({one["employee"] for one in ours if one.get("employee") is not None})
            row["stamps"] = {**row["stamps"], "employees": told}
    stamp = row["stamps"].get(role)
    if stamp is None or event.stamp > stamp:
        row[role] = event.position
        row["stamps"] = {**row["stamps"], role: event.stamp}
    rows.put("contact", row)


def _entry(rows: Rows, event: Recorded) -> Row:
    role = _ROLES.get(event.kind)
    return {
        "relation": event.relation, "occurred_at": event.occurred_at, "position": event.position,
        "recorded_at": event.recorded_at, "type": event.type, "family": event.family,
        "department": event.department, "restricted": bits_of(rows, event),
        "contact": None if role is None else event.data["contact"], "role": role, "layers": _layers(event),
        "topics": _topics(event), "detail": event.data, "withdrawn": None,
        "withdraws": event.withdraws,
    }  # fmt: skip


def _said(event: Recorded) -> dict[str, Any]:
    """The payload, of a correction its changes."""
    return event.data["changes"] if event.kind == "contact.corrected" else event.data


def _layers(event: Recorded) -> int:
    data = _said(event)
    sides = [data[name] for name in ("ours", "theirs") if isinstance(data.get(name), list)]  # a link names two people
    bits = 0
    for side in sides:
        bits |= layer_bits(side)
    for field in ("layer", "our_layer", "their_layer"):
        if data.get(field) is not None:
            bits |= layer_bit(data[field])
    return bits


def _topics(event: Recorded) -> list[str] | None:
    return _said(event).get("topics") or None


PROJECTION: Final = Projection(
    name="team_timeline", version=4, metadata=metadata, needs=needs, evolve=evolve, announce=announce,
    kept=frozenset({"alias", "kin_team", RESTRICTED}), evolve_withdrawn=evolve_withdrawn,
)  # fmt: skip
