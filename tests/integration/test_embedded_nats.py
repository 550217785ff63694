"""The embedded NATS server: who may do what, and departments that come and go while others stay connected."""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import NotFound, SetupError
from events.stream import Stream
from services.access import digest
from services.embedded import credentials as store
from services.embedded.credentials import complete
from services.embedded.datadir import DataDir
from services.embedded.nats import Nats
from services.embedded.registration import (
    Added,
    Wanted,
    add_department,
    add_departments,
    ensure_departments,
    ensure_viewers,
    revoke_department,
)
from services.settings import Settings

AddDepartment = Callable[..., Awaitable[Added]]


@asynccontextmanager
async def client(
    settings: Settings, seed: str, prefix: str, refusals: list[str] | None = None
) -> AsyncGenerator[Client]:
    async def on_error(error: Exception) -> None:
        if refusals is not None:
            refusals.append(str(error))

    connection = Client()
    await connection.connect(
        settings.nats_url, nkeys_seed_str=seed, inbox_prefix=prefix, error_cb=on_error, allow_reconnect=False,
        connect_timeout=20,
    )  # fmt: skip
    try:
        yield connection
    finally:
        await connection.close()


def as_department(settings: Settings, added: Added, refusals: list[str] | None = None) -> Any:
    return client(settings, added.nats["nkey_seed"], added.nats["inbox_prefix"], refusals)


def as_service(settings: Settings, refusals: list[str] | None = None) -> Any:
    assert settings.nats_seed is not None
    return client(settings, settings.nats_seed.get_secret_value(), "_INBOX", refusals)


def as_relay(settings: Settings, refusals: list[str] | None = None) -> Any:
    assert settings.relay_nats_seed is not None
    return client(settings, settings.relay_nats_seed.get_secret_value(), "_INBOX_relay", refusals)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def messages(relay: Client) -> int:
    return (await Stream(relay).state()).messages


async def test_a_department_submits_and_hears_its_verdicts(settings: Settings, department: AddDepartment) -> None:
    added = await department("zorg-1")
    async with (
        as_relay(settings) as relay, as_service(settings) as service, as_department(settings, added) as zorg,
    ):  # fmt: skip

        async def answer(message: Msg) -> None:
            await message.respond(b"verdict of " + message.data)

        await service.subscribe("submit.*", cb=answer)
        heard = await zorg.subscribe("verdicts.zorg-1")
        await zorg.flush()
        await service.flush()
        reply = await zorg.request("submit.zorg-1", b"e1", timeout=20)
        assert reply.data == b"verdict of e1"

        stored = await zorg.jetstream(timeout=20).publish("inbox.zorg-1.x", b"e2", headers={"Nats-Msg-Id": "e2"})
        assert (stored.stream, stored.seq) == ("INBOX_zorg-1", 1)

        await relay.jetstream(timeout=20).publish("verdicts.zorg-1", b"v1")
        assert (await heard.next_msg(timeout=20)).data == b"v1"
        js = zorg.jetstream(prefix="book.API", timeout=20)
        reader = await js.pull_subscribe_bind(consumer="zorg-1", stream="VERDICTS_zorg-1")
        (verdict,) = await reader.fetch(1, timeout=20)
        assert verdict.data == b"v1"
        await verdict.ack_sync()
        with pytest.raises((nats.errors.TimeoutError, asyncio.TimeoutError)):
            await reader.fetch(1, timeout=0.2)


async def test_a_department_may_publish_and_hear_nothing_else(settings: Settings, department: AddDepartment) -> None:
    added = await department("zorg")
    await department("zorg-x")
    refusals: list[str] = []
    async with as_department(settings, added, refusals) as zorg:
        for subject in (
            "relatieboek.contact.held.zorg", "submit.kwaliteit", "submit.relatieboek", "inbox.kwaliteit.x",
            "verdicts.zorg", "live.alerts", "health.intake", "$JS.API.STREAM.DELETE.INBOX_zorg",
            "$JS.API.STREAM.INFO.RELATIEBOEK", "$JS.API.CONSUMER.CREATE.VERDICTS_zorg.c",
            "book.API.CONSUMER.MSG.NEXT.VERDICTS_kwaliteit.kwaliteit", "$JS.ACK.VERDICTS_kwaliteit.kwaliteit.1",
            # Whose name begins as its own does.
            "submit.zorg-x", "submit.zorg.x", "inbox.zorg-x.y", "inbox.zorg", "verdicts.zorg-x",
            "book.API.CONSUMER.MSG.NEXT.VERDICTS_zorg-x.zorg-x", "$JS.ACK.VERDICTS_zorg-x.zorg-x.1",
            "live.checkpoints", "feeds.open",
        ):  # fmt: skip
            refusals.clear()
            await zorg.publish(subject, b"{}")
            await until(lambda: bool(refusals))
            assert f'permissions violation for publish to "{subject.lower()}"' in refusals[0].lower()
        for subject in (
            ">", "*", "submit.*", "submit.zorg", "verdicts.kwaliteit", "verdicts.*", "verdicts.zorg-x", "verdicts.>",
            "relatieboek.>", "live.>", "live.*", "_INBOX.>", "_INBOX_zorg-x.>", "*.>", "inbox.zorg.>", "_R_.>",
        ):  # fmt: skip
            refusals.clear()
            await zorg.subscribe(subject)
            await until(lambda: bool(refusals))
            assert f'permissions violation for subscription to "{subject.lower()}"' in refusals[0].lower()


async def test_a_reply_address_cannot_write_into_the_book_or_to_another(
    settings: Settings, department: AddDepartment
) -> None:
    zorg_, other_ = await department("zorg"), await department("kwaliteit")
    async with (
        as_relay(settings) as relay, as_service(settings) as service,
        as_department(settings, zorg_) as zorg, as_department(settings, other_) as other,
    ):  # fmt: skip
        await Stream(relay).create()

        async def answer(message: Msg) -> None:
            await message.respond(b"verdict")

        await service.subscribe("submit.*", cb=answer)
        heard = await other.subscribe("verdicts.kwaliteit")
        await other.flush()
        await service.flush()
        for reply in ("relatieboek.contact.held.zorg", "verdicts.kwaliteit", "inbox.kwaliteit.x"):
            await zorg.publish("inbox.zorg.x", b"e", reply=reply)
            await zorg.publish("submit.zorg", b"e", reply=reply)
        # Its own round trip comes after all of these.
        await zorg.request("submit.zorg", b"e", timeout=20)
        assert await messages(relay) == 0
        inbox = await service.jetstream(timeout=20).stream_info("INBOX_kwaliteit")
        assert inbox.state.messages == 0
        assert heard.pending_msgs == 0


async def test_who_needs_a_while_to_sign_in_is_waited_for(settings: Settings) -> None:
    """Three seconds, where the server by itself allows two: a client on a busy machine."""
    port = urlsplit(settings.nats_url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert (await reader.readline()).startswith(b"INFO")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_department_has_its_connections_and_subscriptions_and_others_have_theirs(
    settings: Settings, department: AddDepartment
) -> None:
    zorg_, other_ = await department("zorg"), await department("kwaliteit")
    async with AsyncExitStack() as open_:
        first = await open_.enter_async_context(as_department(settings, zorg_))
        for n in range(1_000):
            await first.subscribe("verdicts.zorg", queue=f"q{n}")
        await first.flush()
        await first.subscribe("verdicts.zorg")
        await until(lambda: first.is_closed)
        for _ in range(64):
            await open_.enter_async_context(as_department(settings, zorg_))
        with pytest.raises((nats.errors.Error, OSError)):
            await open_.enter_async_context(as_department(settings, zorg_))
        with warnings.catch_warnings(action="ignore"):  # nats-py leaves the socket of a refused connection to Python
            gc.collect()
        await open_.enter_async_context(as_department(settings, other_))


async def test_only_the_relay_writes_the_stream_and_no_service_takes_away(
    settings: Settings, nats_server: Nats
) -> None:
    refusals: list[str] = []
    async with as_relay(settings) as relay, as_service(settings, refusals) as service:
        await Stream(relay).create()
        await Stream(relay).ensure_department("zorg")
        await relay.jetstream(timeout=20).publish("relatieboek.contact.held.zorg", b"{}")
        for subject in (
            "relatieboek.contact.held.zorg", "$JS.API.STREAM.DELETE.RELATIEBOEK", "$JS.API.STREAM.PURGE.RELATIEBOEK",
            "$JS.API.STREAM.MSG.DELETE.RELATIEBOEK", "$JS.API.STREAM.UPDATE.RELATIEBOEK",
            "$JS.API.STREAM.CREATE.ELSEWHERE", "$JS.API.STREAM.UPDATE.INBOX_zorg",
            "$JS.API.CONSUMER.CREATE.RELATIEBOEK", "$JS.API.CONSUMER.CREATE.RELATIEBOEK.c",
            "$JS.API.CONSUMER.DURABLE.CREATE.INBOX_zorg.intake", "$JS.API.CONSUMER.MSG.NEXT.INBOX_zorg.intake",
            "$JS.API.STREAM.MSG.GET.INBOX_zorg", "$JS.ACK.INBOX_zorg.intake.1.1.1.1.1", "$JS.FC.RELATIEBOEK.c.x",
            "inbox.zorg.x", "verdicts.zorg",
        ):  # fmt: skip
            refusals.clear()
            await service.publish(subject, b"{}")
            await service.flush()
            await until(lambda: bool(refusals))
        assert await messages(relay) == 1


async def test_every_write_is_synced(nats_server: Nats) -> None:
    """What is acknowledged survives a power cut; by default a server syncs every two minutes."""
    assert nats_server.running
    assert json.loads(nats_server.config.read_text())["jetstream"]["sync_interval"] == "always"


async def test_a_nats_without_room_for_a_department_says_so(settings: Settings, department: AddDepartment) -> None:
    assert settings.operations_nats_seed is not None
    async with client(settings, settings.operations_nats_seed.get_secret_value(), "_INBOX") as operations:
        # All but a little of what the server may use is set aside for another stream.
        [conf] = DataDir(settings.data_dir).nats.glob("*.conf")
        most = json.loads(conf.read_text())["jetstream"]["max_file_store"]
        filler = {"name": "INBOX_vol", "subjects": ["inbox.vol.>"], "storage": "file", "max_bytes": most - (1 << 20)}
        made = json.loads(
            (await operations.request("$JS.API.STREAM.CREATE.INBOX_vol", json.dumps(filler).encode(), timeout=20)).data
        )
        assert "error" not in made
        with pytest.raises(SetupError, match=r"geen ruimte voor .* afdeling zorg: 512 MB"):
            await department("zorg")


async def test_departments_come_and_go_and_others_stay_connected(
    settings: Settings, department: AddDepartment, engine: AsyncEngine
) -> None:
    first = await department("zorg")
    async with (
        as_relay(settings) as relay, as_service(settings) as service, as_department(settings, first) as zorg,
    ):  # fmt: skip

        async def answer(message: Msg) -> None:
            await message.respond(message.subject.encode())

        await service.subscribe("submit.*", cb=answer)
        await service.flush()
        heard_before = await zorg.subscribe("verdicts.zorg")
        await zorg.flush()
        second = await department("kwaliteit")
        async with as_department(settings, second) as kwaliteit:
            assert (await kwaliteit.request("submit.kwaliteit", b"", timeout=20)).data == b"submit.kwaliteit"
            assert (await zorg.request("submit.zorg", b"", timeout=20)).data == b"submit.zorg"
            await zorg.jetstream(timeout=20).publish("inbox.zorg.x", b"e")
            await relay.jetstream(timeout=20).publish("verdicts.zorg", b"v")
            assert (await heard_before.next_msg(timeout=20)).data == b"v"
            heard = await kwaliteit.subscribe("verdicts.kwaliteit")
            await kwaliteit.flush()
            await relay.jetstream(timeout=20).publish("verdicts.kwaliteit", b"v")
            assert (await heard.next_msg(timeout=20)).data == b"v"

            await revoke_department(settings, "kwaliteit")
            await until(lambda: kwaliteit.is_closed)
        assert (await zorg.request("submit.zorg", b"", timeout=20)).data == b"submit.zorg"
        assert zorg.stats["reconnects"] == service.stats["reconnects"] == 0

    held = json.loads((settings.data_dir / "credentials.json").read_text())
    assert held["http"]["departments"] == {"zorg": first.http_token}
    assert list(held["nats"]["departments"]) == ["zorg"]
    with pytest.raises(NotFound):
        await revoke_department(settings, "kwaliteit")
    again = await department("kwaliteit")
    assert again.http_token != second.http_token
    async with as_department(settings, again) as kwaliteit:
        await kwaliteit.jetstream(timeout=20).publish("inbox.kwaliteit.x", b"e")


async def test_the_database_holds_a_hash_and_the_file_is_private(
    settings: Settings, department: AddDepartment, engine: AsyncEngine
) -> None:
    added = await department("zorg")
    assert added.http_token.startswith("rb_zorg_")
    assert len(added.http_token) == len("rb_zorg_") + 43
    assert added.as_json().keys() == {"name", "http_token", "nats"}
    async with engine.connect() as conn:
        row = (await conn.execute(text("SELECT token_hash, nkey FROM ledger.department"))).one()
    assert row.token_hash == digest(added.http_token)
    assert row.nkey.startswith("U")
    path = settings.data_dir / "credentials.json"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SetupError, match="bestaat al"):
        await department("zorg")


@pytest.mark.parametrize("name", ["relatieboek", "Zorg", "z", "zorg_1", "1zorg", "BOOK", "a" * 32, "zorg.>"])
async def test_names_that_cannot_be_a_department(tmp_path: Path, name: str) -> None:
    nowhere = Settings(data_dir=tmp_path, database_url="postgresql://127.0.0.1:1/none", nats_url="nats://127.0.0.1:1")
    with pytest.raises(SetupError, match="kan geen naam"):
        await add_department(nowhere, name, ["urn:nld:oin:00000000000000000001:systeem:a"], ["*"])


@pytest.mark.parametrize("glob", ["alert.*", "loop.opened", "person.erased", "contacts.*", "nl.relatieboek.contact"])
async def test_types_that_no_department_can_send(tmp_path: Path, glob: str) -> None:
    nowhere = Settings(data_dir=tmp_path, database_url="postgresql://127.0.0.1:1/none", nats_url="nats://127.0.0.1:1")
    with pytest.raises(SetupError, match="geen soort gebeurtenis"):
        await add_department(nowhere, "zorg", ["urn:nld:oin:00000000000000000001:systeem:a"], ["contact.*", glob])


async def test_a_source_is_of_one_department_and_never_the_books_own(
    settings: Settings, department: AddDepartment
) -> None:
    """Source and id are unique for ever, so who shared a source could take the other's ids before it."""
    base = "urn:nld:oin:00000000000000000000:systeem:"
    await department("zorg", [base + "ecd"])
    with pytest.raises(SetupError, match="ecd is al van afdeling zorg"):
        await department("kwaliteit", [base + "meting", base + "ecd"])
    both = [Wanted("finance", [base + "boek"], ["*"]), Wanted("inkoop", [base + "boek"], ["*"])]
    with pytest.raises(SetupError, match="boek is al van afdeling finance"):
        await add_departments(settings, both)
    tries = [department(name, [base + "tegelijk"]) for name in ("een", "twee")]
    told = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(t).__name__ for t in told) == ["Added", "SetupError"], told
    with pytest.raises(SetupError, match="van Relatieboek zelf"):
        await department("nep", [base + "relatieboek-contact-alerts"])
    # Nothing is left of those that were refused, and a source is free once its department is revoked.
    await department("kwaliteit", [base + "meting"])
    await revoke_department(settings, "zorg")
    await department("huisarts", [base + "ecd"])


async def test_ensuring_departments_and_viewers_twice_changes_nothing(settings: Settings, engine: AsyncEngine) -> None:
    wanted = [
        Wanted("zorg", ["urn:nld:oin:00000000000000000001:systeem:a"], ["*"]),
        Wanted("kwaliteit", ["urn:nld:oin:00000000000000000001:systeem:b"], ["*"]),
    ]
    assert {a.name for a in await ensure_departments(settings, wanted)} == {"zorg", "kwaliteit"}
    assert await ensure_departments(settings, wanted) == []
    assert await ensure_viewers(settings, engine) == ["all"]
    assert await ensure_viewers(settings, engine, again=True) == []
    token = (store.read(settings.credentials_path) or store.Credentials()).http.viewers["all"]
    async with engine.connect() as conn:
        row = (await conn.execute(text("SELECT team, token_hash FROM ledger.viewer"))).one()
    assert (row.team, row.token_hash) == (None, digest(token))


async def test_a_command_finds_the_book_by_its_data_directory(settings: Settings) -> None:
    bare = Settings(database_url=settings.database_url, data_dir=settings.data_dir)
    found = complete(bare)
    assert found.nats_url == settings.nats_url
    assert found.nats_seed == settings.nats_seed
    assert found.operations_nats_seed == settings.operations_nats_seed
    assert found.lookup_key == settings.lookup_key
    with pytest.raises(SetupError, match="relatieboek up"):
        complete(Settings(data_dir=settings.data_dir / "elsewhere"))
