"""Who signs in: accounts, sessions, sign-ins under way and tries (written once, spelled out; see 0001)."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"

STATEMENTS = """
CREATE SCHEMA identity;
CREATE TABLE identity.account (
    name text PRIMARY KEY,
    ref text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    roles text[] NOT NULL,
    teams text[] NOT NULL,
    department text,
    employee bytea,
    created_at timestamptz NOT NULL,
    disabled_at timestamptz
);
CREATE TABLE identity.session (
    id_hash bytea PRIMARY KEY,
    owner text NOT NULL,
    account text,
    viewer text,
    token_hash bytea,
    profile jsonb,
    employee bytea,
    began_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
);
CREATE INDEX session_owner ON identity.session (owner);
CREATE INDEX session_began ON identity.session (began_at);
CREATE TABLE identity.flow (
    state_hash bytea PRIMARY KEY, nonce text NOT NULL, verifier text NOT NULL, began_at timestamptz NOT NULL
);
CREATE INDEX ix_identity_flow_began_at ON identity.flow (began_at);
CREATE TABLE identity.attempt (key bytea PRIMARY KEY, tries integer NOT NULL, since timestamptz NOT NULL);
CREATE INDEX ix_identity_attempt_since ON identity.attempt (since)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
