"""The tables of the chain view. Rows stay per original relation; sums over chains are made at reading."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from projections.heads import FOLD, head_tables, stamp_column, text_key

metadata = MetaData()

head_tables(metadata)


def _hidden() -> Column[Any]:
    return Column("hidden", BigInteger, nullable=False, comment="restriction bits, see viewer.py")


chain = Table(
    "chain",
    metadata,
    text_key("relation"),
    text_key("chain"),
    Column("name", Text, comment="null: not defined yet"),
    Column("phases", JSONB, nullable=False, comment="[{phase, name}], in order"),
    Column("defined_on", Date),
    Column("sharing_key", JSONB, nullable=False, comment="[{organisation, share_pct}]"),
    Column("sharing_key_on", Date),
    _hidden(),
    Column("positions", JSONB, nullable=False, comment="of its definition and its sharing key"),
    Column("facts", JSONB, nullable=False, info=FOLD),
)

partner = Table(
    "partner",
    metadata,
    text_key("relation"),
    text_key("chain"),
    text_key("phase"),
    text_key("organisation"),
    Column("financing_system", Text),
    Column("present", Boolean, nullable=False, comment="false: replaced"),
    Column("since_on", Date, nullable=False, comment="of its coming or going"),
    Column("replaced_by", Text),
    _hidden(),
    Column("position", BigInteger, nullable=False),
    stamp_column(),
)

guarantee = Table(
    "guarantee",
    metadata,
    text_key("relation"),
    text_key("chain"),
    text_key("phase"),
    text_key("organisation"),
    Column("given_on", Date, comment="null: not given yet"),
    Column("until_on", Date, comment="null: open-ended"),
    Column("position", BigInteger),
    Column("gone_on", Date, comment="when another partner took its place"),
    Column("gone_position", BigInteger),
    Column("replaced", Boolean, nullable=False, comment="its place was taken after it gave the guarantee"),
    _hidden(),
    Column("facts", JSONB, nullable=False, info=FOLD),
)

flow = Table(
    "flow",
    metadata,
    text_key("relation"),
    text_key("chain"),
    text_key("organisation"),
    text_key("financing_system"),
    text_key("period"),
    Column("invested_cents", BigInteger, nullable=False),
    Column("returned_cents", BigInteger, nullable=False),
    Column("positions", JSONB, nullable=False),
    Index("flow_who", "organisation", "financing_system"),
)

baseline = Table(
    "baseline",
    metadata,
    text_key("relation"),
    text_key("chain"),
    text_key("indicator"),
    text_key("period"),
    Column("cents", BigInteger, nullable=False),
    Column("parties", JSONB, nullable=False),
    Column("agreed_on", Date, nullable=False),
    _hidden(),
    Column("position", BigInteger, nullable=False),
    stamp_column(),
)

saving = Table(
    "saving",
    metadata,
    text_key("relation"),
    text_key("chain"),
    text_key("assessment"),
    Column("period", Text, comment="null: not assessed yet"),
    Column("saving_cents", BigInteger),
    Column("quality_met", Boolean),
    Column("assessed_on", Date),
    Column("amounts", JSONB, nullable=False, comment="[{organisation, cents}]: how it was divided"),
    Column("distributed_on", Date),
    _hidden(),
    Column("positions", JSONB, nullable=False),
    Column("facts", JSONB, nullable=False, info=FOLD),
)
