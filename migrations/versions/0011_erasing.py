"""What is to be erased, what may not be, and a counter that tells every intake of it (spelled out; see 0001)."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"

STATEMENTS = """
CREATE TABLE ledger.erasure (
    position bigint PRIMARY KEY,
    ref text,
    family text,
    before_on date,
    scanned_to bigint NOT NULL DEFAULT 0,
    keys bigint NOT NULL DEFAULT 0,
    done_at timestamptz
);
CREATE INDEX erasure_waiting ON ledger.erasure (position) WHERE done_at IS NULL;
CREATE TABLE ledger.hold (
    hold_id bigserial PRIMARY KEY,
    ref text NOT NULL,
    sealed_reason bytea NOT NULL,
    placed_at timestamptz NOT NULL,
    released_at timestamptz
);
CREATE INDEX hold_ref ON ledger.hold (ref) WHERE released_at IS NULL;
CREATE INDEX entry_erasures ON ledger.entry (position)
    WHERE type IN ('nl.relatieboek.person.erased.v1', 'nl.relatieboek.retention.applied.v1');
ALTER TABLE ledger.head ADD COLUMN erasures bigint NOT NULL DEFAULT 0
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
