"""Timelines on PostgreSQL: order, pages, filters, who sees what, and what comes live."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events.errors import Invalid, NotFound
from events.recorded import ORGANISATION
from projections.page import encode_cursor
from projections.timeline_queries import after_position, relation_page, team_page
from projections.viewer import EVERYTHING, Viewer, of_team
from tests.given import DELFT, HAAG, NPS, Book
from tests.read_models import record

OURS = of_team("wmo")
OTHERS = of_team("jeugd")


@pytest.fixture
def book() -> Book:
    book = Book()
    for team in ("wmo", "jeugd"):
        book.tell("team.formed", {"team": team, "name": team, "occurred_on": "2026-01-01"}, ORGANISATION)
    for relation, name in ((HAAG, "Gemeente Den Haag"), (DELFT, "Gemeente Delft")):
        book.register(relation, name)
        book.tell("team.relation_assigned", {"team": "wmo", "occurred_on": "2026-01-06"}, relation)
    return book


async def all_pages(
    conn: AsyncConnection, team: str, viewer: Viewer, limit: int, **filters: Any
) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await team_page(conn, team, viewer, limit=limit, cursor=cursor, **filters)
        items += page.items
        cursor = page.next
        if cursor is None:
            return items


async def test_an_entry_has_the_fields_of_the_interface(engine: AsyncEngine, book: Book) -> None:
    book.held("c-1", "2026-02-03T10:00:00+01:00", summary="enc~e~9~/data/summary~AAAA")
    await record(engine, book.events)
    async with engine.connect() as conn:
        entry = (await team_page(conn, "wmo", OURS, limit=1)).items[0]
    assert entry == {
        "position": 7, "relation": HAAG, "relation_name": "Gemeente Den Haag", "type": "nl.relatieboek.contact.held.v1",
        "department": "wmo", "occurred_at": "2026-02-03T10:00:00+01:00", "recorded_at": "2026-01-01T09:07:00Z",
        "title": "Gesprek, afspraak, 60 minuten", "detail": book.events[-1].data, "visibility": "organisation",
        "corrects": None, "corrected_by": None, "retracted_by": None, "same_as": None,
    }  # fmt: skip


@pytest.mark.parametrize("limit", [1, 3, 10, 100])
async def test_pages_are_in_order_of_occurred_then_position_descending(
    engine: AsyncEngine, book: Book, limit: int
) -> None:
    # One relation fills whole pages alone, another has one fact in between, several at the same moment.
    for n in range(25):
        book.held(f"c-{n}", f"2026-03-{1 + n // 3:02}T10:00:00+01:00")
    book.held("d-1", "2026-03-04T11:00:00+01:00", DELFT)
    book.held("late", "2025-06-04T11:00:00+02:00", DELFT)
    await record(engine, book.events)
    shown = [e for e in book.events if e.relation != ORGANISATION]
    expected = [e.position for e in sorted(shown, key=lambda e: (e.occurred_at, e.position), reverse=True)]
    async with engine.connect() as conn:
        for viewer in (EVERYTHING, OURS):
            assert [e["position"] for e in await all_pages(conn, "wmo", viewer, limit)] == expected


async def test_a_team_sees_the_whole_past_of_what_it_has_now_and_nothing_after(engine: AsyncEngine, book: Book) -> None:
    book.held("c-1", "2025-06-04T11:00:00+02:00")
    book.tell("team.relation_assigned", {"team": "jeugd", "occurred_on": "2026-04-01"}, HAAG)
    book.tell("team.relation_unassigned", {"team": "wmo", "occurred_on": "2026-05-01"}, HAAG)
    await record(engine, book.events)
    async with engine.connect() as conn:
        assert {e["relation"] for e in await all_pages(conn, "wmo", OURS, 50)} == {DELFT}
        theirs = await all_pages(conn, "jeugd", OTHERS, 50)
        assert len(theirs) == 5
        assert theirs[-1]["title"] == "Gesprek, afspraak, 60 minuten"
        assert (await relation_page(conn, HAAG, OTHERS)).items == theirs
        for relation, viewer in ((HAAG, OURS), (DELFT, OTHERS), (HAAG, Viewer(name="nobody"))):
            with pytest.raises(NotFound):
                await relation_page(conn, relation, viewer)
        for team, viewer in (("wmo", OTHERS), ("none", EVERYTHING), ("wmo", Viewer(name="nobody"))):
            with pytest.raises(NotFound):
                await team_page(conn, team, viewer)
            with pytest.raises(NotFound):
                await after_position(conn, team, viewer, 0)


def mixed(book: Book) -> None:
    book.held("c-1", "2026-02-03T10:00:00+01:00", topics=["wmo", "wonen"])
    book.tell(
        "contact.corrected",
        {"contact": "c-1", "changes": {"duration_min": 5}, "occurred_at": "2026-02-05T09:00:00+01:00"},
        department="zorg",
    )
    book.held("c-2", "2026-03-31T23:30:00+02:00", topics=["jeugd"], theirs=[{"layer": "professional"}])
    book.tell(
        "plan.question_answered", {"plan": "2026", "question": "4", "answer": "enc~", "occurred_on": "2026-04-01"}
    )
    book.tell("counterpart.added", {"person": "ref~1", "layer": "tactical_management", "occurred_on": "2026-04-02"})


@pytest.mark.parametrize(
    ("filters", "positions"),
    [
        ({"department": "zorg"}, [8]),
        ({"family": "contact"}, [9, 8, 7]),
        ({"family": "plan"}, [10]),
        # A correction is found by what its contact was about.
        ({"topic": "wonen"}, [8, 7]),
        ({"layer": "professional"}, [9]),
        ({"layer": "tactical_management"}, [11]),
        ({"layer": "board", "department": "wmo"}, [9, 7]),
        ({"from_": date(2026, 4, 1)}, [11, 10]),
        ({"from_": date(2026, 2, 5), "to": date(2026, 3, 31)}, [9, 8]),
        ({"topic": "none"}, []),
    ],
)
async def test_filters(engine: AsyncEngine, book: Book, filters: dict[str, Any], positions: list[int]) -> None:
    mixed(book)
    await record(engine, book.events)
    async with engine.connect() as conn:
        assert [e["position"] for e in (await team_page(conn, "wmo", OURS, **filters)).items] == positions
        assert [e["position"] for e in await all_pages(conn, "wmo", EVERYTHING, 1, **filters)] == positions
        assert [e["position"] for e in (await relation_page(conn, HAAG, OURS, **filters)).items] == positions


async def test_bad_input_names_its_field(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events)
    async with engine.connect() as conn:
        for field, value in (
            ("cursor", "x"), ("cursor", encode_cursor("relations", ["a", "b"])),
            ("cursor", encode_cursor("timeline", [999])), ("cursor", encode_cursor("timeline", [2**63])),
            ("layer", "boss"), ("topic", "x" * 201), ("department", "a\x00"), ("limit", 0), ("from_", date.min),
            ("to", date.max),
        ):  # fmt: skip
            with pytest.raises(Invalid) as caught:
                await team_page(conn, "wmo", OURS, **{field: value})  # pyright: ignore[reportArgumentType]
            assert [e.pointer for e in caught.value.errors] == [f"/{field.rstrip('_')}"]


async def test_corrections_and_retractions_show_as_such(engine: AsyncEngine, book: Book) -> None:
    planned: dict[str, Any] = {
        "contact": "c-2", "starts_at": "2026-07-03T10:00:00+02:00", "ends_at": "2026-07-03T11:00:00+02:00",
        "channel": "meeting", "ours": [{"layer": "board"}], "theirs": [{"layer": "board"}],
    }  # fmt: skip
    held = book.held("c-1", "2026-02-03T10:00:00+01:00").position
    corrected = book.tell(
        "contact.corrected",
        {"contact": "c-1", "changes": {"duration_min": 5}, "occurred_at": "2026-02-05T09:00:00+01:00"},
    ).position
    plan = book.tell("contact.planned", planned).position
    off = book.tell("contact.cancelled", {"contact": "c-2", "occurred_at": "2026-02-06T09:00:00+01:00"}).position
    gone = book.tell("contact.retracted", {"contact": "c-1", "occurred_at": "2026-02-07T09:00:00+01:00"}).position
    await record(engine, book.events)
    async with engine.connect() as conn:
        items = {e["position"]: e for e in (await team_page(conn, "wmo", OURS)).items}
    links = {
        p: (items[p]["corrects"], items[p]["corrected_by"], items[p]["retracted_by"])
        for p in (held, corrected, plan, off, gone)
    }
    assert links == {
        held: (None, corrected, gone), corrected: (held, None, gone), plan: (None, None, None), off: (plan, None, None),
        gone: (held, None, None),
    }  # fmt: skip


def confidential(book: Book) -> dict[str, int]:
    """Facts of every visibility; their positions."""
    score = {"instrument": "nps-2026", "score": 7, "comment": "enc~", "occurred_on": "2026-02-10"}
    change = {"contact": "named", "changes": {"duration_min": 5}, "reason": "enc~"}
    told = {
        "open": book.held("open", "2026-02-01T10:00:00+01:00"),
        "team": book.held("team", "2026-02-02T10:00:00+01:00", visibility="team"),
        "department": book.held("department", "2026-02-03T10:15:00+01:00", visibility="department"),
        "named": book.held("named", "2026-02-04T10:30:00+01:00", visibility="named", topics=["geheim"], summary="enc~"),
        "change": book.tell("contact.corrected", {**change, "occurred_at": "2026-02-05T09:00:00+01:00"}),
        "gone": book.held("gone", "2026-02-06T10:00:00+01:00", visibility="named"),
        "retraction": book.tell("contact.retracted", {"contact": "gone", "occurred_at": "2026-02-07T09:00:00+01:00"}),
        "scored": book.tell(
            "satisfaction.scored", {**score, "response": "r-1", "anonymous": False}, visibility="named"
        ),
        "anonymous": book.tell("satisfaction.scored", {**score, "response": "r-2", "anonymous": True}),
        "team score": book.tell(
            "satisfaction.scored", {**score, "response": "r-3", "anonymous": False}, visibility="team"
        ),
    }
    return {name: event.position for name, event in told.items()}


async def test_a_restricted_contact_shows_by_its_date_only(engine: AsyncEngine, book: Book) -> None:
    at = confidential(book)
    await record(engine, book.events)
    async with engine.connect() as conn:
        everything = {e["position"]: e for e in await all_pages(conn, "wmo", EVERYTHING, 2)}
        mine = {e["position"]: e for e in await all_pages(conn, "wmo", OURS, 2)}
        live = {e["position"]: e for e in await after_position(conn, "wmo", OURS, 0)}
        one = {e["position"]: e for e in (await relation_page(conn, HAAG, OURS)).items}
    assert set(at.values()) - set(everything) == {at["anonymous"]}
    assert everything[at["change"]]["visibility"] == "named"
    assert set(at.values()) & set(mine) == {at[n] for n in ("open", "team", "department", "named", "team score")}
    for name, day in (("department", "2026-02-03"), ("named", "2026-02-04")):
        assert mine[at[name]] == {
            "position": at[name], "relation": HAAG, "relation_name": "Gemeente Den Haag",
            "type": "nl.relatieboek.contact.held.v1", "department": None, "occurred_at": day, "recorded_at": None,
            "title": "vertrouwelijk contact", "detail": None, "visibility": name, "corrects": None,
            "corrected_by": None, "retracted_by": None, "same_as": None,
        }  # fmt: skip
    assert mine[at["team"]] == everything[at["team"]]
    assert live == mine
    assert {p: e for p, e in mine.items() if e["relation"] == HAAG} == one


@pytest.mark.parametrize("filters", [{"topic": "geheim"}, {"layer": "board"}, {"department": "wmo"}])
async def test_filters_do_not_find_what_a_restricted_contact_was_about(
    engine: AsyncEngine, book: Book, filters: dict[str, str]
) -> None:
    at = confidential(book)
    await record(engine, book.events)
    async with engine.connect() as conn:
        mine = {e["position"] for e in (await team_page(conn, "wmo", OURS, **filters)).items}  # pyright: ignore[reportArgumentType]
        everything = {e["position"] for e in (await team_page(conn, "wmo", EVERYTHING, **filters)).items}  # pyright: ignore[reportArgumentType]
    assert at["named"] in everything
    assert not mine & {at["named"], at["department"]}


async def test_live_readers_get_what_was_recorded_since_late_facts_too(engine: AsyncEngine, book: Book) -> None:
    seen = len(book.events)
    book.tell("satisfaction.instrument_defined", NPS, ORGANISATION)
    late = book.held("c-1", "2024-02-03T10:00:00+01:00").position
    other = book.held("c-1", "2026-02-03T10:00:00+01:00", DELFT).position
    await record(engine, book.events)
    async with engine.connect() as conn:
        assert [e["position"] for e in await after_position(conn, "wmo", OURS, seen)] == [late, other]
        assert [e["position"] for e in await after_position(conn, "wmo", OURS, seen, limit=1)] == [late]
        assert await after_position(conn, "wmo", OURS, other) == []
        assert await after_position(conn, "jeugd", OTHERS, 0) == []


async def test_titles_in_english(engine: AsyncEngine, book: Book) -> None:
    book.held("c-1", "2026-02-03T10:00:00+01:00", visibility="named")
    await record(engine, book.events)
    async with engine.connect() as conn:
        items = (await team_page(conn, "wmo", OURS, language="en")).items
    assert items[0]["title"] == "confidential contact"
