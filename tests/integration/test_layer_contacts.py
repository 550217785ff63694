"""Question 2 on PostgreSQL: lines of their own, lines that a policy asks for, merges, and who has a line now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import Invalid
from events.recorded import ORGANISATION
from projections import contact_alerts
from projections.layer_contacts import LayerState, layer_contacts
from projections.layer_select import lines
from projections.relation_queries import matrix
from projections.viewer import EVERYTHING, Viewer, of_team
from tests.given import DELFT, HAAG, Book
from tests.read_models import PROJECTIONS, record

NOW: Final = datetime(2026, 6, 30, 10, tzinfo=UTC)
OF_HAAG: Final = of_team("haag")
OF_DELFT: Final = of_team("delft")
_READ: Final = (*PROJECTIONS, contact_alerts.PROJECTION)


@pytest.fixture
def book() -> Book:
    """Den Haag has a line for meetings and one by telephone, Délft one for its professionals; both met in 2026."""
    book = Book()
    for relation, name, team in ((HAAG, "Gemeente Den Haag", "haag"), (DELFT, "Gemeente Délft", "delft")):
        book.tell("team.formed", {"team": team, "name": team, "occurred_on": "2025-01-01"}, ORGANISATION)
        book.register(relation, name)
        book.tell("team.relation_assigned", {"team": team, "occurred_on": "2026-01-06"}, relation)
    _tier(book, "A", HAAG)
    _tier(book, "B", DELFT)
    book.tell("schedule.line_set", _line("l-1", channels=["meeting"]), HAAG)
    book.tell("schedule.line_set", _line("l-2", channels=["phone"]), HAAG)
    book.tell("schedule.line_set", _line("l-1", "professional", "professional"), DELFT)
    book.held("c-1", "2026-02-03T10:00:00+01:00", HAAG)
    book.held("c-1", "2025-03-03T10:00:00+01:00", DELFT, **_professionals())
    return book


def _tier(book: Book, tier: str, relation: str) -> None:
    argument = {"criterion": "share", "evidence": "18 %"}
    book.tell("relation.tier_assigned", {"tier": tier, "arguments": [argument], "occurred_on": "2026-01-06"}, relation)


def _line(line: str, our: str = "board", their: str = "board", **more: Any) -> dict[str, Any]:
    return {
        "line": line, "our_layer": our, "their_layer": their, "cadence": {"mode": "rolling", "every": "P3M"},
        "starts_on": "2025-01-01", "grace_working_days": 5, "owner": "ref~1", "occurred_on": "2025-01-01", **more,
    }  # fmt: skip


def _professionals() -> dict[str, Any]:
    return {"ours": [{"layer": "professional"}], "theirs": [{"layer": "professional"}]}


def _policy(book: Book, tier: str = "A", **more: Any) -> int:
    """Asks for contact of the professionals; its position."""
    line = {
        "our_layer": "professional", "their_layer": "professional", "cadence": {"mode": "rolling", "every": "P6M"},
        "grace_working_days": 5,
    }  # fmt: skip
    policy = {
        "tier": tier, "policy_version": 1, "lines": [line], "effective_on": "2026-02-01", "occurred_on": "2026-02-01",
        **more,
    }  # fmt: skip
    return book.tell("schedule.policy_set", policy, ORGANISATION).position


def _left(book: Book, employee: str) -> None:
    left = {"employee": employee, "on": "2026-06-01", "occurred_on": "2026-05-01"}
    book.tell("employee.left", left, ORGANISATION)


async def asked(
    engine: AsyncEngine,
    book: Book,
    now: datetime = NOW,
    viewer: Viewer = EVERYTHING,
    state: LayerState = "open",
    **wanted: Any,
) -> list[dict[str, Any]]:
    await record(engine, book.events, _READ)
    async with engine.connect() as conn:
        return (await layer_contacts(conn, now, viewer=viewer, state=state, **wanted)).items


def _named(items: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(g["relation_name"], g["line"], g["last_on"]) for g in items]


async def test_gaps_are_lines_without_a_contact_that_qualifies_in_a_year(engine: AsyncEngine, book: Book) -> None:
    found = await asked(engine, book)
    assert _named(found) == [("Gemeente Délft", "l-1", "2025-03-03"), ("Gemeente Den Haag", "l-2", None)]
    (line_set,) = [e for e in book.events if e.relation == DELFT and e.kind == "schedule.line_set"]
    assert found[0] == {
        "relation": DELFT, "relation_name": "Gemeente Délft", "kind": "municipality", "tier": "B", "line": "l-1",
        "our_layer": "professional", "their_layer": "professional", "cadence": {"mode": "rolling", "every": "P3M"},
        "starts_on": "2025-01-01", "state": "gap", "vacant_on": None, "last_on": "2025-03-03", "owner": "ref~1",
        "their_person": None, "contacts_12m": 0, "evidence": [line_set.position, book.events[-1].position],
    }  # fmt: skip
    narrowed: list[dict[str, Any]] = [{"tier": "A"}, {"team": "haag"}, {"viewer": OF_HAAG}]
    for wanted in narrowed:
        assert [g["line"] for g in await asked(engine, book, **wanted)] == ["l-2"]
    assert await asked(engine, book, viewer=Viewer(name="nobody")) == []
    book.tell("schedule.line_paused", {"line": "l-2", "until": "2026-07-01", "occurred_on": "2026-03-01"}, HAAG)
    book.tell("schedule.line_ended", {"line": "l-1", "occurred_on": "2026-03-01"}, DELFT)
    assert await asked(engine, book) == []
    assert len(await asked(engine, book, datetime(2026, 7, 1, 10, tzinfo=UTC))) == 1


async def test_a_line_that_the_policy_of_a_tier_asks_for_is_a_gap_too(engine: AsyncEngine, book: Book) -> None:
    position = _policy(book)
    book.tell("relation.owner_assigned", {"employee": "ref~7", "occurred_on": "2026-01-06"}, HAAG)
    policy = "policy:A:professional:professional:2026-02-01"
    found = await asked(engine, book, tier="A")
    assert _named(found) == [("Gemeente Den Haag", "l-2", None), ("Gemeente Den Haag", policy, None)]
    assert found[1] == {
        "relation": HAAG, "relation_name": "Gemeente Den Haag", "kind": "municipality", "tier": "A", "line": policy,
        "our_layer": "professional", "their_layer": "professional", "cadence": {"mode": "rolling", "every": "P6M"},
        "starts_on": "2026-02-01", "state": "gap", "vacant_on": None, "last_on": None, "owner": "ref~7",
        "their_person": None, "contacts_12m": 0, "evidence": [position],
    }  # fmt: skip
    async with engine.connect() as conn:
        grid = await matrix(conn, HAAG, NOW, viewer=EVERYTHING)
    assert grid is not None
    assert [[one["line"] for one in cell["required"]] for cell in grid["gaps"]] == [["l-1", "l-2"], [policy]]
    book.held("c-2", "2026-03-10T10:00:00+01:00", HAAG, **_professionals())
    assert [g["line"] for g in await asked(engine, book, tier="A")] == ["l-2"]
    assert [g["last_on"] for g in await asked(engine, book, datetime(2027, 3, 10, tzinfo=UTC), tier="A")] == [
        "2026-02-03", None, "2026-03-10",
    ]  # fmt: skip


def _named_line(book: Book, relation: str, person: str, **more: Any) -> int:
    """A line for managers that names a person, who is there since January; its position."""
    known = {"person": person, "layer": "senior_management", "occurred_on": "2026-01-06"}
    book.tell("counterpart.added", known, relation)
    line = _line("l-3", "senior_management", "senior_management", their_person=person, **more)
    return book.tell("schedule.line_set", line, relation).position


def _departed(book: Book, relation: str, person: str, on: str = "2026-05-01") -> int:
    return book.tell("counterpart.departed", {"person": person, "occurred_on": on}, relation).position


_MANAGERS: Final[dict[str, Any]] = {
    "ours": [{"layer": "senior_management"}],
    "theirs": [{"layer": "senior_management"}],
}


async def test_a_vacant_line_is_in_the_answer_whenever_the_last_contact_was(engine: AsyncEngine, book: Book) -> None:
    line_set = _named_line(book, HAAG, "ref~81")
    held = book.held("c-2", "2026-04-10T10:00:00+02:00", HAAG, **_MANAGERS).position
    assert [g["line"] for g in await asked(engine, book, tier="A")] == ["l-2"]
    departed = _departed(book, HAAG, "ref~81")
    (silent, vacant) = await asked(engine, book, tier="A")
    assert (silent["line"], silent["state"], silent["vacant_on"]) == ("l-2", "gap", None)
    assert vacant == {
        "relation": HAAG, "relation_name": "Gemeente Den Haag", "kind": "municipality", "tier": "A", "line": "l-3",
        "our_layer": "senior_management", "their_layer": "senior_management",
        "cadence": {"mode": "rolling", "every": "P3M"}, "starts_on": "2025-01-01", "state": "vacant",
        "vacant_on": "2026-05-01", "last_on": "2026-04-10", "owner": "ref~1", "their_person": "ref~81",
        "contacts_12m": 1, "evidence": [line_set, held, departed],
    }  # fmt: skip
    before = datetime(2026, 4, 30, 10, tzinfo=UTC)
    assert [g["line"] for g in await asked(engine, book, before, tier="A")] == ["l-2"], "the person was there still"
    unmet = await asked(engine, book, datetime(2027, 4, 30, 10, tzinfo=UTC), tier="A")
    assert [(g["line"], g["state"]) for g in unmet] == [("l-1", "gap"), ("l-2", "gap"), ("l-3", "vacant")]


async def test_vacant_lines_are_found_by_their_own_index(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events, _READ)
    vacant = lines(1, "vacant").query.params(today=NOW.date(), since=NOW.date())
    asked = vacant.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    async with engine.begin() as conn:
        await conn.exec_driver_sql("SET LOCAL enable_seqscan = off")  # the whole table is one page here
        plan = [str(row[0]) for row in await conn.exec_driver_sql(f"EXPLAIN {asked}")]
    assert any("line_vacant_on" in step for step in plan), plan


async def test_a_vacant_line_is_left_out_while_it_asks_for_nothing_or_names_another(
    engine: AsyncEngine, book: Book
) -> None:
    _named_line(book, HAAG, "ref~81")
    book.held("c-2", "2026-04-10T10:00:00+02:00", HAAG, **_MANAGERS)
    _departed(book, HAAG, "ref~81")
    book.tell("schedule.line_paused", {"line": "l-3", "until": "2026-07-01", "occurred_on": "2026-05-02"}, HAAG)
    assert [g["line"] for g in await asked(engine, book, tier="A")] == ["l-2"]
    after = datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert [g["line"] for g in await asked(engine, book, after, tier="A")] == ["l-2", "l-3"]
    _named_line(book, HAAG, "ref~82", occurred_on="2026-05-20")
    assert [g["line"] for g in await asked(engine, book, after, tier="A")] == ["l-2"]
    moved = {"person": "ref~82", "layer": "board", "occurred_on": "2026-06-01"}
    position = book.tell("counterpart.moved", moved, HAAG).position
    found = await asked(engine, book, after, tier="A")
    assert [(g["line"], g["state"], g["evidence"][2:]) for g in found] == [
        ("l-2", "gap", []), ("l-3", "vacant", [position]),
    ]  # fmt: skip
    book.tell("schedule.line_ended", {"line": "l-3", "occurred_on": "2026-06-02"}, HAAG)
    assert [g["line"] for g in await asked(engine, book, after, tier="A")] == ["l-2"]


async def test_who_has_contact_with_whom_asked_for_or_not(engine: AsyncEngine, book: Book) -> None:
    by_phone = book.held("c-2", "2026-05-04T10:00:00+02:00", HAAG, channel="video", **_MANAGERS).position
    found = await asked(engine, book, state="all")
    assert [(g["relation"], g["our_layer"], g["line"], g["state"], g["contacts_12m"]) for g in found] == [
        (DELFT, "professional", "l-1", "gap", 0), (HAAG, "senior_management", None, "extra", 1),
        (HAAG, "board", "l-1", "covered", 1), (HAAG, "board", "l-2", "gap", 0),
    ]  # fmt: skip
    assert found[1] == {
        "relation": HAAG, "relation_name": "Gemeente Den Haag", "kind": "municipality", "tier": "A", "line": None,
        "our_layer": "senior_management", "their_layer": "senior_management", "their_person": None, "cadence": None,
        "starts_on": None, "state": "extra", "vacant_on": None, "last_on": "2026-05-04", "contacts_12m": 1,
        "owner": None, "evidence": [by_phone],
    }  # fmt: skip
    # Of two channels on one layer each line counts its own.
    assert (found[2]["last_on"], found[3]["last_on"]) == ("2026-02-03", None)
    states: tuple[LayerState, ...] = ("covered", "extra", "gap", "vacant")
    for state in states:
        assert await asked(engine, book, state=state) == [g for g in found if g["state"] == state]
    assert await asked(engine, book, state="all", viewer=OF_DELFT) == found[:1]
    assert await asked(engine, book, state="extra", team="haag", tier="A") == found[1:2]
    for relation, its in ((DELFT, found[:1]), (HAAG, found[1:])):
        assert await asked(engine, book, state="all", relation=relation) == its
    assert await asked(engine, book, state="all", relation=HAAG, viewer=OF_DELFT) == []
    assert await asked(engine, book, state="all", viewer=Viewer(name="nobody")) == []
    book.tell("contact.retracted", {"contact": "c-2", "reason": "other", "occurred_on": "2026-06-01"}, HAAG)
    assert await asked(engine, book, state="extra") == []


async def test_contact_of_an_absorbed_relation_is_the_survivors(engine: AsyncEngine, book: Book) -> None:
    for n, relation in enumerate((HAAG, DELFT)):
        book.held(f"c-{n + 7}", f"2026-05-0{n + 4}T10:00:00+02:00", relation, **_MANAGERS)
    merged = {"survivor": HAAG, "absorbed": DELFT, "occurred_on": "2026-05-10"}
    book.tell("relation.merged", merged, HAAG, absorbed=DELFT)
    (extra,) = await asked(engine, book, state="extra")
    assert await asked(engine, book, state="extra", relation=DELFT) == [extra]
    assert (extra["relation"], extra["contacts_12m"], extra["last_on"]) == (HAAG, 2, "2026-05-05")


async def test_it_agrees_with_the_matrix_of_each_relation(engine: AsyncEngine, book: Book) -> None:
    """Met or not, asked for or not, the person there, gone, gone later, or gone from a line that is paused or ended."""
    _policy(book)
    relations = [HAAG, DELFT]
    for n in range(12):
        relation = f"01890000-0000-7000-8000-{n:012d}"
        relations.append(relation)
        book.register(relation, f"Gemeente {n:02d}")
        _tier(book, "AB"[n % 2], relation)
        _named_line(book, relation, f"ref~{n}")
        if n % 4 < 2:
            book.held(f"c-{n}", "2026-04-10T10:00:00+02:00", relation, **_MANAGERS)
        if n % 3:
            _departed(book, relation, f"ref~{n}", ("", "2026-05-01", "2026-07-01")[n % 3])
        if n % 5:
            ours, theirs = [{"layer": "board"}, {"layer": "professional"}], [{"layer": "board"}]
            book.held(f"d-{n}", f"202{5 + n % 2}-06-{n + 10}T10:00:00+02:00", relation, ours=ours, theirs=theirs)
    book.tell("schedule.line_paused", {"line": "l-3", "occurred_on": "2026-06-01"}, relations[3])
    book.tell("schedule.line_ended", {"line": "l-3", "occurred_on": "2026-06-01"}, relations[6])
    for now in (NOW, datetime(2026, 7, 2, 10, tzinfo=UTC), datetime(2027, 7, 2, 10, tzinfo=UTC)):
        found = await asked(engine, book, now, state="all", limit=500)
        answered: dict[tuple[str, str, str], set[str]] = {}
        for one in found:
            answered.setdefault((one["relation"], one["our_layer"], one["their_layer"]), set()).add(one["state"])
        in_matrix: dict[tuple[str, str, str], str] = {}
        vacant: set[tuple[str, str]] = set()
        async with engine.connect() as conn:
            for relation in relations:
                grid = await matrix(conn, relation, now, viewer=EVERYTHING)
                assert grid is not None
                for cell in grid["cells"]:
                    in_matrix[relation, cell["our_layer"], cell["their_layer"]] = cell["state"]
                    vacant |= {(relation, one["line"]) for one in cell["required"] if one["state"] == "vacant"}
        assert answered.keys() == in_matrix.keys()
        for layers, states in answered.items():
            seen = "gap" if states & {"gap", "vacant"} else "extra" if states == {"extra"} else "covered"
            assert seen == in_matrix[layers].replace("late", "covered")
        assert vacant
        assert {(g["relation"], g["line"]) for g in found if g["state"] == "vacant"} == vacant
        assert await asked(engine, book, now) == [g for g in found if g["state"] in {"gap", "vacant"}]
        paged: list[dict[str, Any]] = []
        cursor: str | None = None
        async with engine.connect() as conn:
            while cursor is not None or not paged:
                page = await layer_contacts(conn, now, limit=2, cursor=cursor, viewer=EVERYTHING)
                paged, cursor = [*paged, *page.items], page.next
        assert paged == found


async def test_a_line_of_its_own_stands_instead_of_the_policys(engine: AsyncEngine, book: Book) -> None:
    _policy(book, "B")
    assert [g["line"] for g in await asked(engine, book, tier="B")] == ["l-1"]


async def test_the_owner_is_who_has_the_line_now(engine: AsyncEngine, book: Book) -> None:
    _policy(book)
    _left(book, "ref~1")
    assert {g["owner"] for g in await asked(engine, book)} == {None}, "the owner left, and there is nobody else"
    joined = {"team": "haag", "employee": "ref~20", "role": "lead", "occurred_on": "2026-01-06"}
    book.tell("team.member_joined", joined, ORGANISATION)
    assert {g["owner"] for g in await asked(engine, book, tier="A")} == {"ref~20"}
    book.tell("relation.owner_assigned", {"employee": "ref~7", "occurred_on": "2026-01-06"}, HAAG)
    assert {g["owner"] for g in await asked(engine, book, tier="A")} == {"ref~7"}
    before = datetime(2026, 5, 31, 10, tzinfo=UTC)
    assert {g["line"]: g["owner"] for g in await asked(engine, book, before, tier="A")}["l-2"] == "ref~1"


async def test_contacts_that_are_taken_back_or_lie_ahead_do_not_count(engine: AsyncEngine, book: Book) -> None:
    book.held("c-9", "2026-09-01T10:00:00+02:00", HAAG)
    assert [g["line"] for g in await asked(engine, book, tier="A")] == ["l-2"], "the one before it still counts"
    book.tell("contact.retracted", {"contact": "c-1", "reason": "other", "occurred_on": "2026-06-01"}, HAAG)
    found = await asked(engine, book, tier="A")
    assert [(g["line"], g["last_on"]) for g in found] == [("l-1", None), ("l-2", None)]


async def test_a_gap_of_an_absorbed_relation_is_the_survivors(engine: AsyncEngine, book: Book) -> None:
    _policy(book)
    merged = {"survivor": HAAG, "absorbed": DELFT, "occurred_on": "2026-04-01"}
    book.tell("relation.merged", merged, HAAG, absorbed=DELFT)
    book.held("c-2", "2026-03-10T10:00:00+01:00", DELFT, channel="phone")
    # Délft has a line for the professionals, so the policy of the survivor's tier asks for none; its call counts.
    for viewer in (EVERYTHING, OF_HAAG, OF_DELFT):
        found = await asked(engine, book, viewer=viewer)
        assert [(g["relation"], g["tier"], *n) for g, n in zip(found, _named(found), strict=True)] == [
            (HAAG, "A", "Gemeente Den Haag", "l-1", "2025-03-03")
        ]
    assert await asked(engine, book, viewer=of_team("jeugd")) == []
    # A contact ahead of the day that is asked for: those before it are looked up, of both.
    book.held("c-3", "2026-09-01T10:00:00+02:00", HAAG, channel="phone")
    assert _named(await asked(engine, book)) == _named(found)
    later = datetime(2027, 3, 20, 10, tzinfo=UTC)
    assert _named(await asked(engine, book, later)) == [
        ("Gemeente Den Haag", "l-1", "2026-02-03"), ("Gemeente Den Haag", "l-1", "2025-03-03"),
    ]  # fmt: skip


async def test_pages_follow_each_other_also_where_two_lines_have_one_id(engine: AsyncEngine, book: Book) -> None:
    _policy(book)
    merged = {"survivor": HAAG, "absorbed": DELFT, "occurred_on": "2026-04-01"}
    book.tell("relation.merged", merged, HAAG, absorbed=DELFT)
    later = datetime(2028, 1, 1, 10, tzinfo=UTC)
    everything = await asked(engine, book, later)
    assert [g["line"] for g in everything] == ["l-1", "l-1", "l-2"]
    seen: list[dict[str, Any]] = []
    cursor: str | None = None
    async with engine.connect() as conn:
        for _ in everything:
            page = await layer_contacts(conn, later, state="open", limit=1, cursor=cursor, viewer=EVERYTHING)
            seen += page.items
            cursor = page.next
        assert (seen, cursor) == (everything, None)
        for wanted, pointer in (({"cursor": "WyJnYXBzIiwiYSIsImIiXQ"}, "/cursor"), ({"limit": 501}, "/limit")):
            with pytest.raises(Invalid) as caught:
                await layer_contacts(conn, later, viewer=EVERYTHING, **wanted)  # pyright: ignore[reportArgumentType]
            assert [e.pointer for e in caught.value.errors] == [pointer]
