"""A department's door that cannot open leaves nothing behind, and opens by itself once it can."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig
from structlog.testing import capture_logs

from services.embedded.doors import signed_in
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, listen, registered, running_intake


async def test_a_door_opens_whole_or_not_at_all(settings: Settings, department: AddDepartment) -> None:
    """Somebody made a consumer with intake's name that reads in another way: NATS refuses intake's own."""
    added, seed = await department("zorg"), settings.operations_nats_seed
    assert seed is not None
    async with signed_in(settings.nats_url, seed.get_secret_value()) as nc:
        js: Any = JetStreamContext(nc)  # its own types are incomplete
        await js.add_consumer("INBOX_zorg", ConsumerConfig(durable_name="intake", ack_policy=AckPolicy.EXPLICIT))
        with capture_logs() as told:
            async with running_intake(settings) as context, asyncio.timeout(60):
                while sum(line["event"] == "doors not open yet" for line in told) < 3:
                    await asyncio.sleep(0.05)
                doors = [len(broker.subscribers) for broker in context.more]
                assert sum(doors) == 1, f"only the request door is open: {doors}"
                assert len(doors) <= 3, f"the relay's, the request door's, and one that is being tried: {doors}"
                await js.delete_consumer("INBOX_zorg", "intake")
                async with connection(settings, added.nats) as client:
                    zorg = Department("zorg", client, f"urn:nld:oin:{settings.institution}:systeem:zorg")
                    verdicts: asyncio.Queue[bytes] = asyncio.Queue()

                    async def hear(message: Msg) -> None:
                        await verdicts.put(message.data)

                    await listen(client, "verdicts.zorg", hear)
                    event = zorg.event("relation.registered", registered())
                    await JetStreamContext(client).publish("inbox.zorg.x", orjson.dumps(event))
                    assert orjson.loads(await verdicts.get())["verdict"] == "accepted"
                assert sorted(len(broker.subscribers) for broker in context.more) == [0, 1, 1]
