"""The runner on real servers: follows, survives, parks poison, pauses on outages, and never writes beside another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from nats.aio.client import Client
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import Fenced, NotYetThere
from events.feed import StreamReader
from events.recorded import ORGANISATION
from projections.build import NO_WATCH, Build
from projections.folding import LIMITS, Limits
from projections.parking import list_parked, retry_parked
from projections.rows import Projection
from projections.runner import Runner
from projections.store import create_build, install, live, switch, wait_for
from projections.tables import checkpoint
from services.embedded.nats import Nats
from services.wiring import cancel_until_done
from tests.given import fact
from tests.small_book import (
    COUNTS,
    Faults,
    Heard,
    SmallBook,
    contents,
    folded,
    held_contact,
    made,
    name_of,
    position_of,
    projection,
    running,
)

MakeRunner = Callable[..., Runner]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def runner(engine: AsyncEngine, client: Client, heard: Heard) -> MakeRunner:
    def make(of: Projection = COUNTS, **options: Any) -> Runner:
        known: dict[str, Any] = {"publish": heard.publish, "tell": heard.tell, "idle_s": 0.1, "most_wait_s": 0.3}
        return Runner(of, engine, StreamReader(client), **{**known, **options})

    return make


async def reached(engine: AsyncEngine, position: int, of: Projection = COUNTS) -> None:
    await wait_for(engine, of, position, timeout_s=60)


async def test_catches_up_follows_and_goes_on_after_a_restart(
    book: SmallBook, engine: AsyncEngine, runner: MakeRunner, heard: Heard
) -> None:
    last = await book.write(made(3_000))
    async with running(runner(limits=Limits(batch=500))):
        await reached(engine, last)
        last = await book.write(made(1, after=3_000))
        await reached(engine, last)
    last = await book.write(made(700, after=3_001))
    with pytest.raises(NotYetThere):
        await wait_for(engine, COUNTS, last, timeout_s=0.02)
    async with running(runner(limits=Limits(batch=64, most_rows=40))):
        await heard.until("ready")
        await reached(engine, last)
    assert await contents(engine, COUNTS) == folded(COUNTS, book.events)


async def test_announces_what_it_committed_near_the_head_only(
    book: SmallBook, engine: AsyncEngine, runner: MakeRunner, heard: Heard
) -> None:
    last = await book.write(made(1_000))
    async with running(runner(limits=Limits(batch=100))):
        await reached(engine, last)
        last = await book.write([held_contact(1_000, name_of(1))])
        await reached(engine, last)
        async with asyncio.timeout(20):
            while not heard.messages or heard.messages[-1][0] != "live.ops" or _positions(heard)[-1] < last:
                await asyncio.sleep(0.01)
    assert {subject for subject, _ in heard.messages} == {"live.ops", "live.position.counts"}
    for subject in ("live.ops", "live.position.counts"):
        positions = _positions(heard, subject)
        assert positions == sorted(set(positions))
        assert positions[0] > 500
        assert positions[-1] == last


def _positions(heard: Heard, subject: str | None = None) -> list[int]:
    return [orjson.loads(body)["position"] for said, body in heard.messages if subject is None or said == subject]


@pytest.mark.parametrize("how", ["poison", "half", "unsettled", "nul"])
async def test_poison_parks_its_relation_and_retry_applies_it_in_order(
    how: str, book: SmallBook, engine: AsyncEngine, runner: MakeRunner
) -> None:
    faults = Faults()
    counts = projection(faults)
    bad = name_of(3)
    # settle fails for the relation, so from its first event in the batch on: then that one is parked too
    await book.write([*made(100), held_contact(100, bad, topics=[how]), *made(200, after=101)])
    async with running(runner(counts, limits=Limits(batch=1_000))):
        await reached(engine, len(book.events))
        last = await book.write([held_contact(400, bad), held_contact(401, name_of(4))])
        await reached(engine, last)
        async with engine.connect() as conn:
            parked = await list_parked(conn)
        assert {p.relation for p in parked} == {bad}
        positions = [p.position for p in parked]
        assert positions == [e.position for e in book.events if e.relation == bad and e.position >= positions[0]]
        assert positions[0] <= 101
        assert "poison" not in parked[0].error
        assert "wmo" not in parked[0].error
        sound = [e for e in book.events if e.position not in positions]
        assert await contents(engine, counts) == folded(projection(Faults(evolve=False, settle=False)), sound)

        stuck = await retry_parked(engine, counts, bad)
        assert (stuck[0].applied + stuck[0].left, stuck[0].error is None) == (len(positions), False)
        faults.evolve = faults.settle = False
        (done,) = await retry_parked(engine, counts)
        assert (done.left, done.error) == (0, None)
        last = await book.write([held_contact(402, bad), held_contact(403, name_of(4))])
        await reached(engine, last)
    rows = await contents(engine, counts)
    straight = folded(counts, book.events)
    # what the relation's entries noted of others' state is of the moment of the retry; all else is as if never parked
    for table in (rows, straight):
        table["entry"] = [{k: v for k, v in r.items() if k != "teams"} for r in table["entry"]]
    assert rows == straight
    async with engine.connect() as conn:
        assert await list_parked(conn, counts.name) == []


async def paused_for(engine: AsyncEngine, of: Projection) -> str | None:
    async with engine.connect() as conn:
        return (await live(conn, of)).paused


async def test_a_failing_event_about_no_relation_pauses_until_it_is_mended(
    book: SmallBook, engine: AsyncEngine, runner: MakeRunner, heard: Heard
) -> None:
    faults = Faults()
    counts = projection(faults)
    await book.write(made(20))
    async with running(runner(counts)):
        await reached(engine, 20)
        bad = fact("team.formed", {"team": "t", "name": "poison"}, ORGANISATION, id="e-20")
        last = await book.write([bad, *made(5, after=21)])
        await heard.until("paused", "event 21 about no relation")
        assert await position_of(engine, counts) == 20
        async with asyncio.timeout(20):
            while await paused_for(engine, counts) is None:  # told before it is written; each try begins without it
                await asyncio.sleep(0.01)
        faults.evolve = False
        await reached(engine, last)
        await heard.until("ready")
        assert await paused_for(engine, counts) is None


async def test_many_relations_failing_at_once_are_an_outage(
    book: SmallBook, engine: AsyncEngine, runner: MakeRunner, heard: Heard
) -> None:
    faults = Faults()
    counts = projection(faults)
    last = await book.write(
        [held_contact(n, name_of(n), topics=["poison"] if n % 4 == 0 else ["wmo"]) for n in range(60)]
    )
    # The stream may hand these over in pieces, so here one failing relation is many: it is the pause that is tested.
    async with running(runner(counts, limits=Limits(outage_relations=1, outage_share=0.0))):
        await heard.until("paused", "relations fail at once")
        assert await position_of(engine, counts) < last
        faults.evolve = False
        await reached(engine, last)
    assert await contents(engine, counts) == folded(counts, book.events)


async def test_a_second_replica_stands_by_and_takes_over(
    book: SmallBook, engine: AsyncEngine, runner: MakeRunner, heard: Heard
) -> None:
    last = await book.write(made(500))
    second = Heard()
    async with running(runner()) as first:
        await reached(engine, last)
        async with running(runner(tell=second.tell)):
            await second.until("ready", "standing by")
            last = await book.write(made(200, after=500))
            await reached(engine, last)
            await cancel_until_done(first)  # what it was in the middle of is its own
            last = await book.write(made(200, after=700))
            await reached(engine, last)
            assert second.states[-1] == ("ready", None)
    assert await contents(engine, COUNTS) == folded(COUNTS, book.events)


async def test_a_writer_that_was_taken_over_is_fenced(book: SmallBook, engine: AsyncEngine, client: Client) -> None:
    last = await book.write(made(300))
    async with engine.begin() as conn:
        await install(conn, COUNTS)
    reader = StreamReader(client)
    options: dict[str, Any] = {"state": "live", "limits": LIMITS, "stream_created": book.created}
    first = await Build.open(engine, COUNTS, 1, **options)
    second = await Build.open(engine, COUNTS, 1, **options)
    try:
        with pytest.raises(Fenced):
            await first.check_fence()
        async with reader.feed(0, name="a", created=book.created) as feed:
            with pytest.raises(Fenced):
                await first.follow(feed, NO_WATCH, upto=last)
        assert await position_of(engine, COUNTS) == 0
        async with reader.feed(0, name="b", created=book.created) as feed:
            await second.follow(feed, NO_WATCH, upto=last)
    finally:
        await first.close()
        await second.close()
    assert await contents(engine, COUNTS) == folded(COUNTS, book.events)


async def test_outages_of_both_engines_are_survived(
    book: SmallBook, engine: AsyncEngine, owner_engine: AsyncEngine, runner: MakeRunner, nats_server: Nats
) -> None:
    last = await book.write(made(200))
    kill = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'relatieboek-counts%'"
    )
    async with running(runner(limits=Limits(batch=20))):
        await reached(engine, last)
        for n in range(3):
            async with owner_engine.begin() as conn:
                await conn.execute(kill)
            last = await book.write(made(100, after=200 + n * 100))
        await nats_server.stop()
        await nats_server.start()
        await book.nc.flush(timeout=10)
        last = await book.write(made(100, after=500))
        await reached(engine, last)
    assert await contents(engine, COUNTS) == folded(COUNTS, book.events)


async def test_a_switch_is_noticed_also_when_nothing_happens(
    book: SmallBook, engine: AsyncEngine, runner: MakeRunner
) -> None:
    last = await book.write(made(100))
    async with running(runner()):
        await reached(engine, last)
        async with engine.begin() as conn:
            await create_build(conn, COUNTS, 2, "building", indexes=True)
            await switch(conn, COUNTS, 2)
        await reached(engine, last)
        async with engine.connect() as conn:
            assert (await live(conn, COUNTS)).version == 2
    assert await contents(engine, COUNTS) == folded(COUNTS, book.events)


async def test_another_stream_is_diverged_until_the_ledger_knows_it(
    book: SmallBook, engine: AsyncEngine, runner: MakeRunner, heard: Heard
) -> None:
    last = await book.write(made(100))
    async with running(runner()):
        await reached(engine, last)
        events, book.events = book.events, []
        await book.stream.delete()
        await heard.until("paused")
        created = (await book.stream.create()).created
        await heard.until("diverged")
        async with book.owner.begin() as conn:
            await conn.execute(text("DELETE FROM ledger.entry"))
        await book.write(events)
        assert await position_of(engine, COUNTS) == last
        async with book.owner.begin() as conn:
            await conn.execute(text("UPDATE ledger.head SET stream_created = :c"), {"c": created})
        last = await book.write(made(10, after=100))
        await reached(engine, last)
        await heard.until("ready")
    assert await contents(engine, COUNTS) == folded(COUNTS, book.events)


async def test_newer_code_builds_anew_and_older_code_stands_still(
    book: SmallBook, engine: AsyncEngine, runner: MakeRunner, heard: Heard
) -> None:
    last = await book.write(made(300))
    async with running(runner()):
        await reached(engine, last)
    newer = projection(version=2)
    with pytest.raises(NotYetThere):
        async with engine.connect() as conn:
            await live(conn, newer)
    async with running(runner(newer)):
        async with asyncio.timeout(20):
            while await code_of_live(engine) < 2:
                await asyncio.sleep(0.02)
        last = await book.write(made(50, after=300))
        await reached(engine, last, newer)
        await heard.until("ready")
    assert await contents(engine, newer) == folded(newer, book.events)
    async with running(runner(COUNTS)):
        await heard.until("paused", "newer code")


async def code_of_live(engine: AsyncEngine) -> int:
    async with engine.connect() as conn:
        return (
            await conn.scalar(
                select(checkpoint.c.code_version).where(checkpoint.c.state == "live", checkpoint.c.name == "counts")
            )
            or 0
        )


async def test_readers_hear_that_a_build_is_not_there_yet(engine: AsyncEngine) -> None:
    async with engine.connect() as conn:
        with pytest.raises(NotYetThere):
            await live(conn, COUNTS)
    async with engine.begin() as conn:
        await install(conn, COUNTS)
        await install(conn, COUNTS)
        await conn.execute(update(checkpoint).where(checkpoint.c.name == "counts").values(position=5))
    await wait_for(engine, COUNTS, 5, timeout_s=1)
