"""Rebuilding beside a live projection: the same rows, a report of what differs, one switch; and the standing check."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.client import Client
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import Diverged, NotYetThere, Unavailable
from events.feed import StreamReader
from events.recorded import ORGANISATION
from projections.folding import Limits, Paused
from projections.parking import list_parked
from projections.rebuild import Progress, rebuild
from projections.rows import Projection
from projections.runner import Runner
from projections.standing_check import check_random, check_relation
from projections.store import builds, create_build, live, switch, versioned, wait_for
from projections.tables import checkpoint
from tests.given import fact
from tests.small_book import (
    COUNTS,
    Faults,
    SmallBook,
    contents,
    folded,
    held_contact,
    made,
    name_of,
    projection,
    running,
)

SMALL = Limits(batch=100, gather=150, most_rows=300)


@pytest.fixture
def reader(client: Client) -> StreamReader:
    return StreamReader(client)


async def caught_up(engine: AsyncEngine, reader: StreamReader, position: int, of: Projection = COUNTS) -> None:
    async with running(Runner(of, engine, reader, idle_s=0.1, most_wait_s=0.3)):
        await wait_for(engine, of, position, timeout_s=60)


async def states(engine: AsyncEngine, of: Projection = COUNTS) -> list[tuple[int, str]]:
    async with engine.connect() as conn:
        return [(b.version, b.state) for b in await builds(conn, of)]


async def test_gives_the_same_rows_and_switches(book: SmallBook, engine: AsyncEngine, reader: StreamReader) -> None:
    last = await book.write(made(2_500, relations=40))
    await caught_up(engine, reader, last)
    seen: list[Progress] = []
    report = await rebuild(engine, reader, COUNTS, on_progress=seen.append, limits=SMALL)
    assert (report.differs, report.switched, report.compared_at, report.events) == (False, True, last, last)
    assert {t.table: t.new_rows for t in report.tables} == {n: len(r) for n, r in folded(COUNTS, book.events).items()}
    assert [p.events for p in seen if p.phase == "fold"] == sorted(p.events for p in seen if p.phase == "fold")
    assert seen[-1].phase == "switch"
    assert seen[-1].total == last
    assert await states(engine) == [(1, "old"), (2, "live")]
    assert await contents(engine, COUNTS) == folded(COUNTS, book.events)
    async with engine.connect() as conn:
        indexed = await conn.scalar(text("SELECT count(*) FROM pg_indexes WHERE indexname = 'counts_last'"))
    assert indexed == 2


async def test_only_the_build_before_the_live_one_stays(
    book: SmallBook, engine: AsyncEngine, reader: StreamReader
) -> None:
    last = await book.write(made(100))
    await caught_up(engine, reader, last)
    for _ in range(3):
        await rebuild(engine, reader, COUNTS)
    assert await states(engine) == [(3, "old"), (4, "live")]
    async with engine.begin() as conn:
        await switch(conn, COUNTS, 3)
    last = await book.write(made(20, after=100))
    await caught_up(engine, reader, last)
    assert await contents(engine, COUNTS) == folded(COUNTS, book.events)


async def test_names_what_differs(book: SmallBook, engine: AsyncEngine, reader: StreamReader) -> None:
    last = await book.write(made(300))
    await caught_up(engine, reader, last)
    tables = versioned(COUNTS)
    async with engine.begin() as conn:
        await conn.execute(
            tables["relation"].update().where(tables["relation"].c.relation == name_of(2)).values(contacts=7)
        )
        await conn.execute(tables["entry"].delete().where(tables["entry"].c.position == 1))
        await conn.execute(tables["team"].insert().values(team="ghost", events=1))
        await conn.execute(tables["contact"].update().values(facts={}))
    report = await rebuild(engine, reader, COUNTS, diff_only=True)
    assert report.differs
    assert not report.switched
    by_table = {t.table: (t.missing, t.extra, t.changed) for t in report.tables}
    contacts = len(folded(COUNTS, book.events)["contact"])
    assert by_table == {"relation": (0, 0, 1), "entry": (0, 1, 0), "team": (1, 0, 0), "contact": (0, 0, contacts)}
    right = next(r["contacts"] for r in folded(COUNTS, book.events)["relation"] if r["relation"] == name_of(2))
    found = {(d.table, d.kind, d.column): d for d in report.differences}
    changed = found["relation", "changed", "contacts"]
    assert (changed.key, changed.live, changed.new) == ({"relation": name_of(2)}, 7, right)
    assert found["entry", "extra", None].key == {"position": 1}
    assert found["team", "missing", None].live == {"events": 1}
    assert len(report.differences) <= 100
    assert await states(engine) == [(1, "live")]

    assert (await rebuild(engine, reader, COUNTS)).differs
    assert await contents(engine, COUNTS) == folded(COUNTS, book.events)


async def test_while_events_flow_no_reader_sees_it_go_back(
    book: SmallBook, engine: AsyncEngine, reader: StreamReader
) -> None:
    await book.write(made(2_000))
    stop = asyncio.Event()
    positions: list[int] = []

    async def write() -> None:
        while not stop.is_set():
            await book.write(made(7, after=len(book.events)))

    async def look() -> None:
        query = select(checkpoint.c.position).where(checkpoint.c.name == "counts", checkpoint.c.state == "live")
        while not stop.is_set():
            async with engine.connect() as conn:
                positions.append(await conn.scalar(query) or 0)
            await asyncio.sleep(0.002)

    async with running(Runner(COUNTS, engine, reader, idle_s=0.1, most_wait_s=0.3)):
        await wait_for(engine, COUNTS, 2_000, timeout_s=60)
        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            group.create_task(look())
            reports = [await rebuild(engine, reader, COUNTS, limits=SMALL) for _ in range(2)]
            stop.set()
        await wait_for(engine, COUNTS, len(book.events), timeout_s=60)
    assert [r.differs for r in reports] == [False, False]
    assert all((r.compared_at or 0) >= 2_000 for r in reports)
    assert positions == sorted(positions)
    assert await contents(engine, COUNTS) == folded(COUNTS, book.events)


async def test_parks_poison_as_the_live_service_does(
    book: SmallBook, engine: AsyncEngine, reader: StreamReader
) -> None:
    for how in ("half", "nul"):
        await book.write([*made(400, after=len(book.events)), held_contact(len(book.events) + 400, name_of(90), [how])])
    last = await book.write(made(300, after=len(book.events)))
    counts = projection(Faults(settle=False))
    await caught_up(engine, reader, last, counts)
    before = await contents(engine, counts)
    report = await rebuild(engine, reader, counts, limits=SMALL)
    assert (report.differs, report.parked) == (False, 2)
    assert await contents(engine, counts) == before
    async with engine.connect() as conn:
        assert [(p.version, p.position) for p in await list_parked(conn)] == [(2, 401), (2, 802)]


async def test_a_rebuild_that_cannot_go_on_leaves_the_live_one_alone(
    book: SmallBook, engine: AsyncEngine, reader: StreamReader
) -> None:
    last = await book.write(made(100))
    await caught_up(engine, reader, last)
    await book.write([fact("team.formed", {"team": "t", "name": "poison"}, ORGANISATION, id="e-x")])
    async with engine.begin() as conn:
        await create_build(conn, COUNTS, 7, "building", indexes=False)  # of a rebuild that was killed
    with pytest.raises(Paused):
        await rebuild(engine, reader, COUNTS)
    assert await states(engine) == [(1, "live")]
    await book.stream.delete()
    await book.stream.create()
    with pytest.raises(Diverged):
        await rebuild(engine, reader, COUNTS)
    assert await states(engine) == [(1, "live")]


async def test_one_rebuild_at_a_time(book: SmallBook, engine: AsyncEngine, reader: StreamReader) -> None:
    last = await book.write(made(100))
    await caught_up(engine, reader, last)
    began = asyncio.Event()
    its_row = select(checkpoint.c.position).where(checkpoint.c.name == "counts", checkpoint.c.state == "live")
    async with asyncio.TaskGroup() as group, engine.begin() as conn:
        await conn.execute(its_row.with_for_update())  # until it is let go, no rebuild of it ends
        group.create_task(rebuild(engine, reader, COUNTS, on_progress=lambda _: began.set()))
        async with asyncio.timeout(20):
            await began.wait()
        with pytest.raises(Unavailable):
            await rebuild(engine, reader, COUNTS)
    assert await states(engine) == [(1, "old"), (2, "live")]
    assert await contents(engine, COUNTS) == folded(COUNTS, book.events)


async def test_an_outage_in_between_is_waited_out(
    book: SmallBook, engine: AsyncEngine, owner_engine: AsyncEngine, reader: StreamReader
) -> None:
    last = await book.write(made(3_000))
    await caught_up(engine, reader, last)
    kill = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'relatieboek-counts%'"
    )
    killed: list[asyncio.Task[None]] = []

    async def end_connections() -> None:
        async with owner_engine.begin() as conn:
            await conn.execute(kill)

    def on_progress(seen: Progress) -> None:
        if seen.phase == "fold" and seen.events > 1_000 and not killed:
            killed.append(asyncio.get_running_loop().create_task(end_connections()))

    report = await rebuild(engine, reader, COUNTS, on_progress=on_progress, limits=SMALL)
    assert killed
    await asyncio.gather(*killed)
    assert not report.differs
    assert await contents(engine, COUNTS) == folded(COUNTS, book.events)


async def test_the_standing_check_finds_drift_and_nothing_else(
    book: SmallBook, engine: AsyncEngine, reader: StreamReader
) -> None:
    # entries note how many teams there were, which a fold of one relation's history must find too
    last = await book.write(made(400))
    with pytest.raises(NotYetThere):
        await check_random(engine, COUNTS, 0.5)
    await caught_up(engine, reader, last)
    await book.write(made(50, after=400))  # the live build is behind the ledger
    for fraction in (0.0, 0.3, 0.7):
        found = await check_random(engine, COUNTS, fraction)
        assert found is not None
        assert (found.position, found.drift) == (last, {})
        assert found.rows > 10
    tables = versioned(COUNTS)
    async with engine.begin() as conn:
        bad = tables["contact"].c.relation == name_of(1)
        await conn.execute(tables["contact"].update().where(bad).values(minutes=1))
        await conn.execute(tables["relation"].delete().where(tables["relation"].c.relation == name_of(1)))
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="REPEATABLE READ")
        broken = await check_relation(conn, COUNTS, name_of(1))
        sound = await check_relation(conn, COUNTS, name_of(2))
        assert broken is not None
        assert broken.drift.keys() == {"contact", "relation"}
        assert sound is not None
        assert sound.drift == {}
        assert (await live(conn, COUNTS)).position == last
