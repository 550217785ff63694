"""Processes that are watched: recognised, ended, restarted, and never left behind."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from events.errors import SetupError
from services.embedded.datadir import DataDir, held
from services.embedded.engine import Engine, free_port, is_free
from services.embedded.processes import Known, alive, end, known
from services.settings import environment
from services.supervise import Supervisor, module_command, module_environment

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(600)",
]  # fmt: skip


@contextmanager
def running(command: list[str]) -> Generator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


class Sleeper(Engine):
    """A real process that does nothing."""

    name = "sleeper"
    stop_signal = signal.SIGTERM

    async def start(self) -> None:
        await self.launch(SLEEPER)


class Unwilling(Sleeper):
    """A real process that does not start while there are refusals left, as on a full disk."""

    def __init__(self, log: Path) -> None:
        super().__init__(log)
        self.refusals: Sequence[Exception] = ()

    async def start(self) -> None:
        if self.refusals:
            refusal, *self.refusals = self.refusals
            raise refusal
        await super().start()


class Failing(Sleeper):
    """A real process that cannot live."""

    async def start(self) -> None:
        await self.launch([sys.executable, "-c", "raise SystemExit(3)"])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


def test_only_the_very_same_process_is_ended() -> None:
    with running(SLEEPER) as process:
        same = known("sleeper", process.pid)
        assert same is not None
        assert end([Known("other", same.pid, same.born - 100)]) == []
        assert alive(same)
        assert end([same]) == ["sleeper"]
        assert alive(same) is None


def test_what_does_not_stop_is_killed() -> None:
    with running(STUBBORN) as process:
        assert process.stdout is not None
        process.stdout.readline()
        same = known("stubborn", process.pid)
        assert same is not None
        end([same], within_s=0.2)
        assert process.wait() == -signal.SIGKILL


def test_the_guard_ends_what_a_killed_supervisor_left() -> None:
    with running(SLEEPER) as process:
        same = known("sleeper", process.pid)
        assert same is not None
        with subprocess.Popen(
            module_command("services.embedded.guard"), stdin=subprocess.PIPE, env=module_environment(environment())
        ) as guard:
            assert guard.stdin is not None
            guard.stdin.write(json.dumps([same.as_json()]).encode() + b"\n[{")
            guard.stdin.close()
            assert guard.wait() == 0
        assert process.wait() == -signal.SIGTERM


async def test_what_dies_is_started_again_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    with held(tmp_path, "here") as where:
        async with Supervisor(where, told.append) as supervisor:
            part = Sleeper(where.log("sleeper"))
            await supervisor.start(part)
            first = part.known
            part.kill()
            await until(lambda: part.running and part.known != first)
            assert told == ["sleeper stopte onverwacht (code -9) en start over 0.5 s opnieuw."]
            assert where.left_over() == [part.known]
        assert not part.running
        assert where.left_over() == []


async def test_what_cannot_live_is_given_up(tmp_path: Path) -> None:
    told: list[str] = []
    with held(tmp_path, "here") as where:
        async with Supervisor(where, told.append) as supervisor:
            await supervisor.start(Failing(where.log("sleeper")))
            with pytest.raises(SetupError, match="start niet, ook niet na 5 keer"):
                async with asyncio.timeout(60):
                    await supervisor.failed
    assert len(told) == 4


async def test_what_cannot_start_again_while_the_book_runs_is_tried_again(tmp_path: Path) -> None:
    told: list[str] = []
    with held(tmp_path, "here") as where:
        async with Supervisor(where, told.append) as supervisor:
            part = Unwilling(where.log("sleeper"))
            await supervisor.start(part)
            supervisor.ready = True
            first, part.refusals = part.known, [SetupError("de schijf is vol"), OSError(28, "No space left on device")]
            part.kill()
            await until(lambda: part.running and part.known != first)
            assert not supervisor.failed.done()
    again = "sleeper stopte onverwacht (code -9) en start over {} s opnieuw."
    assert told == [
        again.format("0.5"), "de schijf is vol", again.format("1"),
        "sleeper kan niet starten: [Errno 28] No space left on device", again.format("2"),
    ]  # fmt: skip


def test_a_full_disk_is_told_also_where_the_log_goes_on_after_it(tmp_path: Path) -> None:
    part = Sleeper(tmp_path / "sleeper.log")
    part.log.write_text("FATAL:  could not write lock file: No space left on device\n" + "LOG:  shutting down\n" * 4)
    assert "de schijf is vol" in str(part.failed())


async def test_what_a_killed_holder_left_is_ended_by_the_next(tmp_path: Path) -> None:
    with running(SLEEPER) as process:
        same = known("sleeper", process.pid)
        assert same is not None
        DataDir.at(tmp_path).record([same])
        with held(tmp_path, "here"):
            assert process.wait() == -signal.SIGTERM


def test_a_free_port_is_none_that_a_caller_is_given_meanwhile() -> None:
    ports = [free_port() for _ in range(50)]
    assert all(is_free(port) for port in ports)
    assert max(ports) < 32_768  # from there on, at the earliest, systems take the ports of their callers


def test_a_directory_is_held_once(tmp_path: Path) -> None:
    with held(tmp_path, "http://here"), pytest.raises(SetupError, match="http://here"), held(tmp_path, "http://there"):
        raise AssertionError("held twice")
    with held(tmp_path, "http://there"):
        pass
