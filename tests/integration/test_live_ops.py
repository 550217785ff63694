"""`live.ops`: operations hear how the book is, without asking, and nothing about anybody."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import orjson
from jsonschema import Draft202012Validator
from nats.aio.msg import Msg

from services.asyncapi import document
from services.settings import Settings
from services.wiring import make_context
from tests.conftest import AddDepartment
from tests.integration.book import Json, connection, listen, running_intake
from tests.running_book import running

READY: Final = {"service": "intake", "state": "ready"}


async def test_the_api_tells_how_the_book_is(settings: Settings, department: AddDepartment) -> None:
    await department("geheime-afdeling")
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(message: Msg) -> None:
        heard.put_nowait(message.data)

    operator = make_context(settings, "operator")
    await operator.broker.connect()
    await listen(operator.nats, "live.ops", hear)
    told: list[bytes] = []
    async with running(settings, ["intake", "api"]):
        async with asyncio.timeout(60):
            while not (told and READY in orjson.loads(told[-1])["services"]):  # the api may be there before intake
                told.append(await heard.get())
            told.append(await heard.get())  # and again
    await operator.broker.stop()
    await operator.engine.dispose()
    for body in told:
        said: Json = orjson.loads(body)
        schema: Any = Draft202012Validator(document()["components"]["schemas"]["Status"])
        assert list(schema.iter_errors(said)) == []
        assert said["type"] == "status"
        assert b"geheime" not in body
        assert len(body) < 8_000
    log = orjson.loads(told[-2])["log"]
    assert orjson.loads(told[-2])["position"] == log["head"] == log["stream"]


async def test_a_department_does_not_hear_it(settings: Settings, department: AddDepartment) -> None:
    added = await department("zorg")
    heard: list[bytes] = []

    async def hear(message: Msg) -> None:
        heard.append(message.data)

    async with running_intake(settings), connection(settings, added.nats) as client:
        await listen(client, "live.ops", hear)
        operator = make_context(settings, "operator")
        await operator.broker.connect()
        await operator.nats.publish("live.ops", b"{}")
        await operator.nats.flush(20)
        await client.flush(20)
        await operator.broker.stop()
        await operator.engine.dispose()
    assert heard == []
