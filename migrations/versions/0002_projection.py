"""The book-keeping of the read models: checkpoints and parked positions.

Written once, spelled out, and not taken from `projections.tables` (see 0001).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("CREATE SCHEMA projection")
    op.create_table(
        "checkpoint",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("code_version", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("stream_created", sa.Text),
        sa.Column("paused", sa.Text),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        schema="projection",
    )
    op.create_index(
        "checkpoint_live", "checkpoint", ["name"], unique=True, schema="projection",
        postgresql_where=sa.text("state = 'live'"),
    )  # fmt: skip
    op.create_table(
        "parked",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("relation", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("parked_at", sa.DateTime(timezone=True), nullable=False),
        schema="projection",
    )
    op.create_index("parked_relation", "parked", ["name", "version", "relation"], schema="projection")
    # rewritten with every batch: room on the page keeps those updates off the indexes
    op.execute("ALTER TABLE projection.checkpoint SET (fillfactor = 10)")
