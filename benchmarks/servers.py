"""A whole book in a temporary directory for one benchmark: real PostgreSQL and NATS, services as processes."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nats
import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from projections.registry import PROJECTIONS
from projections.store import install
from services.connections import make_engine
from services.embedded import credentials as store
from services.embedded.credentials import Credentials, Internal, NatsPart
from services.embedded.datadir import DataDir
from services.embedded.engine import free_port
from services.embedded.nats import Nats
from services.embedded.postgres import Postgres
from services.embedded.registration import Added, add_department, book_keys
from services.intake.feeds import answer_feeds
from services.migrate import SERVICE_ROLE, migrate
from services.settings import Settings, as_environment
from services.supervise import Service, Supervisor, module_command, module_environment

DEPARTMENT: Final = "zorgverkoop"


class _Other(Service):
    """One of our modules in a service's place."""

    def __init__(self, name: str, log: Path, environment: Mapping[str, str], module: str) -> None:
        super().__init__(name, log, environment)
        self._module = module

    async def start(self) -> None:
        await self.launch(module_command(self._module), env=self._environment)


@dataclass(slots=True)
class Rig:
    """The servers of one benchmark. `department` is registered for everything; `engine` is the services' role."""

    settings: Settings
    postgres: Postgres
    nats: Nats
    engine: AsyncEngine
    department: Added

    @property
    def source(self) -> str:
        return f"urn:nld:oin:{self.settings.institution}:systeem:{DEPARTMENT}"

    @asynccontextmanager
    async def service(self, name: str, *, module: str | None = None, **changes: Any) -> AsyncGenerator[Service]:
        """The service in a process of its own, ready; stopped as SIGTERM stops it. `module` runs in its place."""
        settings = self.settings.model_copy(update=changes)
        log = self.settings.data_dir / "logs" / f"{name}.log"
        environment = as_environment(settings)
        service = Service(name, log, environment) if module is None else _Other(name, log, environment, module)
        await service.start()
        try:
            await self._ready(service)
            yield service
        finally:
            await service.stop(within_s=30)

    async def _ready(self, service: Service) -> None:
        async with asyncio.timeout(60), self.connect_service() as nc:
            while service.running:
                try:
                    reply = await nc.request(f"health.{service.name}", b"", timeout=0.5)
                    if orjson.loads(reply.data)["state"] == "ready":
                        return
                except (NatsError, TimeoutError):
                    pass
                await asyncio.sleep(0.02)
        raise RuntimeError(f"{service.name} ended: {service.last_lines(20)}")

    @asynccontextmanager
    async def connect_service(self) -> AsyncGenerator[Client]:
        """A NATS connection as the services have it."""
        seed = self.settings.nats_seed
        assert seed is not None
        async with _connection(self.settings.nats_url, nkeys_seed_str=seed.get_secret_value()) as nc:
            yield nc

    @asynccontextmanager
    async def connect_operations(self) -> AsyncGenerator[Client]:
        """A NATS connection that may make the stream anew."""
        seed = self.settings.operations_nats_seed
        assert seed is not None
        async with _connection(self.settings.nats_url, nkeys_seed_str=seed.get_secret_value()) as nc:
            yield nc

    @asynccontextmanager
    async def opening_feeds(self) -> AsyncGenerator[None]:
        """Does what intake does for services that read the stream, where none runs."""
        async with self.connect_service() as services, self.connect_operations() as book:
            await answer_feeds(services, book)
            yield

    @asynccontextmanager
    async def connect_department(self) -> AsyncGenerator[Client]:
        """A NATS connection as a department has it: an account of its own, its own inbox."""
        entry = self.department.nats
        async with _connection(
            self.settings.nats_url, nkeys_seed_str=entry["nkey_seed"], inbox_prefix=entry["inbox_prefix"]
        ) as nc:
            yield nc

    async def run(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Runs one of our modules as a process of its own; the JSON object that it prints last."""
        process = await asyncio.create_subprocess_exec(
            *module_command(module, *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=module_environment({**as_environment(self.settings), **(environment or {})}), cwd=ROOT,
        )  # fmt: skip
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            raise
        if process.returncode != 0:
            raise RuntimeError(f"{module} ended with {process.returncode}:\n{err.decode()[-3000:]}")
        return json.loads(out.decode().strip().splitlines()[-1])


ROOT: Final = Path(__file__).resolve().parent.parent


@asynccontextmanager
async def _connection(url: str, **options: Any) -> AsyncGenerator[Client]:
    untyped: Any = nats
    nc: Client = await untyped.connect(url, allow_reconnect=False, pending_size=64 << 20, **options)
    try:
        yield nc
    finally:
        await nc.close()


@asynccontextmanager
async def book() -> AsyncGenerator[Rig]:
    """An empty book on servers of its own, removed afterwards. Durable as in production: nothing is turned off."""
    path = await asyncio.to_thread(_directory)
    try:
        async with _book(path) as rig:
            yield rig
    finally:
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)


def _directory() -> Path:
    path = Path(tempfile.mkdtemp(prefix="relatieboek-bench-"))
    path.chmod(0o711)  # PostgreSQL's own system user must get through
    return path


@asynccontextmanager
async def _book(path: Path) -> AsyncGenerator[Rig]:
    where = DataDir.at(path)
    where.logs.mkdir()
    internal = Internal.fresh(Settings(data_dir=path)).model_copy(update={"nats_port": free_port()})
    made = Credentials(nats=NatsPart(url=f"nats://127.0.0.1:{internal.nats_port}"), internal=internal)
    store.update(path / "credentials.json", lambda _: made)
    postgres = Postgres(where.postgres, where.log("postgres"), internal.superuser_password)
    server = Nats(where.nats, where.log("nats"), internal.nats_port or 0)
    server.configure(book_keys(made), {})
    async with Supervisor(where, lambda _: None) as supervisor:
        await supervisor.start(postgres)
        await supervisor.start(server)
        await migrate(postgres.url(), internal.service_password)
        settings = Settings(
            database_url=postgres.url(SERVICE_ROLE, internal.service_password), owner_database_url=postgres.url(),
            nats_url=server.url, data_dir=path, nats_seed=SecretStr(internal.service_seed),
            relay_nats_seed=SecretStr(internal.relay_seed), operations_nats_seed=SecretStr(internal.operations_seed),
            lookup_key=SecretStr(internal.lookup_key), port=free_port(),
        )  # fmt: skip
        engine = make_engine(settings)
        try:
            for projection in PROJECTIONS.values():
                async with engine.begin() as conn:
                    await install(conn, projection)
            source = f"urn:nld:oin:{settings.institution}:systeem:{DEPARTMENT}"
            added = await add_department(settings, DEPARTMENT, [source], ["*"])
            yield Rig(settings, postgres, server, engine, added)
        finally:
            await engine.dispose()
