"""Sends the mails of the outbox over SMTP: in Dutch, tried again with growing pauses, and not for ever.

Personal data is revealed here and nowhere before: the outbox holds references. An attempt is noted before it is made,
and a mail keeps its Message-ID, so that a crash between sending and noting shows at most as the same message again.
"""

from __future__ import annotations

import tomllib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

import aiosmtplib
import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import SetupError, Unavailable
from events.privacy import Privacy
from projections.alert_line import RULE as CONTACT_OVERDUE
from projections.rule_names import alert_name
from projections.title_words import when, word
from projections.workflows import low_score
from projections.working_calendar import WorkingCalendar
from services.alerts.digests import BOARD, mail_name
from services.alerts.effects import mail
from services.alerts.told import told_in
from services.settings import Settings

log = structlog.get_logger(__name__)

MOST_ATTEMPTS: Final = 8
_AT_ONCE: Final = 20
_FIRST_PAUSE: Final = timedelta(minutes=1)
_LONGEST_PAUSE: Final = timedelta(hours=6)
_TIMEOUT_S: Final = 20.0

Send = Callable[[EmailMessage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Whose mail goes where; the book itself holds no addresses."""

    employees: Mapping[str, str]
    board: Sequence[str] = ()

    @classmethod
    def read(cls, path: Path | None) -> Addresses:
        """From a TOML file: `board = ["…"]`, and a table `[employees]` of id and address. Raises SetupError."""
        if path is None:
            return cls({})
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
            return cls({str(k): str(v) for k, v in found.get("employees", {}).items()}, tuple(found.get("board", ())))
        except (OSError, ValueError, AttributeError) as error:
            raise SetupError("Het bestand met mailadressen (RELATIEBOEK_MAIL_ADDRESSES) is niet te lezen") from error

    def of(self, employee: str) -> Sequence[str]:
        """`employee`: the id as departments send it, or the constant for the board."""
        if employee == BOARD:
            return self.board
        return [self.employees[employee]] if employee in self.employees else []


def smtp(settings: Settings) -> Send:
    """Sends by the institution's mail server."""

    async def send(message: EmailMessage) -> None:
        password = settings.smtp_password
        await aiosmtplib.send(
            message, hostname=settings.smtp_host, port=settings.smtp_port, timeout=_TIMEOUT_S,
            username=settings.smtp_user or None, password=None if password is None else password.get_secret_value(),
            use_tls=settings.smtp_tls == "tls", start_tls=settings.smtp_tls == "starttls",
        )  # fmt: skip

    return send


class _NothingToTell(Exception):
    """The recipient may see nothing of what the mail is about."""


class Mailer:
    """Takes what waits in the outbox and sends it. On an autocommit connection that holds the lease."""

    def __init__(
        self, privacy: Privacy, addresses: Addresses, send: Send, *, sender: str, calendar: WorkingCalendar
    ) -> None:
        self._privacy, self._addresses, self._send = privacy, addresses, send
        self._sender, self._calendar = sender, calendar

    async def send_waiting(self, conn: AsyncConnection, now: datetime, system_now: datetime) -> int:
        """Tries the mails whose time has come; how many were sent. `now`: the book's, for what they say."""
        query = select(mail).where(mail.c.state == "waiting", mail.c.next_at <= system_now)
        rows = (await conn.execute(query.order_by(mail.c.next_at, mail.c.mail_id).limit(_AT_ONCE))).mappings().all()
        sent = 0
        for row in rows:
            sent += await self._try(conn, dict(row), now, system_now)
        return sent

    async def _try(self, conn: AsyncConnection, row: Mapping[str, Any], now: datetime, system_now: datetime) -> bool:
        attempts: int = row["attempts"] + 1
        pause = min(_FIRST_PAUSE * 2 ** (attempts - 1), _LONGEST_PAUSE)
        here = update(mail).where(mail.c.mail_id == row["mail_id"])
        await conn.execute(here.values(attempts=attempts, next_at=system_now + pause))
        error: str | None = None
        try:
            message = await self._message(conn, row, now)
            if message is None:
                error = "no address"
            else:
                await self._send(message)
        except _NothingToTell:
            await conn.execute(here.values(state="failed", error="nothing to tell"))
            return False
        except (aiosmtplib.SMTPException, OSError, TimeoutError, Unavailable) as failed:
            error = type(failed).__name__
        if error is None:
            await conn.execute(here.values(state="sent", sent_at=func.now(), error=None))
            return True
        state = "failed" if attempts >= MOST_ATTEMPTS else "waiting"
        await conn.execute(here.values(state=state, error=error))
        log.warning("mail not sent", mail=row["mail_id"], attempts=attempts, error=error)
        return False

    async def _message(self, conn: AsyncConnection, row: Mapping[str, Any], now: datetime) -> EmailMessage | None:
        """None without an address. Raises _NothingToTell when the recipient may see nothing of it."""
        who = row["recipient"]
        to = self._addresses.of(who if who == BOARD else str(await self._privacy.reveal(conn, who)))
        if not to:
            return None
        told = await told_in(conn, row["mail_id"], who, now, self._calendar)
        lines = [
            loop_line(one.shown, one.transition) if one.what == "loop"
            else mail_line(await self._privacy.reveal(conn, one.shown), one.transition)
            for one in told
        ]  # fmt: skip
        if not lines:
            raise _NothingToTell
        message = EmailMessage()
        message["From"], message["To"] = self._sender, ", ".join(to)
        message["Subject"] = f"Relatieboek: {len(lines)} {'signaal' if len(lines) == 1 else 'signalen'} voor u"
        domain = self._sender.rsplit("@", 1)[-1].rstrip(">")
        message["Message-ID"] = f"<{mail_name(row['mail_id'], row['for_on'])}@{domain}>"
        message.set_content(_text(lines))
        return message


def _text(lines: Sequence[str]) -> str:
    return "\n".join(
        [
            "Goedemorgen,",
            "",
            "Dit vraagt vandaag uw aandacht:",
            "",
            *lines,
            "",
            "Is er al contact geweest, of is er al gereageerd? Leg het dan vast. Dan verdwijnt het signaal vanzelf.",
            "In Relatieboek ziet u waarom u dit signaal krijgt. U kunt het daar ook uitstellen.",
            "",
        ]
    )


def mail_line(alert: Mapping[str, Any], transition: str) -> str:
    """One alert as it stands in a mail, its personal values revealed."""
    days = alert["working_days_overdue"]
    name = alert["relation_name"] or alert["relation"]
    if alert["rule"] == CONTACT_OVERDUE and alert["our_layer"] is not None:
        our, their = word(alert["our_layer"], "nl"), word(alert["their_layer"], "nl")
        what = f"contact van ons {our} met hun {their}"
    else:
        what = alert_name(alert["rule"], alert["about"], "nl")
    begin = {"escalated": "Doorgezet", "reopened": "Opnieuw open"}.get(transition, "Nieuw")
    due = f"Dit moest op {when(str(alert['due_on']), 'nl')}" + (f" en is {_late(days)}." if days else ".")
    return f"- {begin}: {name}, {what}. {due}"


def loop_line(loop: Mapping[str, Any], transition: str) -> str:
    """One loop as it stands in a mail: neither the score nor who gave it, also when it was not anonymous."""
    days = loop["working_days_late"]
    name = loop["relation_name"] or loop["relation"]
    begin = "Doorgezet" if transition == "escalated" else "Nieuw"
    on = when(str(loop["due_on"]), "nl")
    due = f"Dit moest op {on} en is {_late(days)}." if days else f"Dit moet op {on} klaar zijn."
    return f"- {begin}: {name}, {alert_name(low_score.NAME, None, 'nl')}. {due}"


def _late(days: int) -> str:
    return f"{days} {'werkdag' if days == 1 else 'werkdagen'} te laat"
