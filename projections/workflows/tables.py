"""The tables of the workflows. Rows stay per original relation; merges are combined at the tick and at reading."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Float, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from projections.alert_sight import sight_tables
from projections.contact_same import same_table
from projections.institution import institution_table
from projections.kin import alias_table

metadata = MetaData()

_instant = DateTime(timezone=True)


def _text_key(name: str) -> Column[Any]:
    return Column(name, Text, primary_key=True)


alias = alias_table(metadata)
same = same_table(metadata)
sight_tables(metadata)
institution = institution_table(metadata)

roster = Table(
    "roster",
    metadata,
    Column("whole", Text, primary_key=True, comment="the constant 'all': one group of all relations"),
    _text_key("relation"),
)

pending = Table(
    "pending",
    metadata,
    Column("whole", Text, primary_key=True, comment="the constant 'all'"),
    Column("what", Text, primary_key=True, comment="calendar: every duty is to be settled; gone once that is done"),
)

relation = Table(
    "relation",
    metadata,
    _text_key("relation"),
    Column("version", BigInteger, nullable=False, comment="of its last event here: what is decided is based on it"),
    Column("position", BigInteger, nullable=False, comment="of that event"),
    Column("cause_position", BigInteger, nullable=False, comment="of the last event that a rule looks at"),
    Column("seen_at", _instant, nullable=False, comment="when the last event that changed something was recorded"),
    Column("name", Text),
    Column("name_key", Text(collation="C"), comment="name without case and accents: order"),
    Column("tier", Text),
    Column("owner", Text, comment="reference of an employee"),
    Column("ended_on", Date),
    Column("schedule_until", Date, comment="first day without; null: it has none; 9999-12-31: it holds on"),
    Column("board_line_until", Date),
    Column("plan_until", Date),
    Column("knowledge_until", Date),
    Column("satisfaction_until", Date),
    Column("falling", Boolean, nullable=False, comment="satisfaction fell between the last two quarters with a figure"),
    Column("standing", JSONB, nullable=False, comment="of each part the evidence and what is missing"),
    Column("stale", JSONB, nullable=False, comment="facts that changed in this batch; empty once stored"),
    Index("relation_tier", "tier", "name_key", "relation"),
)

fact = Table(
    "fact",
    metadata,
    _text_key("relation"),
    _text_key("fact"),
    _text_key("id"),
    Column("entries", JSONB, nullable=False, comment="{register: [stamp, on, position, recorded_on, fields]}"),
)

contact = Table(
    "contact",
    metadata,
    _text_key("relation"),
    _text_key("contact"),
    Column("position", BigInteger, comment="of contact.held; null: not held"),
    Column("held_on", Date, comment="null: not held, retracted, or the same as another one"),
    Column("minutes", Integer, nullable=False),
    Column("facts", JSONB, nullable=False),
    Index(
        "contact_held",
        "held_on",
        "relation",
        postgresql_include=["minutes"],
        postgresql_where=text("held_on IS NOT NULL"),
    ),
)

instrument = Table(
    "instrument",
    metadata,
    _text_key("instrument"),
    Column("wording_version", Integer, primary_key=True, autoincrement=False),
    Column("scale_min", Float, nullable=False),
    Column("scale_max", Float, nullable=False),
    Column("low_is_best", Boolean, nullable=False),
    Column("bands", JSONB, nullable=False),
    Column("min_n", Integer, nullable=False),
    Column("position", BigInteger, nullable=False, comment="a score is judged by what was known before it"),
    Column("defined_at", Text, nullable=False, comment="UTC: its wording holds for scores from here on"),
    Column("stamp", JSONB, nullable=False),
)

duty = Table(
    "duty",
    metadata,
    _text_key("relation"),
    _text_key("rule"),
    _text_key("about"),
    Column("wanted", JSONB(none_as_null=True), comment="what should be open, as the facts are; null: nothing"),
    Column("open", JSONB(none_as_null=True), comment="the alert or loop that is open"),
    Column("past", JSONB, nullable=False, comment="{alert or loop: [due_on, resolution or null]} of all ever"),
    Column("check_at", _instant, comment="first instant at which the two differ; null: never"),
    Index("duty_check_at", "check_at", "relation", "rule", "about", postgresql_where=text("check_at IS NOT NULL")),
)

loop = Table(
    "loop",
    metadata,
    _text_key("relation"),
    _text_key("loop"),
    Column("response", Text, nullable=False),
    Column("instrument", Text, nullable=False),
    Column("state", Text, nullable=False, comment="open or closed"),
    Column("due_on", Date, nullable=False),
    Column("level", Integer, nullable=False),
    Column("owner", Text),
    Column("silent", Boolean, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("position", BigInteger, nullable=False, comment="of loop.opened: order of the list"),
    Column("opened_at", _instant, nullable=False),
    Column("followed_up_at", _instant),
    Column("note", Text, comment="token of an encrypted text"),
    Column("closed_at", _instant),
    Column("reason", Text),
    Column("closing_evidence", JSONB, nullable=False),
    Column("hidden", BigInteger, nullable=False, comment="restriction bits of its evidence, see alert_sight.py"),
    Index("loop_loop", "loop"),
    Index("loop_position", "position"),
)

assignment = Table(
    "assignment",
    metadata,
    _text_key("relation"),
    _text_key("team"),
    Column("assigned", Boolean, nullable=False),
    Column("stamp", JSONB, nullable=False),
    Index("assignment_team", "team", "relation", postgresql_where=text("assigned")),
)
