"""A relation's history as it was at D, as known at K, from the ledger."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from events.clock import set_clock
from events.errors import Invalid, NotFound
from events.recorded import ORGANISATION
from projections.history import history, relation_as_of
from projections.relation_queries import show
from projections.viewer import EVERYTHING, Viewer, of_team
from tests.given import DELFT, HAAG, NPS, START, Book
from tests.read_models import record

OURS = of_team("wmo")
OTHERS = of_team("jeugd")


def recorded(position: int) -> datetime:
    return START + timedelta(minutes=position)


@pytest.fixture
def book() -> Book:
    """1 and 2 are about the organisation; 5 is a contact, 6 its correction, 7 came late, 8 is an anonymous score."""
    book = Book()
    book.tell("satisfaction.instrument_defined", {**NPS, "min_n": 1}, ORGANISATION)
    book.tell("team.formed", {"team": "wmo", "name": "Wmo", "occurred_on": "2026-01-01"}, ORGANISATION)
    book.register()
    book.tell("team.relation_assigned", {"team": "wmo", "occurred_on": "2026-01-06"})
    book.held("c-1", "2026-02-03T23:30:00+01:00")
    change = {
        "contact": "c-1",
        "changes": {"duration_min": 5},
        "reason": "enc~",
        "occurred_at": "2026-02-05T09:00:00+01:00",
    }
    book.tell("contact.corrected", change)
    book.held("c-2", "2026-01-20T10:00:00+01:00", visibility="named", summary="enc~")
    score = {
        "response": "r-1",
        "instrument": "nps-2026",
        "score": 9,
        "comment": "enc~",
        "respondent": "ref~1",
        "layer": "board",
        "anonymous": True,
        "occurred_on": "2026-02-10",
    }
    book.tell("satisfaction.scored", score)
    return book


@pytest.mark.parametrize(
    ("as_of", "known_at", "positions"),
    [
        (None, None, [3, 4, 5, 6, 7, 8]),
        (date(2026, 2, 3), None, [3, 4, 5, 7]),
        (date(2026, 2, 2), None, [3, 4, 7]),
        (datetime(2026, 2, 3, 22, 29, tzinfo=UTC), None, [3, 4, 7]),
        (datetime(2026, 2, 3, 22, 30, tzinfo=UTC), None, [3, 4, 5, 7]),
        (None, 6, [3, 4, 5, 6]),
        (None, recorded(6), [3, 4, 5, 6]),
        (None, recorded(6) - timedelta(seconds=1), [3, 4, 5]),
        (date(2026, 2, 3), 6, [3, 4, 5]),
    ],
)
async def test_bounds(
    engine: AsyncEngine, book: Book, as_of: date | None, known_at: int | None, positions: list[int]
) -> None:
    await record(engine, book.events)
    async with engine.connect() as conn:
        entries = await history(conn, HAAG, as_of, known_at, viewer=EVERYTHING)
    assert [e["position"] for e in entries] == positions
    assert [e["version"] for e in entries] == [p - 2 for p in positions]


async def test_an_entry(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events)
    async with engine.connect() as conn:
        entries = await history(conn, HAAG, viewer=EVERYTHING)
    assert entries[2] == {
        "position": 5, "relation": HAAG, "version": 3, "type": "nl.relatieboek.contact.held.v1",
        "visibility": "organisation", "title": "Gesprek, afspraak, 60 minuten",
        "occurred_at": "2026-02-03T23:30:00+01:00",
        "recorded_at": "2026-01-01T09:05:00Z", "department": "wmo", "data": book.events[4].data, "retracted_by": None,
    }  # fmt: skip
    # An anonymous score keeps its place and shows nothing of the answer.
    assert entries[-1]["data"] == {"instrument": "nps-2026", "anonymous": True}
    assert "9" not in entries[-1]["title"]


async def test_nothing_is_found_of_what_is_not_in_the_bounds_or_not_the_viewers(
    engine: AsyncEngine, book: Book
) -> None:
    await record(engine, book.events)
    async with engine.connect() as conn:
        for relation, known_at, viewer in (
            (DELFT, None, OURS),
            (HAAG, 2, OURS),
            (HAAG, None, OTHERS),
            (ORGANISATION, None, Viewer("all", everything=True)),
        ):
            with pytest.raises(NotFound):
                await history(conn, relation, None, known_at, viewer=viewer)
        assert await relation_as_of(conn, DELFT, viewer=EVERYTHING) is None
        assert await relation_as_of(conn, HAAG, None, 2, viewer=EVERYTHING) is None
        with pytest.raises(NotFound):
            await relation_as_of(conn, HAAG, viewer=OTHERS)


async def test_a_team_sees_a_restricted_contact_by_its_date_only(engine: AsyncEngine, book: Book) -> None:
    change = {
        "contact": "c-2",
        "changes": {"duration_min": 5},
        "reason": "enc~",
        "occurred_at": "2026-02-05T09:00:00+01:00",
    }
    book.tell("contact.corrected", change)
    await record(engine, book.events)
    async with engine.connect() as conn:
        entries = await history(conn, HAAG, viewer=OURS)
    assert [e["position"] for e in entries] == [3, 4, 5, 6, 7, 8]
    assert entries[4] == {
        "position": 7, "relation": HAAG, "version": 5, "type": "nl.relatieboek.contact.held.v1",
        "visibility": "named", "title": "vertrouwelijk contact", "occurred_at": "2026-01-20",
        "recorded_at": None, "department": None,
        "data": None, "retracted_by": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("as_of", "known_at", "pointer"),
    [(date.max, None, "/asOf"), (date.min, None, "/asOf"), (None, 2**63, "/knownAt"), (None, -1, "/knownAt")],
)
async def test_bounds_beyond_all_reckoning_are_named(
    engine: AsyncEngine, as_of: date | None, known_at: int | None, pointer: str
) -> None:
    async with engine.connect() as conn:
        for ask in (history, relation_as_of):
            with pytest.raises(Invalid) as caught:
                await ask(conn, HAAG, as_of, known_at, viewer=EVERYTHING)
            assert [e.pointer for e in caught.value.errors] == [pointer]


async def test_the_view_of_now_is_the_live_one(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events)
    now = datetime(2026, 6, 30, 10, tzinfo=UTC)
    async with engine.connect() as conn:
        await set_clock(conn, now)
        assert await relation_as_of(conn, HAAG, viewer=EVERYTHING) == await show(conn, HAAG, now, viewer=EVERYTHING)


async def test_the_view_as_of_d_as_known_at_k(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events)
    async with engine.connect() as conn:
        before = await relation_as_of(conn, HAAG, date(2026, 2, 4), 5, viewer=EVERYTHING)
        late = await relation_as_of(conn, HAAG, date(2026, 2, 4), viewer=EVERYTHING)
        known = await relation_as_of(conn, HAAG, None, recorded(7), viewer=EVERYTHING)
        at_position = await relation_as_of(conn, HAAG, None, 7, viewer=EVERYTHING)
    assert before is not None
    assert (before["contacts_total"], before["minutes_12m"], before["satisfaction"], before["position"]) == (
        1,
        60,
        [],
        5,
    )
    assert late is not None
    assert (late["contacts_total"], late["minutes_12m"]) == (2, 120)
    assert known is not None
    assert known == at_position
    # At K the calendar stood before these contacts: they are known, and lie in no twelve months yet.
    assert (known["contacts_total"], known["contacts_12m"]) == (2, 0)
