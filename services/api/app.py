"""The api service: the HTTP port inside the wiring that every service has."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Final

from projections.working_calendar import WorkingCalendar
from services.access import Access
from services.access_log.writer import Writer
from services.api.live import Hub
from services.api.ops import tell_operations
from services.api.parts import Parts
from services.api.site import build
from services.api.waits import Waits
from services.bus import NatsBus
from services.identity.oidc import Oidc
from services.keys import privacy_of
from services.listen import listening
from services.settings import Settings
from services.wiring import Context, run_service

_COLLECT_AFTER: Final = 20_000  # new objects; an answer makes some thousands


@asynccontextmanager
async def serving(context: Context) -> AsyncGenerator[None]:
    """Serves HTTP on the settings' host and port while the block runs; live readers are let go first."""
    settings = context.settings
    bus, hub, waits = NatsBus(context.nats), Hub(), Waits(context.engine)
    access_log = Writer(
        settings.database_url, within_s=settings.access_log_within_s, most_waiting=settings.access_log_queue
    )  # fmt: skip
    parts = Parts(
        settings=settings,
        engine=context.engine,
        bus=bus,
        access=Access(context.engine),
        access_log=access_log,
        privacy=privacy_of(settings),
        hub=hub,
        waits=waits,
        calendar=WorkingCalendar(good_friday_free=settings.good_friday_free),
        registry=context.registry,
        oidc=Oidc(settings) if settings.oidc_issuer else None,
    )
    await hub.listen(bus)
    await waits.listen(bus)
    site = build(parts)
    _collect_rarely()
    http = listening(
        site, settings.host, settings.port, cert=settings.tls_cert, key=settings.tls_key,
        proxies=[p for p in settings.trusted_proxies.split(",") if p], refused=parts.security.refused,
    )  # fmt: skip
    async with aclosing(access_log), http:
        context.state.set("ready")
        context.run(tell_operations(context.engine, bus), name="ops")
        try:
            yield
        finally:
            hub.close()


def _collect_rarely() -> None:
    """A full search for cycles goes through everything that was imported: a tenth of a second in which nobody is
    answered, every dozen answers. What is there before the first request is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)


def main(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Any number of replicas may run side by side: none keeps anything."""
    run_service(settings, "api", setup=serving)
