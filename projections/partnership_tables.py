"""The tables of the partnership view. Rows stay per original relation; what depends on today is computed at reading."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Date, Float, Index, MetaData, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from projections.heads import FOLD, head_tables, stamp_column, text_key

metadata = MetaData()

head_tables(metadata)


def _fold_columns() -> list[Column[Any]]:
    return [
        Column("hidden", BigInteger, nullable=False, comment="restriction bits, see viewer.py"),
        Column("positions", JSONB, nullable=False),
        Column("facts", JSONB, nullable=False, info=FOLD),
    ]


interest = Table(
    "interest",
    metadata,
    text_key("relation"),
    text_key("interest"),
    Column("holder", Text, comment="ours, theirs, shared; null: not recorded yet"),
    Column("text", Text),
    Column("recorded_on", Date),
    Column("by_us_on", Date, comment="acknowledged by us"),
    Column("by_them_on", Date, comment="acknowledged by them"),
    *_fold_columns(),
)

performance = Table(
    "performance",
    metadata,
    text_key("relation"),
    text_key("performance"),
    Column("by", Text, comment="us, them; null: not reported yet"),
    Column("text", Text),
    Column("period", Text),
    Column("reported_on", Date),
    Column("by_us_on", Date, comment="acknowledged by us"),
    Column("by_them_on", Date, comment="acknowledged by them"),
    *_fold_columns(),
)

commitment = Table(
    "commitment",
    metadata,
    text_key("relation"),
    text_key("commitment"),
    Column("by", Text, comment="us, them; null: not made yet"),
    Column("what", Text),
    Column("made_on", Date),
    Column("due_on", Date),
    Column("state", Text, nullable=False, comment="open, fulfilled, broken, released"),
    Column("ended_on", Date),
    *_fold_columns(),
    Index("commitment_open", "due_on", "relation", "commitment", postgresql_where=text("state = 'open'")),
    Index("commitment_due", "due_on", "relation", "commitment"),
)

opportunity = Table(
    "opportunity",
    metadata,
    text_key("relation"),
    text_key("opportunity"),
    Column("title", Text),
    Column("state", Text, nullable=False, comment="announced, offered, won, lost"),
    Column("value_cents", BigInteger, comment="as last told"),
    Column("announced_on", Date),
    Column("closes_on", Date),
    Column("offered_on", Date),
    Column("decided_on", Date, comment="won or lost"),
    Column("decided_position", BigInteger, comment="of the fact that decided it"),
    Column("reason", Text),
    *_fold_columns(),
)

contributor = Table(
    "contributor",
    metadata,
    text_key("employee"),
    Column("profile", Text),
    Column("stage", Text),
    Column("present", SmallInteger, nullable=False, comment="0: left the institution"),
    Column("facts", JSONB, nullable=False, info=FOLD),
)

# What relations ask of us, from their schedules: counted per tier and layer only.
ask = Table(
    "ask",
    metadata,
    text_key("relation"),
    text_key("line"),
    Column("our_layer", Text),
    Column("contacts_per_year", Float),
    Column("starts_on", Date),
    Column("ended_on", Date),
    Column("facts", JSONB, nullable=False, info=FOLD),
)

# Relations that ended ask nothing any more.
ended = Table("ended", metadata, text_key("relation"), Column("ended_on", Date, nullable=False), stamp_column())
