"""With which instant a trial was started: the same one again goes on where it was (written once, spelled out; 0001)."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("ALTER TABLE ledger.head ADD COLUMN clock_from timestamptz")
