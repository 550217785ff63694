"""A live stream is watched for as long as it lasts: what it showed is in the access log however it ended, and it ends
when its reader may not read any longer, whoever decided so and by which door."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.postgres import Connection, connect
from services.identity import accounts
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.test_access_layer import newest, records
from tests.integration.test_api_read import MINE, held, story
from tests.running_book import Book, running

STREAM: Final = "/v1/teams/wmo/timeline/_live"
SERVICES: Final = ("intake", "relation-view", "team-timeline", "api")
ENDS_WITHIN_S: Final = 30.0


class Reader:
    """A browser with a live stream open. `lines` has what came; `over` is set when the stream ended."""

    def __init__(self, book: Book, headers: dict[str, str]) -> None:
        self.browser = httpx.AsyncClient(base_url=book.client.base_url, timeout=60, headers=headers)
        self.lines: list[str] = []
        self.over, self._came = asyncio.Event(), asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._task = asyncio.create_task(self._read())
        await self.until(lambda line: line.startswith(": connected"))

    async def _read(self) -> None:
        try:
            async with self.browser.stream("GET", STREAM) as stream:
                assert stream.status_code == 200
                async for line in stream.aiter_lines():
                    async with self._came:
                        self.lines.append(line)
                        self._came.notify_all()
        except httpx.TransportError:
            pass  # cut off is an end too
        finally:
            self.over.set()

    async def until(self, wanted: Callable[[str], bool]) -> None:
        async with asyncio.timeout(ENDS_WITHIN_S), self._came:
            await self._came.wait_for(lambda: any(map(wanted, self.lines)))

    async def cut(self) -> None:
        """As a network or a closed browser does."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})


async def streams(log: Connection, after: int) -> list[dict[str, Any]]:
    return [one for one in await records(log, after) if one["event"] == "stream"]


async def signed_in(book: Book, name: str, password: str) -> Reader:
    reader = Reader(book, {})
    assert (await reader.browser.post("/", data={"name": name, "password": password})).status_code == 303
    return reader


@pytest.mark.timeout(300)
async def test_streams_end_with_the_right_to_them(
    settings: Settings, department: AddDepartment, engine: AsyncEngine, owner_url: str
) -> None:
    token = (await department("zorg")).http_token
    settings = settings.model_copy(update={"access_log_within_s": 5.0})
    async with running(settings, SERVICES) as book:
        last = (await book.publish(story(), token))[-1]["sequence"]
        assert (await book.get("/v1/teams/wmo/timeline", **{"If-Position": last})).status_code == 200
        log = await connect(owner_url)
        try:
            await is_logged_when_it_is_cut(book, log, token)
            for n, (name, loses) in enumerate(LOSES.items()):
                reader = await reader_named(book, engine, f"lezer-{n}", by_token=loses is token_withdrawn)
                await ends(
                    book,
                    log,
                    token,
                    reader,
                    lambda loses=loses, n=n, reader=reader: loses(engine, f"lezer-{n}", reader),
                    f"{name}-{n}",
                )
            await ends_when_the_log_is_out_at_its_opening(book, log)
        finally:
            await log.close()


async def is_logged_when_it_is_cut(book: Book, log: Connection, token: str) -> None:
    at = await newest(log)
    reader = Reader(book, {"Authorization": f"Bearer {(await book.viewers())['wmo']}"})
    await reader.open()
    assert [one["what"].get("relations") for one in await streams(log, at)] == [None]
    await book.publish([held("cut-1", "2026-01-20")], token)
    await reader.until(lambda line: line.startswith("data: "))
    await reader.cut()
    async with asyncio.timeout(ENDS_WITHIN_S):
        while len(await streams(log, at)) < 2:
            await asyncio.sleep(0.05)
    opened, ended = await streams(log, at)
    assert (opened["who"]["name"], opened["result"]["status"]) == ("wmo", 200)
    assert ended["what"]["relations"] == [MINE]
    assert len(ended["what"]["persons"]) == 2  # of either side
    await reader.browser.aclose()


async def reader_named(book: Book, engine: AsyncEngine, name: str, *, by_token: bool) -> Reader:
    if by_token:
        return Reader(book, {"Authorization": f"Bearer {(await book.viewers())['wmo']}"})
    async with engine.begin() as conn:
        password = await accounts.add(conn, name, roles=["team_lead", "operations"], teams=["wmo"])
    return await signed_in(book, name, password)


async def ends(
    book: Book, log: Connection, token: str, reader: Reader, lose: Callable[[], Awaitable[None]], id_: str
) -> None:
    """Open, rights gone, then something happens in the team: nothing of it comes, and the stream is over."""
    at = await newest(log)
    await reader.open()
    await lose()
    await book.publish([held(f"na-{id_}", "2026-01-21")], token)
    async with asyncio.timeout(ENDS_WITHIN_S):
        await reader.over.wait()
    assert not [line for line in reader.lines if line.startswith("data: ")], id_
    assert [one["what"].get("relations") for one in await streams(log, at)] == [None], id_
    answer = await reader.browser.get(STREAM)
    assert answer.status_code in {401, 403, 404}, id_
    await reader.browser.aclose()


async def signs_out(engine: AsyncEngine, name: str, reader: Reader) -> None:
    csrf = (await reader.browser.get("/v1/session")).json()["csrf"]
    assert (await reader.browser.post("/sign-out", data={"csrf": csrf})).status_code == 303


async def gets_another_team(engine: AsyncEngine, name: str, reader: Reader) -> None:
    async with engine.begin() as conn:
        await accounts.change(conn, name, roles=None, teams=["jeugd"], department=None)


async def gets_another_role(engine: AsyncEngine, name: str, reader: Reader) -> None:
    async with engine.begin() as conn:
        await accounts.change(conn, name, roles=["operations"], teams=None, department=None)


async def is_disabled(engine: AsyncEngine, name: str, reader: Reader) -> None:
    async with engine.begin() as conn:
        await accounts.disable(conn, name)


async def session_runs_out(engine: AsyncEngine, name: str, reader: Reader) -> None:
    async with engine.begin() as conn:
        await conn.execute(text("UPDATE identity.session SET seen_at = now() - interval '30 days'"))


async def token_withdrawn(engine: AsyncEngine, name: str, reader: Reader) -> None:
    async with engine.begin() as conn:
        await conn.execute(text("DELETE FROM ledger.viewer WHERE name = 'wmo'"))
    await asyncio.sleep(1.1)  # as long as a token that was withdrawn may go on (services/access.py)


LOSES: Final[dict[str, Callable[[AsyncEngine, str, Reader], Awaitable[None]]]] = {
    "sign-out": signs_out, "team": gets_another_team, "role": gets_another_role, "disabled": is_disabled,
    "ran-out": session_runs_out, "token": token_withdrawn,
}  # fmt: skip


async def ends_when_the_log_is_out_at_its_opening(book: Book, log: Connection) -> None:
    async with log.transaction():
        await log.execute("LOCK TABLE access.record IN SHARE MODE")
        answer = await book.get(STREAM)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
