"""The questions at size: 5,000 relations and 1,000,000 events, each question over HTTP, one after the other.

The book is a filled one (`benchmarks.filled`), its read models are built as a rebuild builds them: by the projections'
own fold and store; only the way through the stream, which other benchmarks measure, is left out. What is asked is what
every institution asks first: whole, without filters; then one relation with 1,000 events, as it was (bitemporal).
Beside the time of an answer: the CPU time of api and PostgreSQL for one, which a busy machine does not change.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final, cast

import orjson

from benchmarks.cpu import cpu_s, family_cpu_s
from benchmarks.filled import OWN, FilledBook, recorded
from benchmarks.load import identifier
from benchmarks.results import STDERR, Results, percentile
from benchmarks.servers import Rig
from benchmarks.visible import Reader
from benchmarks.year import alert_of, relation_of
from events.feed import Feed
from events.postgres import connect
from events.recorded import Recorded
from projections.build import NO_WATCH, Build
from projections.rebuild import REBUILD_LIMITS
from projections.registry import PROJECTIONS
from projections.rows import Projection
from projections.store import complete, create_build, next_version, switch
from services.embedded import credentials as store
from services.embedded.registration import ensure_viewers

_TIMES: Final = 60
_WARM: Final = 5
_QUESTIONS: Final = {
    1: "", 2: "", 3: f"relation={OWN}", 4: "", 5: "", 6: "", 7: f"relation={relation_of(identifier(1))}", 8: "", 9: "",
    10: f"alert={alert_of(1)}",
}  # fmt: skip
_LONG_AGO: Final = timedelta(days=200)


class _Made:
    """What `Build.follow` asks of a feed, from memory."""

    def __init__(self, last: int) -> None:
        self.batches: asyncio.Queue[list[Recorded]] = asyncio.Queue(2)
        self.last = last
        self.position = 0
        self.behind = last  # far behind: there is nobody to tell

    async def read(self, **_: Any) -> list[Recorded]:
        batch = await self.batches.get()
        self.position = batch[-1].position
        return batch

    def poke(self) -> None:
        return None


async def measure(rig: Rig, results: Results, filled: FilledBook) -> None:
    """No projection may run beside it."""
    began = perf_counter()
    await _build_all(rig, filled)
    STDERR.print(f"  {filled.head:,} events folded {len(PROJECTIONS)} times in {perf_counter() - began:.0f} s")
    await _settled(rig)
    await ensure_viewers(rig.settings, rig.engine, again=True)
    held = store.read(rig.settings.credentials_path)
    assert held is not None
    then = (datetime.now(UTC) - _LONG_AGO).date().isoformat()
    one = f"/v1/relations/{OWN}"
    past = {
        "relation": f"{one}?asOf={then}", "known": f"{one}?asOf={then}&knownAt={filled.own}",
        "plan": f"{one}/plan?asOf={then}", "satisfaction": f"{one}/satisfaction?asOf={then}",
        "difference": f"{one}/difference?asOf={then}",
    }  # fmt: skip
    async with rig.service("api") as api:
        assert api.process is not None
        asking = _Asking(rig, Reader(rig.settings.port, held.http.viewers["all"]), api.process.pid)
        for number, query in _QUESTIONS.items():
            path = f"/v1/questions/{number}?{query}".rstrip("?")
            await asking.ask(results, f"question_{number}", path, most_p99_ms=50)
        for state in ("open", "gap", "vacant", "covered", "extra"):
            await asking.ask(results, f"question_2_{state}", f"/v1/questions/2?state={state}", most_p99_ms=50)
        for name, path in past.items():
            await asking.ask(results, f"past_{name}", path, most_p99_ms=100)
        asking.reader.close()


class _Asking:
    """Asks over one connection, one after the other."""

    def __init__(self, rig: Rig, reader: Reader, api: int) -> None:
        assert rig.postgres.process is not None
        self.reader, self._api, self._postgres = reader, api, rig.postgres.process.pid

    async def ask(self, results: Results, name: str, path: str, *, most_p99_ms: float) -> None:
        body = b""
        for _ in range(_WARM):
            body = await self.reader.get(path, 0)
        orjson.loads(body)
        took: list[float] = []
        api, postgres = cpu_s(self._api), family_cpu_s(self._postgres)
        for _ in range(_TIMES):
            began = perf_counter()
            await self.reader.get(path, 0)
            took.append((perf_counter() - began) * 1e3)
        results.tell(f"{name}_p50_ms", percentile(took, 0.5))
        results.tell(f"{name}_p99_ms", percentile(took, 0.99), most=most_p99_ms)
        results.tell(f"{name}_cpu_api_ms", (cpu_s(self._api) - api) / _TIMES * 1e3)
        results.tell(f"{name}_cpu_postgres_ms", (family_cpu_s(self._postgres) - postgres) / _TIMES * 1e3)
        STDERR.print(f"  ({len(body):,} bytes)")


async def _build_all(rig: Rig, filled: FilledBook) -> None:
    """Every projection beside the others: one reading of the ledger for all. Then all are live."""
    feeds = {name: _Made(filled.head) for name in PROJECTIONS}

    async def make() -> None:
        conn = await connect(rig.settings.database_url)
        try:
            batch = await recorded(conn, 0, REBUILD_LIMITS.batch)
            while batch:
                for feed in feeds.values():
                    await feed.batches.put(batch)
                batch = await recorded(conn, batch[-1].position, REBUILD_LIMITS.batch)
        finally:
            await conn.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(make())
        for name, projection in PROJECTIONS.items():
            group.create_task(_build(rig, projection, feeds[name]))


async def _build(rig: Rig, projection: Projection, feed: _Made) -> None:
    async with rig.engine.begin() as conn:
        version = await next_version(conn, projection)
        await create_build(conn, projection, version, "building", indexes=False)
    build = await Build.open(
        rig.engine, projection, version, state="building", limits=REBUILD_LIMITS, stream_created="made"
    )
    try:
        await build.follow(cast("Feed", feed), NO_WATCH, upto=feed.last)
    finally:
        await build.close()
    async with rig.engine.begin() as conn:
        await complete(conn, projection, version)
        await switch(conn, projection, version)


async def _settled(rig: Rig) -> None:
    """What autovacuum would have done by the time that a book has this size."""
    conn = await rig.engine.raw_connection()
    try:
        untyped: Any = conn.driver_connection
        await untyped.execute("VACUUM ANALYZE")
    finally:
        conn.close()
