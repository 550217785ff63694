"""The service contact-alerts: its projection, and the tick that turns due dates into events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from projections.contact_alerts import build
from projections.working_calendar import WorkingCalendar
from services.alerts.mailing import Addresses, Mailer, smtp
from services.alerts.notifier import Notifier
from services.alerts.work import contact_work
from services.bus import NatsBus
from services.keys import privacy_of
from services.settings import Settings
from services.ticking.lease import Lease
from services.ticking.running import announcing, ticking
from services.wiring import Context, cancel_until_done, run_service

NAME: Final = "contact-alerts"
_TICK_LEASE: Final = 1
_NOTIFY_LEASE: Final = 3


def main(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Of several replicas one ticks and one writes the read model, maybe another."""
    run_service(settings, NAME, setup=setup)


@asynccontextmanager
async def setup(context: Context) -> AsyncGenerator[None]:
    """The service's parts, for as long as the block lasts."""
    settings = context.settings
    calendar = WorkingCalendar(good_friday_free=settings.good_friday_free)
    projection = build(calendar, settings.default_lead_days)
    work = contact_work(calendar, settings.default_lead_days)
    mailer = None
    if settings.smtp_host is not None:
        privacy, addresses = privacy_of(settings), Addresses.read(settings.mail_addresses)
        mailer = Mailer(privacy, addresses, smtp(settings), sender=settings.mail_from, calendar=calendar)
    notifier = Notifier(
        projection, context.engine, Lease(context.engine, _NOTIFY_LEASE),
        announcing(NatsBus(context.nats), "live.alerts"), mailer, context.registry, calendar=calendar,
        hour=settings.digest_hour, every_s=settings.tick_s,
    )  # fmt: skip
    async with ticking(context, projection, work, name=NAME, lease=_TICK_LEASE):
        telling = context.run(notifier.run(), name="notifier")
        try:
            yield
        finally:
            await cancel_until_done(telling)
