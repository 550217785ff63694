"""The access log with a PostgreSQL that really stops, with two replicas of the api at once, and for each role.

The server is this file's own: nobody else's is stopped, and no supervisor starts it again before we do.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from events.postgres import connect
from services.embedded.engine import free_port
from services.embedded.postgres import Postgres
from services.identity import accounts
from services.settings import Settings
from tests.conftest import AddDepartment, make_template
from tests.integration.test_access_layer import run
from tests.integration.test_api_read import MINE, story
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


@pytest.mark.timeout(300)
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
        async with asyncio.timeout(30):
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
