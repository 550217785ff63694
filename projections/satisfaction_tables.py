"""The tables of the satisfaction view. Rows stay per original relation; figures are computed at reading."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Date, Float, Index, Integer, MetaData, Table, Text, text

from projections.heads import head_tables, stamp_column, text_key
from projections.satisfaction_facts import instrument_table, loop_table, response_table

metadata = MetaData()

head_tables(metadata)
instrument_table(metadata)
response_table(metadata)
loop = loop_table(metadata)
Index("loop_open", loop.c.due_on, postgresql_where=text("state <> 'closed'"))


def _position() -> Column[Any]:
    return Column("position", BigInteger, nullable=False, comment="of the fact that stands")


survey_round = Table(
    "survey_round",
    metadata,
    text_key("round"),
    Column("instrument", Text, nullable=False),
    Column("wording_version", Integer, nullable=False),
    Column("invited", Integer),
    Column("closed_on", Date, nullable=False),
    _position(),
    stamp_column(),
)

staff = Table(
    "staff",
    metadata,
    text_key("unit"),
    text_key("period"),
    Column("n", Integer, nullable=False),
    Column("score", Float, nullable=False),
    Column("retention_pct", Float),
    _position(),
    stamp_column(),
)

complaints = Table(
    "complaints",
    metadata,
    text_key("relation"),
    text_key("period"),
    Column("count", Integer, nullable=False),
    Column("resolved", Integer),
    Column("hidden", BigInteger, nullable=False),
    _position(),
    stamp_column(),
)

outcome = Table(
    "outcome",
    metadata,
    text_key("relation"),
    text_key("indicator"),
    text_key("period"),
    Column("value", Float, nullable=False, comment="days for length of stay and waiting time, else a count"),
    Column("n", Integer),
    Column("hidden", BigInteger, nullable=False),
    _position(),
    stamp_column(),
)
