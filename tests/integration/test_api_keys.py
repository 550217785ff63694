"""A department's API key from its making to its end, at every door of a running book."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import nats.errors
import pytest
from nats.js import JetStreamContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from events.errors import Unavailable
from services.access import Access, Publisher
from services.cli.main import app
from services.embedded.doors import signed_in
from services.settings import Settings, as_environment
from tests.conftest import AddDepartment
from tests.integration.book import connection, scalar
from tests.running_book import Book, running

SOURCE = "urn:nld:oin:00000000000000000000:systeem:zorg"
KEY = {"source": SOURCE, "id": "x"}
Command = Callable[..., Awaitable[Any]]


@pytest.fixture
def command(settings: Settings) -> Command:
    """`await command("list")` runs `relatieboek department list --json` and returns what it printed."""

    async def run(*words: str, fails: bool = False) -> Any:
        invoke = CliRunner(env=as_environment(settings)).invoke
        done = await asyncio.to_thread(invoke, app, ["department", *words, "--data-dir", str(settings.data_dir)])
        if fails:
            assert done.exit_code == 2
            return done.stderr
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout) if "--json" in words else done.output

    return run


@pytest.fixture
async def book(settings: Settings) -> AsyncGenerator[Book]:
    async with running(settings, ["intake", "api"]) as book:
        yield book


async def status_of(book: Book, token: str) -> int:
    answer = await book.client.get("/v1/verdicts", params=KEY, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


async def test_a_key_is_shown_once_and_known_by_its_start(
    command: Command, book: Book, engine: AsyncEngine, settings: Settings
) -> None:
    made = await command(
        "add", "zorg", "--source", SOURCE, "--types", "contact.*", "--owner", "team Zorgadministratie",
        "--expires", "2099-12-31", "--json",
    )  # fmt: skip
    token = made["http_token"]
    assert made.keys() == {"name", "http_token", "nats"}
    assert len(token.removeprefix("rb_zorg_")) == 43  # 256 bits
    [before] = (await command("list", "--json"))["items"]
    assert (before["owner"], before["last_used_at"]) == ("team Zorgadministratie", None)
    assert before["expires_at"].startswith("2099-12-31T23:00:00")  # the end of that day in Amsterdam
    assert token.startswith(before["token_prefix"])
    assert len(token) - len(before["token_prefix"]) == 37
    assert await status_of(book, token) == 404
    [after] = (await command("list", "--json"))["items"]
    assert datetime.now(UTC) - datetime.fromisoformat(after["last_used_at"]) < timedelta(minutes=2)
    async with engine.connect() as conn:
        stored = (await conn.execute(text("SELECT department::text AS row FROM ledger.department"))).scalar_one()
    for secret in (token, made["nats"]["nkey_seed"]):
        assert secret not in stored
        assert secret.removeprefix("rb_zorg_")[8:] not in stored
        assert secret not in str(after)


async def test_without_a_word_a_key_lives_for_a_year(command: Command) -> None:
    await command("add", "zorg", "--source", SOURCE, "--types", "contact.*", "--json")
    await command(
        "add", "crm", "--source", SOURCE.replace("zorg", "crm"), "--types", "*", "--expires", "nooit", "--json"
    )
    crm, zorg = (await command("list", "--json"))["items"]
    assert crm["expires_at"] is None
    left = datetime.fromisoformat(zorg["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=364) < left < timedelta(days=366)
    assert "verleden" in await command(
        "add", "finance", "--source", SOURCE, "--types", "*", "--expires", "2020-01-01", fails=True
    )


async def test_an_expired_key_opens_nothing_from_that_instant(
    department: AddDepartment, book: Book, engine: AsyncEngine, owner_engine: AsyncEngine
) -> None:
    added = await department("zorg", expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert await status_of(book, added.http_token) == 404
    access = Access(engine, max_age_s=3600)  # as stale as can be
    found = await access.identify(added.http_token)
    assert isinstance(found, Publisher)
    ends_at = datetime.now(UTC) + timedelta(seconds=0.3)
    async with owner_engine.begin() as conn:
        await conn.execute(text("UPDATE ledger.department SET expires_at = :at"), {"at": ends_at})
    ending = Access(engine, max_age_s=3600)
    asked_at = datetime.now(UTC)
    while await ending.identify(added.http_token) is not None:
        assert asked_at < ends_at
        await asyncio.sleep(0.01)
        asked_at = datetime.now(UTC)
    assert datetime.now(UTC) >= ends_at
    async with asyncio.timeout(60):
        while await status_of(book, added.http_token) != 401:
            await asyncio.sleep(0.01)


async def test_revoked_it_is_over_at_every_door(
    department: AddDepartment, command: Command, book: Book, settings: Settings, engine: AsyncEngine
) -> None:
    added, other = await department("zorg"), await department("crm")
    event = {
        "specversion": "1.0", "id": "e-1", "source": SOURCE, "type": "nl.relatieboek.team.formed.v1",
        "subject": "organisation", "data": {"team": "t-1", "name": "Team", "occurred_on": "2026-01-05"},
    }  # fmt: skip
    body = json.dumps(event).encode()
    async with connection(settings, added.nats) as open_, connection(settings, other.nats) as others:
        assert await status_of(book, added.http_token) == 404
        assert json.loads((await open_.request("submit.zorg", b"{}", timeout=60)).data)["verdict"] == "rejected"
        await command("revoke", "zorg")
        # At once: nothing here waits or tries again.
        assert await status_of(book, added.http_token) == 401
        posted = await book.client.post(
            "/v1/events", content=body,
            headers={"Authorization": f"Bearer {added.http_token}", "Content-Type": "application/cloudevents+json"},
        )  # fmt: skip
        assert posted.status_code == 401
        with pytest.raises((nats.errors.Error, OSError)):
            await open_.request("submit.zorg", body, timeout=2)
        with pytest.raises((nats.errors.Error, OSError)):
            await JetStreamContext(open_).publish("inbox.zorg.x", body, timeout=2)
        with pytest.raises(Unavailable):
            async with signed_in(settings.nats_url, added.nats["nkey_seed"], prefix=added.nats["inbox_prefix"]):
                raise AssertionError("the revoked key still opens NATS")
        assert others.is_connected
        assert others.stats["reconnects"] == 0
    assert await status_of(book, other.http_token) == 404
    assert await scalar(engine, "SELECT count(*) FROM ledger.entry") == 0


async def test_a_renewed_key_takes_the_place_of_the_old_one(
    department: AddDepartment, command: Command, book: Book, settings: Settings
) -> None:
    added = await department("zorg")
    async with connection(settings, added.nats) as open_:
        renewed = (await command("renew", "zorg", "--json"))["http_token"]
        assert renewed != added.http_token
        assert await status_of(book, added.http_token) == 401
        assert await status_of(book, renewed) == 404
        assert open_.is_connected
    held = json.loads((settings.data_dir / "credentials.json").read_text())
    assert held["http"]["departments"] == {"zorg": renewed}
    assert "geen afdeling" in await command("renew", "nobody", fails=True)
