"""Signed checkpoints of the notary (written once, spelled out; see 0001)."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute(
        """CREATE TABLE ledger.checkpoint (
               size bigint PRIMARY KEY, note text NOT NULL, signed_at timestamptz NOT NULL DEFAULT now())"""
    )
