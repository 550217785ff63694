"""The services relation-view and team-timeline, nothing but their projection; and insight, which has four."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from projections.folding import Limits
from projections.registry import INSIGHT, PROJECTIONS
from services.projecting import projecting, projecting_all
from services.settings import Settings
from services.wiring import Context, run_service


def main(settings: Settings, name: str) -> None:
    """Runs the service of the projection `name` (`team_timeline` is service team-timeline) until SIGTERM or SIGINT.

    Of several replicas one writes, the others stand by.
    """
    run_service(settings, name.replace("_", "-"), setup=partial(_setup, name=name.replace("-", "_")))


@asynccontextmanager
async def _setup(context: Context, *, name: str) -> AsyncGenerator[None]:
    limits = Limits(batch=context.settings.feed_batch)
    async with projecting(context, PROJECTIONS[name], limits=limits):
        yield


def insight(settings: Settings) -> None:
    """Runs the service `insight`: the read models of rare facts, each with a checkpoint of its own, in one process."""
    run_service(settings, "insight", setup=_setup_insight)


@asynccontextmanager
async def _setup_insight(context: Context) -> AsyncGenerator[None]:
    async with projecting_all(context, INSIGHT, limits=Limits(batch=context.settings.feed_batch)):
        yield
