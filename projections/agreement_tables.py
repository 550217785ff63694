"""The tables of the agreement view. Rows stay per original relation; what depends on today is computed at reading."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Float, Index, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from projections.agreement_facts import agreement_table
from projections.heads import FOLD, head_tables, text_key

metadata = MetaData()

head_tables(metadata)
agreement = agreement_table(metadata)
Index("agreement_until", agreement.c.type, agreement.c.until_on)

programme = Table(
    "programme",
    metadata,
    text_key("relation"),
    text_key("programme"),
    Column("agreement", Text),
    Column("name", Text, comment="null: not started yet"),
    Column("starts_on", Date),
    Column("ends_on", Date),
    Column("rag", Text, comment="the worst of its indicators as last reported; null: nothing reported"),
    Column("reported_on", Date, comment="of the latest report"),
    Column("red_since", Date, comment="first day of the earliest run of red reports that goes on"),
    Column("indicators", JSONB, nullable=False, comment="{indicator: latest report, with unit and baseline}"),
    Column("hidden", BigInteger, nullable=False),
    Column("positions", JSONB, nullable=False),
    Column("facts", JSONB, nullable=False, info=FOLD),
    Index("programme_ends", "ends_on", "relation", "programme"),
)

report = Table(
    "report",
    metadata,
    text_key("relation"),
    text_key("programme"),
    text_key("fact"),
    Column("indicator", Text, nullable=False),
    Column("baseline", Float),
    Column("target", Float, nullable=False),
    Column("actual", Float, nullable=False),
    Column("rag", Text, nullable=False),
    Column("reported_on", Date, nullable=False),
    Column("hidden", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
)

decision = Table(
    "decision",
    metadata,
    text_key("relation"),
    text_key("programme"),
    text_key("fact"),
    Column("decision", Text, nullable=False),
    Column("parties", JSONB, nullable=False),
    Column("due_on", Date, nullable=False),
    Column("taken_on", Date, nullable=False),
    Column("hidden", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
)
