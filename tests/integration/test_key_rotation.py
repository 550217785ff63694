"""Keys lie wrapped; the key that wraps them is rotated while events flow."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import KeyMissing, SetupError
from events.keys import key_id_of
from events.ledger import read
from events.postgres import connect
from events.rewrapping import UNWRAPPED, rewrap, wrapped_by
from services.keys import key_wrapper, privacy_of
from services.rotation import add_key, drop_key
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, held, registered, running_intake, scalar

PERSON = {"person": "p-geheim-81", "name": "Anna Geheim", "function": "Adviseur", "layer": "board",
          "decision_role": "decides", "occurred_on": "2026-01-06"}  # fmt: skip


async def test_a_rotation_while_events_flow(settings: Settings, department: AddDepartment, engine: AsyncEngine) -> None:
    added = await department("crm")
    first = await key_wrapper(settings).primary()
    async with running_intake(settings), connection(settings, added.nats) as client:
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        await crm.send(crm.event("relation.registered", registered("Den Haag", ("gemeentecode", "0518"))))
        await crm.send(crm.event("counterpart.added", PERSON))
        await crm.send(crm.event("contact.held", held("c-wacht"), "gemeentecode:9999"))  # parked
        await crm.send(crm.event("contact.held", held("c-fout", duration_min=0)))  # rejected
        kept = crm.event("contact.held", held("c-eerst"))
        await crm.send(kept)
        sent, done = list[dict[str, object]](), asyncio.Event()

        async def flow() -> None:
            while not done.is_set():
                n = len(sent)
                sent.extend(await crm.send_all([crm.event("contact.held", held(f"c-{n + i}")) for i in range(20)]))

        flowing = asyncio.create_task(flow())
        conn = await connect(settings.database_url)
        with pytest.raises(SetupError, match="RELATIEBOEK_KEY_RING_COMMAND"):  # a KMS makes its own
            await add_key(conn, settings.model_copy(update={"key_ring_command": "kms"}))
        second = await add_key(conn, settings)
        with pytest.raises(SetupError, match="sluit nog"):
            await drop_key(conn, settings, first)
        await rewrap(conn, key_wrapper(settings))
        assert (await wrapped_by(conn)).keys() == {second}  # whatever came meanwhile is wrapped by the new one
        await drop_key(conn, settings, first)
        done.set()
        await flowing
        assert {v["verdict"] for v in sent} == {"accepted"}
        assert (await crm.send(kept))["verdict"] == "duplicate"
        assert await rewrap(conn, key_wrapper(settings)) == 0
        await conn.close()
        async with engine.connect() as reading:
            everything = await read(reading, 0, 10_000)
            shown = await privacy_of(settings).reveal(reading, [e.data for e in everything])
        assert sum(d.get("summary") == "Zeer geheime samenvatting" for d in shown) == len(sent) + 1
        # The parked one opens too, when what it waits for comes.
        await crm.send(crm.event("relation.registered", registered("Elders", ("gemeentecode", "9999"))))
        await crm.send(crm.event("contact.held", held("c-laatst")))
    assert await scalar(engine, "SELECT count(*) FROM ledger.parked") == 0


async def test_keys_of_before_are_wrapped_at_the_start(
    settings: Settings, department: AddDepartment, engine: AsyncEngine, owner_engine: AsyncEngine
) -> None:
    added = await department("crm")
    async with running_intake(settings), connection(settings, added.nats) as client:
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        await crm.send(crm.event("relation.registered", registered("Den Haag", ("gemeentecode", "0518"))))
        await crm.send(crm.event("contact.held", held()))
    conn = await connect(settings.owner_database_url)
    privacy = privacy_of(settings)
    row = await conn.fetchrow("SELECT position, key FROM ledger.event_key ORDER BY position DESC LIMIT 1")
    (plain,) = await privacy.keys.unwrap([(b"event:%d" % row["position"], row["key"])])
    await conn.execute("UPDATE ledger.event_key SET key = $1 WHERE position = $2", plain, row["position"])
    assert (await wrapped_by(conn))[UNWRAPPED] == 1
    async with engine.connect() as reading:
        with pytest.raises(KeyMissing, match="wrapping"):
            await privacy.reveal(reading, (await read(reading, 1, 1))[0].data)
    async with running_intake(settings):
        assert (await wrapped_by(conn))[UNWRAPPED] == 0
    await conn.close()
    async with engine.connect() as reading:
        assert (await privacy.reveal(reading, (await read(reading, 1, 1))[0].data)) == held()


async def test_another_ring_does_not_open_this_book(
    settings: Settings, department: AddDepartment, engine: AsyncEngine
) -> None:
    added = await department("crm")
    async with running_intake(settings), connection(settings, added.nats) as client:
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        await crm.send(crm.event("relation.registered", registered("Den Haag", ("gemeentecode", "0518"))))
    path = settings.data_dir / "other"
    path.write_text("00112233:" + "00" * 32)
    with pytest.raises(SetupError, match="past niet bij dit boek"):
        async with running_intake(settings.model_copy(update={"key_ring_file": path})):
            pass


async def test_no_key_lies_open_in_the_database(
    settings: Settings, department: AddDepartment, engine: AsyncEngine
) -> None:
    added = await department("crm")
    primary = await key_wrapper(settings).primary()
    async with running_intake(settings), connection(settings, added.nats) as client:
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        await crm.send(crm.event("relation.registered", registered("Den Haag", ("gemeentecode", "0518"))))
        await crm.send(crm.event("counterpart.added", PERSON))
        await crm.send(crm.event("contact.held", held("c-wacht"), "gemeentecode:9999"))
        await crm.send(crm.event("contact.held", held("c-fout", duration_min=0)))
    async with engine.connect() as conn:
        for table in ("event_key", "person_key", "parked", "rejected"):
            rows = (await conn.execute(text(f"SELECT key FROM ledger.{table}"))).scalars().all()
            assert rows, table
            assert {key_id_of(bytes(key)) for key in rows} == {primary}, table
