"""What docker-compose.yml starts, started without Docker: the same commands with just the same environment.

Real servers with the configuration that `services.containers new` writes; migrations as the one-shot service; every
service of the book as its own process; the image's own health check; a department, an event, a checkpoint. What this
does not show: images, volumes, capabilities and networks.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from services.embedded.engine import Engine
from services.embedded.nats import binary
from services.embedded.postgres import Postgres, binaries
from services.settings import SERVICES
from tests.integration.book import registered
from tests.ports import free_port

Json = dict[str, Any]
ROOT = Path(__file__).parent.parent.parent


def interpolated(value: Any, env: dict[str, str]) -> Any:
    """As Compose fills `${NAME}`, `${NAME:-default}` and `${NAME:?error}` in, in the texts of a file."""
    if isinstance(value, dict):
        return {k: interpolated(v, env) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [interpolated(v, env) for v in value]  # pyright: ignore[reportUnknownVariableType]

    def filled(found: re.Match[str]) -> str:
        name, _, rest = found[1].partition(":")
        given = env.get(name, "")
        assert given or not rest.startswith("?"), f"{name}: {rest}"
        return given or rest.removeprefix("-")

    return re.sub(r"\$\{([^}]+)\}", filled, value) if isinstance(value, str) else value


class _Nats(Engine):
    name, stop_signal = "NATS", signal.SIGINT

    def __init__(self, log: Path, configuration: Path, monitor: int, environment: dict[str, str]) -> None:
        super().__init__(log)
        self._environment = environment
        self._command = [binary(), "-c", str(configuration), "-m", str(monitor)]

    async def start(self) -> None:
        await self.launch(self._command, env=self._environment)


class Machine:
    """One machine that plays every container. Addresses that a network would give are put in by hand."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.env = dict(
            line.split("=", 1) for line in (directory / ".env").read_text().splitlines() if re.match(r"\w+=", line)
        )
        self.file: Json = interpolated(yaml.safe_load((ROOT / "docker-compose.yml").read_text()), self.env)
        self.image = dict(re.findall(r"\b([A-Z_]+)=(\S+)", " ".join(_lines_of("ENV"))))
        self.ports = {name: free_port() for name in ("postgres", "nats", "monitor", "api")}
        self.health = {name: free_port() for name in SERVICES}
        self.running: dict[str, Process] = {}
        self.addresses = {
            "@postgres:5432/": f"@127.0.0.1:{self.ports['postgres']}/", "nats://nats:4222": f"nats://127.0.0.1:{self.ports['nats']}",
            "http://api:8080": f"http://127.0.0.1:{self.ports['api']}",
            "0.0.0.0:4222": f"127.0.0.1:{self.ports['nats']}", "/data/": f"{directory}/data/",
            "/intake/": f"{directory}/data/",
        }  # fmt: skip

    def here(self, text: str) -> str:
        for there, at in self.addresses.items():
            text = text.replace(there, at)
        return text

    async def start(
        self, service: str, command: list[str] | None = None, entrypoint: list[str] | None = None
    ) -> Process:
        """As `docker compose run SERVICE`: the image's environment, the service's own, and nothing of ours."""
        said = self.file["services"][service]
        data = self.directory / "data" / service
        data.mkdir(parents=True, exist_ok=True)
        given = {name: self.here(str(value)) for name, value in said.get("environment", {}).items()}
        environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **self.image, **given, "RELATIEBOEK_HOST": "127.0.0.1",
            "RELATIEBOEK_DATA_DIR": str(data), "RELATIEBOEK_PORT": str(self.ports["api"]),
            "RELATIEBOEK_HTTP_PORT": str(self.health.get(service, 0)),
        }  # fmt: skip
        if service not in self.health:
            environment.pop("RELATIEBOEK_HTTP_PORT")
        entry = entrypoint or said.get("entrypoint") or ["relatieboek"]
        program = {"relatieboek": [sys.executable, "-m", "services.cli.main"], "python": [sys.executable]}[entry[0]]
        return await asyncio.create_subprocess_exec(
            *program, *entry[1:], *(said["command"] if command is None else command), env=environment, cwd=data,
            stdout=PIPE, stderr=STDOUT,
        )  # fmt: skip

    async def run(
        self, service: str, *command: str, entrypoint: list[str] | None = None, codes: tuple[int, ...] = (0,)
    ) -> str:
        """A one-shot: what it printed; it must end with one of these codes."""
        process = await self.start(service, list(command) or None, entrypoint)
        out, _ = await process.communicate()
        assert process.returncode in codes, out.decode()
        return out.decode()

    async def healthy(self, *services: str) -> None:
        """Waits until the image's own health check says so of each."""
        (check,) = [line for line in _lines_of("HEALTHCHECK") if "CMD" in line]
        command: list[str] = json.loads(check.partition("CMD")[2])
        assert command[0] == "python"
        async with asyncio.timeout(90):
            for service in services:
                mine = [word.replace(":8081/", f":{self.health[service]}/") for word in command[1:]]
                while True:
                    process = await asyncio.create_subprocess_exec(sys.executable, *mine, stdout=PIPE, stderr=STDOUT)
                    await process.communicate()
                    if process.returncode == 0:
                        break
                    ended = self.running[service]
                    if ended.returncode is not None:
                        assert ended.stdout is not None
                        raise AssertionError(f"{service} ended: {(await ended.stdout.read()).decode()[-3000:]}")
                    await asyncio.sleep(0.2)


def _lines_of(instruction: str) -> list[str]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.partition(" ")[2] for line in text.splitlines() if line.startswith(f"{instruction} ")]


@pytest.fixture
def directory() -> Generator[Path]:
    path = Path(tempfile.mkdtemp(prefix="relatieboek-compose-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
async def machine(directory: Path) -> AsyncGenerator[Machine]:
    shutil.copy(ROOT / ".env.example", directory)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.containers", "new", "--directory", str(directory), cwd=ROOT
    )
    assert await process.wait() == 0
    assert (directory / ".env").stat().st_mode & 0o777 == 0o600
    made = Machine(directory)
    configuration = directory / "var" / "containers" / "nats.conf"
    configuration.write_text(made.here(configuration.read_text()))
    postgres = Postgres(
        directory / "postgres", directory / "postgres.log", made.env["POSTGRES_PASSWORD"], made.ports["postgres"]
    )
    given = made.file["services"]["nats"]["environment"]
    nats = _Nats(directory / "nats.log", configuration, made.ports["monitor"], given)
    await asyncio.gather(postgres.start(), nats.start())
    made.ports["nats-pid"] = nats.known.pid if nats.known else 0
    yield made
    for running in made.running.values():
        if running.returncode is None:
            running.kill()
            await running.wait()
    await asyncio.gather(nats.stop(), postgres.stop())


@pytest.mark.timeout(600)
async def test_as_compose_starts_it(machine: Machine) -> None:
    checked = shlex.split(machine.file["services"]["postgres"]["healthcheck"]["test"][1])
    checked = [str(binaries() / checked[0]), *checked[1:], "-p", str(machine.ports["postgres"])]
    process = await asyncio.create_subprocess_exec(*checked)
    assert await process.wait() == 0
    async with httpx.AsyncClient(timeout=30) as http:
        assert (await http.get(f"http://127.0.0.1:{machine.ports['monitor']}/healthz")).status_code == 200
        assert "bij" in await machine.run("migrate")
        for service in SERVICES:
            machine.running[service] = await machine.start(service)
        await machine.healthy(*SERVICES)

        source = "urn:nld:oin:00000000000000000000:systeem:crm"
        shown = await machine.run("tools", "department", "add", "crm", "--source", source, "--types", "*", "--json")
        added: Json = json.loads(shown[shown.index("{") :])
        python = ["python", "-m", "services.containers"]
        configuration = await machine.run("tools", "nats-config", entrypoint=python)
        target = machine.directory / "var" / "containers" / "nats.conf"
        target.write_text(machine.here(configuration))
        os.kill(machine.ports["nats-pid"], signal.SIGHUP)

        # The server reads its key from its environment: the configuration has the name alone.
        assert "Encryption:" in (machine.directory / "nats.log").read_text()
        assert machine.env["NATS_STORE_KEY"] not in target.read_text()

        api = f"http://127.0.0.1:{machine.ports['api']}/v1"
        event = {
            "specversion": "1.0", "id": "e-1", "source": source, "type": "nl.relatieboek.relation.registered.v1",
            "subject": "gemeentecode:0518", "data": registered(),
        }  # fmt: skip
        answer = await http.post(
            f"{api}/events", json=event,
            headers={"Authorization": f"Bearer {added['http_token']}", "Content-Type": "application/cloudevents+json"},
        )  # fmt: skip
        assert answer.status_code == 201, answer.text
        position = answer.json()["sequence"]
        viewers = json.loads(await machine.run("tools", "viewers", entrypoint=python))
        headers = {"Authorization": f"Bearer {viewers['all']}", "If-Position": position}
        async with asyncio.timeout(60):
            while True:  # a request alone waits some seconds
                relation = await http.get(f"{api}/relations/gemeentecode:0518", headers=headers)
                if relation.status_code != 503:
                    break
        assert relation.json()["name"] == "Gemeente Den Haag"
        signed = json.loads(await machine.run("tools", "audit", "checkpoint", "--json"))["note"]
        assert signed.splitlines()[1] == "1"
        assert signed in (machine.directory / "data" / "checkpoints").read_text()
        await machine.run("tools", "reconcile", "--quick")
        async with asyncio.timeout(60):  # until every service answered in time, also on a busy machine
            while not (status := json.loads(await machine.run("tools", "status", "--json", codes=(0, 1))))["healthy"]:
                pass
        assert status["log"]["head"] == 1
        copy = machine.directory / "kopie"
        saved = json.loads(await machine.run("keeper", "backup", str(copy), "--json"))
        assert (saved["position"], saved["checkpoints"]["bytes"] > 0) == (1, True)

    for running in machine.running.values():
        running.terminate()
    async with asyncio.timeout(30):  # stop_grace_period
        assert {name: await p.wait() for name, p in machine.running.items()} == dict.fromkeys(SERVICES, 0)
    await machine.run("keeper", "restore", str(copy), "--force")
    assert "bij" in await machine.run("migrate")
