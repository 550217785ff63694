"""The tables of the team timeline."""

from __future__ import annotations

from typing import Final

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

from projections.alert_sight import sight_tables
from projections.contact_same import same_table
from projections.kin import alias_table

metadata = MetaData()

alias = alias_table(metadata)
same = same_table(metadata)
sight_tables(metadata)

_instant = DateTime(timezone=True)

relation = Table(
    "relation",
    metadata,
    Column("relation", Text, primary_key=True),
    Column("name", Text),
    Column("stamp", JSONB, comment="of the name"),
    Column("tier", Text),
    Column("tier_stamp", JSONB),
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

# Who has the relations that were ever part of a merge, all in one group: `announce` tells the teams of every member.
kin_team = Table(
    "kin_team",
    metadata,
    Column("whole", Text, primary_key=True, comment="the constant 'all'"),
    Column("relation", Text, primary_key=True),
    Column("team", Text, primary_key=True),
    Column("assigned", Boolean, nullable=False),
)

contact = Table(
    "contact",
    metadata,
    Column("relation", Text, primary_key=True),
    Column("contact", Text, primary_key=True),
    Column("restricted", BigInteger, nullable=False, comment="bits of all its facts, see viewer.py"),
    Column("employees", JSONB, nullable=False, comment="ours, by the last fact that says who: references"),
    Column("layers", SmallInteger, nullable=False, comment="bits of all its facts, both sides, see layers.py"),
    Column("topics", JSONB, nullable=False, comment="of all its facts"),
    Column("held", BigInteger, comment="position of contact.held"),
    Column("planned", BigInteger, comment="position of the plan that stands"),
    Column("corrected", BigInteger, comment="position of the last correction"),
    Column("retracted", BigInteger),
    Column("off", BigInteger, comment="position of the last cancellation or no-show"),
    Column("stamps", JSONB, nullable=False, comment="of the five before, and of `employees`: [rank, stamp]"),
)

# Columns that the index of the primary key holds too, so that filters read the index only.
BESIDE_KEY: Final = ("department", "family", "role", "restricted", "layers", "contact", "withdrawn")

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
    Column("restricted", BigInteger, nullable=False, comment="bits, see viewer.py"),
    Column("contact", Text, comment="the contact that it is about"),
    Column("role", Text, comment="held, planned, corrected, retracted, off: what it does to the contact"),
    Column("layers", SmallInteger, nullable=False, comment="bits, both sides"),
    Column("topics", JSONB(none_as_null=True)),
    Column("detail", JSONB, nullable=False, comment="the stored payload"),
    Column("withdrawn", BigInteger, comment="position of the withdrawal of this very fact"),
    Column("withdraws", BigInteger, comment="position of the fact that this one withdraws"),
    PrimaryKeyConstraint(
        "relation",
        "occurred_at",
        "position",
        postgresql_include=list(BESIDE_KEY),
    ),
    Index("entry_position", "position"),
)
