"""The service workflows: its projection, and the tick that lets every rule of the rulebook speak."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from projections.workflows.projection import build
from projections.workflows.thresholds import Terms
from projections.working_calendar import WorkingCalendar
from services.rules import thresholds_of
from services.settings import Settings
from services.ticking.running import ticking
from services.wiring import Context, run_service
from services.workflows.work import workflow_work

NAME: Final = "workflows"
_TICK_LEASE: Final = 2


def main(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Of several replicas one ticks and one writes the read model, maybe another."""
    run_service(settings, NAME, setup=setup)


@asynccontextmanager
async def setup(context: Context) -> AsyncGenerator[None]:
    """The service's parts, for as long as the block lasts."""
    settings = context.settings
    terms = Terms(thresholds_of(settings), WorkingCalendar(good_friday_free=settings.good_friday_free))
    projection = build(terms.calendar, terms.thresholds)
    async with ticking(context, projection, workflow_work(terms), name=NAME, lease=_TICK_LEASE):
        yield
