"""`make bench`: a table on standard output, `var/bench.json`, progress on standard error. Under ten minutes on 2 cores.

python -m benchmarks [--full] [--only intake,catchup,rebuild,visible,tick,proof,questions,memory,accesses] [--out FILE]
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Final

from rich.console import Console

from benchmarks import accesses, catchup, intake, memory, proof, questions, rebuild, tick, visible
from benchmarks.filled import fill
from benchmarks.load import Load, in_arrays, send_array
from benchmarks.results import STDERR, Results
from benchmarks.servers import Rig, book

PARTS: Final = ("intake", "catchup", "rebuild", "visible", "tick", "proof")


async def run(parts: Sequence[str], results: Results, *, full: bool) -> None:
    """One book for intake and catch-up, which needs what that filled; one each for the others."""
    if {"intake", "catchup"} & set(parts):
        async with book() as rig:
            await _stream_parts(rig, parts, results, full=full)
    if "intake" in parts:
        async with book() as rig:
            await intake.measure_trust(rig, results)
    if "rebuild" in parts:
        STDERR.rule("rebuild")
        async with book() as rig:
            await rebuild.measure(rig, results, events=300_000 if full else 100_000)
    if "visible" in parts:
        STDERR.rule("visible")
        async with book() as rig, rig.service("intake"):
            load = Load(rig.source)
            async with rig.connect_department() as nc:
                for body in in_arrays([*load.structure(), *load.contacts(5_000)]):
                    await send_array(nc, body)
            await visible.measure(rig, load, results, seconds=20)
    if "tick" in parts:
        STDERR.rule("tick")
        async with book() as rig, rig.service("intake"):
            await tick.measure(rig, results, lines=200_000 if full else 100_000)
    if {"proof", "questions"} & set(parts):
        STDERR.rule("a filled book")
        async with book() as rig:
            filled = await fill(rig, relations=5_000, events=1_000_000 if full else 100_000)
            if "proof" in parts:
                STDERR.rule("proof")
                await proof.measure(rig, results, filled)
            if "questions" in parts:
                STDERR.rule("questions")
                await questions.measure(rig, results, filled)
    if "memory" in parts:
        STDERR.rule("memory")
        async with book() as rig:
            await memory.measure(rig, results, events=500_000 if full else 100_000)
    if "accesses" in parts:
        STDERR.rule("accesses")
        async with book() as rig:
            await accesses.measure(rig, results)


async def _stream_parts(rig: Rig, parts: Sequence[str], results: Results, *, full: bool) -> None:
    load = Load(rig.source)
    async with rig.service("intake"), rig.connect_department() as nc:
        if "intake" in parts:
            STDERR.rule("intake")
            await intake.measure(rig, load, results, events=40_000, peer_events=20_000)
        else:
            for body in in_arrays(list(load.structure())):
                await send_array(nc, body)
            await intake.fill(nc, load, 40_000)
        if "catchup" in parts:
            STDERR.rule("catch-up")
            await intake.fill(nc, load, 20_000)
    if "catchup" in parts:
        await catchup.measure(rig, results, slow_events=5_000 if not full else 20_000)


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
