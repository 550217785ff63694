"""Processes that outlive the one that knew them: recognised again by their moment of birth, and ended for sure."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

import psutil

# The kernel gives births in ticks of 10 ms; a system clock that is set moves what psutil makes of them.
_SAME_BIRTH_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Known:
    """A process as it was when it was started. `born` is in seconds since 1970; `stop_signal` asks it to end."""

    name: str
    pid: int
    born: float
    stop_signal: int = signal.SIGTERM

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def known(name: str, pid: int, stop_signal: int = signal.SIGTERM) -> Known | None:
    """The process with this number, or None when it is gone already."""
    try:
        return Known(name, pid, psutil.Process(pid).create_time(), int(stop_signal))
    except psutil.NoSuchProcess:
        return None


def alive(process: Known) -> psutil.Process | None:
    """The very same process, if it still runs; a number that was given to another process does not count."""
    try:
        found = psutil.Process(process.pid)
        if abs(found.create_time() - process.born) > _SAME_BIRTH_S or found.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.NoSuchProcess:
        return None
    return found


def end(processes: Iterable[Known], *, within_s: float = 15.0) -> list[str]:
    """Asks each in turn to end, waits, kills what does not. Returns the names of those that still ran."""
    ended: list[str] = []
    for process in processes:
        found = alive(process)
        if found is None:
            continue
        ended.append(process.name)
        try:
            found.send_signal(process.stop_signal)
            if not gone(process, within_s):
                found.kill()
                gone(process, 5)
        except psutil.NoSuchProcess:
            continue
    return ended


def gone(process: Known, within_s: float) -> bool:
    """Whether it ended within the time. A zombie has ended: where nobody reaps, its number stays for ever."""
    until = time.monotonic() + within_s
    while alive(process) is not None:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
