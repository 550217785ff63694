"""How every service stands: one FastStream app with its broker and engine, one truth about readiness, one way to stop.

Order of a start: HTTP port (so that `/readyz` can say `starting`), NATS, PostgreSQL, the health answer, the service's
`setup`, then the subscribers. Order of a stop, on SIGTERM, SIGINT or a broken part: subscribers take nothing new and
end what they hold, `setup` unwinds with the connection still there, then the connection drains and the engine closes.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

import orjson
import structlog
import uvloop
from faststream import FastStream
from faststream.nats import NatsBroker
from faststream.specification import AsyncAPI
from nats.aio.client import Client
from nats.errors import Error as NatsError
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import SetupError
from services.connections import connect, connect_broker, make_broker, make_engine, nats_connected, watch
from services.health import Health, ServiceState, http_app
from services.listen import listening
from services.settings import Settings
from services.telemetry import brief, configure_logging, make_registry, make_tracer_provider

__all__ = [
    "Context", "Register", "ServiceState", "Setup", "cancel_until_done", "make_app", "make_broker", "make_context",
    "make_engine", "run_service", "serve",
]  # fmt: skip

log = structlog.get_logger(__name__)

Register = Callable[["NatsBroker", "Context"], None]
Setup = Callable[["Context"], AbstractAsyncContextManager[None]]

_STOP_WITHIN_S: Final = 20.0
_ANSWER_WITHIN_S: Final = 10.0
_FLUSH_WITHIN_S: Final = 5


@dataclass(slots=True)
class Context:
    """What a service works with. `registry` is this process's own; metrics of the service are made on it."""

    settings: Settings
    name: str
    broker: NatsBroker
    engine: AsyncEngine
    state: ServiceState
    registry: CollectorRegistry
    tracer_provider: TracerProvider
    health: Health
    tasks: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])
    owed: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])
    more: dict[NatsBroker, asyncio.Task[None]] = field(default_factory=dict[NatsBroker, "asyncio.Task[None]"])
    broken: asyncio.Future[None] | None = None

    @property
    def nats(self) -> Client:
        """The broker's own connection; there from before `setup` until after it."""
        return self.broker.connection

    async def connect_as(self, user: Literal["service", "relay"], **options: Any) -> NatsBroker:
        """Another broker, connected as this user of NATS; its subscribers stop and it closes as the service's own."""
        s = self.settings
        seed, setting = (
            (s.nats_seed, "RELATIEBOEK_NATS_SEED") if user == "service" else
            (s.relay_nats_seed, "RELATIEBOEK_RELAY_NATS_SEED")
        )  # fmt: skip
        broker = make_broker(
            s.model_copy(update={"nats_seed": seed}), registry=self.registry, tracer_provider=self.tracer_provider,
            inbox_prefix=f"_INBOX_{user}", **options,
        )  # fmt: skip
        await connect_broker(broker, setting)
        self.more[broker] = self.run(watch(broker.connection), name=f"watch {options['name']}")
        return broker

    async def disconnect(self, broker: NatsBroker) -> None:
        """Takes back what `connect_as` gave, with its subscribers."""
        await cancel_until_done(self.more.pop(broker))
        await _close_broker(broker, broker.stop)

    def run(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Runs `work` beside the service until the stop. When it raises, the whole service stops with exit code 1:
        a service that lives on without one of its parts is worse than one that is started again."""
        task = asyncio.create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def owe(self, answer: Coroutine[Any, Any, None]) -> None:
        """Runs an answer that somebody waits for beside its subscriber, so that the subscriber can take the next
        message; a stop waits for it. What it raises is logged: one message must not stop the service."""
        task = asyncio.create_task(answer)
        self.owed.add(task)
        task.add_done_callback(self._paid)

    def _paid(self, task: asyncio.Task[Any]) -> None:
        self.owed.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("answer failed", exc_info=error)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Stops the service with exit code 1; the first error is the one that is told."""
        if self.broken is not None and not self.broken.done():
            self.broken.set_exception(error)


async def cancel_until_done(*tasks: asyncio.Task[Any]) -> None:
    """Cancels and waits, again and again: nats-py can swallow a cancellation. Results and errors are not raised."""
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=1.0)


def make_context(settings: Settings, name: str) -> Context:
    """Everything that a service works with, nothing of it connected yet."""
    registry = make_registry(name)
    tracer_provider = make_tracer_provider(settings, name)
    broker = make_broker(settings, name=name, registry=registry, tracer_provider=tracer_provider)
    engine = make_engine(settings, name=f"relatieboek-{name}")
    state = ServiceState(name)
    health = Health(state, engine, partial(nats_connected, broker), registry)
    return Context(settings, name, broker, engine, state, registry, tracer_provider, health)


def make_app(context: Context, *, setup: Setup, register: Register | None = None) -> FastStream:
    """The FastStream app of a service. Its lifespan connects and runs `setup`; starting it opens the subscribers."""
    if register is not None:
        register(context.broker, context)

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            settings = context.settings
            if settings.http_port is not None:
                await stack.enter_async_context(listening(http_app(context.health), settings.host, settings.http_port))
            await connect(context.broker, context.engine)
            context.run(watch(context.nats), name="watch")
            await _answer_health(context)
            await stack.enter_async_context(setup(context))
            yield

    return FastStream(
        context.broker,
        logger=None,
        lifespan=lifespan,
        specification=AsyncAPI(title=f"relatieboek-{context.name}", version="1.0.0"),
    )


async def _answer_health(context: Context) -> None:
    # Not a FastStream subscriber: those open after `setup`, and a long `setup` must be able to say `starting`.
    async def answer(message: Any) -> None:
        if message.reply:
            await message.respond(orjson.dumps(await context.health.report()))

    nats: Any = context.nats  # its own types are incomplete
    await nats.subscribe(f"health.{context.name}", cb=answer)


async def serve(context: Context, app: FastStream, stop: asyncio.Event) -> None:
    """Runs a service until `stop` is set or a part breaks; raises what broke it. Returns with everything closed."""
    context.broken = asyncio.get_running_loop().create_future()
    leave = asyncio.Event()
    live = asyncio.create_task(_live(context, app, leave), name=context.name)
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({live, stopping, context.broken}, return_when=asyncio.FIRST_COMPLETED)
        leave.set()
        if context.state.opened:
            await asyncio.wait({live}, timeout=_STOP_WITHIN_S)
        await cancel_until_done(live, stopping)
        if context.broken.done():
            context.broken.result()
        if not live.cancelled():
            live.result()
    finally:
        await cancel_until_done(live, stopping, *context.owed, *context.tasks)
        context.broken.cancel()
        await _close(context, app)
        log.info("stopped")


async def _live(context: Context, app: FastStream, leave: asyncio.Event) -> None:
    untyped: Any = app
    async with untyped.lifespan_context():
        await app.start()
        # Subscriptions lie in the client's buffer until here; who is told `ready` must find somebody who answers.
        await _flush(context.nats)
        _heed_cancellation()
        context.state.opened = True
        log.info("started")
        await leave.wait()
        context.state.opened = False
        for broker in (context.broker, *context.more):
            for subscriber in broker.subscribers:
                await subscriber.stop()
        if context.owed:
            await asyncio.wait(context.owed, timeout=_ANSWER_WITHIN_S)
        await cancel_until_done(*context.owed, *context.tasks)


async def _flush(client: Client) -> None:
    # Never cancelled halfway: nats-py would give the server's PONG to the cancelled future, its reader would die of
    # that, and each of the two flushes of a stop would wait its whole ten seconds for an answer that nobody hears.
    flushing = asyncio.create_task(client.flush(timeout=_FLUSH_WITHIN_S), name="flush")
    flushing.add_done_callback(lambda task: task.cancelled() or task.exception())
    with suppress(NatsError, TimeoutError):
        await asyncio.shield(flushing)


def _heed_cancellation() -> None:
    # A task group in `setup` cancels us once. nats-py swallows that here and there, and so does `wait_for` of Python
    # 3.11 when it comes together with the answer; without this the service would live on without the part that broke.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _close(context: Context, app: FastStream) -> None:
    await _close_broker(context.broker, app.stop)
    for broker in context.more:
        await _close_broker(broker, broker.stop)
    await context.engine.dispose()
    context.tracer_provider.shutdown()


async def _close_broker(broker: NatsBroker, stop: Callable[[], Awaitable[None]]) -> None:
    client = broker.connection if broker.config.connection_state else None
    try:
        await stop()
    except (NatsError, OSError, TimeoutError) as error:  # a connection that is away cannot be drained
        log.info("closed without draining", reason=brief(error))
    if client is not None and not client.is_closed:
        await client.close()


def run_service(settings: Settings, name: str, *, setup: Setup, register: Register | None = None) -> None:
    """Runs a service until SIGTERM or SIGINT and returns; a second signal cuts its last work short.

    `register(broker, context)` declares the FastStream subscribers. `setup(context)` runs with NATS and PostgreSQL
    connected and before any subscriber takes a message; it sets `context.state`, and starts what runs beside the
    subscribers by `context.run(...)`. Raises `SetupError` for what a person must mend; anything else that ends the
    service is logged, and the process exits with 1.
    """
    configure_logging(settings, name)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_main(settings, name, setup, register))
    except SetupError:
        raise
    except Exception as error:  # the edge of the process
        log.error("service failed", exc_info=error)
        raise SystemExit(1) from None


async def _main(settings: Settings, name: str, setup: Setup, register: Register | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    context = make_context(settings, name)
    app = make_app(context, setup=setup, register=register)
    work = asyncio.create_task(serve(context, app, stop), name="serve")

    def on_signal() -> None:
        if stop.is_set():
            work.cancel()
        stop.set()

    # Ctrl-C reaches the whole process group; under `up` the supervisor decides who stops when.
    for number in (signal.SIGTERM,) if settings.up_pid is not None else (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        await work
    except asyncio.CancelledError:
        log.warning("stopped at once, on a second signal")
