"""Catch-up: how fast a projection that starts at position 0 reads the stream to its end.

Ours: the service relation-view as a process of its own, alone; then the three of a first day at the same time (relation
view, alerts, timeline). Measured from outside, at the checkpoint that stands in the transaction of the rows. The peers
(see their modules) do the same fold into the same tables, each alone, on the same stream, in the same PostgreSQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import Final

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks.results import Results
from benchmarks.servers import Rig
from events.ledger import head
from projections.registry import INSIGHT, PROJECTIONS
from projections.store import install
from projections.tables import checkpoint, parked

_LOOK_EVERY_S = 0.02
_WITHIN_S = 600.0
THREE: Final = ("relation_view", "contact_alerts", "team_timeline")


def service_of(projection: str) -> str:
    """The service that keeps a projection, by its name."""
    return "insight" if any(p.name == projection for p in INSIGHT) else projection.replace("_", "-")


async def measure(rig: Rig, results: Results, *, slow_events: int) -> None:
    """Ours and its peers on the stream that is there. `slow_events`: how many the slow peers are given."""
    alone = (await catch_up(rig, ["relation_view"])).rates["relation_view"]
    results.tell("catchup_events_per_s", alone, least=20_000)
    three = await catch_up(rig, THREE)
    for name, rate in three.rates.items():
        results.tell(f"catchup_of_three_{name}_events_per_s", rate)
    async with rig.engine.connect() as conn:
        there = (await head(conn)).position
    plain = await _peer(rig, "plain_faststream", min(there, slow_events))
    results.tell("plain_faststream_events_per_s", plain)
    results.tell("catchup_vs_plain_faststream", alone / plain, least=40, binding=True)
    batch = await _peer(rig, "batch_faststream", there)
    results.tell("batch_faststream_events_per_s", batch)
    results.tell("catchup_vs_batch_faststream", alone / batch, least=3, binding=True)
    runner = await _peer(rig, "eventsourcing_project", slow_events)
    results.tell("eventsourcing_runner_events_per_s", runner)
    results.tell("catchup_vs_eventsourcing_runner", alone / runner, least=15, binding=True)


async def _peer(rig: Rig, module: str, count: int) -> float:
    # eventsourcing stores its position with its rows, so it may do without waiting for the disk, as we do
    lenient = {"PGOPTIONS": "-c synchronous_commit=off"} if module.startswith("eventsourcing") else {}
    done = await rig.run(f"benchmarks.{module}", str(count), environment=lenient)
    return done["events"] / done["seconds"]


class CaughtUp:
    """Rates in events/s by projection, and the most memory that each service held, in MB."""

    def __init__(self) -> None:
        self.rates: dict[str, float] = {}
        self.rss_mb: dict[str, float] = {}


async def catch_up(rig: Rig, names: Sequence[str]) -> CaughtUp:
    """Empties these projections, starts their services at the same moment, and waits until each holds the head.

    A service is in the results' `rss_mb` under its own name. All projections of a service must be named together."""
    await reset(rig, names)
    async with rig.engine.connect() as conn:
        target = (await head(conn)).position
    services = list(dict.fromkeys(service_of(name) for name in names))
    found = CaughtUp()
    async with rig.opening_feeds(), AsyncExitStack() as stack:
        started, _ = await asyncio.gather(
            asyncio.gather(*(stack.enter_async_context(rig.service(name)) for name in services)),
            _follow(rig, names, target, found),
        )
        for service in started:
            assert service.process is not None
            found.rss_mb[service.name] = most_rss_mb(service.process.pid)
    return found


def most_rss_mb(pid: int) -> float:
    """The most memory, in MB, that a running process ever held (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) / 1024


async def _follow(rig: Rig, names: Sequence[str], target: int, found: CaughtUp) -> None:
    """From the first commit that shows to the last."""
    first: dict[str, tuple[float, int]] = {}
    until = perf_counter() + _WITHIN_S
    while len(found.rates) < len(names):
        if perf_counter() > until:
            raise TimeoutError(f"not caught up within {_WITHIN_S:.0f} s: {set(names) - set(found.rates)}")
        at = perf_counter()
        for name, position in (await positions(rig.engine)).items():
            if name in names and position and name not in found.rates:
                began, start = first.setdefault(name, (at, position))
                if position >= target:
                    found.rates[name] = (position - start) / max(at - began, 1e-6)
        await asyncio.sleep(_LOOK_EVERY_S)


async def positions(engine: AsyncEngine) -> Mapping[str, int]:
    """The last position that each live projection holds."""
    async with engine.connect() as conn:
        rows = await conn.execute(select(checkpoint.c.name, checkpoint.c.position).where(checkpoint.c.state == "live"))
        return {row.name: row.position for row in rows}


async def reset(rig: Rig, names: Sequence[str]) -> None:
    """Removes every build of these projections and makes an empty one."""
    owner = create_async_engine(rig.settings.owner_database_url)
    async with owner.begin() as conn:
        for name in names:
            versions = await conn.scalars(select(checkpoint.c.version).where(checkpoint.c.name == name))
            for version in versions:
                await conn.execute(text(f'DROP SCHEMA IF EXISTS "{name}_v{version}" CASCADE'))
            await conn.execute(delete(checkpoint).where(checkpoint.c.name == name))
            await conn.execute(delete(parked).where(parked.c.name == name))
    await owner.dispose()
    for name in names:
        async with rig.engine.begin() as conn:
            await install(conn, PROJECTIONS[name])
