"""The access log with a PostgreSQL that really stops, with two replicas of the api at once, and for each role.

The server is this file's own: nobody else's is stopped, and no supervisor starts it again before we do.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from events.postgres import OUTAGES, connect
from services.embedded.postgres import Postgres
from services.identity import accounts
from services.problems import answer_to
from services.settings import Settings
from tests.conftest import AddDepartment, make_template
from tests.integration.test_access_layer import run
from tests.integration.test_api_read import MINE, story
from tests.ports import free_port
from tests.running_book import Book, running

PAGE: Final = f"/v1/relations/{MINE}"
LISTS: Final = ("/v1/accesses", f"{PAGE}/accesses", "/v1/persons/person:p-81/accesses")
# Of each role, what it hears at the three lists.
ROLES: Final = {"auditor": 200, "privacy_officer": 200, "team_lead": 403, "board": 403, "administrator": 403}
EACH: Final = 100


@pytest.fixture(scope="module")
async def postgres_server(server_dir: Path) -> AsyncGenerator[Postgres]:
    where = server_dir / "outage"
    where.mkdir(mode=0o711)
    server = Postgres(where / "postgres", where / "postgres.log", "outage")
    await server.start()
    try:
        await make_template(server)
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def held_open(url: str) -> AsyncGenerator[tuple[str, asyncio.Event]]:
    """A way to PostgreSQL on which its last words arrive, and the end of the connection does not yet; and whether they
    were passed on."""
    there, told = make_url(url), asyncio.Event()
    ends: list[asyncio.StreamWriter] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(there.host, there.port)
        ends.extend((writer, to_server))
        upward = asyncio.create_task(carry(reader, to_server))
        await carry(from_server, writer)
        told.set()
        await upward

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            yield there.set(port=port).render_as_string(hide_password=False), told
        finally:
            for writer in ends:
                writer.transport.abort()


async def is_told_that_it_ends(url: str, told: asyncio.Event) -> None:
    """Ends the services' connections as a server that stops does, and waits until their own ends have heard of it."""
    conn = await connect(url)
    await conn.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'relatieboek_service'")
    await conn.close()
    async with asyncio.timeout(60):
        await told.wait()
    await asyncio.sleep(0.1)  # what was passed on is read; were it not, it would be an outage of another kind


async def test_the_last_words_of_a_database_before_its_end_are_an_outage(service_url: str, owner_url: str) -> None:
    """Of whoever asks on a connection that was idle when they came."""
    async with held_open(service_url) as (url, told):
        idle = await connect(url)
        await is_told_that_it_ends(owner_url, told)
        with pytest.raises(OUTAGES):
            await idle.fetchval("SELECT 1")
        await idle.close(timeout=5)
    async with held_open(service_url) as (url, told):
        engine = create_async_engine(url, hide_parameters=True)
        async with engine.connect() as conn:
            await conn.execute(text("SELECT 1"))
            await is_told_that_it_ends(owner_url, told)
            with pytest.raises(DBAPIError) as raised:
                await conn.execute(text("SELECT 1"))
            assert answer_to(raised.value).status == 503
            await conn.invalidate()
        await engine.dispose()


@pytest.mark.timeout(600)
async def test_roles_replicas_and_an_outage(
    settings: Settings, department: AddDepartment, postgres_server: Postgres
) -> None:
    token = (await department("zorg")).http_token
    replica = settings.model_copy(update={"port": free_port()})
    async with running(settings, ("intake", "relation-view", "team-timeline", "notary", "api")) as book:
        last = (await book.publish(story(), token))[-1]["sequence"]
        assert (await book.get(PAGE, **{"If-Position": last})).status_code == 200
        await tells_auditors_and_privacy_officers_only(book)
        async with running(replica, ["api"]) as other:
            shown = await makes_one_chain_of_two_replicas(book, other)
            shown += await shows_nothing_while_postgresql_is_out(book, other, postgres_server)
        granted = await records(settings)
        assert granted["showRelation"] >= shown  # none was shown without its record
        verified = json.loads((await run(book, "accesses", "verify", "--json"))[1])
        assert verified["agree"] is True


async def records(settings: Settings) -> Counter[str]:
    """How often each operation was granted, by the log itself."""
    conn = await connect(settings.database_url)
    try:
        rows = await conn.fetch("SELECT entry FROM access.record")
    finally:
        await conn.close()
    entries: list[dict[str, Any]] = [json.loads(row["entry"]) for row in rows]
    return Counter(e["what"]["operation"] for e in entries if e["result"]["outcome"] == "granted")


async def tells_auditors_and_privacy_officers_only(book: Book) -> None:
    engine = create_async_engine(book.settings.database_url, hide_parameters=True)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        for role, status in ROLES.items():
            teams = ["wmo"] if role == "team_lead" else []
            async with engine.begin() as conn:
                password = await accounts.add(conn, f"een-{role}", roles=[role], teams=teams)
            browser = await stack.enter_async_context(httpx.AsyncClient(base_url=book.client.base_url, timeout=30))
            signed_in = await browser.post("/", data={"name": f"een-{role}", "password": password})
            assert signed_in.status_code == 303
            for path in LISTS:
                answer = await browser.get(path)
                assert answer.status_code == status, (role, path, answer.text)
                if status == 200:
                    newest = (await browser.get(path)).json()["items"][0]
                    assert newest["actor"] == f"een-{role}", path  # the look before this one is in the list
                else:
                    assert "Den Haag" not in answer.text
                    assert "items" not in answer.json()
    denied = (await book.get("/v1/accesses?actor=een-team_lead&limit=50")).json()["items"]
    assert {(one["operation"], one["outcome"]) for one in denied if one["operation"].endswith("Accesses")} == {
        ("listAccesses", "denied"), ("listRelationAccesses", "denied"), ("listPersonAccesses", "denied")
    }  # fmt: skip


async def makes_one_chain_of_two_replicas(book: Book, other: Book) -> int:
    """Readers at both at the same time. Returns how many pages they saw."""
    answers = await asyncio.gather(*(one.get(PAGE) for _ in range(EACH) for one in (book, other)))
    shown = [a for a in answers if a.status_code == 200]  # on a machine that is too busy, some are 503
    assert {a.status_code for a in answers} <= {200, 503}
    assert {a.url.port for a in shown} == {book.settings.port, other.settings.port}
    code, out, said = await run(book, "accesses", "verify", "--json")
    assert code == 0, said
    verified = json.loads(out)
    assert (verified["agree"], verified["records"]) == (True, verified["last"])
    assert verified["records"] >= len(shown)
    return len(shown)


async def shows_nothing_while_postgresql_is_out(book: Book, other: Book, server: Postgres) -> int:
    """Stopped under readers, started again. Returns how many pages were shown in all."""
    async with httpx.AsyncClient(base_url=book.client.base_url, timeout=30) as browser:
        assert (await browser.post("/", data={"token": (await book.viewers())["all"]})).status_code == 303
        done, shown = asyncio.Event(), 0

        async def reads(one: Book) -> None:
            nonlocal shown
            while not done.is_set():
                answer = await one.get(PAGE)
                assert answer.status_code in {200, 503}, answer.text
                assert ("Den Haag" in answer.text) is (answer.status_code == 200)
                shown += answer.status_code == 200

        readers = [asyncio.create_task(reads(one)) for one in (book, other) for _ in range(4)]
        async with asyncio.timeout(60):
            while shown < len(readers):
                await asyncio.sleep(0.01)
        await server.stop()
        try:
            for answer in await asyncio.gather(
                book.get(PAGE), other.get(PAGE), book.get("/v1/relations"), book.get(f"{PAGE}/history"),
                book.get("/v1/relations", Accept="text/csv"), book.get(LISTS[0]),
                book.get("/v1/teams/wmo/timeline/_live"), browser.get("/"), browser.get(f"/relations/{MINE}"),
            ):  # fmt: skip
                assert answer.status_code == 503, answer.url
                assert int(answer.headers.get("retry-after", "0")) > 0, answer.url
                assert "Den Haag" not in answer.text
            answer = await browser.post("/", data={"name": "iemand", "password": "iets"})
            assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
            assert int(answer.headers["retry-after"]) > 0
        finally:
            await server.start()
        async with asyncio.timeout(60):
            for one in (book, other):
                while (await one.get(PAGE)).status_code != 200:
                    await asyncio.sleep(0.05)
                shown += 1
        done.set()
        await asyncio.gather(*readers)
        assert (await browser.get(f"/relations/{MINE}")).status_code == 200
    return shown
