"""Merges: whose relation an absorbed one is now, and merges found without reading the whole book.

Written once, spelled out, and not taken from `events.tables` (see 0001).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("chain", sa.Column("absorbed_by", sa.Text), schema="ledger")
    op.create_index(
        "entry_merges", "entry", ["position"], schema="ledger",
        postgresql_where=sa.text(
            "type IN ('nl.relatieboek.relation.merged.v1', 'nl.relatieboek.relation.unmerged.v1')"
        ),
    )  # fmt: skip
