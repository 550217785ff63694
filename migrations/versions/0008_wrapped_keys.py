"""Keys lie wrapped, and a key that was erased leaves a tombstone (written once, spelled out; see 0001).

Keys of before are wrapped by intake when it starts: only the services have the key-encryption key.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

STATEMENTS = """
ALTER TABLE ledger.event_key ADD COLUMN erased_by bigint;
ALTER TABLE ledger.person_key ADD COLUMN erased_by bigint;
ALTER TABLE ledger.person_key ALTER COLUMN key DROP NOT NULL;
ALTER TABLE ledger.person_key ALTER COLUMN sealed_id DROP NOT NULL;
ALTER TABLE ledger.person_key ALTER COLUMN lookup DROP NOT NULL
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
