"""The sums behind question 6, as PostgreSQL keeps them while rows are written, changed and removed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from nats.aio.client import Client
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from events.feed import StreamReader
from events.recorded import Recorded
from projections.attention_sums import SPENT, within
from projections.build import NO_WATCH, Build
from projections.folding import Limits
from projections.postgres import close, connect, make_scratch, shapes, write
from projections.relation_questions import attention
from projections.relation_view import PROJECTION
from projections.rows import MemoryRows, fold
from projections.store import complete, create_build, versioned
from projections.viewer import EVERYTHING
from tests.given import DELFT, HAAG, Book
from tests.small_book import SmallBook

Sums = dict[tuple[Any, ...], tuple[int, int]]


def expected(rows: MemoryRows) -> Sums:
    found: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    for contact in rows.tables["contact"].values():
        relation = rows.tables["relation"][contact["relation"],]
        if not contact["counted"] or relation["name"] is None:
            continue
        parts = (relation["tier"], relation["kind"], contact["activity"], contact["channel"], contact["our_layers"])
        on: date = contact["held_on"]
        for span, begins in (("day", on), ("month", on.replace(day=1))):
            cell = found[(span, begins, *("" if p is None else p for p in parts))]
            cell[0] += 1
            cell[1] += contact["minutes"]
    return {key: (n, minutes) for key, (n, minutes) in found.items()}


async def kept(engine: AsyncEngine, version: int = 1) -> Sums:
    spent = versioned(PROJECTION, version)[SPENT]
    async with engine.connect() as conn:
        return {tuple(r[:7]): (r[7], r[8]) for r in await conn.execute(select(spent))}


def told() -> Sequence[Sequence[Recorded]]:
    """Lots of events; after each the rows are written."""
    book = Book()
    book.held("c-0", "2026-01-31T10:00:00+01:00", DELFT)  # before the relation is registered
    lots = [len(book.events)]

    def lot() -> None:
        lots.append(len(book.events))

    book.register(HAAG, "Gemeente Den Haag")
    book.tell("relation.tier_assigned", {"tier": "B", "arguments": [], "occurred_on": "2026-01-06"}, HAAG)
    for n in range(1, 40):
        channel = "meeting" if n % 3 else "phone"
        at = f"2026-{n % 5 + 1:02d}-{n % 27 + 1:02d}T10:00:00+01:00"
        book.held(f"c-{n}", at, HAAG if n % 2 else DELFT, channel=channel, duration_min=n)
    lot()
    book.register(DELFT, "Gemeente Délft", kind="province")
    lot()
    book.tell("relation.tier_assigned", {"tier": "A", "arguments": [], "occurred_on": "2026-02-06"}, HAAG)
    changes = {"occurred_at": "2026-04-30T10:00:00+02:00", "duration_min": 7}
    book.tell("contact.corrected", {"contact": "c-1", "changes": changes, "occurred_at": "2026-05-01T09:00:00+02:00"})
    book.held("c-40", "2026-05-09T10:00:00+02:00")
    lot()
    gone = {"reason": "enc~", "occurred_at": "2026-05-04T09:00:00+02:00"}
    for n in range(1, 40):
        book.tell("contact.retracted", {"contact": f"c-{n}", **gone}, HAAG if n % 2 else DELFT)
    lot()
    return [book.events[:n] for n in lots]


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_sums_follow_what_is_written(engine: AsyncEngine, at_once: bool) -> None:
    by_table = shapes(versioned(PROJECTION))
    connection = await connect(engine, name="test")
    try:
        await make_scratch(connection, by_table)
        before = MemoryRows(PROJECTION.metadata)
        for events in [told()[-2]] if at_once else told():
            rows = fold(PROJECTION, events)
            async with connection.transaction():
                await write(connection, by_table, rows.tables)
            assert await kept(engine) == expected(rows)
            before = rows
        assert expected(before)
        # A relation's rows are removed and made again, as after a withdrawal.
        for removed in ("contact", "relation"):
            keys = {key: None for key in before.tables[removed] if key[0] == HAAG}
            async with connection.transaction():
                await write(connection, by_table, {removed: keys})
            for key in keys:
                del before.tables[removed][key]
            if removed == "contact":
                assert await kept(engine) == expected(before)
        assert {key[3] for key in await kept(engine)} <= {"province"}
    finally:
        await close(connection)


async def test_a_build_filled_without_triggers_has_the_same_sums_once_complete(engine: AsyncEngine) -> None:
    events = told()[2]
    async with engine.begin() as conn:
        await create_build(conn, PROJECTION, 2, "building", indexes=False)
    by_table = shapes(versioned(PROJECTION, 2))
    connection = await connect(engine, name="test")
    try:
        await make_scratch(connection, by_table)
        rows = fold(PROJECTION, events)
        async with connection.transaction():
            await write(connection, by_table, rows.tables)
        assert await kept(engine, 2) == {}
        async with engine.begin() as conn:
            await complete(conn, PROJECTION, 2)
        assert await kept(engine, 2) == expected(rows) != {}
        rows = fold(PROJECTION, told()[-1])
        async with connection.transaction():
            await write(connection, by_table, rows.tables)
        assert await kept(engine, 2) == expected(rows)
    finally:
        await close(connection)


async def test_a_first_build_far_behind_makes_the_sums_at_its_end(
    book: SmallBook, engine: AsyncEngine, client: Client
) -> None:
    events = told()[-1]
    last = await book.write(events[:-3])
    now = datetime(2026, 6, 30, tzinfo=UTC)
    options: dict[str, Any] = {"state": "live", "limits": Limits(batch=10, far=40), "stream_created": book.created}

    async def follow(upto: int) -> None:
        build = await Build.open(engine, PROJECTION, 1, **options)
        try:
            async with StreamReader(client).feed(build.position, name="t", created=book.created, most=10) as feed:
                await build.follow(feed, NO_WATCH, upto=upto)
        finally:
            await build.close()

    async def asked() -> list[dict[str, Any]]:
        async with engine.connect() as conn:
            return await attention(conn, now, viewer=EVERYTHING)

    # Broken off while it is far behind, and gone on with: nothing is kept yet, and question 6 adds up the contacts.
    await follow(30)
    assert {key[0] for key in await kept(engine)} == {"later"}
    halfway = fold(PROJECTION, book.events[:30])
    assert sum(tier["contacts"] for tier in await asked()) == sum(
        n for (span, *_), (n, _) in expected(halfway).items() if span == "day"
    )
    await follow(last)
    assert await kept(engine) == expected(fold(PROJECTION, book.events)) != {}

    # From there on the triggers follow.
    last = await book.write(events[-3:])
    await follow(last)
    assert await kept(engine) == expected(fold(PROJECTION, book.events)) != {}


def test_every_day_of_a_window_is_covered_once() -> None:
    spent = versioned(PROJECTION)[SPENT]
    for since, until in [(0, 365), (21, 386), (30, 31), (30, 61), (31, 59), (58, 59), (5, 9)]:
        first, last = date(2026, 1, 1) + timedelta(since), date(2026, 1, 1) + timedelta(until)
        sql = str(within(spent, first, last).compile(compile_kwargs={"literal_binds": True}))
        covered: list[date] = []
        for condition in sql.split(" OR "):
            on = [date.fromisoformat(part[:10]) for part in condition.split("'") if part[:4].isdigit()]
            low = on[0] if ">=" in condition else on[0] + timedelta(1)
            high = on[1] if "<=" in condition else on[1] - timedelta(1)
            covered += [low + timedelta(n) for n in range((high - low).days + 1)]
        assert sorted(covered) == [first + timedelta(n + 1) for n in range(until - since)], (first, last)
