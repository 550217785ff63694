"""A service that ticks: its projection, its standing check and its loop, on the wiring that every service has."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from events.errors import Unavailable
from projections.build import Step, Watch
from projections.folding import Limits
from projections.rows import Projection
from services.bus import NatsBus
from services.projecting import projecting
from services.ticking.lease import Lease
from services.ticking.loop import Loop
from services.ticking.ticker import Announce, Json, Submit, Ticker, Work
from services.wiring import Context, cancel_until_done

_SUBMIT: Final = "submit.relatieboek"
_SUBMIT_TIMEOUT_S: Final = 15.0


def submitting(bus: NatsBus) -> Submit:
    """Sends events to intake as the book's own department. Raises Unavailable."""

    async def submit(events: Sequence[Json]) -> Sequence[Json]:
        reply = await bus.request(_SUBMIT, msgspec.json.encode(events), timeout_s=_SUBMIT_TIMEOUT_S)
        try:
            verdicts = msgspec.json.decode(reply, type=list[dict[str, Any]])
        except msgspec.MsgspecError as error:
            raise Unavailable("intake answered with something else than verdicts") from error
        if len(verdicts) != len(events):
            raise Unavailable("intake answered with another number of verdicts")
        return verdicts

    return submit


def announcing(bus: NatsBus, subject: str) -> Announce:
    """Tells dashboards on one core subject: position, relation and type."""

    async def announce(message: Mapping[str, Any]) -> None:
        await bus.tell(subject, msgspec.json.encode(message))

    return announce


async def _tell_nobody(message: Mapping[str, Any]) -> None:
    """Whether an event of the rules interrupts anybody is for the notifier, which sees those of every service."""


@asynccontextmanager
async def ticking(
    context: Context, projection: Projection, work: Work, *, name: str, lease: int
) -> AsyncGenerator[None]:
    """Runs projection and ticks for as long as the block lasts. Of several replicas the holder of `lease` ticks."""
    settings, bus = context.settings, NatsBus(context.nats)
    ticker = Ticker(projection, work, submitting(bus), _tell_nobody, source=settings.source_of(name))
    loop = Loop(ticker, Lease(context.engine, lease), context.registry, every_s=settings.tick_s)

    def on_step(step: Step) -> None:
        if step.behind == 0:
            loop.hint()

    limits = Limits(batch=settings.feed_batch)
    async with projecting(context, projection, watch=Watch(on_step=on_step), limits=limits):
        task = context.run(loop.run(), name="ticker")
        try:
            yield
        finally:
            await cancel_until_done(task)
