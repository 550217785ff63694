"""Memory: the most that each service holds while it catches up with a large book.

The book is a filled one (`benchmarks.filled`); `events.reconcile.repair` puts it into the stream, as an operator would
after a loss. Then every service of a projection starts from position 0, each with nothing else running beside it but
the servers, and reads to the end. 500,000 events (without `--full` 100,000).
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from benchmarks.catchup import catch_up, service_of
from benchmarks.filled import fill
from benchmarks.results import STDERR, Results
from benchmarks.servers import Rig
from events.reconcile import repair
from projections.registry import PROJECTIONS


async def measure(rig: Rig, results: Results, *, events: int) -> None:
    """Wants an empty book."""
    await fill_stream(rig, events)
    by_service: dict[str, list[str]] = {}
    for name in PROJECTIONS:
        by_service.setdefault(service_of(name), []).append(name)
    for service, names in by_service.items():
        await _one(rig, results, service, names)


async def fill_stream(rig: Rig, events: int) -> None:
    """A filled book of 5,000 relations, in the stream too."""
    await fill(rig, relations=5_000, events=events)
    began = perf_counter()
    async with rig.connect_operations() as nc:
        await repair(rig.settings.owner_database_url or "", nc)
    STDERR.print(f"  in the stream in {perf_counter() - began:.0f} s")


async def _one(rig: Rig, results: Results, service: str, names: Sequence[str]) -> None:
    done = await catch_up(rig, names)
    plain = service.replace("-", "_")
    results.tell(f"memory_{plain}_mb", done.rss_mb[service], most=300)
    results.tell(f"memory_{plain}_events_per_s", min(done.rates.values()))
