"""Reading merged relations: lists, views, timelines, questions, history; and undone, each by itself again."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import NotFound
from events.recorded import ORGANISATION
from projections.difference import difference
from projections.history import history_of, relation_as_of, relation_states
from projections.past import Bounds
from projections.relation_queries import attention, list_relations, matrix, schedule, show
from projections.timeline_queries import after_position, relation_page, team_page
from projections.viewer import EVERYTHING, of_team
from tests.given import DELFT, HAAG, Book
from tests.read_models import record

NOW = datetime(2026, 6, 30, 10, tzinfo=UTC)
OF_HAAG = of_team("haag")
OF_DELFT = of_team("delft")
OTHERS = of_team("jeugd")


def _line(line: str, our: str, their: str) -> dict[str, Any]:
    return {
        "line": line, "our_layer": our, "their_layer": their, "cadence": {"mode": "rolling", "every": "P3M"},
        "starts_on": "2025-01-01", "grace_working_days": 5, "owner": "ref~1", "occurred_on": "2025-01-01",
    }  # fmt: skip


def _merge(kind: str = "merged", on: str = "2026-04-01") -> dict[str, Any]:
    return {"survivor": HAAG, "absorbed": DELFT, "occurred_on": on}


@pytest.fixture
def book() -> Book:
    """Delft is absorbed by Den Haag on 1 April; a contact of March with Delft comes late, after the merge."""
    book = Book()
    for team in ("haag", "delft", "jeugd"):
        book.tell("team.formed", {"team": team, "name": team, "occurred_on": "2025-01-01"}, ORGANISATION)
    for relation, name, code, team in (
        (HAAG, "Gemeente Den Haag", "0518", "haag"), (DELFT, "Gemeente Delft", "0503", "delft"),
    ):  # fmt: skip
        book.register(relation, name, identifiers=[{"scheme": "gemeentecode", "value": code}])
        book.tell("team.relation_assigned", {"team": team, "occurred_on": "2026-01-06"}, relation)
        tier = {"tier": "A", "arguments": [{"criterion": "share", "evidence": "18 %"}], "occurred_on": "2026-01-06"}
        book.tell("relation.tier_assigned", tier, relation)
    book.held("c-1", "2026-02-03T10:00:00+01:00", HAAG)
    book.held("c-1", "2026-02-10T10:00:00+01:00", DELFT, duration_min=30)
    book.tell("schedule.line_set", _line("l-1", "board", "board"), HAAG)
    book.tell("schedule.line_set", _line("l-2", "professional", "professional"), DELFT)
    objectives = {"item": "objectives", "text": "enc~1", "valid_until": "2027-01-01", "occurred_on": "2026-01-10"}
    book.tell("knowledge.item_recorded", objectives, DELFT)
    promise = {"commitment": "k-1", "by": "us", "what": "enc~2", "due_on": "2026-08-01", "occurred_on": "2026-01-10"}
    book.tell("commitment.made", promise, DELFT)
    book.tell("relation.merged", _merge(), HAAG, absorbed=DELFT)
    late: dict[str, Any] = {"ours": [{"layer": "professional"}], "theirs": [{"layer": "professional"}]}
    book.held("c-2", "2026-03-10T10:00:00+01:00", DELFT, **late)
    return book


async def test_the_survivor_shows_what_all_its_members_have(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events)
    async with engine.connect() as conn:
        seen = await show(conn, HAAG, NOW, viewer=EVERYTHING)
        assert await show(conn, DELFT, NOW, viewer=EVERYTHING) == seen, (
            "asking for an absorbed relation answers with its survivor"
        )
        assert seen is not None
        assert (seen["id"], seen["name"], seen["absorbed"]) == (HAAG, "Gemeente Den Haag", [DELFT])
        assert [i["value"] for i in seen["identifiers"]] == ["0503", "0518"]
        assert (seen["contacts_total"], seen["contacts_12m"], seen["minutes_12m"]) == (3, 3, 150)
        assert [(x["line"], x["last_contact_on"]) for x in seen["schedule"]] == [
            ("l-1", "2026-02-10"), ("l-2", "2026-03-10"),
        ]  # fmt: skip
        assert seen["teams"] == ["delft", "haag"]
        assert [c["commitment"] for c in seen["commitments"]] == ["k-1"]
        assert next(i for i in seen["knowledge"]["items"] if i["item"] == "objectives")["text"] == "enc~1"
        grid = await matrix(conn, DELFT, NOW, viewer=EVERYTHING)
        assert grid is not None
        assert [(c["our_layer"], c["contacts_12m"]) for c in grid["cells"]] == [("board", 2), ("professional", 1)]


async def test_lines_for_the_same_layers_show_a_conflict_until_one_has_ended(engine: AsyncEngine, book: Book) -> None:
    book.tell("schedule.line_set", _line("oud-1", "board", "board"), DELFT)
    await record(engine, book.events)
    async with engine.connect() as conn:
        for relation in (HAAG, DELFT):
            found = await schedule(conn, relation, NOW, viewer=EVERYTHING)
            assert found is not None
            assert {x["line"]: x["conflict"] for x in found} == {"l-1": False, "l-2": False, "oud-1": True}
    book.tell("schedule.line_ended", {"line": "l-1", "occurred_on": "2026-06-01"}, HAAG)
    await record(engine, book.events)
    async with engine.connect() as conn:
        found = await schedule(conn, HAAG, NOW, viewer=EVERYTHING)
        assert found is not None
        assert {x["line"]: x["conflict"] for x in found} == {"l-1": False, "l-2": False, "oud-1": False}


async def test_an_absorbed_relation_stands_in_no_list(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events)
    async with engine.connect() as conn:
        for viewer, team in ((EVERYTHING, None), (EVERYTHING, "delft"), (OF_HAAG, None), (OF_DELFT, None)):
            (item,) = (await list_relations(conn, now=NOW, viewer=viewer, team=team)).items
            assert (item["id"], item["contacts_total"], item["contacts_12m"]) == (HAAG, 3, 3)
            assert item["teams"] == ["delft", "haag"]
            assert item["last_contact_at"] == "2026-03-10T10:00:00+01:00"
            assert len(item["identifiers"]) == 2
        assert (await list_relations(conn, now=NOW, viewer=OTHERS)).items == []
        (tier,) = await attention(conn, NOW, viewer=EVERYTHING)
        assert (tier["tier"], tier["relations"], tier["contacts"], tier["minutes"]) == ("A", 1, 3, 150)


async def test_timelines_are_united_and_every_entry_keeps_its_own_relation(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events)
    positions = sorted(e.position for e in book.events if e.relation != ORGANISATION)
    async with engine.connect() as conn:
        for relation in (HAAG, DELFT):
            page = await relation_page(conn, relation, EVERYTHING)
            assert sorted(e["position"] for e in page.items) == positions
        assert {(e["relation"], e.get("survivor")) for e in page.items} == {(HAAG, None), (DELFT, HAAG)}
        assert page.items[0]["type"] == "nl.relatieboek.relation.merged.v1"
        for team in ("haag", "delft"):
            viewer = of_team(team)
            assert (await team_page(conn, team, viewer)).items == page.items
            newer = [e["position"] for e in await after_position(conn, team, viewer, 15)]
            assert newer == [16, 17], "the merge, and a late fact of the absorbed relation"
            assert (await relation_page(conn, DELFT, viewer)).items == page.items
        assert (await team_page(conn, "jeugd", OTHERS)).items == []
        with pytest.raises(NotFound):
            await relation_page(conn, DELFT, OTHERS)


async def test_before_the_merge_each_was_by_itself(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events)
    async with engine.connect() as conn:
        old = await relation_as_of(conn, DELFT, date(2026, 3, 31), viewer=EVERYTHING)
        assert old is not None
        assert (old["id"], old["name"], old["absorbed"], old["contacts_total"]) == (DELFT, "Gemeente Delft", [], 2)
        known = await relation_as_of(conn, DELFT, date(2026, 3, 31), len(book.events) - 1, viewer=EVERYTHING)
        assert known is not None
        assert known["contacts_total"] == 1, "the late contact was not known then"
        union = await relation_as_of(conn, DELFT, date(2026, 4, 1), viewer=EVERYTHING)
        assert union is not None
        assert (union["id"], union["absorbed"], union["contacts_total"]) == (HAAG, [DELFT], 3)
        assert await relation_as_of(conn, HAAG, date(2026, 4, 1), viewer=EVERYTHING) == union
        unaware = await relation_as_of(conn, DELFT, None, len(book.events) - 2, viewer=EVERYTHING)
        assert unaware is not None
        assert unaware["id"] == DELFT, "the book did not know of the merge yet"
        for relation in (HAAG, DELFT):
            survivor, entries = await history_of(conn, relation, viewer=EVERYTHING)
            assert survivor == HAAG
            assert {e["relation"] for e in entries} == {HAAG, DELFT}
            assert [e["position"] for e in entries] == sorted(e["position"] for e in entries)
        survivor, entries = await history_of(conn, DELFT, date(2026, 3, 31), viewer=OF_HAAG)
        assert survivor == DELFT
        assert {e["relation"] for e in entries} == {DELFT}
        with pytest.raises(NotFound):
            await history_of(conn, DELFT, viewer=OTHERS)


async def test_now_read_from_the_ledger_is_what_the_read_model_says(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events)
    async with engine.connect() as conn:
        seen = await show(conn, HAAG, NOW, viewer=EVERYTHING)
        folded = await relation_as_of(conn, HAAG, NOW, viewer=EVERYTHING)
    assert seen is not None
    assert folded is not None
    assert {**folded, "position": 0} == {**seen, "position": 0}


async def test_an_unmerge_restores_both(engine: AsyncEngine, book: Book) -> None:
    before_merge = Book(book.events[: len(book.events) - 2])
    before_merge.events.append(book.events[-1])
    book.tell("relation.unmerged", _merge(on="2026-05-01"), HAAG, absorbed=DELFT)
    await record(engine, book.events)
    async with engine.connect() as conn:
        haag, delft = await show(conn, HAAG, NOW, viewer=EVERYTHING), await show(conn, DELFT, NOW, viewer=EVERYTHING)
        assert haag is not None
        assert delft is not None
        assert (haag["id"], haag["contacts_total"], haag["absorbed"]) == (HAAG, 1, [])
        assert (delft["id"], delft["contacts_total"], delft["absorbed"]) == (DELFT, 2, [])
        assert [i["id"] for i in (await list_relations(conn, now=NOW, viewer=EVERYTHING)).items] == [DELFT, HAAG]
        assert await show(conn, HAAG, NOW, OF_DELFT) is None
        assert {e["relation"] for e in (await relation_page(conn, DELFT, OF_DELFT)).items} == {DELFT}
        union = await relation_as_of(conn, HAAG, date(2026, 4, 30), viewer=EVERYTHING)
        assert union is not None
        assert union["contacts_total"] == 3
        # While they were one the team of Den Haag saw all; of what is not its own now it sees nothing any more.
        own = await relation_as_of(conn, HAAG, date(2026, 4, 30), viewer=OF_HAAG)
        assert own is not None
        assert own["contacts_total"] == 1


async def test_the_difference_names_the_fields(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events)
    async with engine.connect() as conn:
        looks = [Bounds(date(2026, 3, 31), 16), Bounds(date(2026, 4, 1))]
        before, after = await relation_states(conn, DELFT, looks, viewer=EVERYTHING)
    found = {d["pointer"]: (d["before"], d["after"]) for d in difference(before, after)}
    assert found["/id"] == (DELFT, HAAG)
    assert found["/contacts_total"] == (1, 3)
    assert found["/absorbed"] == ([], [DELFT])
    assert found["/schedule/l-2/last_contact_on"] == (None, "2026-03-10")
    assert found["/identifiers/gemeentecode,0518"][0] is None
    assert found["/contacts_by_channel/meeting"] == (1, 3)
    assert "/region" not in found
    assert difference(after, after) == []
