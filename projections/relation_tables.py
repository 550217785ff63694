"""The tables of the relation view. Rows stay per original relation; what depends on today is computed at reading.

Columns marked `fold` keep the facts from which the others follow, in whatever order they arrived; reading skips them.
A `stamp` is `Recorded.stamp`: the greater replaces the smaller.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

FOLD: Final = {"fold": True}
_instant = DateTime(timezone=True)


def _text_key(name: str) -> Column[Any]:
    return Column(name, Text, primary_key=True)


def _stamp() -> Column[Any]:
    return Column("stamp", JSONB(none_as_null=True), info=FOLD)


relation = Table(
    "relation",
    metadata,
    _text_key("relation"),
    Column("version", BigInteger, nullable=False, comment="number of events of the relation"),
    Column("name", Text, comment="null: events, but not registered yet"),
    Column("name_key", Text(collation="C"), comment="name without case and accents: order and search"),
    Column("kind", Text),
    Column("region", Text),
    Column("parent", Text),
    Column("tier", Text),
    Column("tier_arguments", JSONB, nullable=False),
    Column("tier_review_on", Date),
    Column("owner", Text, comment="reference of an employee"),
    Column("identifiers", JSONB, nullable=False, comment="[{scheme, value, department for local ones}]"),
    Column("contacts_total", Integer, nullable=False),
    Column("minutes_total", BigInteger, nullable=False),
    Column("stamps", JSONB, nullable=False, info=FOLD),
    Index("relation_name", "name_key", "relation"),
)

contact = Table(
    "contact",
    metadata,
    _text_key("relation"),
    _text_key("contact"),
    Column("state", Text, nullable=False, comment="unknown, planned, cancelled, no_show, held, retracted"),
    Column("counted", Boolean, nullable=False, comment="held and not retracted"),
    Column("held_at", _instant),
    Column("held_on", Date, comment="the day of held_at in Amsterdam"),
    Column("minutes", Integer, nullable=False),
    Column("channel", Text),
    Column("activity", Text),
    Column("our_layers", SmallInteger, nullable=False, comment="bits, see layers.py"),
    Column("pairs", Integer, nullable=False, comment="bits of the layer pairs that met"),
    Column("starts_at", _instant, comment="of a meeting that is planned"),
    Column("ends_at", _instant),
    Column("facts", JSONB, nullable=False, info=FOLD),
    Index(
        "contact_counted",
        "relation",
        "held_on",
        postgresql_include=["held_at", "minutes", "pairs", "channel"],
        postgresql_where=text("counted"),
    ),
)

line = Table(
    "line",
    metadata,
    _text_key("relation"),
    _text_key("line"),
    Column("our_layer", Text, comment="null: not set yet"),
    Column("their_layer", Text),
    Column("pair", Integer),
    Column("cadence", JSONB(none_as_null=True)),
    Column("channels", JSONB(none_as_null=True), comment="null: any channel"),
    Column("starts_on", Date),
    Column("grace_working_days", Integer),
    Column("owner", Text),
    Column("ended_on", Date),
    Column("pauses", JSONB, nullable=False, comment="[[from, until or null]]: the first day, the first day after it"),
    Column("facts", JSONB, nullable=False, info=FOLD),
)

alert = Table(
    "alert",
    metadata,
    _text_key("relation"),
    _text_key("alert"),
    Column("rule", Text),
    Column("line", Text),
    Column("state", Text, nullable=False, comment="open or resolved"),
    Column("level", Integer, nullable=False),
    Column("due_on", Date),
    Column("overdue_on", Date),
    Column("raised_on", Date),
    Column("acknowledged", Boolean, nullable=False),
    Column("snoozed_until", Date),
    Index("alert_open", "relation", postgresql_where=text("state = 'open'")),
)

instrument = Table(
    "instrument",
    metadata,
    _text_key("instrument"),
    Column("wording_version", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("scale_min", Float, nullable=False),
    Column("scale_max", Float, nullable=False),
    Column("low_is_best", Boolean, nullable=False),
    Column("bands", JSONB, nullable=False),
    Column("min_n", Integer, nullable=False),
    Column("defined_at", _instant, nullable=False, comment="its wording holds for scores from here on"),
    _stamp(),
)

response = Table(
    "response",
    metadata,
    _text_key("relation"),
    _text_key("response"),
    Column("instrument", Text, nullable=False),
    Column("score", Float, nullable=False),
    Column("scored_at", _instant, nullable=False),
    _stamp(),
)

plan = Table(
    "plan",
    metadata,
    _text_key("relation"),
    _text_key("plan"),
    Column("started_on", Date, nullable=False, comment="day of the earliest fact of the plan"),
    Column("approved_on", Date),
    _stamp(),
)

answer = Table(
    "answer",
    metadata,
    _text_key("relation"),
    _text_key("plan"),
    _text_key("question"),
    Column("answer", Text, nullable=False),
    Column("answered_on", Date, nullable=False),
    _stamp(),
)

action = Table(
    "action",
    metadata,
    _text_key("relation"),
    _text_key("action"),
    Column("plan", Text),
    Column("what", Text, comment="null: not agreed yet"),
    Column("owner", Text),
    Column("due_on", Date),
    Column("state", Text, nullable=False, comment="open, completed, dropped"),
    Column("facts", JSONB, nullable=False, info=FOLD),
)

knowledge = Table(
    "knowledge",
    metadata,
    _text_key("relation"),
    _text_key("item"),
    Column("text", Text),
    Column("valid_until", Date),
    Column("recorded_on", Date, nullable=False),
    _stamp(),
)

commitment = Table(
    "commitment",
    metadata,
    _text_key("relation"),
    _text_key("commitment"),
    Column("by", Text),
    Column("what", Text),
    Column("due_on", Date),
    Column("state", Text, nullable=False, comment="open, fulfilled, broken, released"),
    Column("facts", JSONB, nullable=False, info=FOLD),
)

counterpart = Table(
    "counterpart",
    metadata,
    _text_key("relation"),
    _text_key("person"),
    Column("name", Text),
    Column("function", Text),
    Column("layer", Text),
    Column("decision_role", Text),
    Column("present", Boolean, nullable=False),
    _stamp(),
)

assignment = Table(
    "assignment",
    metadata,
    _text_key("relation"),
    _text_key("team"),
    Column("assigned", Boolean, nullable=False),
    _stamp(),
    Index("assignment_team", "team", "relation", postgresql_where=text("assigned")),
)
