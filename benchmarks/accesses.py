"""What the access log costs: 32 readers at once, the api with the log and without, in turns of a few seconds.

Each answer of the first waits until its record is on disk. Processes: the two apis, PostgreSQL (fsync on, as always),
and these readers. CPU is that of the api's process and of all of PostgreSQL, divided by the answers of the same turns.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import psutil

from benchmarks.load import Load, identifier, in_arrays, send_array
from benchmarks.results import STDERR, Results, percentile
from benchmarks.servers import Rig
from benchmarks.visible import Reader
from services.embedded import credentials as store
from services.embedded.engine import free_port
from services.embedded.registration import ensure_viewers
from services.settings import as_environment
from services.supervise import Service, module_command, module_environment

READERS: Final = 32
TURNS: Final = 6
TURN_S: Final = 4.0
_PATHS: Final = {"relation": "/v1/relations/{id}", "list": "/v1/relations?limit=50"}


class Unlogged(Service):
    async def start(self) -> None:
        await self.launch(module_command("benchmarks.unlogged_api"), env=self._environment)


@dataclass(slots=True)
class _Found:
    took_ms: list[float] = field(default_factory=list[float])
    api_s: float = 0.0
    postgres_s: float = 0.0


async def measure(rig: Rig, results: Results) -> None:
    load = Load(rig.source)
    async with rig.service("intake"), rig.service("relation-view"), rig.connect_department() as nc:
        position = 0
        for body in in_arrays([*load.structure(), *load.contacts(4_000)]):
            position = int((await send_array(nc, body))[-1]["sequence"])
        await ensure_viewers(rig.settings, rig.engine, again=True)
        held = store.read(rig.settings.credentials_path)
        assert held is not None
        plain = rig.settings.model_copy(update={"port": free_port()})
        log = rig.settings.data_dir / "logs" / "unlogged.log"
        unlogged = Unlogged("api", log, module_environment(as_environment(plain)))
        async with rig.service("api") as logged:
            await unlogged.start()
            try:
                token = held.http.viewers["all"]
                await _wait(plain.port, token, position)
                apis = {"logged": (logged, rig.settings.port), "unlogged": (unlogged, plain.port)}
                for kind, path in _PATHS.items():
                    found = {name: _Found() for name in apis}
                    for _ in range(TURNS):
                        for name, (service, port) in apis.items():
                            await _turn(rig, service, port, token, path, found[name])
                    _tell(results, kind, found)
            finally:
                await unlogged.stop(within_s=30)
    async with rig.engine.connect() as conn:
        query = "SELECT count(*) AS records, count(DISTINCT xmin::text) AS commits FROM access.record"
        row = (await conn.exec_driver_sql(query)).mappings().one()
    results.tell("access_log_records_per_commit", row["records"] / max(1, row["commits"]))


async def _wait(port: int, token: str, position: int) -> None:
    async with asyncio.timeout(60):
        while True:
            reader = Reader(port, token)
            try:
                await reader.get("/v1/relations?limit=1", position)
            except (OSError, RuntimeError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.2)
            else:
                return
            finally:
                reader.close()


async def _turn(rig: Rig, service: Service, port: int, token: str, path: str, found: _Found) -> None:
    assert service.process is not None
    assert rig.postgres.process is not None
    before = _cpu_s(service.process.pid), _cpu_s(rig.postgres.process.pid)
    until = perf_counter() + TURN_S

    async def read(first: int) -> None:
        reader, n = Reader(port, token), first
        while perf_counter() < until:
            began = perf_counter()
            await reader.get(path.format(id=identifier(n % 400)), 0)
            found.took_ms.append((perf_counter() - began) * 1e3)
            n += READERS
        reader.close()

    await asyncio.gather(*(read(n) for n in range(READERS)))
    found.api_s += _cpu_s(service.process.pid) - before[0]
    found.postgres_s += _cpu_s(rig.postgres.process.pid) - before[1]


def _cpu_s(pid: int) -> float:
    """CPU time of a process and those that it started and that still run."""
    whole = psutil.Process(pid)
    times = [p.cpu_times() for p in (whole, *whole.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def _tell(results: Results, kind: str, found: dict[str, _Found]) -> None:
    for name, one in found.items():
        count = len(one.took_ms)
        for what, value in (
            ("p50_ms", percentile(one.took_ms, 0.5)), ("p99_ms", percentile(one.took_ms, 0.99)),
            ("api_cpu_ms", one.api_s / count * 1e3), ("postgres_cpu_ms", one.postgres_s / count * 1e3),
        ):  # fmt: skip
            results.tell(f"read_{kind}_{name}_{what}", value)
        STDERR.print(f"  ({count} answers)")
