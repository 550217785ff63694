"""The ledger's tables (schema `ledger`). Alembic creates them; the services' role may only read and add entries."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(schema="ledger")

# What an index of the ledger finds: which relations are one.
MERGED: Final = "nl.relatieboek.relation.merged.v1"
UNMERGED: Final = "nl.relatieboek.relation.unmerged.v1"
# And another: what is to be erased.
ERASED: Final = "nl.relatieboek.person.erased.v1"
RETENTION: Final = "nl.relatieboek.retention.applied.v1"

_instant = DateTime(timezone=True)

entry = Table(
    "entry",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("relation", Text, nullable=False, comment="UUID in lower case, or 'organisation'"),
    Column("version", BigInteger, nullable=False, comment="the relation's event count, from 1"),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("recorded_at", _instant, nullable=False),
    Column("payload", LargeBinary, nullable=False, comment="the stored CloudEvent, the very bytes of the stream"),
    Column("prev", LargeBinary, nullable=False, comment="leaf hash before it in the same relation"),
    Column("leaf", LargeBinary, nullable=False),
    UniqueConstraint("source", "id", name="entry_source_id"),
    UniqueConstraint("relation", "version", name="entry_relation_version"),
    Index("entry_merges", "position", postgresql_where=text(f"type IN ('{MERGED}', '{UNMERGED}')")),
    Index("entry_erasures", "position", postgresql_where=text(f"type IN ('{ERASED}', '{RETENTION}')")),
)

chain = Table(
    "chain",
    metadata,
    Column("relation", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("leaf", LargeBinary, nullable=False, comment="leaf hash of the relation's last entry"),
    Column("absorbed_by", Text, comment="the relation that absorbed it, directly; null: none does now"),
)

thing = Table(
    "thing",
    metadata,
    Column("key", Text, primary_key=True, comment="what decide needs to know: 'line:<relation>:<line>' and so on"),
    Column("value", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False, comment="relation version of the last event that touched it"),
    Column("position", BigInteger, nullable=False, comment="position of that event"),
)

event_key = Table(
    "event_key",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("key", LargeBinary, comment="key of the event's texts, wrapped; null once erased"),
    Column("content_mac", LargeBinary, comment="HMAC of the content as sent; null once erased"),
    Column(
        "erased_by",
        BigInteger,
        comment="tombstone: position of the event that says why the key is gone; 0: with a database",
    ),
)

person_key = Table(
    "person_key",
    metadata,
    Column("ref", Text, primary_key=True, comment="random reference that stands for the person in events"),
    Column("kind", Text, nullable=False, comment="person or employee"),
    Column("lookup", LargeBinary, unique=True, comment="HMAC of kind and id under the lookup key; stays when erased"),
    Column("key", LargeBinary, comment="wrapped; null once erased"),
    Column("sealed_id", LargeBinary, comment="the id as sent, under the person's key; null once erased"),
    Column("erased_by", BigInteger, comment="tombstone: position of person.erased; 0: it went with a database"),
)

erasure = Table(
    "erasure",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False, comment="of the event that asks for it"),
    Column("ref", Text, comment="the person whose texts go"),
    Column("family", Text, comment="or the family whose texts go"),
    Column("before_on", Date, comment="when they happened before this day"),
    Column("scanned_to", BigInteger, nullable=False, server_default=text("0")),
    Column("keys", BigInteger, nullable=False, server_default=text("0"), comment="how many keys of texts went"),
    Column("done_at", _instant),
    Index("erasure_waiting", "position", postgresql_where=text("done_at IS NULL")),
)

hold = Table(
    "hold",
    metadata,
    Column("hold_id", BigInteger, primary_key=True, autoincrement=True),
    Column("ref", Text, nullable=False, comment="who may not be erased"),
    Column("sealed_reason", LargeBinary, nullable=False, comment="why, under the person's key"),
    Column("placed_at", _instant, nullable=False),
    Column("released_at", _instant),
    Index("hold_ref", "ref", postgresql_where=text("released_at IS NULL")),
)

parked = Table(
    "parked",
    metadata,
    Column("arrival", BigInteger, primary_key=True, autoincrement=True),
    Column("department", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("waits_for", ARRAY(Text), nullable=False, comment="keys of things; when one is touched it is tried again"),
    Column("ready", SmallInteger, nullable=False, server_default=text("0"), comment="1: try again"),
    Column("problem", JSONB, nullable=False),
    Column("parked_at", _instant, nullable=False),
    Column("sealed", LargeBinary, nullable=False, comment="the event as sent, under key"),
    Column("key", LargeBinary, nullable=False, comment="wrapped"),
    Column("content_mac", LargeBinary, nullable=False),
    UniqueConstraint("source", "id", name="parked_source_id"),
    Index("parked_waits_for", "waits_for", postgresql_using="gin"),
    Index("parked_ready", "arrival", postgresql_where=text("ready = 1")),
)

rejected = Table(
    "rejected",
    metadata,
    Column("rejected_id", BigInteger, primary_key=True, autoincrement=True),
    Column("department", Text, nullable=False),
    Column("source", Text),
    Column("id", Text),
    Column("type", Text),
    Column("code", Text, nullable=False),
    Column("problem", JSONB, nullable=False),
    Column("rejected_at", _instant, nullable=False),
    Column("sealed", LargeBinary, comment="the event as sent, under key; null for patient data"),
    Column("key", LargeBinary, comment="wrapped"),
    Index("rejected_source_id", "source", "id"),
    Index("rejected_department", "department", "rejected_id"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=True),
    Column("department", Text, nullable=False),
    Column("position", BigInteger, comment="sent once the stream has it"),
    Column("verdict", JSONB, nullable=False, comment="of a parked event, for verdicts.<department>"),
)

head = Table(
    "head",
    metadata,
    Column("one", SmallInteger, primary_key=True, server_default=text("1")),
    Column("position", BigInteger, nullable=False, server_default=text("0")),
    Column("recorded_at", _instant, comment="recorded time of the last entry"),
    Column("clock_at", _instant, comment="set: the book's clock stands still at it (trials, audits)"),
    Column("clock_from", _instant, comment="the instant that the trial was started with"),
    Column("stream_created", Text, comment="identity of the stream: its creation instant"),
    Column("parked", BigInteger, nullable=False, server_default=text("0"), comment="how many events are parked"),
    Column("erasures", BigInteger, nullable=False, server_default=text("0"), comment="tells every intake of a new one"),
)

tally = Table(
    "tally",
    metadata,
    Column("department", Text, primary_key=True),
    Column("accepted", BigInteger, nullable=False, server_default=text("0")),
    Column("duplicates", BigInteger, nullable=False, server_default=text("0")),
    Column("rejected", BigInteger, nullable=False, server_default=text("0")),
    Column("parked", BigInteger, nullable=False, server_default=text("0"), comment="ever parked"),
    Column("late", BigInteger, nullable=False, server_default=text("0"), comment="recorded > 7 days after it occurred"),
    Column("last_event_at", _instant),
)

department = Table(
    "department",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sources", ARRAY(Text), nullable=False),
    Column("types", ARRAY(Text), nullable=False, comment="globs of <family>.<event>"),
    Column("token_hash", LargeBinary, nullable=False),
    Column("nkey", Text),
    Column("created_at", _instant, nullable=False),
    Column("revoked_at", _instant),
    Column("owner", Text, comment="who answers for it: a function or an address, not a person's name"),
    Column("token_prefix", Text, comment="the start of the token, to know it by"),
    Column("expires_at", _instant, comment="from when on the token opens nothing; null: never"),
    Column("last_used_at", _instant, comment="of the token, at most a minute behind"),
)

viewer = Table(
    "viewer",
    metadata,
    Column("name", Text, primary_key=True),
    Column("team", Text),
    Column("token_hash", LargeBinary, nullable=False),
    Column("created_at", _instant, nullable=False),
)
