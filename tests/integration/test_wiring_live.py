"""The wiring on real servers: what starts and stops in which order, and what readiness says meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import orjson
import pytest
from faststream import FastStream
from faststream.nats import NatsBroker
from nats.aio.client import Client
from pydantic import SecretStr

from events.errors import SetupError
from services.embedded.accounts import new_seed
from services.embedded.nats import Nats
from services.health import engine_answers
from services.settings import Settings
from services.wiring import Context, Register, Setup, make_app, make_context, serve
from tests.ports import free_port

Json = dict[str, Any]


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not await holds():
            await asyncio.sleep(0.02)


class Running:
    """A service in this process, in a task."""

    def __init__(self, settings: Settings, setup: Setup, register: Register | None = None) -> None:
        self.context = make_context(settings, "intake")
        self.stop = asyncio.Event()
        app = make_app(self.context, setup=setup, register=register)
        self.task = asyncio.create_task(serve(self.context, app, self.stop))

    async def state(self) -> str:
        return str((await self.context.health.report())["state"])

    async def becomes(self, state: str) -> None:
        async def there() -> bool:
            if self.task.done():
                self.task.result()
            return await self.state() == state

        await until(there)

    async def ends(self) -> None:
        self.stop.set()
        async with asyncio.timeout(60):
            await self.task


@asynccontextmanager
async def ready(context: Context) -> AsyncGenerator[None]:
    context.state.set("ready")
    yield


async def test_a_request_in_progress_is_answered_before_the_end(settings: Settings) -> None:
    happened: list[str] = []
    taken, go = asyncio.Event(), asyncio.Event()

    def register(broker: NatsBroker, _context: Context) -> None:
        @broker.subscriber("submit.*")
        async def submit(body: Any) -> bytes:
            taken.set()
            await go.wait()
            happened.append("answered")
            return orjson.dumps({"heard": body})

    @asynccontextmanager
    async def setup(context: Context) -> AsyncGenerator[None]:
        assert context.nats.is_connected
        assert await engine_answers(context.engine)
        reply = await context.nats.request("health.intake", timeout=20)
        happened.append(orjson.loads(reply.data)["state"])
        context.state.set("ready")
        try:
            yield
        finally:
            happened.append(f"unwound, connected: {context.nats.is_connected}")

    service = Running(settings, setup, register)
    await service.becomes("ready")
    other = make_context(settings, "asker")
    await other.broker.connect()
    asking = asyncio.create_task(other.nats.request("submit.zorg", b'{"id":"e1"}', timeout=60))
    await taken.wait()
    ending = asyncio.create_task(service.ends())
    await until(lambda: asyncio.sleep(0, service.context.state.opened is False))
    go.set()
    assert orjson.loads((await asking).data) == {"heard": {"id": "e1"}}
    await ending
    assert happened == ["starting", "answered", "unwound, connected: True"]
    assert not service.context.tasks
    await other.broker.stop()
    await other.engine.dispose()


async def test_it_comes_back_when_nats_does_and_says_so_meanwhile(settings: Settings, nats_server: Nats) -> None:
    port = free_port()
    service = Running(settings.model_copy(update={"http_port": port}), ready)
    await service.becomes("ready")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        assert (await http.get("/readyz")).status_code == 200
        await nats_server.stop()
        await service.becomes("paused")
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()["detail"]) == (503, "NATS is not connected")
        assert (await http.get("/healthz")).status_code == 200
        await nats_server.start()
        await service.becomes("ready")
    await service.ends()


async def test_it_ends_while_nats_is_away(settings: Settings, nats_server: Nats) -> None:
    service = Running(settings, ready)
    await service.becomes("ready")
    await nats_server.stop()
    await service.becomes("paused")
    await service.ends()


async def test_it_ends_while_it_waits_for_nats(settings: Settings) -> None:
    service = Running(settings.model_copy(update={"nats_url": f"nats://127.0.0.1:{free_port()}"}), ready)
    await service.becomes("starting")
    await service.ends()


async def test_it_ends_while_it_waits_for_the_database(settings: Settings) -> None:
    away = f"postgresql+asyncpg://nobody:nothing@127.0.0.1:{free_port()}/none"
    service = Running(settings.model_copy(update={"database_url": away}), ready)

    async def connected() -> bool:
        return service.context.health.nats_connected()

    await until(connected)
    assert await service.state() == "starting"
    await service.ends()


async def test_a_part_that_breaks_ends_the_service(settings: Settings) -> None:
    unwound: list[bool] = []

    async def breaks() -> None:
        raise LookupError("a part")

    @asynccontextmanager
    async def setup(context: Context) -> AsyncGenerator[None]:
        context.run(breaks(), name="part")
        try:
            yield
        finally:
            unwound.append(True)

    service = Running(settings, setup)
    with pytest.raises(LookupError):
        await asyncio.wait_for(service.task, 40)
    assert unwound == [True]


async def test_a_task_group_that_breaks_ends_the_service(settings: Settings) -> None:
    async def breaks() -> None:
        raise LookupError("a child")

    @asynccontextmanager
    async def setup(_context: Context) -> AsyncGenerator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(breaks())
            yield

    service = Running(settings, setup)
    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(service.task, 40)


def breaks_once(at: asyncio.Event) -> Setup:
    """A set-up whose task group breaks at that moment."""

    async def breaks() -> None:
        await at.wait()
        raise LookupError("a child")

    @asynccontextmanager
    async def setup(_context: Context) -> AsyncGenerator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(breaks())
            yield

    return setup


async def test_a_break_while_the_flush_is_out_leaves_a_connection_that_hears(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushing = asyncio.Event()
    real = Client.flush

    async def flush(client: Client, timeout: int = 10) -> None:
        flushing.set()
        await real(client, timeout)

    monkeypatch.setattr(Client, "flush", flush)
    service = Running(settings, breaks_once(flushing))
    await asyncio.wait_for(flushing.wait(), 40)
    with pytest.raises(ExceptionGroup):
        # A connection that no longer hears the server would take ten seconds, or twenty, to close.
        await asyncio.wait_for(service.task, 8)


async def test_a_break_whose_cancellation_is_swallowed_ends_the_service(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting = asyncio.Event()

    async def start(_app: FastStream) -> None:
        starting.set()
        with suppress(asyncio.CancelledError):  # as `wait_for` of Python 3.11 does when it comes with the answer
            await asyncio.Event().wait()

    monkeypatch.setattr(FastStream, "start", start)
    service = Running(settings, breaks_once(starting))
    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(service.task, 40)


async def test_a_refused_key_is_one_clear_line(settings: Settings) -> None:
    service = Running(settings.model_copy(update={"nats_seed": SecretStr(new_seed())}), ready)
    with pytest.raises(SetupError, match="NATS weigert de sleutel"):
        await asyncio.wait_for(service.task, 40)


async def test_a_refused_password_is_one_clear_line(settings: Settings) -> None:
    wrong = settings.database_url.replace("relatieboek_service:", "relatieboek_service:x")
    service = Running(settings.model_copy(update={"database_url": wrong}), ready)
    with pytest.raises(SetupError, match="DATABASE_URL") as told:
        await asyncio.wait_for(service.task, 40)
    assert wrong not in str(told.value)
