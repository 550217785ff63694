"""A running intake inside the test's own loop, and a department that talks to it over its own NATS user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import nats
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.intake.app import parts
from services.settings import Settings
from services.wiring import Context, make_app, make_context, serve

Json = dict[str, Any]


@asynccontextmanager
async def running_intake(settings: Settings) -> AsyncGenerator[Context]:
    """The intake service, ready, until the block ends; then stopped as SIGTERM stops it."""
    context = make_context(settings, "intake")
    setup, register = parts(settings)
    stop = asyncio.Event()
    task = asyncio.create_task(serve(context, make_app(context, setup=setup, register=register), stop))
    try:
        async with asyncio.timeout(60):
            while not context.state.opened or context.state.state == "starting":
                if task.done():
                    task.result()
                await asyncio.sleep(0.01)
        yield context
    finally:
        stop.set()
        await task


@asynccontextmanager
async def connection(settings: Settings, entry: Mapping[str, str]) -> AsyncGenerator[Client]:
    """A department's connection with its own credentials."""
    untyped: Any = nats
    client: Client = await untyped.connect(
        settings.nats_url, nkeys_seed_str=entry["nkey_seed"], inbox_prefix=entry["inbox_prefix"], allow_reconnect=False,
        connect_timeout=20,
    )  # fmt: skip
    try:
        yield client
    finally:
        await client.close()


class Department:
    def __init__(self, name: str, client: Client, source: str) -> None:
        self.name, self.client, self.source = name, client, source
        self._count = 0

    def event(self, kind: str, data: Json, subject: str = "gemeentecode:0518", **attributes: Any) -> Json:
        self._count += 1
        return {
            "specversion": "1.0", "id": f"{self.name}-{self._count}", "source": self.source,
            "type": f"nl.relatieboek.{kind}.v1", "subject": subject, "data": data, **attributes,
        }  # fmt: skip

    async def send(self, event: Json | bytes) -> Json:
        body = event if isinstance(event, bytes) else orjson.dumps(event)
        return orjson.loads((await self.client.request(f"submit.{self.name}", body, timeout=60)).data)

    async def send_all(self, events: Sequence[Json]) -> list[Json]:
        reply = await self.client.request(f"submit.{self.name}", orjson.dumps(list(events)), timeout=60)
        return orjson.loads(reply.data)


async def listen(client: Client, subject: str, hear: Callable[[Msg], Awaitable[None]]) -> None:
    """Subscribes, and returns once the server knows."""
    untyped: Any = client
    await untyped.subscribe(subject, cb=hear)
    await client.flush()


def registered(name: str = "Gemeente Den Haag", *identifiers: tuple[str, str]) -> Json:
    return {
        "name": name, "kind": "municipality", "occurred_on": "2026-01-05",
        "identifiers": [{"scheme": s, "value": v} for s, v in identifiers],
    }  # fmt: skip


def held(contact: str = "c-1", **data: Any) -> Json:
    return {
        "contact": contact, "occurred_at": "2026-02-03T10:00:00+01:00", "duration_min": 60, "channel": "meeting",
        "activity": "conversation", "topics": ["wmo"], "ours": [{"employee": "e-geheim-12", "layer": "board"}],
        "theirs": [{"person": "p-geheim-81", "layer": "board"}], "summary": "Zeer geheime samenvatting", **data,
    }  # fmt: skip


async def scalar(engine: AsyncEngine, query: str, **values: Any) -> Any:
    async with engine.connect() as conn:
        return await conn.scalar(text(query), values)
