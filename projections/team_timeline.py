"""Team timeline: every fact of the relations that a team shares. Tables, fold, live messages; queries beside it.

A fact is one appended row that never changes. What later facts say about it (corrected by, retracted by, who has the
relation now, what it is called) stands in small rows that are joined at reading, so the arrival order does not matter.
An anonymous score gets no row: it shows nowhere singly (SPEC section 6).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from events.recorded import ORGANISATION, Recorded
from projections.layers import layer_bit, layer_bits
from projections.rows import Group, LiveMessage, Need, One, Projection, Row, Rows
from projections.viewer import DEPARTMENT, NAMED, restriction

metadata = MetaData()

_instant = DateTime(timezone=True)

relation = Table(
    "relation",
    metadata,
    Column("relation", Text, primary_key=True),
    Column("name", Text),
    Column("stamp", JSONB, nullable=False),
)

team = Table(
    "team",
    metadata,
    Column("team", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("stamp", JSONB, nullable=False),
)

assignment = Table(
    "assignment",
    metadata,
    Column("relation", Text, primary_key=True),
    Column("team", Text, primary_key=True),
    Column("assigned", Boolean, nullable=False),
    Column("stamp", JSONB, nullable=False),
    Index("assignment_team", "team", "relation", postgresql_where=text("assigned")),
)

contact = Table(
    "contact",
    metadata,
    Column("relation", Text, primary_key=True),
    Column("contact", Text, primary_key=True),
    Column("restricted", SmallInteger, nullable=False, comment="bits of all its facts, see viewer.py"),
    Column("layers", SmallInteger, nullable=False, comment="bits of all its facts, both sides, see layers.py"),
    Column("topics", JSONB, nullable=False, comment="of all its facts"),
    Column("held", BigInteger, comment="position of contact.held"),
    Column("planned", BigInteger, comment="position of the plan that stands"),
    Column("corrected", BigInteger, comment="position of the last correction"),
    Column("retracted", BigInteger),
    Column("off", BigInteger, comment="position of the last cancellation or no-show"),
    Column("stamps", JSONB, nullable=False, comment="of the five before"),
)

# Columns that the index of the primary key holds too, so that filters read the index only.
BESIDE_KEY: Final = ("department", "family", "role", "restricted", "layers", "contact")

# The primary key is the order of a relation's timeline, so that paging needs no second index for it.
entry = Table(
    "entry",
    metadata,
    Column("relation", Text, nullable=False),
    Column("occurred_at", _instant, nullable=False),
    Column("position", BigInteger, nullable=False, autoincrement=False),
    Column("recorded_at", _instant, nullable=False),
    Column("type", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("restricted", SmallInteger, nullable=False, comment="bits, see viewer.py"),
    Column("contact", Text, comment="the contact that it is about"),
    Column("role", Text, comment="held, planned, corrected, retracted, off: what it does to the contact"),
    Column("layers", SmallInteger, nullable=False, comment="bits, both sides"),
    Column("topics", JSONB(none_as_null=True)),
    Column("detail", JSONB, nullable=False, comment="the stored payload"),
    PrimaryKeyConstraint(
        "relation",
        "occurred_at",
        "position",
        postgresql_include=list(BESIDE_KEY),
    ),
    Index("entry_position", "position"),
)

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


def needs(event: Recorded) -> Iterable[Need]:
    if event.relation == ORGANISATION:
        return [One("team", (event.data["team"],))] if event.kind == "team.formed" else []
    # All teams of the relation: an assignment changes one of them, and `announce` tells them all.
    found: list[Need] = [Group("assignment", event.relation)]
    if event.kind in _ROLES:
        found.append(One("contact", (event.relation, event.data["contact"])))
    elif event.kind in _NAMES:
        found.append(One("relation", (event.relation,)))
    return found


def evolve(rows: Rows, event: Recorded) -> None:
    if event.relation == ORGANISATION:
        if event.kind == "team.formed":
            _newest(rows, "team", {"team": event.data["team"], "name": event.data["name"], "stamp": event.stamp})
        return
    kind = event.kind
    if kind in _ASSIGNMENTS:
        row: Row = {
            "relation": event.relation, "team": event.data["team"], "assigned": kind == "team.relation_assigned",
            "stamp": event.stamp,
        }  # fmt: skip
        _newest(rows, "assignment", row)
    elif kind in _NAMES and "name" in event.data:
        _newest(rows, "relation", {"relation": event.relation, "name": event.data["name"], "stamp": event.stamp})
    elif kind in _ROLES:
        _contact(rows, event)
    if not is_anonymous(event):
        rows.put("entry", _entry(event))


def announce(rows: Rows, event: Recorded) -> Iterable[LiveMessage]:
    """To each team that has the relation now, when the fact is one that the team may see."""
    if event.relation == ORGANISATION or is_anonymous(event) or _hidden(rows, event):
        return []
    body = {"position": event.position, "relation": event.relation, "type": event.type}
    return [
        LiveMessage(f"live.team.{row['team']}", body)
        for row in rows.group("assignment", event.relation)
        if row["assigned"]
    ]


def _hidden(rows: Rows, event: Recorded) -> bool:
    """Left out of a team's timeline altogether: restricted, and no contact that was held."""
    role = _ROLES.get(event.kind)
    restricted = restriction(event.visibility)
    if role == "held":
        return False
    if role in INHERITING:
        row = rows.get("contact", event.relation, event.data["contact"])
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


def _contact(rows: Rows, event: Recorded) -> None:
    name, role = event.data["contact"], _ROLES[event.kind]
    known = rows.get("contact", event.relation, name)
    row: Row = dict(known) if known is not None else {
        "relation": event.relation, "contact": name, "restricted": 0, "layers": 0, "topics": [], "held": None,
        "planned": None, "corrected": None, "retracted": None, "off": None, "stamps": {},
    }  # fmt: skip
    row["restricted"] |= restriction(event.visibility)
    row["layers"] |= _layers(event)
    topics = _topics(event)
    if topics:
        row["topics"] = sorted({*row["topics"], *topics})
    stamp = row["stamps"].get(role)
    if stamp is None or event.stamp > stamp:
        row[role] = event.position
        row["stamps"] = {**row["stamps"], role: event.stamp}
    rows.put("contact", row)


def _entry(event: Recorded) -> Row:
    role = _ROLES.get(event.kind)
    return {
        "relation": event.relation, "occurred_at": event.occurred_at, "position": event.position,
        "recorded_at": event.recorded_at, "type": event.type, "family": event.family,
        "department": event.department, "restricted": restriction(event.visibility),
        "contact": None if role is None else event.data["contact"], "role": role, "layers": _layers(event),
        "topics": _topics(event), "detail": event.data,
    }  # fmt: skip


def _said(event: Recorded) -> dict[str, Any]:
    """The payload, of a correction its changes."""
    return event.data["changes"] if event.kind == "contact.corrected" else event.data


def _layers(event: Recorded) -> int:
    data = _said(event)
    bits = layer_bits(data.get("ours") or ()) | layer_bits(data.get("theirs") or ())
    for field in ("layer", "our_layer", "their_layer"):
        if data.get(field) is not None:
            bits |= layer_bit(data[field])
    return bits


def _topics(event: Recorded) -> list[str] | None:
    return _said(event).get("topics") or None


PROJECTION: Final = Projection(
    name="team_timeline", version=1, metadata=metadata, needs=needs, evolve=evolve, announce=announce
)
