"""What intake keeps goes in time: what waited thirty days is rejected and told, what was rejected is forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from nats.aio.msg import Msg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.intake.keeping import expire
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, held, listen, registered, running_intake, scalar

KEEP = {"parked_days": 30, "rejected_days": 30}


async def aged(owner: AsyncEngine, days: int, id_: str, table: str = "parked", column: str = "parked_at") -> None:
    """Dates what is kept of an event back to so many days and an hour ago."""
    statement = f"UPDATE ledger.{table} SET {column} = now() - make_interval(days => :days, hours => 1) WHERE id = :id"
    async with owner.begin() as conn:
        assert (await conn.execute(text(statement), {"days": days, "id": id_})).rowcount == 1


async def test_what_waited_too_long_is_rejected_and_its_verdict_sent(
    settings: Settings, department: AddDepartment, engine: AsyncEngine, owner_engine: AsyncEngine
) -> None:
    added = await department("crm")
    async with connection(settings, added.nats) as client:
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        long_ago, not_yet = crm.event("contact.held", held("c-1")), crm.event("contact.held", held("c-2"))
        async with running_intake(settings):
            assert [v["verdict"] for v in await crm.send_all([long_ago, not_yet])] == ["parked", "parked"]
        await aged(owner_engine, 30, long_ago["id"])
        await aged(owner_engine, 29, not_yet["id"])

        heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        async def hear(message: Msg) -> None:
            heard.put_nowait(orjson.loads(message.data))

        await listen(client, "verdicts.crm", hear)
        async with running_intake(settings):
            async with asyncio.timeout(60):
                verdict = await heard.get()
            assert (verdict["id"], verdict["source"], verdict["verdict"]) == (long_ago["id"], crm.source, "rejected")
            assert verdict["problem"]["type"].endswith(":expired")
            [error] = verdict["problem"]["errors"]
            assert error["detail"].startswith("it waited 30 days in vain: ")
            assert "does not know this relation" in error["detail"]

            async with engine.connect() as conn:
                [kept] = (await conn.execute(text("SELECT * FROM ledger.rejected"))).mappings()
            assert (kept["department"], kept["id"], kept["code"]) == ("crm", long_ago["id"], "expired")
            assert kept["problem"] == verdict["problem"]
            assert b"summary" not in bytes(kept["sealed"])
            assert await scalar(engine, "SELECT array_agg(id) FROM ledger.parked") == [not_yet["id"]]
            assert await scalar(engine, "SELECT parked FROM ledger.head") == 1
            counts = "SELECT concat_ws(' ', accepted, rejected, parked) FROM ledger.tally WHERE department = 'crm'"
            assert await scalar(engine, counts) == "0 1 2"

            # It is free again: what it waited for may still come, and then it may be sent once more.
            assert (await crm.send(crm.event("relation.registered", registered())))["verdict"] == "accepted"
            async with asyncio.timeout(60):
                freed = await heard.get()
            assert (freed["id"], freed["verdict"]) == (not_yet["id"], "accepted")
            assert (await crm.send(long_ago))["verdict"] == "accepted"
        assert heard.empty()


async def test_what_was_rejected_is_forgotten_after_thirty_days(
    settings: Settings, department: AddDepartment, engine: AsyncEngine, owner_engine: AsyncEngine
) -> None:
    added = await department("crm")
    async with running_intake(settings), connection(settings, added.nats) as client:
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        old, recent = (crm.event("relation.registered", {**registered(), "kind": "gemeente"}) for _ in range(2))
        assert [v["verdict"] for v in await crm.send_all([old, recent])] == ["rejected", "rejected"]
        await aged(owner_engine, 30, old["id"], "rejected", "rejected_at")
        await aged(owner_engine, 29, recent["id"], "rejected", "rejected_at")
        async with engine.begin() as conn:
            assert await expire(conn, **KEEP) == 0
        assert await scalar(engine, "SELECT array_agg(id) FROM ledger.rejected") == [recent["id"]]
        assert await scalar(engine, "SELECT rejected FROM ledger.tally WHERE department = 'crm'") == 2


async def test_more_than_one_transactions_worth_goes_to_the_last(
    settings: Settings, department: AddDepartment, engine: AsyncEngine, owner_engine: AsyncEngine
) -> None:
    added = await department("crm")
    async with connection(settings, added.nats) as client:
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        async with running_intake(settings):
            events = [crm.event("contact.held", held(f"c-{n}")) for n in range(501)]
            assert {v["verdict"] for v in await crm.send_all(events)} == {"parked"}
        async with owner_engine.begin() as conn:
            await conn.execute(text("UPDATE ledger.parked SET parked_at = now() - interval '31 days'"))
        async with running_intake(settings), asyncio.timeout(60):
            while await scalar(engine, "SELECT parked FROM ledger.head"):
                await asyncio.sleep(0.05)
    assert await scalar(engine, "SELECT count(*) FROM ledger.parked") == 0
    assert await scalar(engine, "SELECT count(*) FROM ledger.rejected WHERE code = 'expired'") == 501
