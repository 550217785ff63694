"""The service contact-alerts: its projection, and the ticker that turns due dates into events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from events.errors import Unavailable
from projections.build import Step, Watch
from projections.contact_alerts import build
from projections.folding import Limits
from projections.working_calendar import WorkingCalendar
from services.alerts.lease import Lease
from services.alerts.loop import Loop
from services.alerts.ticker import Ticker
from services.bus import NatsBus
from services.projecting import projecting
from services.settings import Settings
from services.wiring import Context, cancel_until_done, run_service

NAME: Final = "contact-alerts"
_SUBMIT: Final = "submit.relatieboek"
_SUBMIT_TIMEOUT_S: Final = 15.0
_TICK_LEASE: Final = 1

Json = Mapping[str, Any]


def main(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Of several replicas one ticks and one writes the read model, maybe another."""
    run_service(settings, NAME, setup=setup)


@asynccontextmanager
async def setup(context: Context) -> AsyncGenerator[None]:
    """The service's parts, for as long as the block lasts."""
    settings, bus = context.settings, NatsBus(context.nats)
    calendar = WorkingCalendar(good_friday_free=settings.good_friday_free)
    projection = build(calendar, settings.default_lead_days)

    async def submit(events: Sequence[Json]) -> Sequence[Json]:
        reply = await bus.request(_SUBMIT, msgspec.json.encode(events), timeout_s=_SUBMIT_TIMEOUT_S)
        try:
            verdicts = msgspec.json.decode(reply, type=list[dict[str, Any]])
        except msgspec.MsgspecError as error:
            raise Unavailable("intake answered with something else than verdicts") from error
        if len(verdicts) != len(events):
            raise Unavailable("intake answered with another number of verdicts")
        return verdicts

    async def announce(message: Json) -> None:
        await bus.tell("live.alerts", msgspec.json.encode(message))

    ticker = Ticker(
        projection, submit, announce, source=settings.source_of(NAME), calendar=calendar,
        lead_working_days=settings.default_lead_days,
    )  # fmt: skip
    loop = Loop(ticker, Lease(context.engine, _TICK_LEASE), context.registry, every_s=settings.tick_s)

    def on_step(step: Step) -> None:
        if step.behind == 0:
            loop.hint()

    limits = Limits(batch=settings.feed_batch)
    async with projecting(context, projection, watch=Watch(on_step=on_step), limits=limits):
        ticking = context.run(loop.run(), name="ticker")
        try:
            yield
        finally:
            await cancel_until_done(ticking)
