"""The due-date tick: 200,000 schedule lines, 100 due, from the question "what is due" to the last alert's verdict.

The lines come into the book through intake and into the table by the projection, as always. The book's clock stands
still and is moved by a day before each tick; on each of those days exactly 100 lines become overdue. A tick reads
what is due, decides, publishes 100 `alert.raised` through intake, and has their verdicts: durable on both engines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final

import orjson
from nats.aio.client import Client
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.catchup import positions
from benchmarks.load import Json, Load, identifier, in_arrays, send_array
from benchmarks.results import STDERR, Results, percentile
from benchmarks.servers import Rig
from events.feed import StreamReader
from events.ledger import head
from events.tables import head as head_table
from projections.contact_alerts import build
from projections.runner import Runner
from projections.working_calendar import WorkingCalendar
from services.alerts.work import contact_work
from services.ticking.ticker import Ticker
from services.wiring import cancel_until_done

_RELATIONS: Final = 5_000
_TICKS: Final = 20
_DUE: Final = 100
_START: Final = datetime(2031, 3, 3, 6, tzinfo=UTC)


async def measure(rig: Rig, results: Results, *, lines: int) -> None:
    """Wants an empty book with intake running."""
    await _set_clock(rig, _START)
    load = Load(rig.source, today=_START, relations=_RELATIONS)
    async with rig.connect_department() as nc:
        structure = [e for e in load.structure() if not e["type"].startswith("nl.relatieboek.schedule")]
        for body in in_arrays([*structure, *_lines(load, lines)]):
            await send_array(nc, body)
    async with rig.connect_service() as nc:
        await _ticks(rig, nc, results, lines)


def _lines(load: Load, count: int) -> list[Json]:
    """On each day of the ticks 100 lines are to become overdue, all others years later."""
    events: list[Json] = []
    for n in range(count):
        due_in_days = 1 + n // _DUE if n < _TICKS * _DUE * 2 else 2_000 + n % 1_000
        starts = (_START + timedelta(days=due_in_days - 28)).date().isoformat()
        data: Json = {
            "line": f"l-{n}", "our_layer": "board", "their_layer": "board",
            "cadence": {"mode": "rolling", "every": "P28D"}, "starts_on": starts, "grace_working_days": 0,
            "owner": "e-1", "occurred_on": _START.date().isoformat(),
        }  # fmt: skip
        events.append(load.event("schedule.line_set", identifier(n % _RELATIONS), data))
    return events


async def _ticks(rig: Rig, nc: Client, results: Results, lines: int) -> None:
    async def submit(events: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        return orjson.loads((await nc.request("submit.relatieboek", orjson.dumps(list(events)), timeout=30)).data)

    async def announce(message: Mapping[str, Any]) -> None:
        await nc.publish("live.alerts", orjson.dumps(message))

    calendar, lead = WorkingCalendar(), rig.settings.default_lead_days
    projection, work = build(calendar, lead), contact_work(calendar, lead)
    ticker = Ticker(projection, work, submit, announce, source=rig.settings.source_of("contact-alerts"))
    running = asyncio.create_task(Runner(projection, rig.engine, StreamReader(nc)).run())
    try:
        async with rig.engine.connect() as conn:
            conn = await conn.execution_options(isolation_level="AUTOCOMMIT")
            await _caught_up(rig)
            stored = await conn.scalar(text("SELECT count(*) FROM contact_alerts_v1.line"))
            took: list[float] = []
            idle: list[float] = []
            for day in range(1, _TICKS * 3):
                await _set_clock(rig, _START + timedelta(days=day))
                began = perf_counter()
                tick = await ticker.tick(conn)
                seconds = perf_counter() - began
                if tick.accepted == _DUE and tick.examined == _DUE:
                    took.append(seconds * 1e3)
                elif tick.accepted:
                    STDERR.print(f"  (a tick with {tick.accepted} alerts is not counted)")
                await _caught_up(rig)
                began = perf_counter()
                again = await ticker.tick(conn)
                idle.append((perf_counter() - began) * 1e3)
                if again.accepted:
                    raise RuntimeError(f"a second tick raised {again.accepted} alerts")
                if len(took) == _TICKS:
                    break
    finally:
        await cancel_until_done(running)
    if stored != lines or not took:
        raise RuntimeError(f"{stored} lines, {len(took)} ticks with {_DUE} due")
    results.tell("tick_lines", lines)
    results.tell("tick_ms", percentile(took, 0.5), most=50)
    results.tell("tick_most_ms", max(took))
    results.tell("tick_nothing_due_ms", percentile(idle, 0.5))


async def _caught_up(rig: Rig) -> None:
    async with asyncio.timeout(600):
        while True:
            async with rig.engine.connect() as conn:
                target = (await head(conn)).position
            if (await positions(rig.engine))["contact_alerts"] >= target:
                return
            await asyncio.sleep(0.02)


async def _set_clock(rig: Rig, at: datetime) -> None:
    owner = create_async_engine(rig.settings.owner_database_url)
    async with owner.begin() as conn:
        await conn.execute(update(head_table).values(clock_at=at))
    await owner.dispose()
