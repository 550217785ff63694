"""The tables of the contact alerts. Rows stay per original relation; what depends on today is computed at reading.

A `bucket` holds what a line's evaluation needs of all contacts between two layers, so that no contact row is read for
it. `facts` and `stamps` keep what the other columns follow from, in whatever order it arrived. Columns that a merge, a
policy, the working calendar or an alert under another relation can change are made anew by `alert_settle` from these
rows alone: the same rows give the same columns, however the events were cut into batches.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from projections.alert_sight import sight_tables
from projections.contact_same import same_table
from projections.institution import institution_table
from projections.kin import alias_table
from projections.staff import employee_table, member_table

metadata = MetaData()

alias = alias_table(metadata)
institution = institution_table(metadata)
same = same_table(metadata)
sight_tables(metadata)

_instant = DateTime(timezone=True)


def _text_key(name: str) -> Column[Any]:
    return Column(name, Text, primary_key=True)


relation = Table(
    "relation",
    metadata,
    _text_key("relation"),
    Column("version", BigInteger, nullable=False, comment="of the relation's last event: what an alert is based on"),
    Column("name", Text),
    Column("name_key", Text(collation="C"), comment="name without case and accents: order"),
    Column("kind", Text),
    Column("tier", Text),
    Column("tiers", JSONB, nullable=False, comment="[[stamp, tier, position, recorded]], ascending"),
    Column("ended", JSONB(none_as_null=True), comment="[stamp, date, position, recorded] of its end; null: it goes on"),
    Column("owner", Text, comment="reference of an employee: whose an unowned line is"),
    Column("stamps", JSONB, nullable=False),
    Column("withdrawn_position", BigInteger, nullable=False, comment="of the last withdrawal of one of its events; 0"),
    Column("withdrawn_at", _instant),
    Column("root", Text, nullable=False, comment="whom its lines count for: itself, or who absorbed it"),
    Index("relation_root", "root"),
    Index("relation_name", "name_key", "relation"),
)

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
    Column("what", Text, primary_key=True, comment="institution: every line is to be settled; gone once that is done"),
)

kinship = Table(
    "kinship",
    metadata,
    Column("whole", Text, primary_key=True, comment="the constant 'all'"),
    _text_key("member"),
    Column("position", BigInteger, nullable=False, comment="of the last merge or unmerge that named it"),
)

lodging = Table(
    "lodging",
    metadata,
    Column("whole", Text, primary_key=True, comment="the constant 'all'"),
    Column("host", Text, primary_key=True, comment="relation under which alerts were raised"),
    Column("guest", Text, primary_key=True, comment="relation whose lines those were about"),
)

counterpart = Table(
    "counterpart",
    metadata,
    _text_key("relation"),
    _text_key("person"),
    Column("facts", JSONB, nullable=False, comment="gone, layer: [stamp, value, date, kind, position]"),
)

employee = employee_table(metadata)
member = member_table(metadata)

department = Table(
    "department",
    metadata,
    _text_key("department"),
    Column("last_at", _instant, nullable=False, comment="when its last event was recorded"),
)

contact = Table(
    "contact",
    metadata,
    _text_key("relation"),
    _text_key("contact"),
    Column("position", BigInteger, comment="of contact.held; null: not held"),
    Column("pairs", Integer, nullable=False, comment="bits of the layer pairs, see layers.py"),
    Column("channel", Text),
    Column("held_on", Date, comment="null: not held, or retracted"),
    Column("starts_at", Text, comment="UTC; of a meeting that is planned and not called off"),
    Column("ends_at", Text),
    Column("facts", JSONB, nullable=False),
)

foreign = Table(
    "foreign_alert",
    metadata,
    _text_key("relation"),
    Column("guest", Text, primary_key=True, comment="relation of the line; `relation` is where the alerts are"),
    _text_key("line"),
    Column("open", JSONB(none_as_null=True)),
    Column("alerts", JSONB, nullable=False),
    Column("last_overdue_on", Date),
    Column("seen_at", _instant, nullable=False),
)

bucket = Table(
    "bucket",
    metadata,
    _text_key("relation"),
    Column("pair", Integer, primary_key=True, autoincrement=False, comment="bit of our layer and theirs"),
    Column("dates", JSONB, nullable=False, comment="[[date, position, channel]] of contacts that count, ascending"),
    Column("meetings", JSONB, nullable=False, comment="[[contact, starts_at, ends_at, channel]], planned"),
    Column("cause_position", BigInteger, nullable=False, comment="last event that changed it"),
    Column("cause_at", _instant, nullable=False),
)

line = Table(
    "line",
    metadata,
    _text_key("relation"),
    _text_key("line"),
    Column("our_layer", Text, comment="null: not set yet"),
    Column("their_layer", Text),
    Column("their_person", Text, comment="the person that the contact is with, where it is about one"),
    Column("vacant_on", Date, comment="first day on which that person is gone"),
    Column("pair", Integer),
    Column("cadence", JSONB(none_as_null=True)),
    Column("channels", JSONB(none_as_null=True), comment="null: any channel"),
    Column("starts_on", Date),
    Column("grace_working_days", Integer),
    Column("owner", Text),
    Column("ended_on", Date, comment="its own end or, where that comes first, its relation's (the survivor's)"),
    Column("pauses", JSONB, nullable=False, comment="[[from, until or null]]"),
    Column("facts", JSONB, nullable=False),
    Column(
        "positions",
        JSONB,
        nullable=False,
        comment="set, owner, pauses, ended, vacant, relation_ended (where it ends by that): events that the line "
        "follows from; restricted: [[position, bits]]",
    ),
    Column("hidden", BigInteger, nullable=False, comment="restriction bits of what it stands on, see line_facts.py"),
    Column("own_position", BigInteger, nullable=False, comment="last event of its own relation that it follows from"),
    Column("own_at", _instant, nullable=False, comment="when that was recorded"),
    Column("own_seen_at", _instant, nullable=False, comment="last event of the line or its alerts, of its relation"),
    Column("cause_position", BigInteger, nullable=False, comment="last event that its due days can follow from"),
    Column("cause_at", _instant, nullable=False, comment="when that was recorded"),
    Column("seen_at", _instant, nullable=False, comment="when the last event of the line or its alerts was recorded"),
    Column("open", JSONB(none_as_null=True), comment="its alert: alert, days, level, snoozes, position …"),
    Column("alerts", JSONB, nullable=False, comment="{due_on: [alert, resolution or null]} of all alerts ever"),
    Column("last_overdue_on", Date, comment="of the alert that was resolved last"),
    Column("hosted", JSONB(none_as_null=True), comment="open, alerts, last_overdue_on of alerts under other relations"),
    Column("root", Text, nullable=False, comment="relation that it counts for, under which its next alert comes"),
    Column("target", Text, nullable=False, comment="relation of its next event: of the open alert, else the root"),
    Column("tier", Text, comment="of the root"),
    Column("policy_version", Integer, comment="of the policy that asks for it; null: a line of the relation's own"),
    Column(
        "conflict",
        Boolean,
        nullable=False,
        comment="after a merge another line stands; a person decides",
    ),
    Column("check_at", _instant, comment="first instant at which the alerts are not what they should be; null: never"),
    Column("overdue_from", _instant, comment="not overdue before this instant; null: never, as far as known"),
    Column("overdue_on", Date, comment="what is overdue at overdue_from; order of the overdue lines"),
    Column("last_on", Date, comment="of the newest contact that qualifies, of all relations that are one by merges"),
    Column("stale", Boolean, nullable=False, comment="changed in this batch, not settled yet; false once stored"),
    Index("line_root", "root"),
    Index("line_check_at", "check_at", "relation", "line", postgresql_where=text("check_at IS NOT NULL")),
    Index("line_overdue_on", "overdue_on", "relation", "line", postgresql_where=text("overdue_on IS NOT NULL")),
    Index("line_vacant_on", "vacant_on", postgresql_where=text("vacant_on IS NOT NULL")),
)

alert = Table(
    "alert",
    metadata,
    _text_key("relation"),
    _text_key("alert"),
    Column("rule", Text, nullable=False),
    Column("rule_version", Integer, nullable=False),
    Column("line", Text),
    Column("about", Text, comment="what it is about where it is no line of the relation's own"),
    Column("line_relation", Text, comment="whose line it is; differs from relation after a merge"),
    Column("policy_version", Integer),
    Column("state", Text, nullable=False, comment="open or resolved"),
    Column("due_on", Date, nullable=False),
    Column("overdue_on", Date, nullable=False),
    Column("last_ok_on", Date, nullable=False),
    Column("owner", Text),
    Column("level", Integer, nullable=False),
    Column("evidence", JSONB, nullable=False, comment="positions, ascending"),
    Column("silent", Boolean, nullable=False, comment="raised without notification"),
    Column("raised_at", _instant, nullable=False),
    Column("position", BigInteger, nullable=False, comment="of the event that raised it: order of the lists"),
    Column("resolved_at", _instant),
    Column("resolution", Text),
    Column("resolution_evidence", JSONB, nullable=False),
    Column("acknowledged_at", _instant),
    Column("snoozed_until", Date, comment="first day on which it is no longer snoozed"),
    Column("snoozes", Integer, nullable=False, comment="how often it was put off since it was raised or reopened"),
    Column("escalated_at", _instant),
    Column("turned_at", _instant, nullable=False, comment="when it was raised or reopened last"),
    Column("hidden", BigInteger, nullable=False, comment="restriction bits of its evidence, see alert_sight.py"),
    Index("alert_alert", "alert"),
    Index("alert_position", "position"),
    Index("alert_open_position", "position", postgresql_where=text("state = 'open'")),
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
