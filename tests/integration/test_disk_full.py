"""A disk that is full while the book runs: busy doors, nothing that grows, and work goes on once there is room."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import nats
import orjson
from nats.aio.client import Client
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.bus import STREAM
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, held, registered, running_intake, scalar

Json = dict[str, Any]
SOURCE = "urn:nld:oin:00000000000000000000:systeem:crm"

# What PostgreSQL does when a file cannot grow: SQLSTATE 53100, whatever the statement.
_NO_ROOM = (
    """
    CREATE FUNCTION ledger.no_room() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$
    """,
    "CREATE TRIGGER no_room BEFORE INSERT ON ledger.entry FOR EACH STATEMENT EXECUTE FUNCTION ledger.no_room()",
)


async def accepted(crm: Department, event: Json) -> Json:
    """Sends until the book takes it, as a department does that hears `busy`."""
    async with asyncio.timeout(60):
        while (verdict := await crm.send(event))["verdict"] == "busy":
            assert verdict["problem"]["status"] == 503
            await asyncio.sleep(verdict["retry_after_s"] / 10)
    return verdict


async def test_the_ledger_finds_no_room(
    settings: Settings, department: AddDepartment, owner_engine: AsyncEngine, engine: AsyncEngine
) -> None:
    added = await department("crm")
    async with running_intake(settings), connection(settings, added.nats) as client:
        crm = Department("crm", client, SOURCE)
        assert (await crm.send(crm.event("relation.registered", registered())))["verdict"] == "accepted"
        async with owner_engine.begin() as conn:
            for statement in _NO_ROOM:
                await conn.execute(text(statement))
        events = [crm.event("contact.held", held(f"c-{n}")) for n in range(20)]
        for event in events:
            verdict = await crm.send(event)
            assert (verdict["verdict"], verdict["problem"]["status"]) == ("busy", 503)
        assert await scalar(engine, "SELECT count(*) FROM ledger.entry") == 1
        assert await scalar(engine, "SELECT count(*) FROM ledger.rejected") == 0
        async with owner_engine.begin() as conn:
            await conn.execute(text("DROP TRIGGER no_room ON ledger.entry"))
        assert [(await accepted(crm, event))["verdict"] for event in events] == ["accepted"] * 20
        assert await scalar(engine, "SELECT max(position) FROM ledger.entry") == 21


async def test_the_stream_finds_no_room(settings: Settings, department: AddDepartment, engine: AsyncEngine) -> None:
    added = await department("crm")
    async with running_intake(settings), connection(settings, added.nats) as client:
        crm = Department("crm", client, SOURCE)
        assert (await crm.send(crm.event("relation.registered", registered())))["verdict"] == "accepted"
        await limit_stream(settings, 50_000)
        sent: list[Json] = []
        for turn in count():
            sent = [crm.event("contact.held", held(f"c-{turn}-{n}")) for n in range(20)]
            said = await crm.send_all(sent)
            if said[0]["verdict"] != "accepted":
                assert {(v["verdict"], v["problem"]["status"]) for v in said} == {("busy", 503)}
                break
        head: int = await scalar(engine, "SELECT position FROM ledger.head")
        for n in range(20):
            more = await crm.send(crm.event("contact.held", held(f"more-{n}")))
            assert (more["verdict"], more["problem"]["status"]) == ("busy", 503)
        # The ledger holds what was under way; it does not run ahead of a stream that has no room.
        assert await scalar(engine, "SELECT position FROM ledger.head") == head
        await limit_stream(settings, -1)
        assert [(await accepted(crm, event))["verdict"] for event in sent] == ["duplicate"] * 20
        assert await limit_stream(settings, -1) == await scalar(engine, "SELECT position FROM ledger.head") == head


async def limit_stream(settings: Settings, most_bytes: int) -> int:
    """Sets how much the stream may hold, as operations may; returns its last sequence."""
    seed = settings.operations_nats_seed
    assert seed is not None
    untyped: Any = nats
    client: Client = await untyped.connect(settings.nats_url, nkeys_seed_str=seed.get_secret_value())
    call = f"$JS.API.STREAM.{{}}.{STREAM}".format
    info: Json = orjson.loads((await client.request(call("INFO"), b"", timeout=20)).data)
    config = orjson.dumps(info["config"] | {"max_bytes": most_bytes})
    done: Json = orjson.loads((await client.request(call("UPDATE"), config, timeout=20)).data)
    assert "error" not in done, done
    await client.close()
    return int(done["state"]["last_seq"])
