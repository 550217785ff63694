"""What is known of a department's API key beside its hash (written once, spelled out; see 0001)."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute(
        """ALTER TABLE ledger.department
               ADD COLUMN owner text, ADD COLUMN token_prefix text, ADD COLUMN expires_at timestamptz,
               ADD COLUMN last_used_at timestamptz"""
    )
