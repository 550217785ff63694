"""What every process that `up` starts has in common, engine or service: a log file, a start, a clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from abc import ABC, abstractmethod
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom
from typing import Any, Final

from events.errors import SetupError
from services.embedded.processes import Known, known

HOST: Final = "127.0.0.1"
# What went wrong may stand before what it led to.
_LINES_OF_A_START: Final = 8
# Below those that systems give to whoever calls out (Linux from 32768, others from 49152): of these a port that is free
# now may be somebody's end of a connection by the time that its server starts, or starts again.
_PORTS: Final = range(20_000, 32_768)


class Engine(ABC):
    """One process. A server gets a session of its own, so that Ctrl-C does not reach it before the services."""

    name: str
    stop_signal: signal.Signals
    own_session = True

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: Process | None = None
        self.known: Known | None = None

    @abstractmethod
    async def start(self) -> None:
        """Starts the process, also again after it ended. Raises SetupError when it cannot run."""

    async def launch(self, command: Sequence[str], **more: Any) -> Process:
        """Starts the process; `more` is its user and group where it may not run as root, or its environment."""
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=log, stderr=log, start_new_session=self.own_session, **more
            )
        self.process, self.known = process, known(self.name, process.pid, self.stop_signal)
        return process

    async def ended(self) -> int:
        """Waits for the end of the process that runs now, and returns its exit code; 0 when none was started."""
        return 0 if self.process is None else await self.process.wait()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def stop(self, *, within_s: float = 60.0) -> None:
        """Stops cleanly and waits; kills what does not stop in time. Idempotent."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self.stop_signal)
        try:
            async with asyncio.timeout(within_s):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def kill(self) -> None:
        """Ends it at once; both engines repair themselves at their next start."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    def last_lines(self, count: int = 3) -> str:
        """The end of the log, for an error message."""
        try:
            text = self.log.read_bytes()[-4000:].decode(errors="replace")
        except FileNotFoundError:
            return ""
        return " | ".join(line.strip() for line in text.strip().splitlines()[-count:])

    def failed(self) -> SetupError:
        """Why the process ended while it was to start."""
        end = self.last_lines()
        if "no space left" in self.last_lines(_LINES_OF_A_START).lower():
            return SetupError(f"{self.name} kan niet starten: de schijf is vol. Maak ruimte vrij en start opnieuw.")
        return SetupError(f"{self.name} kan niet starten; {self.log} zegt: {end}")


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
        return True


def free_port() -> int:
    """A port that nobody listens on now, and that no caller gets by chance. Raises SetupError when there is none."""
    for port in SystemRandom().sample(_PORTS, 100):
        if is_free(port):
            return port
    raise SetupError(f"Er is geen vrije poort op {HOST} tussen {_PORTS.start} en {_PORTS.stop}.")


def need_port(port: int, option: str, host: str = HOST) -> None:
    """Raises SetupError when the port is taken."""
    if not is_free(port, host):
        raise SetupError(
            f"Poort {port} is al in gebruik of niet toegestaan. Stop het programma dat hem gebruikt, "
            f"of kies een andere met {option}."
        )
