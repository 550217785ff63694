"""A real PostgreSQL with empty read models: a pytest plugin (`pytest_plugins = ["tests.read_model_server"]`).

One server a session; one database a test, copied from a migrated template.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from projections import contact_alerts, relation_view, team_timeline
from projections.store import install
from services.embedded.postgres import Postgres
from services.migrate import migrate

_TEMPLATE = "read_models_template"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def read_model_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Postgres]:
    directory = tmp_path_factory.mktemp("read-models")
    server = Postgres(directory / "pg", directory / "pg.log", secrets.token_hex(16))
    await server.start()
    try:
        await _execute(server, f"CREATE DATABASE {_TEMPLATE}")
        await migrate(server.url(database=_TEMPLATE), secrets.token_hex(16))
        engine = create_async_engine(server.url(database=_TEMPLATE))
        async with engine.begin() as conn:
            for projection in (relation_view.PROJECTION, contact_alerts.PROJECTION, team_timeline.PROJECTION):
                await install(conn, projection)
        await engine.dispose()
        yield server
    finally:
        await server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def engine(read_model_server: Postgres) -> AsyncGenerator[AsyncEngine]:
    """An empty book with the read models installed."""
    name = f"read_models_{secrets.token_hex(4)}"
    await _execute(read_model_server, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    engine = create_async_engine(read_model_server.url(database=name))
    try:
        yield engine
    finally:
        await engine.dispose()
        await _execute(read_model_server, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(server: Postgres, statement: str) -> None:
    engine = create_async_engine(server.url(database="postgres"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as conn:
        await conn.execute(text(statement))
    await engine.dispose()
