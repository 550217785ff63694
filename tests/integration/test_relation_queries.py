"""Queries of the relation view on PostgreSQL: lists, one relation, matrix and attention."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import Invalid
from events.recorded import ORGANISATION
from projections.relation_present import present
from projections.relation_queries import attention, list_relations, matrix, schedule, show, spent_on
from projections.relation_view import PROJECTION
from projections.rows import fold
from projections.viewer import EVERYTHING, Viewer, of_team
from tests.given import DELFT, HAAG, NPS, Book
from tests.read_models import record

NOW = datetime(2026, 6, 30, 10, tzinfo=UTC)
OURS = of_team("wmo")
NOBODY = Viewer(name="nobody")
UTRECHT = "0b1f5b0e-7d0a-5c55-9a58-1f3a54f0a003"


def full_book() -> Book:
    book = Book()
    book.tell("satisfaction.instrument_defined", NPS, ORGANISATION)
    book.tell("team.formed", {"team": "wmo", "name": "Wmo", "occurred_on": "2026-01-01"}, ORGANISATION)
    book.register(HAAG, "Gemeente Den Haag", identifiers=[{"scheme": "gemeentecode", "value": "0518"}])
    book.register(DELFT, "Gemeente Délft")
    book.register(UTRECHT, "Provincie Utrecht", kind="province")
    book.tell("team.relation_assigned", {"team": "wmo", "occurred_on": "2026-01-06"}, HAAG)
    for employee, role in (("ref~20", "lead"), ("ref~21", "member")):
        joined = {"team": "wmo", "employee": employee, "role": role, "occurred_on": "2026-01-06"}
        book.tell("team.member_joined", joined, ORGANISATION)
    for employee in ("ref~12", "ref~21"):
        left = {"employee": employee, "on": "2026-06-01", "occurred_on": "2026-05-01"}
        book.tell("employee.left", left, ORGANISATION)
    book.tell(
        "relation.tier_assigned",
        {"tier": "A", "arguments": [{"criterion": "c", "evidence": "e"}], "occurred_on": "2026-01-06"},
        HAAG,
    )
    book.tell("relation.tier_assigned", {"tier": "B", "arguments": [], "occurred_on": "2026-01-06"}, DELFT)
    for relation, line, channels in ((HAAG, "l-1", ["meeting"]), (HAAG, "l-2", ["phone"]), (DELFT, "l-1", None)):
        line_set: dict[str, Any] = {
            "line": line, "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
            "starts_on": "2026-01-01", "grace_working_days": 5, "owner": "ref~12", "occurred_on": "2026-01-06",
        }  # fmt: skip
        book.tell("schedule.line_set", line_set if channels is None else {**line_set, "channels": channels}, relation)
    book.held("c-1", "2026-02-03T10:00:00+01:00", visibility="named")
    book.held(
        "c-2",
        "2026-03-03T10:00:00+01:00",
        activity="presentation",
        ours=[{"layer": "board"}, {"layer": "professional"}],
        duration_min=30,
    )
    book.held("c-3", "2025-01-03T10:00:00+01:00", DELFT)
    book.tell("contact.retracted", {"contact": "c-2", "reason": "enc~", "occurred_at": "2026-03-04T09:00:00+01:00"})
    book.tell(
        "contact.planned",
        {
            "contact": "c-9",
            "starts_at": "2026-07-03T10:00:00+02:00",
            "ends_at": "2026-07-03T11:00:00+02:00",
            "channel": "phone",
            "ours": [{"layer": "board"}],
            "theirs": [{"layer": "board"}],
        },
    )
    for n in range(5):
        book.tell(
            "satisfaction.scored",
            {
                "response": f"r-{n}",
                "instrument": "nps-2026",
                "score": 9,
                "anonymous": True,
                "occurred_on": "2026-02-10",
            },
        )
    book.tell(
        "plan.question_answered", {"plan": "2026", "question": "4", "answer": "enc~", "occurred_on": "2026-01-10"}
    )
    book.tell(
        "knowledge.item_recorded",
        {"item": "market", "text": "enc~", "valid_until": "2026-12-31", "occurred_on": "2026-01-10"},
    )
    book.tell(
        "commitment.made",
        {"commitment": "k-1", "by": "us", "what": "enc~", "due_on": "2026-04-01", "occurred_on": "2026-01-10"},
    )
    book.tell(
        "counterpart.added",
        {
            "person": "ref~81",
            "name": "enc~",
            "function": "enc~",
            "layer": "board",
            "decision_role": "decides",
            "occurred_on": "2026-01-06",
        },
    )
    book.tell(
        "alert.raised",
        {
            "alert": "a-1",
            "rule": "contact_overdue",
            "line": "l-1",
            "level": 0,
            "due_on": "2026-05-04",
            "overdue_on": "2026-05-12",
            "occurred_on": "2026-05-12",
        },
    )
    return book


async def test_one_relation_reads_as_the_pure_function_says(engine: AsyncEngine) -> None:
    book = full_book()
    await record(engine, book.events)
    async with engine.connect() as conn:
        for relation in (HAAG, DELFT, UTRECHT):
            seen = await show(conn, relation, NOW, viewer=EVERYTHING)
            assert seen is not None
            assert seen == present(fold(PROJECTION, book.events), relation, NOW, position=len(book.events), hidden=0)
        assert await show(conn, "0b1f5b0e-7d0a-5c55-9a58-000000000000", NOW, viewer=EVERYTHING) is None
        assert await show(conn, ORGANISATION, NOW, viewer=EVERYTHING) is None
        seen = await show(conn, HAAG, NOW, viewer=EVERYTHING)
        assert seen is not None
        assert await schedule(conn, HAAG, NOW, viewer=EVERYTHING) == seen["schedule"]
        assert {line["owner"] for line in seen["schedule"]} == {"ref~20"}, "the owner left: the lead of the team"
        found = await matrix(conn, HAAG, NOW, viewer=EVERYTHING)
        assert found is not None
        assert [c["state"] for c in found["cells"]] == ["gap"]
        # The restricted contact counts.
        assert (seen["contacts_total"], seen["satisfaction"][0]["nps"]) == (1, 100.0)


async def test_a_teams_viewer_sees_its_relations_only(engine: AsyncEngine) -> None:
    await record(engine, full_book().events)
    async with engine.connect() as conn:
        assert await show(conn, HAAG, NOW, OURS) is not None
        for viewer, relation in ((OURS, DELFT), (NOBODY, HAAG)):
            assert await show(conn, relation, NOW, viewer) is None
            assert await matrix(conn, relation, NOW, viewer) is None
            assert await schedule(conn, relation, NOW, viewer) is None
        assert [i["id"] for i in (await list_relations(conn, now=NOW, viewer=OURS)).items] == [HAAG]
        assert (await list_relations(conn, now=NOW, viewer=NOBODY)).items == []
        assert [t["tier"] for t in await attention(conn, NOW, viewer=OURS)] == ["A"]
        assert await attention(conn, NOW, viewer=NOBODY) == []


async def test_relations_are_listed_by_name_with_the_same_figures(engine: AsyncEngine) -> None:
    await record(engine, full_book().events)
    async with engine.connect() as conn:
        page = await list_relations(conn, now=NOW, viewer=EVERYTHING)
        assert [i["name"] for i in page.items] == ["Gemeente Délft", "Gemeente Den Haag", "Provincie Utrecht"]
        assert page.next is None
        for item in page.items:
            seen = await show(conn, item["id"], NOW, viewer=EVERYTHING)
            assert seen is not None
            assert {k: seen[k] for k in item} == item


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"kind": "province"}, ["Provincie Utrecht"]),
        ({"tier": "A"}, ["Gemeente Den Haag"]),
        ({"team": "wmo"}, ["Gemeente Den Haag"]),
        ({"team": "other"}, []),
        ({"q": "DELFT"}, ["Gemeente Délft"]),
        ({"q": "gemeente", "tier": "B"}, ["Gemeente Délft"]),
        ({"q": "%"}, []),
        ({"kind": "none"}, []),
    ],
)
async def test_lists_are_filtered(engine: AsyncEngine, wanted: dict[str, str], names: list[str]) -> None:
    await record(engine, full_book().events)
    async with engine.connect() as conn:
        page = await list_relations(conn, now=NOW, viewer=EVERYTHING, **wanted)  # pyright: ignore[reportArgumentType]
    assert [i["name"] for i in page.items] == names


async def test_pages_follow_each_other_and_a_bad_cursor_is_named(engine: AsyncEngine) -> None:
    book = Book()
    for n in range(7):
        # Two relations of the same name: the id decides.
        book.register(f"0b1f5b0e-7d0a-5c55-9a58-00000000000{n}", f"Gemeente {n // 2}")
    await record(engine, book.events)
    async with engine.connect() as conn:
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = await list_relations(conn, now=NOW, limit=3, cursor=cursor, viewer=EVERYTHING)
            seen += [i["id"] for i in page.items]
            cursor = page.next
            if cursor is None:
                break
        assert seen == sorted(seen)
        assert len(seen) == 7
        for bad in ("x", "", "a" * 3000, "WyJnYXBzIiwiYSIsImIiXQ", "é"):
            with pytest.raises(Invalid) as caught:
                await list_relations(conn, now=NOW, cursor=bad, viewer=EVERYTHING)
            assert [e.pointer for e in caught.value.errors] == ["/cursor"]
        for field, value in (("limit", 0), ("limit", 501), ("q", "x" * 101)):
            with pytest.raises(Invalid) as caught:
                await list_relations(conn, now=NOW, viewer=EVERYTHING, **{field: value})  # pyright: ignore[reportArgumentType]
            assert [e.pointer for e in caught.value.errors] == [f"/{field}"]


async def test_attention_goes_by_tier_kind_and_layer(engine: AsyncEngine) -> None:
    book = full_book()
    book.held(
        "c-4",
        "2026-04-03T10:00:00+02:00",
        activity="presentation",
        ours=[{"layer": "board"}, {"layer": "professional"}],
        duration_min=30,
    )
    await record(engine, book.events)
    async with engine.connect() as conn:
        tiers = await attention(conn, NOW, viewer=EVERYTHING)
    assert [(t["tier"], t["relations"], t["contacts"], t["minutes"]) for t in tiers] == [
        ("A", 1, 2, 90),
        ("B", 1, 0, 0),
        (None, 1, 0, 0),
    ]
    assert tiers[0]["by_kind"] == [
        {"kind": "conversation", "contacts": 1, "minutes": 60},
        {"kind": "presentation", "contacts": 1, "minutes": 30},
    ]
    assert tiers[0]["by_layer"] == [
        {"layer": "board", "contacts": 2, "minutes": 90},
        {"layer": "professional", "contacts": 1, "minutes": 30},
    ]
    assert {t["position"] for t in tiers} == {len(book.events)}
    async with engine.connect() as conn:
        only = await spent_on(conn, HAAG, NOW, EVERYTHING)
    assert only is not None
    # The only relation of its tier: the same, of one relation.
    assert {**only, "relations": 1} == {**tiers[0], "relation": HAAG, "relation_name": only["relation_name"]}


async def test_attention_is_narrowed_to_a_tier_a_team_and_a_kind_of_contact(engine: AsyncEngine) -> None:
    book = full_book()
    book.held("c-4", "2026-04-03T10:00:00+02:00", activity="presentation", duration_min=30)
    book.held("c-1", "2026-04-03T10:00:00+02:00", UTRECHT, duration_min=15)
    book.held("c-5", "2026-04-04T10:00:00+02:00", DELFT, duration_min=20)
    await record(engine, book.events)

    async def asked(viewer: Viewer = EVERYTHING, **wanted: Any) -> list[tuple[str | None, int, int, list[str]]]:
        async with engine.connect() as conn:
            found = await attention(conn, NOW, viewer=viewer, **wanted)
        return [(t["tier"], t["relations"], t["minutes"], [k["kind"] for k in t["by_kind"]]) for t in found]

    assert await asked(tier="A") == [("A", 1, 90, ["conversation", "presentation"])]
    assert await asked(tier="C") == []
    assert await asked(kind="presentation") == [("A", 1, 30, ["presentation"]), ("B", 1, 0, []), (None, 1, 0, [])]
    assert await asked(team="wmo") == await asked(viewer=OURS) == await asked(tier="A")
    assert await asked(team="wmo", tier="B") == await asked(viewer=OURS, tier="B") == []
    assert await asked(team="wmo", kind="conversation") == [("A", 1, 60, ["conversation"])]
