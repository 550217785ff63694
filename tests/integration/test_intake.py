"""Through the NATS doors into a real ledger and a real stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import nats
import orjson
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import KeyMissing
from events.ledger import read, resolve
from events.proof import leaf_hash
from events.reconcile import reconcile, repair
from events.stream import STREAM
from services.intake.departments import OWN, Departments
from services.keys import privacy_of
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, held, listen, registered, running_intake, scalar


@pytest.fixture
async def crm(settings: Settings, department: AddDepartment) -> AsyncGenerator[Department]:
    added = await department("crm")
    async with running_intake(settings), connection(settings, added.nats) as client:
        yield Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")


@pytest.fixture
async def operations(settings: Settings) -> AsyncGenerator[Client]:
    untyped: Any = nats
    assert settings.operations_nats_seed is not None
    seed = settings.operations_nats_seed.get_secret_value()
    client: Client = await untyped.connect(settings.nats_url, nkeys_seed_str=seed, allow_reconnect=False)
    yield client
    await client.close()


async def test_an_event_is_in_ledger_and_stream_when_its_verdict_comes(
    crm: Department, engine: AsyncEngine, operations: Client
) -> None:
    verdict = await crm.send(crm.event("relation.registered", registered()))
    assert (verdict["verdict"], verdict["sequence"], verdict["version"]) == ("accepted", f"{1:020d}", 1)
    async with engine.connect() as conn:
        [stored] = await read(conn, 0, 10)
        assert await resolve(conn, "gemeentecode:0518") == verdict["relation"] == stored.relation
        payload = await conn.scalar(text("SELECT payload FROM ledger.entry"))
    message = await JetStreamContext(operations).get_msg(STREAM, seq=1)
    assert message.data == payload
    headers = cast("dict[str, str]", message.headers or {})  # pyright: ignore[reportUnknownMemberType]
    assert headers["Relatieboek-Leaf"] == verdict["leaf_hash"]
    assert headers["Relatieboek-Relation"] == verdict["relation"]
    assert message.subject == "relatieboek.relation.registered.crm"
    assert leaf_hash(orjson.loads(payload), 1, 1, bytes(32)).hex() == verdict["leaf_hash"]


async def test_sent_twice_is_a_duplicate_with_the_first_ones_place(crm: Department) -> None:
    event = crm.event("relation.registered", registered())
    first, again = (
        await crm.send(event),
        await crm.send({**event, "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}),
    )
    assert again["verdict"] == "duplicate"
    assert (again["sequence"], again["leaf_hash"]) == (first["sequence"], first["leaf_hash"])


async def test_the_same_id_with_other_content_is_rejected_and_shows_the_first(crm: Department) -> None:
    event = crm.event("relation.registered", registered())
    first = await crm.send(event)
    other = await crm.send({**event, "data": registered("Iets anders")})
    assert (other["verdict"], other["problem"]["status"]) == ("rejected", 409)
    assert other["problem"]["conflicting"]["sequence"] == first["sequence"]
    assert other["problem"]["errors"][0]["pointer"] == "/id"


async def test_a_rejected_event_may_be_sent_again_mended(crm: Department, engine: AsyncEngine) -> None:
    bad = crm.event("relation.registered", {**registered(), "kind": "gemeente"})
    refused = await crm.send(bad)
    assert (refused["verdict"], refused["problem"]["errors"][0]["pointer"]) == ("rejected", "/data/kind")
    assert (await crm.send({**bad, "data": registered()}))["verdict"] == "accepted"
    assert await scalar(engine, "SELECT count(*) FROM ledger.rejected") == 1


async def test_what_waits_is_accepted_by_itself_and_its_verdict_sent(
    crm: Department, engine: AsyncEngine, settings: Settings
) -> None:
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hear(message: Msg) -> None:
        heard.put_nowait(orjson.loads(message.data))

    await listen(crm.client, "verdicts.crm", hear)
    await crm.client.flush()
    late = crm.event("contact.held", held())
    corrected = crm.event(
        "contact.corrected",
        {"contact": "c-1", "changes": {"duration_min": 30}, "reason": "x", "occurred_at": "2026-02-05T09:00:00+01:00"},
    )
    answers = await crm.send_all([corrected, late])
    assert [a["verdict"] for a in answers] == ["parked", "parked"]
    assert answers[0]["problem"]["type"].endswith("unknown_relation")
    assert (await crm.send(late))["verdict"] == "parked"
    assert (await crm.send(crm.event("relation.registered", registered())))["verdict"] == "accepted"
    async with asyncio.timeout(60):
        released = [await heard.get(), await heard.get()]
    assert [(v["id"], v["verdict"]) for v in released] == [(late["id"], "accepted"), (corrected["id"], "accepted")]
    assert await scalar(engine, "SELECT count(*) FROM ledger.parked") == 0
    assert await scalar(engine, "SELECT parked FROM ledger.head") == 0
    assert (await crm.send(late))["verdict"] == "duplicate"


async def test_events_of_a_relation_in_the_same_array_as_its_registration(crm: Department) -> None:
    events = [crm.event("contact.held", held("c-0"))]
    events += [crm.event("relation.registered", registered())]
    events += [crm.event("contact.held", held(f"c-{n}")) for n in range(1, 5)]
    assert [v["verdict"] for v in await crm.send_all(events)] == ["parked", *["accepted"] * 5]


async def test_a_department_publishes_only_under_its_sources_and_types(
    settings: Settings, department: AddDepartment
) -> None:
    added = await department("hr", types=["team.*"])
    async with running_intake(settings), connection(settings, added.nats) as client:
        hr = Department("hr", client, f"urn:nld:oin:{settings.institution}:systeem:hr")
        formed = {"team": "wmo", "name": "Wmo", "occurred_on": "2026-01-01"}
        assert (await hr.send(hr.event("team.formed", formed, "organisation")))["verdict"] == "accepted"
        strange = await hr.send({**hr.event("relation.registered", registered()), "source": hr.source[:-2] + "crm"})
        assert strange["problem"]["status"] == 403
        assert [e["pointer"] for e in strange["problem"]["errors"]] == ["/source", "/type"]
        alert = await hr.send(hr.event("alert.acknowledged", {"alert": "x", "occurred_at": "2026-01-01T00:00:00Z"}))
        assert alert["problem"]["status"] == 403


async def test_who_is_registered_is_known_while_departments_are_read_anew(
    engine: AsyncEngine, department: AddDepartment
) -> None:
    await department("crm")
    departments = Departments(engine)

    async def read_anew() -> None:
        for _ in range(200):
            await departments.refresh()

    reading = asyncio.create_task(read_anew())
    asked = 0
    while not reading.done():
        assert await departments.get("crm") is not None
        assert await departments.get(OWN) is not None
        asked += 1
        await asyncio.sleep(0)
    await reading
    assert asked > 50


async def test_the_inbox_takes_events_while_the_book_is_down(
    settings: Settings, department: AddDepartment, engine: AsyncEngine
) -> None:
    added = await department("crm")
    async with running_intake(settings):
        pass  # the first start makes the department's streams
    async with connection(settings, added.nats) as client:
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        async def hear(message: Msg) -> None:
            heard.put_nowait(orjson.loads(message.data))

        await listen(client, "verdicts.crm", hear)
        await client.flush()
        events = [crm.event("relation.registered", registered()), crm.event("contact.held", held()), {"niets": 1}]
        for event in events:
            reply = await client.request("inbox.crm.agenda", orjson.dumps(event), timeout=20)
            assert orjson.loads(reply.data)["stream"] == "INBOX_crm"
        async with running_intake(settings), asyncio.timeout(60):
            wanted = {(events[0]["id"], "accepted"), (events[1]["id"], "accepted"), (None, "rejected")}
            said: set[tuple[str | None, str]] = set()
            while not said >= wanted:
                verdict = await heard.get()
                said.add((verdict.get("id"), verdict["verdict"]))
        # A contact that comes before its relation waits for it, and is let in by itself.
        assert said - wanted <= {(events[1]["id"], "parked")}
        assert await scalar(engine, "SELECT count(*) FROM ledger.entry") == 2


async def test_no_personal_data_in_the_clear(crm: Department, engine: AsyncEngine, settings: Settings) -> None:
    await crm.send(crm.event("relation.registered", registered()))
    person = {
        "person": "p-geheim-81",
        "name": "Anna Geheim",
        "function": "Geheime adviseur",
        "layer": "board",
        "decision_role": "decides",
        "occurred_on": "2026-01-06",
    }
    assert (await crm.send(crm.event("counterpart.added", person)))["verdict"] == "accepted"
    assert (await crm.send(crm.event("contact.held", held())))["verdict"] == "accepted"
    assert (await crm.send(crm.event("contact.held", held("c-2"), "gemeentecode:9999")))["verdict"] == "parked"
    tables = ("entry", "thing", "event_key", "person_key", "parked", "rejected")
    async with engine.connect() as conn:
        for table in tables:
            rows = (await conn.execute(text(f"SELECT * FROM ledger.{table}"))).all()
            everything = b" ".join(v if isinstance(v, bytes) else str(v).encode() for row in rows for v in row)
            assert rows or table == "rejected"
            assert b"eheim" not in everything, table
        stored = (await read(conn, 0, 10))[-1]
        privacy = privacy_of(settings)
        shown = await privacy.reveal(conn, stored.data)
        assert shown == held()
        assert stored.data["theirs"][0]["person"] == await privacy.ref_of(conn, "person", "p-geheim-81")
        names = await privacy.reveal(conn, (await read(conn, 1, 1))[0].data)
        assert (names["name"], names["function"]) == ("Anna Geheim", "Geheime adviseur")
        with pytest.raises(KeyMissing):  # nobody erased it: an alarm, not "gegevens gewist"
            await privacy.reveal(conn, {"x": "enc~e~999~/data/summary~AAAA"})


async def test_entries_are_append_only_for_the_services(crm: Department, engine: AsyncEngine) -> None:
    await crm.send(crm.event("relation.registered", registered()))
    for statement in ("UPDATE ledger.entry SET relation = 'x'", "DELETE FROM ledger.entry", "TRUNCATE ledger.entry"):
        async with engine.connect() as conn:
            with pytest.raises(DBAPIError, match="permission denied"):
                await conn.execute(text(statement))


async def test_only_the_relay_writes_the_stream(crm: Department) -> None:
    with pytest.raises(TimeoutError):
        await crm.client.request("relatieboek.contact.held.crm", b"{}", timeout=0.5)


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_two_replicas_keep_one_dense_order(
    settings: Settings, department: AddDepartment, engine: AsyncEngine, operations: Client, size: int
) -> None:
    added = await department("crm")
    async with running_intake(settings), running_intake(settings), connection(settings, added.nats) as client:
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        await crm.send(crm.event("relation.registered", registered()))
        events = [crm.event("contact.held", held(f"c-{n}")) for n in range(100)]
        batches = [events[n : n + size] for n in range(0, len(events), size)]
        answers = await asyncio.gather(*(crm.send_all(b) for b in batches + batches[:3]))
        assert {v["verdict"] for a in answers for v in a} <= {"accepted", "duplicate"}
        async with engine.connect() as conn:
            stored = await read(conn, 0, 1000)
        assert [e.position for e in stored] == list(range(1, 102))
        assert [e.version for e in stored] == list(range(1, 102))
    report = await reconcile(settings.database_url, operations)
    assert report.agree, report.differences
    assert (report.entries, report.messages) == (101, 101)


async def test_a_lost_stream_is_noticed_and_filled_from_the_ledger(
    settings: Settings, department: AddDepartment, operations: Client
) -> None:
    added = await department("crm")
    async with connection(settings, added.nats) as client:
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        async with running_intake(settings):
            await crm.send(crm.event("relation.registered", registered()))
            await crm.send_all([crm.event("contact.held", held(f"c-{n}")) for n in range(50)])
        await operations.request(f"$JS.API.STREAM.DELETE.{STREAM}", b"", timeout=20)
        async with running_intake(settings):
            answer = await crm.send(crm.event("contact.held", held("c-later")))
            assert (answer["verdict"], answer["problem"]["status"]) == ("busy", 503)
        assert not (await reconcile(settings.database_url, operations)).agree
        await repair(settings.database_url, operations)
        assert (await reconcile(settings.database_url, operations)).agree
        async with running_intake(settings):
            assert (await crm.send(crm.event("contact.held", held("c-later"))))["verdict"] == "accepted"
    assert (await reconcile(settings.database_url, operations)).agree


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE ledger.entry SET payload = overlay(payload PLACING 'X' FROM 400) WHERE position = 3",
        "DELETE FROM ledger.entry WHERE position = 3",
        "UPDATE ledger.entry SET leaf = prev WHERE position = 3",
        "UPDATE ledger.entry SET department = 'hr' WHERE position = 3",
    ],
)
async def test_reconcile_finds_damage_in_the_ledger(
    crm: Department, owner_engine: AsyncEngine, settings: Settings, operations: Client, damage: str
) -> None:
    await crm.send(crm.event("relation.registered", registered()))
    await crm.send_all([crm.event("contact.held", held(f"c-{n}")) for n in range(4)])
    assert (await reconcile(settings.database_url, operations)).agree
    async with owner_engine.begin() as conn:
        await conn.execute(text(damage))
    report = await reconcile(settings.database_url, operations)
    assert any("position 3" in d or "position 4" in d for d in report.differences), report.differences


async def test_bad_json_and_too_much_at_once_are_answered(crm: Department) -> None:
    assert (await crm.send(b"{kapot"))["problem"]["status"] == 400
    assert (await crm.send(b"[{kapot"))["problem"]["status"] == 400
    [refused] = await crm.send_all([cast("dict[str, Any]", {})] * 1001)
    assert refused["problem"]["status"] == 413
    assert await crm.send_all([]) == []
    large = crm.event("relation.registered", registered("x" * 70_000))
    assert (await crm.send(large))["problem"]["status"] == 413
