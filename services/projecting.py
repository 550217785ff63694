"""A projection as part of a service: its runner, its metrics, and the standing check beside it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from nats.errors import Error as NatsError
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy.exc import SQLAlchemyError

from events.errors import RelatieboekError, Unavailable
from events.feed import StreamReader
from projections.build import Step, Watch
from projections.folding import LIMITS, Limits
from projections.postgres import OUTAGES
from projections.rows import Projection
from projections.runner import Runner, RunnerState
from projections.standing_check import Checked, check_random
from services.wiring import Context, cancel_until_done

log = structlog.get_logger(__name__)

# One relation every few seconds: some milliseconds of work each, and a book of 400 relations seen through in an hour.
_CHECK_EVERY_S: Final = 10.0
_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class _Told:
    """What is said of a projection: to metrics, and to the service's state. Drift shows until a check finds none."""

    def __init__(self, context: Context, projection: Projection, watch: Watch) -> None:
        registry, name = context.registry, projection.name
        self._context, self._watch = context, watch
        self._events = Counter(
            "relatieboek_projection_events", "Events folded and committed", ["projection"], registry=registry
        ).labels(name)
        self._position = Gauge(
            "relatieboek_projection_position", "Last position committed", ["projection"], registry=registry
        ).labels(name)
        self._behind = Gauge(
            "relatieboek_projection_behind",
            "Events in the stream beyond the last batch",
            ["projection"],
            registry=registry,
        ).labels(name)
        self._seconds = Histogram(
            "relatieboek_projection_commit_seconds", "From reading a batch to its commit", ["projection"],
            buckets=_SECONDS, registry=registry,
        ).labels(name)  # fmt: skip
        self._drift = Gauge(
            "relatieboek_projection_drift", "Rows that differ from a fold of the ledger, in the relations found so",
            ["projection"], registry=registry,
        ).labels(name)  # fmt: skip
        self._checks = Counter(
            "relatieboek_projection_checks", "Relations folded again and compared", ["projection"], registry=registry
        ).labels(name)
        self._wrong: dict[str, int] = {}
        self._state: tuple[RunnerState, str | None] = ("starting", None)

    def on_step(self, step: Step) -> None:
        self._events.inc(step.events)
        self._position.set(step.position)
        self._behind.set(step.behind)
        self._seconds.observe(step.seconds)
        if self._watch.on_step is not None:
            self._watch.on_step(step)

    def tell(self, state: RunnerState, detail: str | None) -> None:
        self._state = (state, detail)
        if state == "ready" and self._wrong:
            detail = f"rows of {len(self._wrong)} relations differ from the ledger: rebuild the projection"
        self._context.state.set(state, detail)

    def checked(self, found: Checked) -> None:
        self._checks.inc()
        before = dict(self._wrong)
        if found.drift:
            self._wrong[found.relation] = sum(found.drift.values())
        else:
            self._wrong.pop(found.relation, None)
        self._drift.set(sum(self._wrong.values()))
        if self._wrong != before:
            self.tell(*self._state)


@asynccontextmanager
async def projecting(
    context: Context, projection: Projection, *, watch: Watch | None = None, limits: Limits = LIMITS,
    check_every_s: float = _CHECK_EVERY_S,
) -> AsyncGenerator[None]:  # fmt: skip
    """Runs a projection and its standing check for as long as the block lasts. `watch.on_step` hears of commits."""
    told = _Told(context, projection, watch or Watch())

    async def publish(subject: str, body: bytes) -> None:
        try:
            await context.nats.publish(subject, body)
        except NatsError as error:
            raise Unavailable("NATS takes no messages") from error

    runner = Runner(
        projection, context.engine, StreamReader(context.nats), publish=publish, tell=told.tell,
        watch=Watch(on_step=told.on_step), limits=limits,
    )  # fmt: skip
    tasks = [
        context.run(runner.run(), name=projection.name),
        context.run(_check(context, projection, told, check_every_s), name=f"{projection.name}-check"),
    ]
    try:
        yield
    finally:
        await cancel_until_done(*tasks)


async def _check(context: Context, projection: Projection, told: _Told, every_s: float) -> None:
    # Every replica checks relations of its own choice; which ones need not be secret, only even over the ledger.
    choice = random.Random()  # noqa: S311
    while True:
        await asyncio.sleep(every_s * choice.uniform(0.5, 1.5))
        try:
            found = await check_random(context.engine, projection, choice.random())
        except (RelatieboekError, SQLAlchemyError, *OUTAGES) as error:
            log.info("not checked", projection=projection.name, reason=type(error).__name__)
            continue
        if found is None:
            continue
        told.checked(found)
        if found.drift:
            log.error(
                "read model differs from the ledger", projection=projection.name, relation=found.relation,
                position=found.position, drift=dict(found.drift),
            )  # fmt: skip
