"""CPU time of processes: what a machine that does other things as well does not change."""

from __future__ import annotations

from contextlib import suppress

import psutil


def cpu_s(pid: int) -> float:
    """Seconds of CPU, user and system, that a running process has used."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def family_cpu_s(pid: int) -> float:
    """The same of a process and its children that run now (PostgreSQL: a process for each connection)."""
    total = cpu_s(pid)
    for child in psutil.Process(pid).children():
        with suppress(psutil.Error):  # it ended
            total += cpu_s(child.pid)
    return total
