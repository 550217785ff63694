"""A projection of certain kinds of events is what a fold of those gives: live, restarted, rebuilt and checked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import FeedBroken
from events.feed import StreamReader
from events.recorded import Recorded
from projections.folding import Limits
from projections.parking import list_parked
from projections.rebuild import rebuild
from projections.runner import Runner
from projections.standing_check import check_relation
from projections.store import wait_for
from tests.small_book import (
    COUNTS,
    Faults,
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

KINDS = frozenset({"contact.retracted", "team.formed"})
RARE = replace(COUNTS, name="rare", kinds=KINDS)
SMALL = Limits(batch=100, gather=150, most_rows=300)


async def test_the_feed_gives_those_kinds_and_moves_on_past_the_others(book: SmallBook, client: Client) -> None:
    last = await book.write(made(400))
    wanted = [e for e in book.events if e.kind in KINDS]
    async with StreamReader(client).feed(0, name="t", created=book.created, most=30, kinds=KINDS) as feed:
        got: list[Recorded] = []
        while feed.position < last:
            got += await feed.read()
        assert got == wanted
        await book.write([held_contact(1_000, name_of(1))])
        assert (await feed.read(idle_s=5), feed.position) == ([], last + 1)
        before = feed.position
        assert (await feed.read(idle_s=0.01), feed.position) == ([], before)


async def test_a_message_that_is_missing_is_noticed_also_where_it_is_of_another_kind(
    book: SmallBook, client: Client
) -> None:
    await book.write([held_contact(n, name_of(n)) for n in range(10)])
    async with StreamReader(client).feed(0, name="t", created=book.created, kinds=KINDS) as feed:
        while feed.position < 10:  # in as many batches as they arrive in
            assert await feed.read(idle_s=5) == []
        feed.position += 1  # as if one had been passed over
        await book.write([held_contact(20, name_of(1))])
        with pytest.raises(FeedBroken):
            await feed.read(idle_s=5)


async def test_live_restarted_rebuilt_and_checked(book: SmallBook, engine: AsyncEngine, client: Client) -> None:
    reader = StreamReader(client)

    def runner() -> Runner:
        return Runner(RARE, engine, reader, limits=Limits(batch=200), idle_s=0.1, most_wait_s=0.3)

    last = await book.write(made(1_500))
    async with running(runner()):
        await wait_for(engine, RARE, last, timeout_s=60)
        # a flood of others moves its position and nothing else
        last = await book.write([held_contact(n, name_of(n % 10)) for n in range(5_000, 5_400)])
        await wait_for(engine, RARE, last, timeout_s=60)
    last = await book.write(made(300, after=1_500))
    async with running(runner()):
        await wait_for(engine, RARE, last, timeout_s=60)
    assert await contents(engine, RARE) == folded(RARE, [e for e in book.events if e.kind in KINDS])
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="REPEATABLE READ")
        checked = await check_relation(conn, RARE, name_of(3))
    assert checked is not None
    assert checked.drift == {}
    report = await rebuild(engine, reader, RARE, limits=SMALL)
    assert (report.differs, report.compared_at, report.switched) == (False, last, True)
    assert await position_of(engine, RARE) == last


async def test_poison_among_them_is_parked_and_the_position_goes_on(
    book: SmallBook, engine: AsyncEngine, client: Client
) -> None:
    broken = Faults()
    of = replace(projection(broken, name="rare_poison"), kinds=frozenset({"contact.held"}))
    facts = [held_contact(1, name_of(1)), held_contact(2, name_of(2), topics=["nul"]), held_contact(3, name_of(2))]
    last = await book.write([*facts, *made(60)[49:50]])  # the last one is of a kind that it does not take
    async with running(Runner(of, engine, StreamReader(client), idle_s=0.1, most_wait_s=0.3)):
        await wait_for(engine, of, last, timeout_s=60)
    async with engine.connect() as conn:
        assert [p.position for p in await list_parked(conn, of.name)] == [2, 3]
