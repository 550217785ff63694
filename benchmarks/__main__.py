"""`make bench`: a table on standard output, `var/bench.json`, progress on standard error. Under ten minutes on 2 cores.

python -m benchmarks [--full] [--only intake,catchup,rebuild,visible,tick] [--out var/bench.json]
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Final

from rich.console import Console

from benchmarks import intake
from benchmarks.load import Load
from benchmarks.results import STDERR, Results
from benchmarks.servers import book

PARTS: Final = ("intake",)


async def run(parts: Sequence[str], results: Results, *, full: bool) -> None:
    async with book() as rig:
        load = Load(rig.source)
        async with rig.service("intake"):
            await intake.measure(rig, load, results, events=40_000, peer_events=10_000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the large sizes of the goals")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--out", type=Path, default=Path("var/bench.json"))
    given = parser.parse_args()
    results = Results()
    began = perf_counter()
    asyncio.run(run(given.only.split(","), results, full=given.full))
    Console().print(results.table())
    results.write(given.out)
    STDERR.print(f"{perf_counter() - began:.0f} s; written to {given.out}")


if __name__ == "__main__":
    main()
