"""The services against the streams: an account of their own that reads, whatever their user may publish there.

What a key of theirs may publish at all is in test_embedded_nats. Here that user is given every permission, so that only
the accounts stand between it and the book.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest
from faststream.nats import NatsBroker
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import SetupError, Unavailable
from events.feed import StreamReader
from events.opening import OPENED_ON, Opened
from events.stream import Stream
from services import wiring
from services.cli.operating import as_user
from services.embedded.accounts import BOOK, SERVICES
from services.embedded.nats import Nats, reload
from services.embedded.registration import add_department, renew_token
from services.migrate import SERVICE_ROLE, migrate
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import Department, Json, connection, held, listen, registered, running_intake
from tests.small_book import SmallBook, made

TARGETS = ("relatieboek.contact.held.zorg", "inbox.zorg.x", "verdicts.zorg", "$JS.API.STREAM.PURGE.INBOX_zorg")
PUSH = {"name": "p", "deliver_policy": "all", "ack_policy": "none"}
REACHING = {"name": "X", "storage": "memory", "subjects": ["x.>"]}


async def let_loose(server: Nats, settings: Settings) -> None:
    """Lets the services' user publish and hear whatever it wants in its account."""
    config: dict[str, Any] = json.loads(server.config.read_text())
    (user,) = config["accounts"][SERVICES]["users"]
    del user["permissions"]
    server.config.write_text(json.dumps(config))
    assert reload(server.directory)
    async with asyncio.timeout(20):
        while True:
            try:
                async with as_user(settings, settings.nats_seed) as client:
                    untyped: Any = client
                    heard = await untyped.subscribe("anything")
                    await client.publish("anything", b"")
                    await heard.next_msg(timeout=0.5)
                    return
            except (TimeoutError, NatsError, Unavailable):
                continue  # the server has not come to it yet, or ends who is connected while it does


@pytest.fixture
async def heard(settings: Settings, book: SmallBook) -> AsyncGenerator[list[str]]:
    """What anybody in the book's account publishes where it would be kept. Listeners also wake consumers that push."""
    told: list[str] = []

    async def hear(message: Msg) -> None:
        told.append(message.subject)

    async with as_user(settings, settings.operations_nats_seed) as operations:
        for subject in ("relatieboek.>", "inbox.>", "verdicts.>", "$JS.API.STREAM.PURGE.>"):
            await listen(operations, subject, hear)
        yield told


async def hears(told: list[str], *subjects: str) -> None:
    """Waits until it was told of these: what one connection has done, another hears of a moment later."""
    async with asyncio.timeout(20):
        while not set(subjects) <= set(told):
            await asyncio.sleep(0.02)


def calls(target: str) -> list[tuple[str, Any]]:
    """What might make NATS write to `target`: subject and body."""
    inbox = {"stream_name": "INBOX_zorg", "config": PUSH | {"deliver_subject": target}}
    stream = {"stream_name": "RELATIEBOEK", "config": PUSH | {"deliver_subject": target}}
    return [
        (target, b"{}"),
        ("$JS.API.INFO", b""),
        ("$JS.API.STREAM.INFO.RELATIEBOEK", b""),
        ("$JS.API.STREAM.INFO.INBOX_zorg", b""),
        ("$JS.API.STREAM.NAMES", b""),
        ("$JS.API.STREAM.MSG.GET.RELATIEBOEK", {"seq": 1}),
        ("$JS.API.DIRECT.GET.RELATIEBOEK", {"seq": 1, "batch": 10}),
        ("$JS.API.DIRECT.GET.RELATIEBOEK.relatieboek.contact.held.wmo", b""),
        ("$JS.API.CONSUMER.CREATE.RELATIEBOEK", stream),
        ("$JS.API.CONSUMER.CREATE.RELATIEBOEK.p", stream),
        ("$JS.API.CONSUMER.DURABLE.CREATE.RELATIEBOEK.p", stream),
        ("$JS.API.CONSUMER.CREATE.INBOX_zorg.p", inbox),
        ("$JS.API.CONSUMER.DURABLE.CREATE.INBOX_zorg.p", inbox),
        ("$JS.API.CONSUMER.INFO.INBOX_zorg.intake", b""),
        ("$JS.API.CONSUMER.MSG.NEXT.INBOX_zorg.intake", b"5"),
        ("$JS.API.CONSUMER.DELETE.INBOX_zorg.intake", b""),
        ("$JS.API.STREAM.CREATE.X", REACHING | {"republish": {"src": ">", "dest": target}}),
        ("$JS.API.STREAM.CREATE.X", REACHING | {"sources": [{"name": "RELATIEBOEK"}]}),
        ("$JS.API.STREAM.UPDATE.INBOX_zorg", {"name": "INBOX_zorg", "republish": {"src": ">", "dest": target}}),
        ("$JS.API.STREAM.PURGE.INBOX_zorg", b""),
        ("$JS.API.STREAM.DELETE.INBOX_zorg", b""),
        ("$JS.ACK.INBOX_zorg.intake.1.1.1.1.1", b"+NXT"),
        ("$JS.ACK.INBOX_zorg.intake.1.1.1.1.1", b"+ACK"),
        ("$JS.ACK.RELATIEBOEK.t.1.1.1.1.1", b"+NXT"),
        ("$JS.FC.RELATIEBOEK.t.x", b""),
        (OPENED_ON, {"after": 0, "name": "t", "deliver_subject": target, "config": {"deliver_subject": target}}),
        (OPENED_ON, {"after": 0, "name": f"t.{target}"}),
        (OPENED_ON, {"after": -1, "name": "t"}),
    ]


async def everything(nc: Client) -> tuple[Any, ...]:
    """The streams' last sequences and counts, and every consumer of them that pushes."""
    js = JetStreamContext(nc)
    streams = [await js.stream_info(name) for name in ("RELATIEBOEK", "INBOX_zorg", "VERDICTS_zorg")]
    consumers = [c for s in streams for c in await js.consumers_info(s.config.name or "")]
    pushing = sorted((c.stream_name, c.name) for c in consumers if c.config.deliver_subject)
    acknowledged = [c.ack_floor.stream_seq for c in consumers if c.name == "intake" and c.ack_floor]
    return [(s.config, s.state.messages, s.state.last_seq) for s in streams], pushing, acknowledged


async def test_no_path_leads_a_services_key_into_the_streams(
    settings: Settings, department: AddDepartment, book: SmallBook, heard: list[str], nats_server: Nats
) -> None:
    zorg_ = await department("zorg")
    await book.write(made(1))
    waiting: Any = await JetStreamContext(book.nc).subscribe(
        "inbox.zorg.>", queue="intake", stream="INBOX_zorg", manual_ack=True, config=ConsumerConfig(ack_wait=60)
    )
    async with connection(settings, zorg_.nats) as zorg:
        await JetStreamContext(zorg).publish("inbox.zorg.x", b"e")
        await waiting.next_msg(timeout=20)
        untyped: Any = zorg
        verdicts = await untyped.subscribe("verdicts.zorg")
        await zorg.flush()
        before = await everything(book.nc)
        await hears(heard, "inbox.zorg.x", "relatieboek.contact.held.wmo")
        heard.clear()
        await let_loose(nats_server, settings)
        async with as_user(settings, settings.nats_seed) as service:
            own: list[str] = []

            async def hear(message: Msg) -> None:
                own.append(message.subject)

            for target in TARGETS:
                await listen(service, target, hear)
                for subject, body in calls(target):
                    content = body if isinstance(body, bytes) else json.dumps(body).encode()
                    for headers in (None, {"Nats-Request-Info": '{"acc":"BOOK","svc":"BOOK"}'}):
                        await service.publish(subject, content, reply=target, headers=headers)
            opened = await StreamReader(service).state()
            # A pull whose messages are to go where they would be kept: they come to the services' own listener.
            reply = await service.request(OPENED_ON, b'{"after":0,"name":"t"}', timeout=20)
            consumer = json.loads(reply.data)["consumer"]
            for target in TARGETS:
                await service.publish(f"$JS.API.CONSUMER.MSG.NEXT.RELATIEBOEK.{consumer}", b"1", reply=target)
            # They come to its own account, wherever it says.
            await hears(own, "relatieboek.contact.held.wmo")
        assert opened.messages == 1
        await asyncio.sleep(0.5)
        assert heard == []
        assert verdicts.pending_msgs == 0
        assert await everything(book.nc) == before
    # The same from within the book's account does write: so the listener listens, and this test can fail.
    await book.nc.publish("$JS.API.INFO", b"", reply=TARGETS[0])
    async with asyncio.timeout(20):
        while (await book.stream.state()).last != 2:
            await asyncio.sleep(0.02)
    await hears(heard, TARGETS[0])
    assert heard == [TARGETS[0]]


async def test_what_is_opened_only_answers(settings: Settings, book: SmallBook, client: Client) -> None:
    for body in (b"{}", b"[]", b'{"after":0,"name":"a.b"}', b'{"after":-1,"name":"a"}', b'{"after":0,"name":"*"}'):
        refused = json.loads((await client.request(OPENED_ON, body, timeout=20)).data)
        assert refused["consumer"] == ""
        assert refused["error"]
    ask = b'{"after":0,"name":"t","deliver_subject":"inbox.zorg.x","config":{"deliver_subject":"inbox.zorg.x"}}'
    opened = Opened(**json.loads((await client.request(OPENED_ON, ask, timeout=20)).data))
    (found,) = await JetStreamContext(book.nc).consumers_info("RELATIEBOEK")
    assert found.name == opened.consumer
    assert found.config.deliver_subject is None


async def test_a_feed_goes_on_while_a_department_comes(settings: Settings, book: SmallBook, client: Client) -> None:
    """The server reads its configuration anew with a request of the feed's out."""
    await book.write(made(10))
    async with StreamReader(client).feed(0, name="t", created=book.created) as feed:
        while feed.position < 10:  # in as many batches as they arrive in
            await feed.read(idle_s=5)
        assert await feed.read(idle_s=0.2) == []
        await add_department(settings, "zorg", ["urn:nld:oin:00000000000000000001:systeem:a"], ["*"])
        await book.write(made(5, after=10))
        got = 0
        while got < 5:
            got += len(await feed.read(idle_s=5))
        assert client.stats["reconnects"] == 0


async def test_a_book_of_before_starts_with_all_that_it_had(
    settings: Settings, department: AddDepartment, engine: AsyncEngine, nats_server: Nats
) -> None:
    """Services were in the streams' account: the consumers that they made there go on where they were."""
    crm_ = await department("crm")
    source = f"urn:nld:oin:{settings.institution}:systeem:crm"
    new = nats_server.config.read_text()
    await restart(nats_server, as_before(new))
    async with (
        as_user(settings, settings.operations_nats_seed) as operations,
        as_user(settings, settings.nats_seed) as service, connection(settings, crm_.nats) as client,
    ):  # fmt: skip
        crm = Department("crm", client, source)
        js, stream = JetStreamContext(service), Stream(operations)
        # What intake made then: a consumer that pushes to an address of the services' user.
        inbox: Any = await js.subscribe(
            "inbox.crm.>", queue="intake", stream="INBOX_crm", manual_ack=True,
            config=ConsumerConfig(ack_wait=1, deliver_subject="_INBOX_service.before"),
        )  # fmt: skip
        for n in range(3):
            await JetStreamContext(client).publish(f"inbox.crm.{n}", orjson.dumps(crm.event("contact.held", held())))
        await (await inbox.next_msg(timeout=20)).ack_sync()
        await inbox.unsubscribe()
        for n in range(3):
            await js.publish("verdicts.crm", b"%d" % n)
        await (await verdict(client)).ack_sync()
        created = await stream.create()
    await restart(nats_server, new)
    async with (
        as_user(settings, settings.operations_nats_seed) as operations, connection(settings, crm_.nats) as client,
    ):  # fmt: skip
        assert (await Stream(operations).state()) == created
        js = JetStreamContext(operations)
        assert (await js.stream_info("INBOX_crm")).state.messages == 2
        assert (await verdict(client)).data == b"1"
        async with running_intake(settings):
            async with asyncio.timeout(30):
                while (await js.stream_info("INBOX_crm")).state.messages:
                    await asyncio.sleep(0.05)
            crm = Department("crm", client, source)
            assert (await crm.send(crm.event("relation.registered", registered())))["verdict"] == "accepted"
        assert (await js.stream_info("VERDICTS_crm")).state.last_seq == 5, "one each for what still lay there"
        assert (await Stream(operations).state()).created == created.created


async def test_a_door_that_nats_refused_is_tried_again(
    settings: Settings, department: AddDepartment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it reads its configuration anew, for the very department, nats-server refuses keys that it knows."""
    connects, refused = wiring.connect_broker, list[str]()

    async def refuses_twice(broker: NatsBroker, setting: str) -> None:
        if len(refused) < 2:  # who registers a department asks for its door once: the other time intake looks by itself
            refused.append(setting)
            raise SetupError(f"NATS weigert de sleutel van deze dienst ({setting})")
        await connects(broker, setting)

    async with running_intake(settings):
        monkeypatch.setattr(wiring, "connect_broker", refuses_twice)
        added = await department("crm")
        async with connection(settings, added.nats) as client, asyncio.timeout(60):
            crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
            event = crm.event("relation.registered", registered())
            while (verdict := await answer_to(crm, event)) is None:
                await asyncio.sleep(0.05)
    assert len(refused) == 2
    assert verdict["verdict"] == "accepted"


async def answer_to(department: Department, event: Json) -> Json | None:
    """None where nobody takes it in yet."""
    try:
        return await department.send(event)
    except NoRespondersError:
        return None


def as_before(config: str) -> str:
    """The same configuration with the services' user in the streams' account."""
    changed: dict[str, Any] = json.loads(config)
    every = changed["accounts"]
    services = every.pop(SERVICES)
    every[BOOK]["users"].append({"nkey": services["users"][0]["nkey"]})
    exports = [e for e in every[BOOK]["exports"] if e["accounts"] != [SERVICES]]
    every[BOOK]["exports"] = [*exports, *services["exports"]]
    return json.dumps(changed).replace(f'"account": "{SERVICES}"', f'"account": "{BOOK}"')


async def restart(server: Nats, config: str) -> None:
    await server.stop()
    server.config.write_text(config)
    await server.start()


async def verdict(department: Client) -> Msg:
    reader = await JetStreamContext(department, prefix="book.API").pull_subscribe_bind(
        consumer="crm", stream="VERDICTS_crm"
    )
    (message,) = await reader.fetch(1, timeout=20)
    return message


async def test_no_service_says_who_may_publish(
    settings: Settings, department: AddDepartment, engine: AsyncEngine, owner_engine: AsyncEngine
) -> None:
    """Nor after an upgrade of a database in which they might; and the commands say what they need."""
    await department("zorg")
    async with owner_engine.begin() as conn:
        await conn.execute(text(f"GRANT INSERT, UPDATE, DELETE ON ledger.department TO {SERVICE_ROLE}"))
    await migrate(settings.owner_database_url, None)
    for statement in (
        "INSERT INTO ledger.department SELECT * FROM ledger.department",
        "UPDATE ledger.department SET sources = '{}'", "UPDATE ledger.department SET types = '{*}'",
        "UPDATE ledger.department SET token_hash = ''", "UPDATE ledger.department SET nkey = 'U'",
        "UPDATE ledger.department SET revoked_at = NULL", "DELETE FROM ledger.department",
    ):  # fmt: skip
        async with engine.connect() as conn:
            with pytest.raises(DBAPIError, match="permission denied"):
                await conn.execute(text(statement))
    async with engine.begin() as conn:
        noted = await conn.execute(text("UPDATE ledger.department SET last_used_at = now()"))
    assert noted.rowcount == 1
    as_service = settings.model_copy(update={"owner_database_url": ""})
    with pytest.raises(SetupError, match="RELATIEBOEK_OWNER_DATABASE_URL"):
        await renew_token(as_service, "zorg")
    with pytest.raises(SetupError, match="RELATIEBOEK_OWNER_DATABASE_URL"):
        await add_department(as_service, "crm", [f"urn:nld:oin:{settings.institution}:systeem:crm"], ["*"])
    await renew_token(settings, "zorg")
