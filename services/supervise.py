"""Keeps processes running: starts them again when they die, stops them in order, and never leaves one behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from events.errors import SetupError
from services.embedded.datadir import DataDir
from services.embedded.engine import Engine
from services.settings import environment

Report = Callable[[str], None]

ROOT: Final = Path(__file__).resolve().parent.parent
_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 30.0
_STEADY_S: Final = 60.0
_TRIES_BEFORE_READY: Final = 5
_SETUP_ERROR: Final = 2


def module_command(module: str, *arguments: str) -> list[str]:
    """Runs one of our modules with this Python; `-P`: a folder `services` where someone stands is not ours."""
    return [sys.executable, "-P", "-m", module, *arguments]


def module_environment(given: Mapping[str, str]) -> dict[str, str]:
    """An environment in which our packages are found, installed or not."""
    return {**given, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), given.get("PYTHONPATH", ""))))}


class Service(Engine):
    """One of the book's services as a process in our own process group."""

    stop_signal = signal.SIGTERM
    own_session = False

    def __init__(self, name: str, log: Path, environment: Mapping[str, str]) -> None:
        super().__init__(log)
        self.name = name
        self._environment = module_environment(environment)

    async def start(self) -> None:
        await self.launch(module_command("services.serve", self.name), env=self._environment)


class Supervisor:
    """Runs engines and services until `stop`. `failed` is done when one cannot be kept running."""

    def __init__(self, where: DataDir, report: Report) -> None:
        self.ready = False
        self._where, self._report = where, report
        self._parts: list[Engine] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._guard: subprocess.Popen[bytes] | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        # Its stdin must be written at once, also on the way out of an error: no asyncio subprocess.
        self._guard = subprocess.Popen(  # noqa: ASYNC220, S603
            module_command("services.embedded.guard"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, env=module_environment(environment()),
        )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if not self.failed.done():
            self.failed.cancel()
        elif not self.failed.cancelled():
            self.failed.exception()  # told by whoever waited for it, or overtaken by the stop

    async def start(self, part: Engine) -> None:
        """Starts a part and keeps it running. Raises SetupError when it cannot start at all."""
        self._parts.append(part)
        await self._launch(part)
        self._tasks.append(asyncio.create_task(self._keep(part), name=part.name))

    async def stop(self) -> None:
        """Stops the services together, then the engines, the one started last first. Idempotent."""
        if self._stopping:
            return
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        services = [p for p in self._parts if isinstance(p, Service)]
        await asyncio.gather(*(p.stop(within_s=30) for p in services))
        for engine in reversed([p for p in self._parts if not isinstance(p, Service)]):
            await engine.stop()
        self._note()
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()
            await asyncio.to_thread(self._guard.wait)

    def kill(self) -> None:
        """Ends everything at once; what was promised is on disk, and the next start repairs the rest."""
        for part in self._parts:
            part.kill()

    async def _launch(self, part: Engine) -> None:
        try:
            await part.start()
        finally:
            # Also a start that failed may have left a process, which must not outlive us.
            self._note()

    def _note(self) -> None:
        """Tells the guard and the next `up` what runs, in the order in which it is to end."""
        engines = [p for p in self._parts if not isinstance(p, Service)]
        ordered: Sequence[Engine] = [*(p for p in self._parts if isinstance(p, Service)), *reversed(engines)]
        running = [part.known for part in ordered if part.known is not None and part.running]
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.write(json.dumps([p.as_json() for p in running]).encode() + b"\n")
                self._guard.stdin.flush()
        self._where.record(running)

    async def _keep(self, part: Engine) -> None:
        try:
            await self._restart_for_ever(part)
        except (SetupError, OSError) as error:
            if not self.failed.done():
                self.failed.set_exception(error)

    async def _restart_for_ever(self, part: Engine) -> None:
        clock = asyncio.get_running_loop().time
        delay_s, tries = _FIRST_DELAY_S, 0
        while True:
            began = clock()
            code = await part.ended()
            if isinstance(part, Service) and code == _SETUP_ERROR:
                raise SetupError(f"Dienst {part.name}: {part.last_lines(1)}")
            if clock() - began > _STEADY_S:
                delay_s, tries = _FIRST_DELAY_S, 0
            tries += 1
            if not self.ready and tries >= _TRIES_BEFORE_READY:
                raise SetupError(f"{part.name} start niet, ook niet na {tries} keer; kijk in {part.log}.")
            self._report(f"{part.name} stopte onverwacht (code {code}) en start over {delay_s:g} s opnieuw.")
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
            try:
                await self._launch(part)
            except (SetupError, OSError) as error:
                if not self.ready:
                    raise
                # As on a full disk: the doors say `busy` meanwhile, and the book goes on once there is room.
                self._report(f"{part.name} kan niet starten: {error}" if isinstance(error, OSError) else str(error))
