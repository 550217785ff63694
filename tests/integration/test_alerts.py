"""Contact alerts against the real ledger and PostgreSQL: the tick, what intake says to its events, and the queries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from events import ledger
from events.errors import Invalid
from projections.alert_explain import explain
from projections.alert_queries import list_alerts, show_alert
from projections.overdue_queries import overdue_lines
from projections.viewer import EVERYTHING, Viewer, of_team
from services.ticking.lease import Lease
from tests.alert_office import DELFT, HAAG, Json, Office
from tests.alert_trial import at


@pytest_asyncio.fixture(loop_scope="session")
async def office(engine: AsyncEngine) -> AsyncGenerator[Office]:
    """The Hague: every three months, last contact 3 February, overdue on 12 May. Noon of 4 February."""
    office = Office(engine)
    await office.clock("2026-02-04")
    await office.open_relation(HAAG, "Gemeente Den Haag", team="haaglanden")
    await office.line("l-1")
    await office.held("c-1", "2026-02-03")
    yield office
    await office.ledger.close()


async def test_a_tick_raises_once_and_tells_it_live(office: Office) -> None:
    assert await office.tick() == {}
    await office.clock("2026-05-12")

    assert await office.tick() == {("alert.raised", "accepted"): 1}
    assert await office.tick() == {}

    position = (await _head(office)).position
    assert office.announced == [
        {"position": position, "relation": HAAG, "type": "nl.relatieboek.alert.raised.v1"}
    ]  # fmt: skip


async def test_the_same_tick_after_a_crash_is_a_duplicate_and_not_told_again(office: Office) -> None:
    await office.clock("2026-05-12")
    await office.catch_up()
    async with office.engine.connect() as conn:
        await office.ticker.tick(conn)
    told = len(office.announced)
    # The event is in the book; the read model went back to where it was, as if the process had died in between.
    (again,) = await office._submit(office.sent[-1:])  # pyright: ignore[reportPrivateUsage]
    assert again["verdict"] == "duplicate"
    assert len(office.announced) == told


async def test_a_contact_between_evaluation_and_arrival_is_a_conflict(office: Office) -> None:
    await office.clock("2026-05-12")
    await office.catch_up()
    submit = office.ticker._submit  # pyright: ignore[reportPrivateUsage]

    async def late(events: Sequence[Json]) -> Sequence[Json]:
        await office.held("c-2", "2026-05-11")
        return await submit(events)

    office.ticker._submit = late  # pyright: ignore[reportPrivateUsage]
    assert await office.tick() == {("alert.raised", "rejected"): 1}
    office.ticker._submit = submit  # pyright: ignore[reportPrivateUsage]
    assert await office.tick() == {}
    assert office.announced == []


async def test_a_read_model_that_is_behind_misses_the_tick(office: Office) -> None:
    await office.clock("2026-05-12")
    await office.catch_up()
    await office.held("c-2", "2026-05-11")
    async with office.engine.connect() as conn:
        assert (await office.ticker.tick(conn)).missed
    assert office.sent == []


async def test_an_alert_over_its_life(office: Office) -> None:
    await office.clock("2026-05-14")
    await office.tick()
    async with office.engine.connect() as conn:
        (shown,) = (await list_alerts(conn, state="open", now=at("2026-05-18"), viewer=EVERYTHING)).items
        owner = await office.privacy.ref_of(conn, "employee", "e-12")
        assert await show_alert(conn, shown["id"], at("2026-05-18"), viewer=EVERYTHING) == shown
        assert (
            await show_alert(conn, "0b1f5b0e-7d0a-4c55-9a58-000000000000", at("2026-05-18"), viewer=EVERYTHING) is None
        )
    expected = {
        "rule": "contact_overdue", "rule_version": 1, "relation": HAAG, "relation_name": "Gemeente Den Haag",
        "line": "l-1", "state": "open", "due_on": "2026-05-04", "overdue_on": "2026-05-12", "working_days_overdue": 4,
        "owner": owner, "level": 0, "evidence": [5, 6], "resolved_at": None, "resolution": None, "tier": "A",
        "silent": False, "raised_at": "2026-05-14T10:00:00.000000Z",
    }  # fmt: skip
    assert {name: shown[name] for name in expected} == expected

    await office.held("c-2", "2026-05-14")
    assert await office.tick() == {("alert.resolved", "accepted"): 1}
    retracted = {"contact": "c-2", "reason": "dubbel", "occurred_at": "2026-05-14T11:00:00+02:00"}
    await office.tell("contact.retracted", retracted)
    assert await office.tick() == {("alert.reopened", "accepted"): 1}
    await office.held("c-3", "2026-05-11")
    assert await office.tick() == {("alert.resolved", "accepted"): 1}

    async with office.engine.connect() as conn:
        now = at("2026-06-01")
        assert (await list_alerts(conn, state="open", now=now, viewer=EVERYTHING)).items == []
        (shown,) = (await list_alerts(conn, state="resolved", now=now, viewer=EVERYTHING)).items
    assert (shown["resolution"], shown["working_days_overdue"]) == ("late_evidence", 0)


async def test_due_date_moved_takes_two_ticks(office: Office) -> None:
    await office.clock("2026-05-14")
    await office.tick()
    changes = {"occurred_at": "2026-01-09T10:00:00+01:00"}
    await office.tell(
        "contact.corrected",
        {"contact": "c-1", "changes": changes, "reason": "dag", "occurred_at": "2026-05-14T11:00:00+02:00"},
    )
    assert await office.tick() == {("alert.resolved", "accepted"): 1}
    assert await office.tick() == {("alert.raised", "accepted"): 1}
    async with office.engine.connect() as conn:
        items = (await list_alerts(conn, now=at("2026-05-15"), viewer=EVERYTHING)).items
    assert [(i["due_on"], i["state"], i["resolution"], i["silent"]) for i in items] == [
        ("2026-04-09", "open", None, True),
        ("2026-05-04", "resolved", "recomputed", False),
    ]


async def test_filters_pages_and_who_may_see_what(office: Office) -> None:
    await office.open_relation(DELFT, "Gemeente Delft", tier="B", team="delfland")
    await office.line("l-1", DELFT, owner="e-13")
    await office.line("l-2", DELFT, their_layer="professional")
    await office.clock("2026-05-14")
    await office.tick()
    now = at("2026-05-14")
    async with office.engine.connect() as conn:
        e13 = await office.privacy.ref_of(conn, "employee", "e-13")

        async def found(viewer: Viewer = EVERYTHING, **wanted: Any) -> list[tuple[str, str]]:
            items = (await list_alerts(conn, now=now, viewer=viewer, **wanted)).items
            return [(i["relation"], i["line"]) for i in items]

        assert sorted(await found()) == [(HAAG, "l-1"), (DELFT, "l-1"), (DELFT, "l-2")]
        assert await found(owner_ref=e13) == [(DELFT, "l-1")]
        assert await found(tier="A") == [(HAAG, "l-1")]
        assert await found(team="haaglanden") == [(HAAG, "l-1")]
        assert await found(team="haaglanden", viewer=of_team("delfland")) == []
        assert len(await found(viewer=of_team("delfland"))) == 2
        assert await found(viewer=Viewer("nobody")) == []
        assert await found(state="snoozed") == []
        with pytest.raises(Invalid, match="/state"):
            await found(state="closed")

        pages: list[str] = []
        cursor = None
        while True:
            page = await list_alerts(conn, now=now, limit=1, cursor=cursor, viewer=EVERYTHING)
            pages += [i["id"] for i in page.items]
            cursor = page.next
            if cursor is None:
                break
        assert pages == [i["id"] for i in (await list_alerts(conn, now=now, viewer=EVERYTHING)).items]


async def test_question_one(office: Office) -> None:
    await office.open_relation(DELFT, "Gemeente Delft", tier="B", team="delfland")
    await office.line("l-1", DELFT, cadence={"mode": "quota", "times": 1, "per": "quarter"})
    await office.line("l-2", DELFT, their_layer="professional")
    await office.clock("2026-05-18")
    await office.catch_up()
    now = at("2026-05-18")
    async with office.engine.connect() as conn:
        items = (await overdue_lines(conn, now, viewer=EVERYTHING)).items
        # Quota: the first quarter, from 1 April; rolling from 1 January: due 1 April, last_ok 9 April.
        assert [(i["relation"], i["line"], i["overdue_on"], i["working_days_overdue"]) for i in items] == [
            (DELFT, "l-1", "2026-04-01", 31),
            (DELFT, "l-2", "2026-04-10", 25),
            (HAAG, "l-1", "2026-05-12", 4),
        ]
        assert items[2]["evidence"] == [5, 6]
        assert [i["unowned"] for i in items] == [False] * 3

        first = await overdue_lines(conn, now, limit=2, viewer=EVERYTHING)
        rest = await overdue_lines(conn, now, limit=2, cursor=first.next, viewer=EVERYTHING)
        assert [*first.items, *rest.items] == items
        assert rest.next is None
        assert [i["line"] for i in (await overdue_lines(conn, now, tier="A", viewer=EVERYTHING)).items] == ["l-1"]
        assert (await overdue_lines(conn, now, viewer=of_team("haaglanden"))).items == items[2:]
        assert (await overdue_lines(conn, at("2026-03-31"), viewer=EVERYTHING)).items == []


async def test_a_paused_or_ended_line_is_not_in_question_one(office: Office) -> None:
    await office.clock("2026-05-14")
    await office.tell("schedule.line_paused", {"line": "l-1", "until": "2026-05-20", "occurred_on": "2026-05-13"})
    await office.catch_up()
    async with office.engine.connect() as conn:
        assert (await overdue_lines(conn, at("2026-05-14"), viewer=EVERYTHING)).items == []
        assert len((await overdue_lines(conn, at("2026-05-20"), viewer=EVERYTHING)).items) == 1


async def test_one_lease_at_a_time(engine: AsyncEngine) -> None:
    mine, other = Lease(engine, 1), Lease(engine, 1)
    assert await mine.take() is not None
    assert await mine.take() is not None
    assert await other.take() is None
    await mine.drop()
    async with asyncio.timeout(60):  # the server ends the session on its own time
        while await other.take() is None:
            await asyncio.sleep(0.01)
    await other.drop()


async def _head(office: Office) -> ledger.Head:
    async with office.engine.connect() as conn:
        return await ledger.head(conn)


async def test_an_alert_follows_a_merge_and_comes_back(office: Office) -> None:
    await office.open_relation(DELFT, "Gemeente Delft", tier="B", team="delfland")
    await office.line("l-9", DELFT, their_layer="professional")
    await office.clock("2026-05-14")
    await office.tick()
    both = {"survivor": HAAG, "absorbed": DELFT, "occurred_on": "2026-05-14"}
    await office.tell("relation.merged", both)
    assert await office.tick() == {("alert.resolved", "accepted"): 1}
    assert await office.tick() == {("alert.raised", "accepted"): 1}

    now = at("2026-05-14")
    async with office.engine.connect() as conn:
        items = (await list_alerts(conn, state="open", now=now, viewer=EVERYTHING)).items
        assert {(i["relation"], i["line"], i.get("recorded_under")) for i in items} == {
            (HAAG, "l-1", None), (HAAG, "l-9", None),
        }  # fmt: skip
        mine = (await list_alerts(conn, state="open", now=now, viewer=of_team("delfland"))).items
        assert len(mine) == 2
        for asked in (HAAG, DELFT):
            assert (await list_alerts(conn, state="open", relation=asked, now=now, viewer=EVERYTHING)).items == items
        moved = next(i for i in items if i["line"] == "l-9")
        assert await show_alert(conn, moved["id"], now, viewer=EVERYTHING) == moved
        old = (await list_alerts(conn, state="resolved", now=now, viewer=EVERYTHING)).items
        assert [(i["relation"], i["recorded_under"], i["resolution"]) for i in old] == [(HAAG, DELFT, "merged")]
        lines = (await overdue_lines(conn, now, viewer=EVERYTHING)).items
        assert [(i["relation"], i["line"], i.get("recorded_under")) for i in lines] == [
            (HAAG, "l-9", DELFT), (HAAG, "l-1", None),
        ]  # fmt: skip

    await office.tell("relation.unmerged", both)
    for transition in ("alert.resolved", "alert.reopened"):
        assert (transition, "accepted") in await office.tick()


async def test_a_policy_raises_for_relations_without_a_line_of_their_own(office: Office) -> None:
    asked = {
        "our_layer": "board", "their_layer": "professional", "cadence": {"mode": "rolling", "every": "P3M"},
        "grace_working_days": 5,
    }  # fmt: skip
    policy = {
        "tier": "A", "policy_version": 4, "lines": [asked], "effective_on": "2026-01-01", "occurred_on": "2026-01-01",
    }  # fmt: skip
    await office.tell("schedule.policy_set", policy, "organisation")
    owner = {"employee": "e-15", "occurred_on": "2026-02-01"}
    await office.tell("relation.owner_assigned", owner)
    await office.clock("2026-05-12")
    while await office.tick():
        pass
    async with office.engine.connect() as conn:
        items = (await list_alerts(conn, state="open", now=at("2026-05-12"), viewer=EVERYTHING)).items
        e15 = await office.privacy.ref_of(conn, "employee", "e-15")
        found = {i["their_layer"]: (i["policy_version"], i["owner"], i["level"]) for i in items}
        assert found["professional"] == (4, e15, 2)
        assert found["board"][0] == 4

    left = {"employee": "e-15", "on": "2026-05-12", "occurred_on": "2026-05-12"}
    await office.tell("employee.left", left, "organisation")
    await office.catch_up()
    async with office.engine.connect() as conn:
        items = (await overdue_lines(conn, at("2026-05-12"), viewer=EVERYTHING)).items
        assert {i["their_layer"]: i["unowned"] for i in items} == {"professional": True, "board": False}
        for unowned in (True, False):
            narrowed = await overdue_lines(conn, at("2026-05-12"), unowned=unowned, viewer=EVERYTHING)
            assert narrowed.items == [i for i in items if i["unowned"] is unowned]


async def test_why_an_alert_exists_and_how_fresh_its_sources_are(office: Office) -> None:
    await office.clock("2026-05-18")
    await office.tick()
    now = at("2026-05-18")
    async with office.engine.connect() as conn:
        (shown,) = (await list_alerts(conn, state="open", now=now, viewer=EVERYTHING)).items
        why = await explain(conn, shown["id"], now, viewer=EVERYTHING)
        assert await explain(conn, shown["id"], now, Viewer("nobody")) is None
    assert shown["silent_sources"] == ["zorg"]
    assert why is not None
    assert why["rule"] == {"name": "contact_overdue", "version": 1, "policy_version": None}
    days = {name: why["computation"][name] for name in ("anchor_on", "due_on", "last_ok_on", "next_level_on")}
    assert days == {
        "anchor_on": "2026-02-03", "due_on": "2026-05-04", "last_ok_on": "2026-05-11", "next_level_on": "2026-05-19",
    }  # fmt: skip
    assert [e["type"].split(".")[3] for e in why["evidence"]] == ["line_set", "held"]
    # The last event came on 4 February, in all 69 whole working days until 15 May.
    assert [(s["department"], s["silent"], s["working_days_silent"]) for s in why["sources"]] == [("zorg", True, 69)]
    assert "Dat is nu 4 werkdagen te laat." in why["explanation"]
