"""The book-keeping of the read models (schema `projection`): how far each build is, and what it could not apply."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, MetaData, Table, Text, text

metadata = MetaData(schema="projection")

_instant = DateTime(timezone=True)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("name", Text, primary_key=True, comment="name of the projection"),
    Column("version", Integer, primary_key=True, comment="build number: its tables are in schema <name>_v<version>"),
    Column("code_version", Integer, nullable=False, comment="version of the code that folds into these tables"),
    Column("state", Text, nullable=False, comment="building, live (at most one of a name) or old"),
    Column("position", BigInteger, nullable=False, comment="last position that the tables hold"),
    Column("epoch", BigInteger, nullable=False, comment="raised by who takes over; a writer with another is fenced"),
    Column("stream_created", Text, comment="identity of the stream that it was last read from"),
    Column("paused", Text, comment="why it stands still; null when it does not"),
    Column("updated_at", _instant, nullable=False),
    Index("checkpoint_live", "name", unique=True, postgresql_where=text("state = 'live'")),
)

parked = Table(
    "parked",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("position", BigInteger, primary_key=True, comment="the event, to be read again from the ledger"),
    Column("relation", Text, nullable=False),
    Column("error", Text, nullable=False, comment="kind of error and place in the code, never data"),
    Column("parked_at", _instant, nullable=False),
    Index("parked_relation", "name", "version", "relation"),
)
