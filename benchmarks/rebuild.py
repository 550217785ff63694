"""Rebuild: three projections at the same time, each in a process of its own, beside their live builds.

Run as a module with a projection's name it does one: `rebuild` with `diff_only`, and prints {"events", "fold_s",
"seconds", "rss_mb"}. `fold_s` is from the first commit to the last, `seconds` everything: indexes and comparison too.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from time import perf_counter

import uvloop

from benchmarks.catchup import THREE, catch_up
from benchmarks.memory import fill_stream
from benchmarks.results import Results
from benchmarks.servers import Rig
from events.feed import StreamReader
from projections.rebuild import Progress, rebuild
from projections.registry import PROJECTIONS
from services.connections import make_broker, make_engine
from services.settings import Settings, load


async def measure(rig: Rig, results: Results, *, events: int) -> None:
    """Wants an empty book; fills it, ledger and stream, for 5,000 relations.

    First the live builds of all services catch up, which shows their memory; then three are rebuilt beside them.
    """
    await fill_stream(rig, events)
    live = await catch_up(rig, list(PROJECTIONS))
    results.tell("catchup_rss_mb", max(live.rss_mb.values()), most=300)
    async with rig.opening_feeds():
        done = await asyncio.gather(*(rig.run("benchmarks.rebuild", name) for name in THREE))
    for name, one in zip(THREE, done, strict=True):
        results.tell(f"rebuild_{name}_events_per_s", one["events"] / one["fold_s"], least=15_000)
    results.tell("rebuild_events", done[0]["events"])
    results.tell("rebuild_whole_s", max(one["seconds"] for one in done))
    results.tell("rebuild_rss_mb", max(one["rss_mb"] for one in done), most=300)


async def _one(settings: Settings, name: str) -> dict[str, float]:
    broker, engine = make_broker(settings, name="bench"), make_engine(settings)
    await broker.connect()
    began = perf_counter()
    first: tuple[float, int] | None = None
    last = (began, 0)

    def on_progress(progress: Progress) -> None:
        nonlocal first, last
        if progress.phase == "fold" and progress.events > last[1]:
            last = (perf_counter(), progress.events)
            first = first or last

    await rebuild(engine, StreamReader(broker.connection), PROJECTIONS[name], diff_only=True, on_progress=on_progress)
    seconds = perf_counter() - began
    await broker.stop()
    await engine.dispose()
    assert first is not None
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "events": last[1] - first[1], "fold_s": last[0] - first[0], "seconds": seconds, "rss_mb": peak_kb / 1024,
    }  # fmt: skip


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_one(load(), sys.argv[1]))))
