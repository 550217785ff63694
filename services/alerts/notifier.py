"""The notifier's life: look at new events of alerts and loops, tell what interrupts, make today's mails, send them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events.clock import book_now, system_now
from events.errors import NotYetThere
from projections.rows import Projection
from projections.working_calendar import WorkingCalendar
from services.alerts.digests import Digest, make_mails, set_announced, unannounced
from services.alerts.mailing import Mailer
from services.alerts.notices import load_builds, note
from services.alerts.told import told_in
from services.ticking.lease import OUTAGES, Lease
from services.ticking.ticker import Announce

log = structlog.get_logger(__name__)

_RETRY_S: Final = 1.0


class Notifier:
    """Under a lease of its own: of several replicas one tells. Without a mailer the mails wait in the outbox."""

    def __init__(
        self, projection: Projection, engine: AsyncEngine, lease: Lease, announce: Announce, mailer: Mailer | None,
        registry: CollectorRegistry, *, calendar: WorkingCalendar, hour: int, every_s: float,
    ) -> None:  # fmt: skip
        self._projection, self._engine, self._lease = projection, engine, lease
        self._announce, self._mailer = announce, mailer
        self._calendar, self._hour, self._every_s = calendar, hour, every_s
        self._done = Counter("relatieboek_notices", "what people were told", ["what"], registry=registry)

    async def run(self) -> None:
        """For ever. Outages of PostgreSQL are waited out; anything else ends the service."""
        try:
            while True:
                try:
                    conn = await self._lease.take()
                    if conn is not None:
                        await self.once(conn)
                except OUTAGES as error:
                    log.warning("nobody is told now", error=type(error).__name__)
                    await self._lease.drop()
                    await asyncio.sleep(_RETRY_S)
                await asyncio.sleep(self._every_s)
        finally:
            await self._lease.drop()

    async def once(self, conn: AsyncConnection) -> None:
        """One round on the connection that holds the lease, in autocommit."""
        try:
            builds = await load_builds(conn, self._projection)
        except NotYetThere:
            return
        now = await book_now(conn)
        async with self._engine.begin() as writing:
            interruptions = await note(writing, builds, now)
            mails = await make_mails(writing, builds, now, self._calendar, hour=self._hour)
        for told in interruptions:
            await self._announce(told._asdict())
        await self._tell_digests(conn, now)
        self._done.labels("interruption").inc(len(interruptions))
        self._done.labels("mail made").inc(mails)
        if self._mailer is not None:
            self._done.labels("mail sent").inc(await self._mailer.send_waiting(conn, now, system_now()))

    async def _tell_digests(self, conn: AsyncConnection, now: datetime) -> None:
        """Each digest names what its mail says, to this recipient, and nothing else; of a mail of which nothing is left
        nobody is told."""
        done: list[int] = []
        for mail_id, recipient, for_on in await unannounced(conn):
            try:
                positions = [one.position for one in await told_in(conn, mail_id, recipient, now, self._calendar)]
            except NotYetThere:  # as the mail itself, it waits until what it is about can be read
                continue
            if positions:
                await self._announce(Digest(mail_id, recipient, for_on, positions).as_json())
            done.append(mail_id)
        # Noted after it was told: who dies in between tells it again, under the same id.
        await set_announced(conn, done)
