"""The ledger: entries, keys, what decide needs to know, parked and rejected events, departments.

A migration is written once and never follows the code: the statements are spelled out, not taken from `events.tables`
(`tests/integration/test_migrations.py` holds the two equal).
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = """
CREATE SCHEMA ledger;
CREATE TABLE ledger.entry (
    position bigint PRIMARY KEY,
    relation text NOT NULL,
    version bigint NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    type text NOT NULL,
    department text NOT NULL,
    recorded_at timestamptz NOT NULL,
    payload bytea NOT NULL,
    prev bytea NOT NULL,
    leaf bytea NOT NULL,
    CONSTRAINT entry_source_id UNIQUE (source, id),
    CONSTRAINT entry_relation_version UNIQUE (relation, version)
);
CREATE TABLE ledger.chain (relation text PRIMARY KEY, version bigint NOT NULL, leaf bytea NOT NULL);
CREATE TABLE ledger.thing (
    key text PRIMARY KEY, value jsonb NOT NULL, version bigint NOT NULL, position bigint NOT NULL
);
CREATE TABLE ledger.event_key (position bigint PRIMARY KEY, key bytea, content_mac bytea);
CREATE TABLE ledger.person_key (
    ref text PRIMARY KEY, kind text NOT NULL, lookup bytea NOT NULL UNIQUE, key bytea NOT NULL, sealed_id bytea NOT NULL
);
CREATE TABLE ledger.parked (
    arrival bigserial PRIMARY KEY,
    department text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    type text NOT NULL,
    waits_for text[] NOT NULL,
    ready smallint NOT NULL DEFAULT 0,
    problem jsonb NOT NULL,
    parked_at timestamptz NOT NULL,
    sealed bytea NOT NULL,
    key bytea NOT NULL,
    content_mac bytea NOT NULL,
    CONSTRAINT parked_source_id UNIQUE (source, id)
);
CREATE INDEX parked_waits_for ON ledger.parked USING gin (waits_for);
CREATE INDEX parked_ready ON ledger.parked (arrival) WHERE ready = 1;
CREATE TABLE ledger.rejected (
    rejected_id bigserial PRIMARY KEY,
    department text NOT NULL,
    source text,
    id text,
    type text,
    code text NOT NULL,
    problem jsonb NOT NULL,
    rejected_at timestamptz NOT NULL,
    sealed bytea,
    key bytea
);
CREATE INDEX rejected_source_id ON ledger.rejected (source, id);
CREATE INDEX rejected_department ON ledger.rejected (department, rejected_id);
CREATE TABLE ledger.outbox (
    seq bigserial PRIMARY KEY, department text NOT NULL, position bigint, verdict jsonb NOT NULL
);
CREATE TABLE ledger.head (
    one smallint PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    position bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz,
    clock_at timestamptz,
    stream_created text,
    parked bigint NOT NULL DEFAULT 0
);
INSERT INTO ledger.head DEFAULT VALUES;
CREATE TABLE ledger.tally (
    department text PRIMARY KEY,
    accepted bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    parked bigint NOT NULL DEFAULT 0,
    late bigint NOT NULL DEFAULT 0,
    last_event_at timestamptz
);
CREATE TABLE ledger.department (
    name text PRIMARY KEY,
    sources text[] NOT NULL,
    types text[] NOT NULL,
    token_hash bytea NOT NULL,
    nkey text,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE TABLE ledger.viewer (
    name text PRIMARY KEY, team text, token_hash bytea NOT NULL, created_at timestamptz NOT NULL
);
-- head and tally are rewritten with every batch: room on the page keeps those updates off the indexes
ALTER TABLE ledger.head SET (fillfactor = 10);
ALTER TABLE ledger.chain SET (fillfactor = 80);
ALTER TABLE ledger.thing SET (fillfactor = 80);
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
