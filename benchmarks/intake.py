"""Intake: accepted events a second in arrays, and the time of one event from request to verdict.

Ours: the service as a process of its own; a department sends arrays of 1,000 `contact.held`, 4 in flight, over its own
NATS account. Each event is validated, checked against the ledger, encrypted, hashed, written to PostgreSQL and then to
JetStream, both with fsync, before its verdict. The peer: see `eventsourcing_book`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import orjson
import psutil
from nats.aio.client import Client

from benchmarks.load import Load, check_accepted, in_arrays, send_array
from benchmarks.results import Results, percentile
from benchmarks.servers import DEPARTMENT, Rig
from services.supervise import Service

_IN_FLIGHT = 4
_SINGLES = 500
_TRUST_TURNS, _TRUST_EVENTS = 20, 4_000
_TRUST_WARM = 10_000  # until all 3,320 people that contacts name were met


async def measure(rig: Rig, load: Load, results: Results, *, events: int, peer_events: int) -> None:
    """Fills an empty book with the structure and `events` contacts, then measures the peer in the same PostgreSQL.

    One half before the peer and one half after it: a machine that is slower for a while is so for both.
    """
    async with rig.connect_department() as nc:
        for body in in_arrays(list(load.structure())):
            await send_array(nc, body)
        await send_array(nc, in_arrays(load.contacts(1_000))[0])  # everything imported, prepared and cached
        before = await fill(nc, load, events // 2)
        await _singles(nc, load, results, rig.settings.data_dir)
        peer = await rig.run("benchmarks.eventsourcing_save", str(peer_events))
        after = await fill(nc, load, events // 2)
    rate = 2 / (1 / before + 1 / after)
    results.tell("intake_events_per_s", rate, least=8_000)
    results.tell("eventsourcing_events_per_s", peer["same_work"])
    results.tell("eventsourcing_only_saving_events_per_s", peer["hundreds"])
    results.tell("eventsourcing_only_saving_one_by_one_events_per_s", peer["singles"])
    results.tell("intake_vs_eventsourcing", rate / peer["same_work"], least=3, binding=True)
    results.tell("intake_vs_eventsourcing_only_saving", rate / peer["hundreds"])


async def measure_trust(rig: Rig, results: Results) -> None:
    """How much of its rate intake keeps with encryption, wrapped keys and authority, against without (issue 4: 80 %).

    Wants an empty book of its own. One process does both, in turns of half a second, so that a slower while is one for
    both; the CPU time of the service says the same on a machine that others use too.
    """
    load = Load(rig.source)
    seconds, cpu_s = [0.0, 0.0], [0.0, 0.0]
    async with rig.service("intake", module="benchmarks.untrusting") as service, rig.connect_department() as nc:
        assert service.process is not None
        for body in in_arrays(list(load.structure())):
            await send_array(nc, body)
        await fill(nc, load, _TRUST_WARM)
        for _ in range(_TRUST_TURNS):
            for side in (0, 1):
                used_s = _cpu_s(service)
                seconds[side] += _TRUST_EVENTS / await fill(nc, load, _TRUST_EVENTS)
                cpu_s[side] += _cpu_s(service) - used_s
                service.process.send_signal(signal.SIGUSR1)
    results.tell("intake_trust_share", seconds[1] / seconds[0], least=0.8, binding=True)
    results.tell("intake_trust_cpu_share", cpu_s[1] / cpu_s[0])


def _cpu_s(service: Service) -> float:
    assert service.process is not None
    used = psutil.Process(service.process.pid).cpu_times()
    return used.user + used.system


async def fill(nc: Client, load: Load, count: int) -> float:
    """Sends `count` more contacts; accepted events a second."""
    return await _arrays(nc, in_arrays(load.contacts(count)))


async def _arrays(nc: Client, bodies: Sequence[bytes]) -> float:
    """Verdicts are looked at after the last one came: the sender shares the machine with the book."""
    subject, waiting = f"submit.{DEPARTMENT}", iter(bodies)
    replies: list[bytes] = []

    async def lane() -> None:
        for body in waiting:
            reply = await nc.request(subject, body, timeout=60)
            replies.append(reply.data)

    began = perf_counter()
    await asyncio.gather(*(lane() for _ in range(_IN_FLIGHT)))
    seconds = perf_counter() - began
    return sum(len(check_accepted(r)) for r in replies) / seconds


async def _singles(nc: Client, load: Load, results: Results, directory: Path) -> None:
    """One event at a time, the next after the verdict. The disk's fsync is measured just before and just after."""
    syncs = await asyncio.to_thread(fsync_ms, directory)
    took: list[float] = []
    for event in load.contacts(_SINGLES):
        body = orjson.dumps(event)
        began = perf_counter()
        reply = await nc.request(f"submit.{DEPARTMENT}", body, timeout=60)
        took.append((perf_counter() - began) * 1e3)
        check_accepted(b"[" + reply.data + b"]")
    syncs += await asyncio.to_thread(fsync_ms, directory)
    f = percentile(syncs, 0.5)
    results.tell("fsync_p50_ms", f)
    results.tell("submit_p50_ms", percentile(took, 0.5), most=round(4 + 2 * f, 2))
    results.tell("submit_p99_ms", percentile(took, 0.99), most=round(20 + 4 * f, 2))


def fsync_ms(directory: Path, times: int = 100) -> list[float]:
    """How long the disk takes to make 8 KiB more of a file durable, in ms."""
    took: list[float] = []
    descriptor, name = tempfile.mkstemp(dir=directory)
    try:
        for _ in range(times):
            os.write(descriptor, b"x" * 8192)
            began = perf_counter()
            os.fsync(descriptor)
            took.append((perf_counter() - began) * 1e3)
    finally:
        os.close(descriptor)
        Path(name).unlink()
    return took
