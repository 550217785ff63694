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

from projections.agreement_facts import agreement_table
from projections.alert_sight import sight_tables
from projections.attention_sums import spent_table
from projections.contact_same import same_table
from projections.institution import institution_table
from projections.kin import alias_table
from projections.satisfaction_facts import instrument_table, loop_table, response_table
from projections.staff import employee_table, member_table

metadata = MetaData()

alias = alias_table(metadata)
same = same_table(metadata)

FOLD: Final = {"fold": True}
APART: Final = {"apart": True}  # a table that is not read with the relation
sight_tables(metadata, APART)
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
    Column("tier_on", Date, comment="since when it has this tier"),
    Column("ended_on", Date),
    Column("end_reason", Text),
    Column("tier_hidden", BigInteger, nullable=False, comment="restriction bits of what the tier rests on"),
    Column("ended_hidden", BigInteger, nullable=False, comment="restriction bits of `end_reason`"),
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
    Column("counted", Boolean, nullable=False, comment="held, not retracted, and no other counts for it"),
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
    Column("their_person", Text, comment="the person that the contact is with, where it is about one"),
    Column("pair", Integer),
    Column("cadence", JSONB(none_as_null=True)),
    Column("channels", JSONB(none_as_null=True), comment="null: any channel"),
    Column("starts_on", Date),
    Column("grace_working_days", Integer),
    Column("owner", Text),
    Column("ended_on", Date),
    Column("pauses", JSONB, nullable=False, comment="[[from, until or null]]: the first day, the first day after it"),
    Column("hidden", BigInteger, nullable=False, comment="restriction bits of what it stands on, see line_facts.py"),
    Column("facts", JSONB, nullable=False, info=FOLD),
)

alert = Table(
    "alert",
    metadata,
    _text_key("relation"),
    _text_key("alert"),
    Column("rule", Text),
    Column("about", Text, comment="which one of what the rule looks at, see rule_names.py"),
    Column("line", Text),
    Column("state", Text, nullable=False, comment="open or resolved"),
    Column("level", Integer, nullable=False),
    Column("due_on", Date),
    Column("overdue_on", Date),
    Column("raised_on", Date),
    Column("acknowledged", Boolean, nullable=False),
    Column("snoozed_until", Date),
    Column("hidden", BigInteger, nullable=False, comment="restriction bits of its evidence, see alert_sight.py"),
    Index("alert_open", "relation", postgresql_where=text("state = 'open'")),
)

spent = spent_table(metadata)
instrument = instrument_table(metadata)
response = response_table(metadata)
loop = loop_table(metadata)
agreement = agreement_table(metadata)
institution = institution_table(metadata)
employee = employee_table(metadata)
member = member_table(metadata)

plan = Table(
    "plan",
    metadata,
    _text_key("relation"),
    _text_key("plan"),
    Column("started_on", Date, nullable=False, comment="day of the earliest fact of the plan"),
    Column("template", Text),
    Column("horizon_on", Date),
    Column("drafted_on", Date),
    Column("approved_on", Date),
    Column("superseded_on", Date),
    Column("superseded_by", Text),
    Column("hidden", BigInteger, nullable=False, comment="restriction bits of what drafted, approved, superseded it"),
    Column("facts", JSONB, nullable=False, info=FOLD),
)

answer = Table(
    "answer",
    metadata,
    _text_key("relation"),
    _text_key("plan"),
    _text_key("question"),
    Column("answer", Text, nullable=False),
    Column("answered_on", Date, nullable=False),
    Column("hidden", BigInteger, nullable=False, comment="restriction bits, see viewer.py"),
    Column("position", BigInteger, nullable=False),
    _stamp(),
)

# Every answer that was ever given: read for the history of a plan only, not with the relation.
answer_version = Table(
    "answer_version",
    metadata,
    _text_key("relation"),
    _text_key("plan"),
    _text_key("question"),
    _text_key("fact"),
    Column("answer", Text, nullable=False),
    Column("answered_on", Date, nullable=False),
    Column("recorded_at", _instant, nullable=False),
    Column("department", Text, nullable=False),
    Column("actor", Text, comment="who changed it, as the department names them"),
    Column("hidden", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("stamp", JSONB, nullable=False),
    info=APART,
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
    Column("marketing", Boolean, nullable=False),
    Column("deferred_on", Date, comment="day of its latest deferral"),
    Column("ended_on", Date, comment="completed or dropped"),
    Column("reason", Text, comment="of its deferral or dropping"),
    Column("hidden", BigInteger, nullable=False),
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
    Column("hidden", BigInteger, nullable=False),
    _stamp(),
)

measured = Table(
    "measured",
    metadata,
    _text_key("relation"),
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("revenue_cents", BigInteger, nullable=False),
    Column("share_pct", Float, nullable=False),
    Column("measured_on", Date, nullable=False),
    Column("hidden", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    _stamp(),
)

link = Table(
    "link",
    metadata,
    _text_key("relation"),
    _text_key("ours"),
    _text_key("theirs"),
    Column("coverage", Text, nullable=False, comment="none, thin, adequate, strong"),
    Column("basis", Text),
    Column("assessed_on", Date, nullable=False),
    Column("hidden", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
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
    Column("hidden", BigInteger, nullable=False),
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
    Column("departed_on", Date, comment="null: has not left"),
    Column("moved_on", Date, comment="since when in this layer, where a move brought the person there"),
    Column("hidden", BigInteger, nullable=False, comment="restriction bits of all its events, see viewer.py"),
    Column("present_hidden", BigInteger, nullable=False, comment="of the event that `present` follows from"),
    Column("layer_hidden", BigInteger, nullable=False, comment="of the event that `layer` follows from"),
    Column("stamps", JSONB, nullable=False, info=FOLD),
)

assignment = Table(
    "assignment",
    metadata,
    _text_key("relation"),
    _text_key("team"),
    Column("assigned", Boolean, nullable=False),
    Column("stamp", JSONB(none_as_null=True), comment="which team was assigned first"),
    Index("assignment_team", "team", "relation", postgresql_where=text("assigned")),
)
