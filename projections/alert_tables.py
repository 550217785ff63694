"""The tables of the contact alerts. Rows stay per original relation; what depends on today is computed at reading.

A `bucket` holds what a line's evaluation needs of all contacts between two layers, so that no contact row is read for
it. `facts` and `stamps` keep what the other columns follow from, in whatever order it arrived.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

_instant = DateTime(timezone=True)


def _text_key(name: str) -> Column[Any]:
    return Column(name, Text, primary_key=True)


relation = Table(
    "relation",
    metadata,
    _text_key("relation"),
    Column("version", BigInteger, nullable=False, comment="of the relation's last event: what an alert is based on"),
    Column("name", Text),
    Column("tier", Text),
    Column("owner", Text, comment="reference of an employee: whose an unowned line is"),
    Column("stamps", JSONB, nullable=False),
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

bucket = Table(
    "bucket",
    metadata,
    _text_key("relation"),
    Column("pair", Integer, primary_key=True, autoincrement=False, comment="bit of our layer and theirs"),
    Column("dates", JSONB, nullable=False, comment="[[date, position, channel]] of contacts that count, ascending"),
    Column("meetings", JSONB, nullable=False, comment="[[contact, starts_at, ends_at, channel]], planned"),
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
    Column("pauses", JSONB, nullable=False, comment="[[from, until or null]]"),
    Column("facts", JSONB, nullable=False),
    Column("positions", JSONB, nullable=False, comment="set, pauses: events that the line follows from"),
    Column("cause_position", BigInteger, nullable=False, comment="last event that the line's due days can follow from"),
    Column("cause_at", _instant, nullable=False, comment="when that was recorded"),
    Column("seen_at", _instant, nullable=False, comment="when the last event of the line or its alerts was recorded"),
    Column("open", JSONB(none_as_null=True), comment="alert, due_on, last_ok_on, overdue_on, anchor_on, position …"),
    Column("alerts", JSONB, nullable=False, comment="{due_on: [alert, resolution or null]} of all alerts ever"),
    Column("last_overdue_on", Date, comment="of the alert that was resolved last"),
    Column("check_at", _instant, comment="first instant at which the alerts are not what they should be; null: never"),
    Column("overdue_from", _instant, comment="not overdue before this instant; null: never, as far as known"),
    Column("overdue_on", Date, comment="what is overdue at overdue_from; order of the overdue lines"),
    Column("stale", Boolean, nullable=False, comment="changed in this batch, not settled yet; false once stored"),
    Index("line_check_at", "check_at", "relation", "line", postgresql_where=text("check_at IS NOT NULL")),
    Index("line_overdue_on", "overdue_on", "relation", "line", postgresql_where=text("overdue_on IS NOT NULL")),
)

alert = Table(
    "alert",
    metadata,
    _text_key("relation"),
    _text_key("alert"),
    Column("rule", Text, nullable=False),
    Column("rule_version", Integer, nullable=False),
    Column("line", Text),
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
