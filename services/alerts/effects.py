"""What people were told (schema `effect`): a notice for each transition of an alert or loop, and the mails of them.

A notice is keyed by its cause (alert or loop, transition, position of the event): rebuilds, replicas and repeated ticks
find it there already. It says what was told, not to whom: whose it is, is asked when the mail is made.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, ForeignKey, Identity, Integer, MetaData, Table, Text

metadata = MetaData(schema="effect")

_instant = DateTime(timezone=True)

# How far the events of alerts, and of loops, were looked at.
progress = Table(
    "progress",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

mail = Table(
    "mail",
    metadata,
    Column("mail_id", BigInteger, Identity(), primary_key=True),
    Column("recipient", Text, nullable=False, comment="reference of an employee, or 'board'"),
    Column("for_on", Date, nullable=False, comment="the working day; one mail a recipient a day"),
    Column("state", Text, nullable=False, comment="waiting, sent or failed"),
    Column("attempts", Integer, nullable=False),
    Column("next_at", _instant, nullable=False, comment="not to be tried before"),
    Column("sent_at", _instant),
    Column("error", Text, comment="why it was not sent: a kind of error, no data"),
    Column("announced", Boolean, nullable=False, comment="live.alerts was told that it was made"),
)

notice = Table(
    "notice",
    metadata,
    Column("cause", Text, primary_key=True, comment="<alert or loop>:<transition>:<position>"),
    Column("position", BigInteger, nullable=False),
    Column("relation", Text, nullable=False),
    Column("what", Text, nullable=False, comment="alert or loop"),
    Column("alert", Text, nullable=False, comment="id of the alert or loop"),
    Column("transition", Text, nullable=False, comment="raised, reopened, opened or escalated"),
    Column("level", Integer, nullable=False),
    Column("interrupts", Boolean, nullable=False, comment="told at once on live.alerts"),
    Column("noted_at", _instant, nullable=False),
    Column("state", Text, nullable=False, comment="waiting, mailed, or dropped: over before anybody was told"),
    Column("mail_id", BigInteger, ForeignKey("effect.mail.mail_id")),
)
