"""What the book kept of what it did not take: listed to the last row, and offered again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from events.clock import system_now
from services.cli.main import app
from services.intake.keeping import expire
from services.settings import Settings, as_environment
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, held, registered, scalar
from tests.running_book import running

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
async def crm(settings: Settings, department: AddDepartment) -> AsyncGenerator[Department]:
    added = await department("crm")
    async with running(settings, ["intake", "api"]), connection(settings, added.nats) as client:
        yield Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")


@pytest.fixture
def command(settings: Settings) -> Command:
    """`await command("rejected", "list")` runs `relatieboek rejected list` on this test's book."""

    async def run(*words: str, code: int = 0) -> Result:
        invoke = CliRunner(env=as_environment(settings)).invoke
        done = await asyncio.to_thread(invoke, app, [*words, "--data-dir", str(settings.data_dir)])
        assert done.exit_code == code, done.output
        return done

    return run


async def pages(command: Command, *words: str) -> list[list[dict[str, Any]]]:
    """Every page of a list, as its own `next` leads to them."""
    found: list[list[dict[str, Any]]] = []
    more: list[str] = []
    while True:
        document = json.loads((await command(*words, *more, "--json")).stdout)
        found.append(document["items"])
        if document["next"] is None:
            return found
        more = ["--cursor", document["next"]]


async def test_lists_go_on_to_the_last_row(crm: Department, command: Command) -> None:
    wrong = [crm.event("relation.registered", {**registered(), "kind": "gemeente"}) for _ in range(5)]
    early = [crm.event("contact.held", held(f"c-{n}")) for n in range(4)]
    assert {v["verdict"] for v in await crm.send_all(wrong)} == {"rejected"}
    assert {v["verdict"] for v in await crm.send_all(early)} == {"parked"}

    refused = await pages(command, "rejected", "list", "--limit", "2")
    assert [[r["id"] for r in page] for page in refused] == [["crm-5", "crm-4"], ["crm-3", "crm-2"], ["crm-1"]]
    assert refused[0][0]["detail"].startswith("/data/kind ")
    waiting = await pages(command, "parked", "list", "--limit", "2", "--department", "crm")
    assert [[r["id"] for r in page] for page in waiting] == [["crm-6", "crm-7"], ["crm-8", "crm-9"]]
    assert await pages(command, "rejected", "list", "--department", "zorg") == [[]]

    shown = await command("rejected", "list", "--limit", "2")
    assert "Er is meer: voeg toe --cursor " in shown.stderr
    assert "Er is meer" not in (await command("parked", "list")).stderr
    of_the_other = json.loads((await command("parked", "list", "--limit", "1", "--json")).stdout)["next"]
    assert "/cursor" in (await command("rejected", "list", "--cursor", of_the_other, code=2)).stderr


async def test_what_was_refused_is_offered_again(crm: Department, command: Command, engine: AsyncEngine) -> None:
    """Refused at once and again; and refused after it waited too long, which is still sealed as parked."""
    assert (await crm.send(crm.event("relation.registered", {**registered(), "kind": "x"})))["verdict"] == "rejected"
    assert (await crm.send(crm.event("contact.held", held())))["verdict"] == "parked"
    async with engine.begin() as conn:
        long_ago = system_now() - timedelta(days=31)
        await conn.execute(text("UPDATE ledger.parked SET parked_at = :at"), {"at": long_ago})
        assert await expire(conn, parked_days=30, rejected_days=30) == 1
    new = crm.event("relation.registered", registered("Gemeente Den Haag", ("gemeentecode", "0518")))
    assert (await crm.send(new))["verdict"] == "accepted"

    ((expired, refused),) = await pages(command, "rejected", "list")
    assert (expired["code"], refused["id"]) == ("expired", "crm-1")
    number = str(expired["rejected_id"])
    kept = json.loads((await command("rejected", "show", number)).stdout)["event"]
    assert kept["data"]["summary"] == held()["summary"]
    assert json.loads((await command("rejected", "retry", number, "--json")).stdout) == {"accepted": 1}
    assert json.loads((await command("rejected", "retry", "--json", code=1)).stdout) == {"rejected": 1}
    ((again,),) = await pages(command, "rejected", "list")
    assert (again["id"], again["rejected_id"] > expired["rejected_id"]) == ("crm-1", True)
    assert "Niet gevonden" in (await command("rejected", "retry", number, code=2)).stderr
    assert await scalar(engine, "SELECT count(*) FROM ledger.entry") == 2


async def test_what_waits_is_tried_when_it_is_told_to(
    crm: Department, command: Command, engine: AsyncEngine, owner_engine: AsyncEngine
) -> None:
    early = [crm.event("contact.held", held(f"c-{n}")) for n in range(3)]
    assert {v["verdict"] for v in await crm.send_all(early)} == {"parked"}
    assert json.loads((await command("parked", "retry", "--json")).stdout) == {"intake": 3, "projections": []}
    assert await scalar(engine, "SELECT count(*) FROM ledger.parked") == 3
    async with owner_engine.begin() as conn:
        # Nothing that comes frees them by itself.
        await conn.execute(text("UPDATE ledger.parked SET waits_for = '{}', ready = 0"))
    await crm.send(crm.event("relation.registered", registered("Gemeente Den Haag", ("gemeentecode", "0518"))))
    assert await scalar(engine, "SELECT count(*) FROM ledger.parked") == 3
    assert "3 wachtende gebeurtenissen" in (await command("parked", "retry")).stderr
    async with asyncio.timeout(30):
        while await scalar(engine, "SELECT count(*) FROM ledger.parked"):
            await asyncio.sleep(0.05)
    assert await scalar(engine, "SELECT count(*) FROM ledger.entry") == 4
