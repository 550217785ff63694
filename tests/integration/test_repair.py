"""A stream that went away unseen: intake says `diverged`, stores nothing, and goes on by itself after a repair."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from events.reconcile import reconcile, repair
from events.stream import Stream
from services.cli.operating import as_user
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, held, registered, running_intake, scalar


async def until_state(client: Client, wanted: str) -> None:
    """Waits until intake says so of itself; it looks every few seconds whether a repair was done."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.request("health.intake", b"", timeout=20)
            if orjson.loads(answer.data)["state"] == wanted:
                return
            await asyncio.sleep(0.05)


async def test_a_repair_is_noticed_without_a_restart(
    settings: Settings, department: AddDepartment, engine: AsyncEngine
) -> None:
    added = await department("crm")
    async with (
        as_user(settings, settings.operations_nats_seed) as operations,
        as_user(settings, settings.nats_seed) as service,
        connection(settings, added.nats) as client,
    ):
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        async with running_intake(settings):
            await crm.send(crm.event("relation.registered", registered()))
        await Stream(operations).delete()
        async with running_intake(settings):
            await until_state(service, "diverged")
            assert (await crm.send(crm.event("contact.held", held())))["verdict"] == "busy"
            assert await scalar(engine, "SELECT position FROM ledger.head") == 1
            await repair(settings.database_url, operations)
            await until_state(service, "ready")
            assert (await crm.send(crm.event("contact.held", held())))["verdict"] == "accepted"
        assert (await reconcile(settings.database_url, operations)).agree


@pytest.mark.parametrize("seen_by", ["the running intake", "the next intake"])
async def test_a_message_that_is_no_event_is_found_and_a_repair_takes_it_out(
    settings: Settings, department: AddDepartment, engine: AsyncEngine, seen_by: str
) -> None:
    """JetStream answers where the asker says. In the streams' account that is operations, or whoever has its key."""
    added = await department("crm")
    async with (
        as_user(settings, settings.operations_nats_seed) as operations,
        as_user(settings, settings.nats_seed) as service,
        connection(settings, added.nats) as client,
    ):
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        async with running_intake(settings):
            await crm.send(crm.event("relation.registered", registered()))
            await operations.publish("$JS.API.INFO", b"", reply="relatieboek.contact.held.crm")
            await operations.flush()
            async with asyncio.timeout(20):
                while (await Stream(operations).state()).last != 2:
                    await asyncio.sleep(0.05)
            event = crm.event("contact.held", held())
            if seen_by == "the running intake":
                assert (await crm.send(event))["verdict"] == "busy"
                await until_state(service, "diverged")
        async with running_intake(settings):
            await until_state(service, "diverged")
            assert (await crm.send(event))["verdict"] == "busy"
            await repair(settings.database_url, operations)
            await until_state(service, "ready")
            assert (await crm.send(event))["verdict"] in {"accepted", "duplicate"}
            assert await scalar(engine, "SELECT position FROM ledger.head") == 2
        assert (await reconcile(settings.database_url, operations)).agree
