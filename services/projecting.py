"""A projection as part of a service: its runner, its metrics, and the standing check beside it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import structlog
from nats.errors import Error as NatsError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from sqlalchemy.exc import SQLAlchemyError

from events.errors import RelatieboekError, Unavailable
from events.feed import StreamReader
from events.postgres import OUTAGES
from projections.build import Step, Watch
from projections.folding import LIMITS, Limits
from projections.rows import Projection
from projections.runner import Runner, RunnerState, Tell
from projections.standing_check import Checked, check_random
from services.wiring import Context, cancel_until_done

log = structlog.get_logger(__name__)

# One relation every few seconds: some milliseconds of work each, and a book of 400 relations seen through in an hour.
_CHECK_EVERY_S: Final = 10.0
_WORST: Final[tuple[RunnerState, ...]] = ("ready", "starting", "paused", "diverged")
_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class _Metrics:
    """The metrics of a service's projections; a service that hosts several has each once, labelled by projection."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "relatieboek_projection_events", "Events folded and committed", ["projection"], registry=registry
        )
        self.position = Gauge(
            "relatieboek_projection_position", "Last position committed", ["projection"], registry=registry
        )
        self.behind = Gauge(
            "relatieboek_projection_behind",
            "Events in the stream beyond the last batch",
            ["projection"],
            registry=registry,
        )
        self.seconds = Histogram(
            "relatieboek_projection_commit_seconds", "From reading a batch to its commit", ["projection"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.drift = Gauge(
            "relatieboek_projection_drift", "Rows that differ from a fold of the ledger, in the relations found so",
            ["projection"], registry=registry,
        )  # fmt: skip
        self.checks = Counter(
            "relatieboek_projection_checks", "Relations folded again and compared", ["projection"], registry=registry
        )


class _Told:
    """What is said of a projection: to metrics, and to the service's state. Drift shows until a check finds none."""

    def __init__(self, projection: Projection, watch: Watch, metrics: _Metrics, tell: Tell) -> None:
        name = projection.name
        self._tell, self._watch = tell, watch
        self._events = metrics.events.labels(name)
        self._position = metrics.position.labels(name)
        self._behind = metrics.behind.labels(name)
        self._seconds = metrics.seconds.labels(name)
        self._drift = metrics.drift.labels(name)
        self._checks = metrics.checks.labels(name)
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
        self._tell(state, detail)

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
    check_every_s: float = _CHECK_EVERY_S, metrics: _Metrics | None = None, tell: Tell | None = None,
) -> AsyncGenerator[None]:  # fmt: skip
    """Runs a projection and its standing check for as long as the block lasts. `watch.on_step` hears of commits.

    `tell` hears of its state in place of the service's (`projecting_all`, where the service has several)."""
    told = _Told(projection, watch or Watch(), metrics or _Metrics(context.registry), tell or context.state.set)

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


@asynccontextmanager
async def projecting_all(
    context: Context, projections: Sequence[Projection], *, limits: Limits = LIMITS,
    check_every_s: float = _CHECK_EVERY_S,
) -> AsyncGenerator[None]:  # fmt: skip
    """Runs several projections in one process, each with its own runner, checkpoint and lease; the service is in the
    worst of their states. One that stands still does not hold up the others."""
    states: dict[str, tuple[RunnerState, str | None]] = {p.name: ("starting", None) for p in projections}
    metrics = _Metrics(context.registry)

    def tell(name: str, state: RunnerState, detail: str | None) -> None:
        states[name] = (state, detail)
        worst = _WORST[max(_WORST.index(s) for s, _ in states.values())]
        context.state.set(worst, "; ".join(f"{n}: {what}" for n, (_, what) in states.items() if what) or None)

    async with AsyncExitStack() as stack:
        for p in projections:
            # So many checks together load the database no more than one projection's would.
            every_s = check_every_s * len(projections)
            one = projecting(
                context, p, limits=limits, check_every_s=every_s, metrics=metrics, tell=partial(tell, p.name)
            )
            await stack.enter_async_context(one)
        yield


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
