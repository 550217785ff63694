"""The embedded PostgreSQL: first start, restart, kill -9, and directories that must not be touched."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from events.errors import SetupError
from services.embedded.postgres import Postgres


@pytest.fixture
def root() -> Generator[Path]:
    path = Path(tempfile.mkdtemp(prefix="relatieboek-pg-"))
    yield path
    shutil.rmtree(path)


def make(root: Path, password: str = "ge/heim:@") -> Postgres:
    return Postgres(root / "postgres", root / "postgres.log", password)


@pytest.fixture
async def server(root: Path) -> AsyncGenerator[Postgres]:
    server = make(root)
    await server.start()
    yield server
    await server.stop()


async def ask(server: Postgres, statement: str) -> object:
    engine = create_async_engine(server.url())
    try:
        async with engine.begin() as conn:
            result = await conn.execute(text(statement))
            return result.scalar() if result.returns_rows else None
    finally:
        await engine.dispose()


async def test_it_keeps_its_data_and_its_port_over_a_restart(server: Postgres) -> None:
    await ask(server, "CREATE TABLE kept AS SELECT 42 AS n")
    port = server.port
    await server.stop()
    await server.start()
    assert server.port == port
    assert await ask(server, "SELECT n FROM kept") == 42


async def test_it_is_as_durable_and_as_closed_as_promised(server: Postgres) -> None:
    for name, value in {
        "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on",
        "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "password_encryption": "scram-sha-256",
    }.items():  # fmt: skip
        assert await ask(server, f"SHOW {name}") == value
    rules = await ask(server, "SELECT string_agg(DISTINCT auth_method, ' ') FROM pg_hba_file_rules")
    assert rules == "scram-sha-256"


async def test_nothing_acknowledged_is_lost_when_it_is_killed(server: Postgres) -> None:
    await ask(server, "CREATE TABLE kept AS SELECT 42 AS n")
    server.kill()
    await server.ended()
    await server.start()
    assert await ask(server, "SELECT n FROM kept") == 42


async def test_a_server_left_over_by_a_killed_supervisor_is_replaced(server: Postgres, root: Path) -> None:
    await ask(server, "CREATE TABLE kept AS SELECT 42 AS n")
    heir = make(root)
    await heir.start()
    try:
        assert await server.ended() == 0
        assert await ask(heir, "SELECT n FROM kept") == 42
    finally:
        await heir.stop()


def name_in_pid_file(root: Path, pid: int) -> None:
    file = root / "postgres" / "postmaster.pid"
    lines = file.read_text().split("\n")
    file.write_text("\n".join([str(pid), *lines[1:]]))


async def test_a_pid_file_that_names_someone_else_is_no_running_server(server: Postgres, root: Path) -> None:
    server.kill()
    await server.ended()
    with run(root, "sleep", "600") as someone_else:
        name_in_pid_file(root, someone_else.pid)
        await server.start()
        assert await ask(server, "SELECT 1") == 1
        someone_else.kill()


async def test_a_pid_file_that_names_a_zombie_is_no_running_server(server: Postgres, root: Path) -> None:
    """As where a killed server's new parent reaps late, or never."""
    server.kill()
    await server.ended()
    with run(root, "true") as dead:
        async with asyncio.timeout(60):
            while psutil.Process(dead.pid).status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.01)
        name_in_pid_file(root, dead.pid)
        await server.start()
        assert await ask(server, "SELECT 1") == 1
        assert psutil.Process(dead.pid).status() == psutil.STATUS_ZOMBIE


def run(root: Path, *command: str) -> subprocess.Popen[bytes]:
    """As the server's own user: of another's process it knows that it is none of its own."""
    status = (root / "postgres").stat()
    return subprocess.Popen(command, user=status.st_uid, group=status.st_gid)


async def test_an_initialisation_that_was_broken_off_is_done_again(root: Path) -> None:
    (root / "postgres.new" / "base").mkdir(parents=True)
    (root / "postgres.new" / "PG_VERSION").write_text("18\n")
    (root / "postgres").mkdir()
    server = make(root)
    await server.start()
    try:
        assert await ask(server, "SELECT 1") == 1
        assert not (root / "postgres.new").exists()
        assert not (root / "postgres.secret").exists()
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"base/1/1": "x"}, "half aangemaakt"),
        ({"PG_VERSION": "18\n"}, "half aangemaakt"),
        ({"PG_VERSION": "19\n", "global/pg_control": "x"}, "PostgreSQL 19"),
    ],
)
async def test_a_directory_that_is_not_ours_to_repair_is_told_and_left(
    root: Path, files: dict[str, str], told: str
) -> None:
    for name, content in files.items():
        path = root / "postgres" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    with pytest.raises(SetupError, match=told):
        await make(root).start()
    for name, content in files.items():
        assert (root / "postgres" / name).read_text() == content


async def test_credentials_of_another_directory_are_told(server: Postgres, root: Path) -> None:
    await server.stop()
    other = make(root, "anders")
    with pytest.raises(SetupError, match=r"credentials\.json"):
        await other.start()
    await other.stop()
