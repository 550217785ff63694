"""A department's name that is used again, perhaps by somebody else: they find nothing of who had it before."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import SetupError
from services.embedded.doors import signed_in
from services.embedded.registration import add_department, renew_token, revoke_department
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, held, listen, registered, running_intake, scalar


def crm(settings: Settings, client: Client) -> Department:
    return Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")


async def told(department: Department, event: dict[str, Any]) -> dict[str, Any]:
    """Sends an event by the inbox; its verdict, as it is stored for the department."""
    verdicts: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(message: Msg) -> None:
        await verdicts.put(message.data)

    await listen(department.client, f"verdicts.{department.name}", hear)
    await JetStreamContext(department.client).publish(f"inbox.{department.name}.x", orjson.dumps(event))
    async with asyncio.timeout(30):
        return orjson.loads(await verdicts.get())


async def stored(client: Client, at_least: int = 0) -> list[str]:
    """The ids that a department finds when it reads its stored verdicts from where its reader is, once there are so
    many: who listens may hear one before the stream has it. None is acknowledged."""
    async with asyncio.timeout(20):
        while (waiting := await pending(client)) < at_least:
            await asyncio.sleep(0.02)
    if not waiting:
        return []
    reader = await JetStreamContext(client, prefix="book.API").pull_subscribe_bind("crm", "VERDICTS_crm")
    return [orjson.loads(message.data)["id"] for message in await reader.fetch(waiting, timeout=10)]


async def pending(client: Client) -> int:
    answer = await client.request("book.API.CONSUMER.INFO.VERDICTS_crm.crm", timeout=20)
    return int(orjson.loads(answer.data)["num_pending"])


async def test_who_gets_a_revoked_name_reads_no_verdict_of_before(
    settings: Settings, department: AddDepartment
) -> None:
    first = await department("crm", owner="team Een")
    async with running_intake(settings):
        async with connection(settings, first.nats) as client:
            before = crm(settings, client)
            assert (await told(before, before.event("relation.registered", registered())))["verdict"] == "accepted"
            assert (await told(before, before.event("contact.held", held())))["verdict"] == "accepted"
            async with asyncio.timeout(20):  # both stay unread, for whoever reads next
                while await pending(client) < 2:
                    await asyncio.sleep(0.02)
        await revoke_department(settings, "crm")
        second = await department("crm", owner="team Twee")
        async with connection(settings, second.nats) as client:
            assert await stored(client) == []
            after = crm(settings, client)
            event = {**after.event("contact.held", held("c-2")), "id": "of-the-second"}
            assert (await told(after, event))["id"] == "of-the-second"
            assert await stored(client, 1) == ["of-the-second"]


async def test_a_renewed_key_takes_no_verdict_away(settings: Settings, department: AddDepartment) -> None:
    added = await department("crm")
    async with running_intake(settings), connection(settings, added.nats) as client:
        own = crm(settings, client)
        await told(own, own.event("relation.registered", registered()))
        await renew_token(settings, "crm")
        assert await stored(client, 1) == ["crm-1"]


async def test_a_name_with_something_in_its_inbox_is_not_given_away(
    settings: Settings, department: AddDepartment, engine: AsyncEngine
) -> None:
    """It would be judged as the new department's. Once intake has refused it, the name is free."""
    first = await department("crm")
    async with connection(settings, first.nats) as client:
        event = crm(settings, client).event("relation.registered", registered())
        await JetStreamContext(client).publish("inbox.crm.x", orjson.dumps(event))
    await revoke_department(settings, "crm")
    with pytest.raises(SetupError, match="postvak"):
        await department("crm")
    assert await scalar(engine, "SELECT revoked_at IS NOT NULL FROM ledger.department")
    async with running_intake(settings):
        seed = settings.operations_nats_seed
        assert seed is not None
        async with signed_in(settings.nats_url, seed.get_secret_value()) as nc, asyncio.timeout(30):
            while (await JetStreamContext(nc).stream_info("INBOX_crm")).state.messages:
                await asyncio.sleep(0.05)
        second = await department("crm")
        async with connection(settings, second.nats) as client:
            assert await stored(client) == []
    assert await scalar(engine, "SELECT count(*) FROM ledger.entry") == 0


async def test_without_the_key_of_operations_a_revoked_name_stays_so(
    settings: Settings, department: AddDepartment
) -> None:
    await department("crm")
    await revoke_department(settings, "crm")
    relay = settings.model_copy(update={"operations_nats_seed": SecretStr("")})
    assert not relay.operations_nats_seed
    with pytest.raises(SetupError, match="RELATIEBOEK_OPERATIONS_NATS_SEED"):
        await add_department(relay, "crm", [f"urn:nld:oin:{settings.institution}:systeem:crm"], ["*"])
