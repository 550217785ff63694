"""`relatieboek up` as people use it: its own process, killed in every way, and started again."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from events.errors import SetupError
from services.embedded.credentials import Credentials, Internal, complete
from services.embedded.datadir import DataDir, holder
from services.embedded.processes import Known, alive, end
from services.embedded.registration import add_department
from services.settings import SERVICES, Settings
from services.up import up
from tests.ports import free_port

READY_S = 300.0  # on a machine that has other things to do


@pytest.fixture
def data_dir() -> Generator[Path]:
    path = Path(tempfile.mkdtemp(prefix="relatieboek-up-"))
    yield path / "var"
    end(DataDir(path / "var").left_over(), within_s=5)
    shutil.rmtree(path)


class Run:
    """One `up`, with what it printed so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def line(self, wanted: Callable[[str], bool]) -> str:
        """The first line from here on that is wanted."""
        assert self.process.stdout is not None
        async with asyncio.timeout(READY_S):
            while raw := await self.process.stdout.readline():
                self.lines.append(raw.decode().rstrip())
                if wanted(self.lines[-1]):
                    return self.lines[-1]
        raise AssertionError("\n".join(self.lines))

    async def rest(self) -> int:
        """Reads to the end, and returns the exit code."""
        assert self.process.stdout is not None
        async with asyncio.timeout(READY_S):
            self.lines += (await self.process.stdout.read()).decode().splitlines()
            return await self.process.wait()


class Starter:
    """Starts `relatieboek up` on one directory and one pair of ports."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir, self.port, self.nats_port = data_dir, free_port(), free_port()
        self.runs: list[Run] = []

    async def __call__(self) -> Run:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from services.cli.main import app; app()", "up", "--data-dir", str(self.data_dir),
            "--port", str(self.port), "--nats-port", str(self.nats_port),
            stdout=PIPE, stderr=STDOUT, start_new_session=True,
            env={k: v for k, v in os.environ.items() if k not in ("NATS_URL", "DATABASE_URL")},
        )  # fmt: skip
        self.runs.append(Run(process))
        return self.runs[-1]

    async def ready(self) -> Run:
        run = await self()
        assert await run.line(lambda line: line.startswith("ready ")) == f"ready http://127.0.0.1:{self.port}"
        return run

    @property
    def parts(self) -> dict[str, Known]:
        return {known.name: known for known in DataDir(self.data_dir).left_over()}


@pytest.fixture
async def start(data_dir: Path) -> AsyncGenerator[Starter]:
    starter = Starter(data_dir)
    yield starter
    for run in starter.runs:
        if run.process.returncode is None:
            run.process.kill()
        await run.rest()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(READY_S):
        while not condition():
            await asyncio.sleep(0.05)


@pytest.mark.timeout(900)
async def test_killed_in_every_way_and_started_again(start: Starter, data_dir: Path) -> None:
    run = await start.ready()
    assert holder(data_dir) == f"http://127.0.0.1:{start.port}"
    parts = start.parts
    services = {"intake", "relation-view", "contact-alerts", "workflows", "team-timeline", "insight", "notary", "api"}
    assert parts.keys() == services | {"NATS", "PostgreSQL"}
    groups = {os.getpgid(parts[name].pid) for name in services}
    assert groups == {os.getpgid(run.process.pid)}
    credentials = data_dir / "credentials.json"
    assert credentials.stat().st_mode & 0o777 == 0o600
    token = json.loads(credentials.read_text())["http"]["viewers"]["all"]
    assert token not in "\n".join(run.lines)

    # A second one on the same directory says where the first is.
    second = await start()
    assert await second.rest() == 2
    assert len(second.lines) == 1
    assert f"http://127.0.0.1:{start.port}" in second.lines[0]

    # A service and an engine that are killed come back by themselves.
    for name in ("relation-view", "NATS", "PostgreSQL"):
        os.kill(parts[name].pid, signal.SIGKILL)
        await run.line(lambda line, name=name: line.startswith(f"{name} stopte onverwacht"))
        await until(lambda name=name: name in start.parts and start.parts[name].pid != parts[name].pid)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{start.port}", timeout=30) as http:
        async with asyncio.timeout(60):
            while (await http.get("/v1/status", headers={"Authorization": f"Bearer {token}"})).status_code != 200:
                await asyncio.sleep(0.1)

    # Killed itself, it takes everything with it.
    parts = start.parts
    run.process.kill()
    await until(lambda: not any(alive(part) for part in parts.values()))

    # The next one goes on where it was. (Everything killed at once, guard included: `test_demo_running`.)
    run = await start.ready()
    assert json.loads(credentials.read_text())["http"]["viewers"]["all"] == token

    parts = start.parts
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does at Ctrl-C
    assert await run.rest() == 0
    assert run.lines[-1] == "Gestopt."
    assert not any("onverwacht" in line for line in run.lines)
    for name in services:
        assert "stopped at once" not in DataDir(data_dir).log(name).read_text()
    assert not any(alive(part) for part in parts.values())
    assert start.parts == {}
    assert holder(data_dir) is None


async def command(data_dir: Path, *arguments: str) -> str:
    """What a command of the command line prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from services.cli.main import app; app()", *arguments, "--data-dir", str(data_dir),
        stdout=PIPE, env={k: v for k, v in os.environ.items() if k not in ("NATS_URL", "DATABASE_URL")},
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode()


@pytest.mark.timeout(600)
async def test_a_second_ctrl_c_cuts_a_stop_short_and_loses_nothing(start: Starter, data_dir: Path) -> None:
    run = await start.ready()
    source = "urn:nld:oin:00000000000000000000:systeem:crm"
    told = await command(data_dir, "department", "add", "zorg", "--source", source, "--types", "*", "--json")
    headers = {"Content-Type": "application/cloudevents+json"}
    headers["Authorization"] = f"Bearer {json.loads(told)['http_token']}"
    event: dict[str, Any] = {
        "specversion": "1.0", "id": "1", "source": source, "type": "nl.relatieboek.relation.registered.v1",
        "subject": "gemeentecode:0518",
        "data": {"name": "Gemeente Den Haag", "kind": "municipality", "identifiers": [], "occurred_on": "2026-01-05"},
    }  # fmt: skip
    url = f"http://127.0.0.1:{start.port}/v1/events"
    async with httpx.AsyncClient(timeout=30) as http:
        taken = await http.post(url, json=event, headers=headers)
    assert taken.status_code == 201, taken.text

    # A service that does not listen holds up the clean stop, for as long as it is given.
    parts = start.parts
    os.kill(parts["intake"].pid, signal.SIGSTOP)
    os.kill(run.process.pid, signal.SIGINT)
    await run.line(lambda line: line.startswith("Stoppen"))
    assert run.process.returncode is None
    os.kill(run.process.pid, signal.SIGINT)
    async with asyncio.timeout(25):  # less than what a service is given to stop by itself
        assert await run.rest() == 130
    await until(lambda: not any(alive(part) for part in parts.values()))

    run = await start.ready()
    async with httpx.AsyncClient(timeout=30) as http:
        again = await http.post(url, json=event, headers=headers)
    assert (again.status_code, again.json()["sequence"]) == (200, taken.json()["sequence"])
    os.kill(run.process.pid, signal.SIGINT)
    assert await run.rest() == 0
    assert run.lines[-1] == "Gestopt."


@pytest.mark.timeout(600)
async def test_servers_elsewhere_are_used_as_they_are(data_dir: Path, settings: Settings) -> None:
    given = settings.model_copy(
        update={
            "database_url": settings.owner_database_url, "owner_database_url": "", "data_dir": data_dir,
            "service_password": SecretStr(make_url(settings.database_url).password or ""),
        }
    )  # fmt: skip
    lines: list[str] = []
    work = asyncio.create_task(up(given, demo=False, report=lines.append))
    await until(lambda: work.done() or any(line.startswith("ready ") for line in lines))
    assert not work.done(), work.result()
    found = complete(Settings(data_dir=data_dir, database_url=settings.database_url, nats_url=settings.nats_url))
    assert found.lookup_key == settings.lookup_key
    source = "urn:nld:oin:00000000000000000001:systeem:a"
    added = await add_department(settings.model_copy(update={"data_dir": data_dir}), "zorg", [source], ["*"])
    assert added.nats_config is not None
    assert added.nats_config["accounts"]["zorg"]["users"][0]["nkey"].startswith("U")
    assert added.nats["nkey_seed"] not in json.dumps(added.nats_config)
    assert DataDir(data_dir).left_over()
    assert {part.name for part in DataDir(data_dir).left_over()} == set(SERVICES)
    os.kill(os.getpid(), signal.SIGTERM)
    await work
    assert lines[-1] == "Gestopt."


def put(directory: Path, **files: str) -> None:
    """Files in a directory that is made with them; `__` in a name is a `/`, `_` a dot."""
    for name, content in files.items():
        path = directory / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


async def refused(data_dir: Path, **settings: object) -> str:
    given = Settings.model_validate({"data_dir": data_dir, "port": free_port(), "nats_port": free_port(), **settings})
    lines: list[str] = []
    with pytest.raises(SetupError) as raised:
        await up(given, demo=False, report=lines.append)
    assert "\n" not in str(raised.value)
    assert holder(data_dir) is None
    assert DataDir(data_dir).left_over() == []
    return str(raised.value)


async def test_the_command_ends_with_2_and_one_line(start: Starter, data_dir: Path) -> None:
    async def told() -> str:
        run = await start()
        assert await run.rest() == 2
        [line] = [line for line in run.lines if not line.endswith("…")]
        return line

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", start.port))
        taken.listen()
        assert f"Poort {start.port}" in await told()
    put(data_dir, version="2\n")
    assert "nieuwere versie" in await told()
    (data_dir / "version").unlink()
    put(data_dir, postgres__base="")
    assert "onvolledig" in await told()


@pytest.mark.parametrize("setting", ["port", "nats_port"])
async def test_a_taken_port_is_named(data_dir: Path, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = await refused(data_dir, **{setting: port})
    assert f"Poort {port}" in told
    assert "--" + setting.replace("_", "-") in told


async def test_a_directory_of_a_newer_version_is_left_alone(data_dir: Path) -> None:
    put(data_dir, version="2\n")
    assert "nieuwere versie" in await refused(data_dir)
    assert not DataDir(data_dir).postgres.exists()


async def test_a_half_initialised_directory_is_told(data_dir: Path) -> None:
    put(data_dir, postgres__base="")
    assert "onvolledig" in await refused(data_dir)
    put(data_dir, version="1\n")
    assert "credentials.json ontbreekt" in await refused(data_dir)


async def test_a_directory_without_its_database_is_told(data_dir: Path) -> None:
    internal = Internal.fresh(Settings(data_dir=data_dir)).model_copy(update={"postgres_port": free_port()})
    put(data_dir, version="1\n", credentials_json=Credentials(internal=internal).model_dump_json())
    assert "relatieboek restore" in await refused(data_dir)
    assert not DataDir(data_dir).postgres.exists()


async def test_a_data_directory_that_is_a_file(data_dir: Path) -> None:
    put(data_dir.parent, var="")
    given = Settings(data_dir=data_dir, port=free_port(), nats_port=free_port())
    with pytest.raises(SetupError, match="--data-dir"):
        await up(given, demo=False, report=lambda _: None)


async def test_a_full_disk_is_told_before_anything_is_made(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(data_dir.parent)
    little = usage._replace(free=50 * 2**20)

    def nearly_full(_: object) -> object:
        return little

    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    assert "50 MB vrij" in await refused(data_dir)
    assert not DataDir(data_dir).postgres.exists()


async def test_broken_credentials_are_told(data_dir: Path) -> None:
    put(data_dir, credentials_json="{")
    assert "beschadigd" in await refused(data_dir)


async def test_an_external_database_that_is_not_there_is_told_without_its_password(data_dir: Path) -> None:
    told = await refused(data_dir, database_url=f"postgresql://boek:geheim@127.0.0.1:{free_port()}/boek")
    assert "DATABASE_URL" in told
    assert "geheim" not in told
