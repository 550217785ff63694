"""What the book told people: one notice for each transition of an alert for ever, and the mails made of them.

Written once, spelled out, and not taken from `services.alerts.effects` (see 0001).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("CREATE SCHEMA effect")
    op.create_table(
        "progress",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        schema="effect",
    )
    op.create_table(
        "mail",
        sa.Column("mail_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("for_on", sa.Date, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint("recipient", "for_on", name="mail_recipient_for_on"),
        schema="effect",
    )
    op.create_index("mail_waiting", "mail", ["next_at"], schema="effect", postgresql_where=sa.text("state = 'waiting'"))
    op.create_table(
        "notice",
        sa.Column("cause", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("relation", sa.Text, nullable=False),
        sa.Column("alert", sa.Text, nullable=False),
        sa.Column("transition", sa.Text, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("interrupts", sa.Boolean, nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("mail_id", sa.BigInteger, sa.ForeignKey("effect.mail.mail_id")),
        schema="effect",
    )
    op.create_index(
        "notice_waiting", "notice", ["position"], schema="effect", postgresql_where=sa.text("state = 'waiting'")
    )
    op.create_index("notice_mail", "notice", ["mail_id"], schema="effect")
