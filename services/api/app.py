"""The api service: the HTTP port inside the wiring that every service has."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from events.privacy import Privacy
from projections.working_calendar import WorkingCalendar
from services.access import Access
from services.api.live import Hub
from services.api.parts import Parts
from services.api.site import build
from services.bus import NatsBus
from services.listen import listening
from services.settings import Settings
from services.wiring import Context, run_service


@asynccontextmanager
async def serving(context: Context) -> AsyncGenerator[None]:
    """Serves HTTP on the settings' host and port while the block runs; live readers are let go first."""
    settings = context.settings
    bus, hub = NatsBus(context.nats), Hub()
    parts = Parts(
        settings=settings,
        engine=context.engine,
        bus=bus,
        access=Access(context.engine),
        privacy=Privacy(settings.lookup_key_bytes),
        hub=hub,
        calendar=WorkingCalendar(good_friday_free=settings.good_friday_free),
        registry=context.registry,
    )
    await hub.listen(bus)
    async with listening(build(parts), settings.host, settings.port):
        context.state.set("ready")
        try:
            yield
        finally:
            hub.close()


def main(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Any number of replicas may run side by side: none keeps anything."""
    run_service(settings, "api", setup=serving)
