"""What a script can rely on: the exit code of `send`, `status`, `reconcile` and `clock`, and one line that says why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import stamina
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from events.errors import SetupError
from services.cli.main import app
from services.embedded.nats import Nats
from services.migrate import migrate
from services.settings import Settings, as_environment
from tests.conftest import AddDepartment
from tests.integration.book import Json, held, registered
from tests.running_book import Book, running

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
def command(settings: Settings) -> Command:
    """`await command("status", code=1)` runs `relatieboek status` on this test's book, which must give that code."""

    async def run(*words: str, code: int) -> Result:
        invoke = CliRunner(env=as_environment(settings)).invoke
        done = await asyncio.to_thread(invoke, app, [*words, "--data-dir", str(settings.data_dir)])
        assert done.exit_code == code, done.output
        return done

    return run


@pytest.fixture
async def book(settings: Settings, department: AddDepartment) -> AsyncGenerator[Book]:
    await department("crm")
    async with running(settings, ["intake", "api"]) as book:
        yield book


def event(settings: Settings, id_: str, kind: str, data: Json) -> Json:
    return {
        "specversion": "1.0", "id": id_, "source": f"urn:nld:oin:{settings.institution}:systeem:crm",
        "type": f"nl.relatieboek.{kind}.v1", "subject": "gemeentecode:0518", "data": data,
    }  # fmt: skip


def lines(path: Path, *events: Json) -> str:
    path.write_text("".join(json.dumps(e) + "\n" for e in events))
    return str(path)


async def test_send_tells_whether_something_was_refused(
    book: Book, command: Command, settings: Settings, tmp_path: Path
) -> None:
    good = event(settings, "1", "relation.registered", registered())
    wrong = event(settings, "2", "relation.registered", {**registered(), "kind": "gemeente"})
    waits = {**event(settings, "3", "contact.held", held()), "subject": "gemeentecode:9999"}
    out = tmp_path / "verdicts.jsonl"
    refused = await command("send", lines(tmp_path / "1", good, wrong), "--verdicts", str(out), code=1)
    assert "geweigerd 2: /data/kind" in refused.stderr
    assert [json.loads(line)["verdict"] for line in out.read_text().splitlines()] == ["accepted", "rejected"]
    await command("send", lines(tmp_path / "2", good, waits), "--verdicts", str(out), code=0)
    assert [json.loads(line)["verdict"] for line in out.read_text().splitlines()] == ["duplicate", "parked"]


async def test_send_to_a_book_that_is_away(
    department: AddDepartment, nats_server: Nats, command: Command, settings: Settings, tmp_path: Path
) -> None:
    await department("crm")
    file = lines(tmp_path / "1", event(settings, "1", "relation.registered", registered()))
    with stamina.set_testing(True, attempts=2):
        no_intake = await command("send", file, code=2)
    assert "Nu niet bereikbaar of te druk (intake)" in no_intake.stderr
    await nats_server.stop()
    no_server = await command("send", file, code=2)
    assert f"NATS antwoordt niet op {settings.nats_url}" in no_server.stderr
    for told in (no_intake, no_server):
        assert "Traceback" not in told.output


async def test_status_of_a_book_that_is_not_well(book: Book, command: Command) -> None:
    told: dict[str, Any] = json.loads((await command("status", "--json", code=1)).stdout)
    assert told["healthy"] is False
    assert {"service": "relation-view", "state": "silent"} in told["services"]


async def test_status_says_how_much_came_in_the_last_minute(
    book: Book, command: Command, settings: Settings, owner_engine: AsyncEngine, tmp_path: Path
) -> None:
    await command("send", lines(tmp_path / "1", event(settings, "1", "relation.registered", registered())), code=0)
    # An hour from now is within any minute that this test may take.
    for recorded, rate in (("+ interval '1 hour'", 0.02), ("- interval '61 seconds'", 0.0)):
        async with owner_engine.begin() as conn:
            await conn.execute(text(f"UPDATE ledger.entry SET recorded_at = now() {recorded}"))
        told = json.loads((await command("status", "--json", code=1)).stdout)
        assert told["log"]["rate_1m"] == rate


async def test_reconcile_of_a_book_that_differs(
    book: Book, command: Command, settings: Settings, owner_engine: AsyncEngine, tmp_path: Path
) -> None:
    await command("send", lines(tmp_path / "1", event(settings, "1", "relation.registered", registered())), code=0)
    assert json.loads((await command("reconcile", "--quick", "--json", code=0)).stdout)["agree"] is True
    async with owner_engine.begin() as conn:
        await conn.execute(text("UPDATE ledger.entry SET department = 'hr' WHERE position = 1"))
    assert json.loads((await command("reconcile", "--quick", "--json", code=1)).stdout)["agree"] is False
    assert "Ze verschillen." in (await command("reconcile", "--quick", code=1)).stderr


async def test_the_clock_of_a_live_run_is_not_moved(nats_server: Nats, command: Command, engine: AsyncEngine) -> None:
    refused = await command("clock", "advance", "--to", "2026-06-30T12:00:00+02:00", code=2)
    assert "alleen in een proef met RELATIEBOEK_CLOCK" in refused.stderr
    async with engine.connect() as conn:
        assert await conn.scalar(text("SELECT clock_at FROM ledger.head")) is None


async def test_a_database_of_a_newer_version_is_left_alone(owner_url: str, owner_engine: AsyncEngine) -> None:
    async with owner_engine.begin() as conn:
        await conn.execute(text("UPDATE public.schema_version SET version_num = '9999'"))
    with pytest.raises(SetupError, match=r"nieuwere versie \(9999\)"):
        await migrate(owner_url, None)
    invoke = CliRunner(env={"DATABASE_URL": owner_url}).invoke
    told = await asyncio.to_thread(invoke, app, ["migrate"])
    assert told.exit_code == 2, told.output
    [line] = told.stderr.splitlines()
    assert "nieuwere versie (9999)" in line
    async with owner_engine.connect() as conn:
        assert await conn.scalar(text("SELECT version_num FROM public.schema_version")) == "9999"
