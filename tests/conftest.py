"""Real servers for the tests: one PostgreSQL a session, a database of its own and a NATS server of its own a test.

They start only for a test that asks for them. A database is a copy of a migrated one (0.2 s), a NATS server starts in
0.05 s, so no test sees what another left. Fixtures: `owner_url`, `owner_engine` (the database's owner), `engine` (the
services' role), `nats_server`, `settings` (everything a service is told), `department` (registers one).
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from projections.registry import PROJECTIONS
from projections.store import install
from services.embedded import credentials as store
from services.embedded.credentials import Credentials, Internal, NatsPart
from services.embedded.datadir import DataDir
from services.embedded.nats import Nats
from services.embedded.postgres import Postgres
from services.embedded.registration import Added, add_department, book_keys
from services.migrate import SERVICE_ROLE, migrate
from services.settings import Settings
from services.supervise import Supervisor
from tests.ports import free_port

AddDepartment = Callable[..., Awaitable[Added]]

_SERVICE_PASSWORD = "test-" + secrets.token_urlsafe(16)
_TEMPLATE = "template_book"
_numbers = count(1)

# How long an example takes says how busy the machine is, and nothing about what the test is about.
hypothesis_settings.register_profile(
    "busy machine", hypothesis_settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("busy machine")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Generator[None]:
    """A command configures logging onto the output that it was given; the next test must not write to that."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def server_dir() -> Generator[Path]:
    """A directory that the database's own system user can reach; pytest closes its own to everybody."""
    path = Path(tempfile.mkdtemp(prefix="relatieboek-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
async def postgres_server(server_dir: Path) -> AsyncGenerator[Postgres]:
    """One PostgreSQL with a migrated database to copy. Ended with the tests, also when those are killed."""
    where = DataDir.at(server_dir)
    where.logs.mkdir()
    server = Postgres(where.postgres, where.log("postgres"), secrets.token_urlsafe(16))
    async with Supervisor(where, lambda _: None) as supervisor:
        await supervisor.start(server)
        await make_template(server)
        yield server


async def make_template(server: Postgres) -> None:
    """Makes the migrated database of which every test's own is a copy."""
    await _sql(server, f"CREATE DATABASE {_TEMPLATE}")
    await migrate(server.url(database=_TEMPLATE), _SERVICE_PASSWORD)
    engine = create_async_engine(server.url(SERVICE_ROLE, _SERVICE_PASSWORD, _TEMPLATE), hide_parameters=True)
    for projection in PROJECTIONS.values():
        async with engine.begin() as conn:
            await install(conn, projection)
    await engine.dispose()


async def _sql(server: Postgres, *statements: str) -> None:
    engine = create_async_engine(server.url(), isolation_level="AUTOCOMMIT")
    async with engine.connect() as conn:
        for statement in statements:
            await conn.execute(text(statement))
    await engine.dispose()


@pytest.fixture
async def owner_url(postgres_server: Postgres) -> AsyncGenerator[str]:
    """The owner's `postgresql+asyncpg://` address of this test's own, migrated, empty database."""
    name = f"test_{next(_numbers)}"
    await _sql(
        postgres_server,
        f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY WAL_LOG",
        # A database's own grants are not copied with it.
        f"GRANT CONNECT, CREATE ON DATABASE {name} TO {SERVICE_ROLE}",
    )
    yield postgres_server.url(database=name)
    await _sql(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def owner_engine(owner_url: str) -> AsyncGenerator[AsyncEngine]:
    """An engine as the database's owner, who may do everything."""
    engine = create_async_engine(owner_url, hide_parameters=True)
    yield engine
    await engine.dispose()


@pytest.fixture
def service_url(owner_url: str) -> str:
    """The services' address of this test's database."""
    url = make_url(owner_url).set(username=SERVICE_ROLE, password=_SERVICE_PASSWORD)
    return url.render_as_string(hide_password=False)


@pytest.fixture
async def engine(service_url: str) -> AsyncGenerator[AsyncEngine]:
    """An engine as the services' role."""
    engine = create_async_engine(service_url, hide_parameters=True)
    yield engine
    await engine.dispose()


@pytest.fixture
def _credentials(tmp_path: Path) -> Credentials:
    port = free_port()
    internal = Internal.fresh(Settings(data_dir=tmp_path)).model_copy(
        update={"service_password": _SERVICE_PASSWORD, "nats_port": port}
    )
    made = Credentials(nats=NatsPart(url=f"nats://127.0.0.1:{port}"), internal=internal)
    return store.update(tmp_path / "credentials.json", lambda _: made)


@pytest.fixture
async def nats_server(tmp_path: Path, _credentials: Credentials) -> AsyncGenerator[Nats]:
    """A NATS server of this test's own, with the book's users; departments are added by `department`."""
    where = DataDir.at(tmp_path)
    where.logs.mkdir(exist_ok=True)
    server = Nats(where.nats, where.log("nats"), store.internal_of(_credentials).nats_port or 0)
    server.configure(book_keys(_credentials), {})
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def settings(
    service_url: str, owner_url: str, nats_server: Nats, tmp_path: Path, _credentials: Credentials
) -> Settings:
    """What every service is told, with all keys, for this test's database and NATS server."""
    internal = store.internal_of(_credentials)
    return Settings(
        database_url=service_url, owner_database_url=owner_url, nats_url=nats_server.url, data_dir=tmp_path,
        nats_seed=SecretStr(internal.service_seed), relay_nats_seed=SecretStr(internal.relay_seed),
        operations_nats_seed=SecretStr(internal.operations_seed), lookup_key=SecretStr(internal.lookup_key),
        notary_key=SecretStr(internal.notary_key),
        port=free_port(),
        # A busy machine may take long to write one record; whoever tests the bound sets one of its own.
        access_log_within_s=20.0,
    )  # fmt: skip


@pytest.fixture
def department(settings: Settings) -> AddDepartment:
    """`await department("zorg")` registers a department and returns its credentials (`Added`).

    Without `sources` it gets `urn:nld:oin:<20 zeros>:systeem:<name>`, without `types` everything.
    """

    async def add(name: str, sources: Sequence[str] | None = None, types: Sequence[str] = ("*",), **more: Any) -> Added:
        return await add_department(
            settings, name, sources or [f"urn:nld:oin:{settings.institution}:systeem:{name}"], types, **more
        )

    return add
