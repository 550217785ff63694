"""Notices of loops beside those of alerts, and which mails `live.alerts` was told of (spelled out; see 0001)."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"

# Of the mails that there are nobody is told any more.
STATEMENTS = """
ALTER TABLE effect.notice ADD COLUMN what text NOT NULL DEFAULT 'alert';
ALTER TABLE effect.mail ADD COLUMN announced boolean NOT NULL DEFAULT true;
CREATE INDEX mail_unannounced ON effect.mail (mail_id) WHERE NOT announced
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
