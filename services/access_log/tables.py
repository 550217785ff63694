"""The access log's tables (schema `access`), for queries. Alembic creates them; appending goes by `store`."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

metadata: Final = MetaData(schema="access")

record = Table(
    "record",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("about", ARRAY(Uuid), nullable=False, comment="relations and persons; all zeros: more than are listed"),
    Column("entry", LargeBinary, nullable=False, comment="the record, the bytes that are hashed"),
    Column("leaf", LargeBinary, nullable=False),
)
