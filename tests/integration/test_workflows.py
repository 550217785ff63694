"""Workflows against the real ledger and PostgreSQL: the tick, what intake says to its events, and the queries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
import pytest_asyncio
from sqlalchemy import delete, insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from events import ledger, tables
from events.append import Ledger
from events.privacy import Privacy
from projections.rows import fold
from projections.store import create_build, drop_build, last_switch, live, switch, versioned
from projections.tables import checkpoint
from projections.viewer import EVERYTHING, of_team
from projections.workflows.completeness import ITEMS
from projections.workflows.completeness_queries import incomplete_relations
from projections.workflows.loop_queries import find_loop, list_loops
from projections.workflows.projection import PROJECTION
from projections.workflows.terms_now import terms_now
from projections.workflows.thresholds import Terms, Thresholds
from projections.working_calendar import WorkingCalendar
from services.intake.arriving import arrive
from services.intake.departments import Department
from services.ticking.ticker import Ticker
from services.workflows.work import workflow_work
from tests.alert_trial import at
from tests.given import KEYS
from tests.workflow_trial import NPS

Json = Mapping[str, Any]
SOURCE = "urn:nld:oin:00000001234567890000:systeem:crm"
OWN = "urn:nld:oin:00000000000000000000:systeem:relatieboek-workflows"
ZORG = Department("zorg", frozenset({SOURCE}), ("*",))
SELF = Department("relatieboek", frozenset(), ())
HAAG, DELFT = "0b1f5b0e-7d0a-4c55-9a58-1f3a54f0a001", "0b1f5b0e-7d0a-4c55-9a58-1f3a54f0a002"
TERMS = Terms(Thresholds(), WorkingCalendar())


class Office:
    """A book with one department, and the read model as a runner that has caught up leaves it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.privacy = Privacy(bytes(range(32)), KEYS)
        self.ledger = Ledger(engine.url.render_as_string(hide_password=False), self.privacy)
        self._count = 0
        self.ticker = Ticker(
            PROJECTION, workflow_work(TERMS, survey_again_s=0), self.submit, self._announce, source=OWN
        )

    async def clock(self, to: str) -> None:
        async with self.engine.begin() as conn:
            await conn.execute(update(tables.head).values(clock_at=at(to)))

    async def tell(self, kind: str, data: Json, relation: str = HAAG, *, by: Department = ZORG) -> None:
        self._count += 1
        event = {
            "specversion": "1.0", "id": f"z-{self._count}", "source": SOURCE if by is ZORG else OWN,
            "type": f"nl.relatieboek.{kind}.v1", "subject": relation, "data": data,
        }  # fmt: skip
        (verdict,) = (await self.ledger.append([arrive(by, event)])).verdicts
        assert verdict.verdict == "accepted", verdict.as_json()

    async def relation(self, relation: str, name: str, tier: str, *, team: str | None = None) -> None:
        registered: dict[str, Any] = {
            "name": name, "kind": "municipality", "identifiers": [], "occurred_on": "2026-01-05",
        }  # fmt: skip
        await self.tell("relation.registered", registered, relation)
        arguments = [{"criterion": "revenue_share", "evidence": "18 %"}]
        assigned = {"tier": tier, "arguments": arguments, "occurred_on": "2026-01-06"}
        await self.tell("relation.tier_assigned", assigned, relation)
        if team is not None:
            formed = {"team": team, "name": team, "occurred_on": "2026-01-01"}
            await self.tell("team.formed", formed, "organisation")
            await self.tell("team.relation_assigned", {"team": team, "occurred_on": "2026-01-06"}, relation)

    async def line(self, relation: str = HAAG, line: str = "l-1") -> None:
        data: dict[str, Any] = {
            "line": line, "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
            "starts_on": "2026-01-01", "grace_working_days": 5, "owner": "e-12", "occurred_on": "2026-01-06",
        }  # fmt: skip
        await self.tell("schedule.line_set", data, relation)

    async def held(self, contact: str, on: str, relation: str = HAAG) -> None:
        side = [{"layer": "board"}]
        data: dict[str, Any] = {
            "contact": contact, "occurred_at": f"{on}T10:00:00+01:00", "duration_min": 60, "channel": "meeting",
            "activity": "conversation", "topics": [], "ours": side, "theirs": side,
        }  # fmt: skip
        await self.tell("contact.held", data, relation)

    async def score(self, response: str, score: int, on: str, relation: str = HAAG, **more: Any) -> None:
        data = {"response": response, "instrument": "nps-2026", "score": score, "anonymous": False, "occurred_on": on}
        await self.tell("satisfaction.scored", {**data, **more}, relation)

    async def catch_up(self) -> None:
        async with self.engine.begin() as conn:
            events = await ledger.read(conn, 0, 10_000)
            rows = fold(PROJECTION, events)
            for name, table in versioned(PROJECTION).items():
                await conn.execute(delete(table))
                if rows.tables[name]:
                    await conn.execute(insert(table), list(rows.tables[name].values()))
            mine = checkpoint.c.name == PROJECTION.name
            await conn.execute(update(checkpoint).where(mine).values(position=len(events)))

    async def tick(self) -> dict[tuple[str, str], int]:
        await self.catch_up()
        async with self.engine.connect() as conn:
            tick = await self.ticker.tick(conn)
        assert not tick.missed
        await self.catch_up()
        return tick.verdicts

    async def submit(self, events: Sequence[Json]) -> Sequence[Json]:
        done = await self.ledger.append([arrive(SELF, orjson.loads(orjson.dumps(e))) for e in events])
        return [orjson.loads(orjson.dumps(v.as_json())) for v in done.verdicts]

    async def _announce(self, message: Json) -> None:
        return None


@pytest_asyncio.fixture(loop_scope="session")
async def office(engine: AsyncEngine) -> AsyncGenerator[Office]:
    office = Office(engine)
    await office.clock("2026-02-04")
    await office.relation(HAAG, "Gemeente Den Haag", "A", team="haaglanden")
    yield office
    await office.ledger.close()


async def test_every_sort_of_event_of_the_rules_is_taken_by_the_book(office: Office) -> None:
    made = {"commitment": "k-1", "by": "us", "what": "…", "due_on": "2026-03-02", "occurred_on": "2026-01-10"}
    await office.tell("commitment.made", made)
    # Tier A without a line, ten working days after 6 January: before the book knew it, so silent. Four lacks today.
    assert await office.tick() == {("alert.raised", "accepted"): 5}
    assert await office.tick() == {}
    await office.clock("2026-03-03")
    assert await office.tick() == {("alert.raised", "accepted"): 1, ("alert.escalated", "accepted"): 5}
    await office.line()
    assert await office.tick() == {("alert.resolved", "accepted"): 2}
    await office.tell("schedule.line_ended", {"line": "l-1", "occurred_on": "2026-03-03"})
    await office.clock("2026-04-20")
    assert (await office.tick())["alert.raised", "accepted"] == 1
    assert await office.tick() == {}


async def test_a_low_score_over_its_life(office: Office) -> None:
    await office.line()
    await office.tell("satisfaction.instrument_defined", NPS, "organisation")
    await office.tick()
    await office.score("r-1", 3, "2026-02-03", respondent="p-81")
    await office.score("r-2", 3, "2026-02-03", anonymous=True)
    assert await office.tick() == {("loop.opened", "accepted"): 2, ("alert.resolved", "accepted"): 1}
    assert await office.tick() == {}
    now = at("2026-02-06")
    async with office.engine.connect() as conn:
        anonymous, named = (await list_loops(conn, now, viewer=EVERYTHING)).items
        person = await office.privacy.ref_of(conn, "person", "p-81")
        assert (named["response"], named["score"], named["respondent"]) == ("r-1", 3, person)
        assert (anonymous["response"], anonymous["score"], anonymous["respondent"]) == (None, None, None)
        assert (named["due_on"], named["working_days_late"], named["relation_name"]) == (
            "2026-02-05", 1, "Gemeente Den Haag",
        )  # fmt: skip
        assert len((await list_loops(conn, now, state="late", viewer=EVERYTHING)).items) == 2
        assert (await list_loops(conn, now, viewer=of_team("delfland"))).items == []
        assert len((await list_loops(conn, now, viewer=of_team("haaglanden"))).items) == 2
        first = await list_loops(conn, now, limit=1, viewer=EVERYTHING)
        rest = await list_loops(conn, now, limit=1, cursor=first.next, viewer=EVERYTHING)
        assert [*first.items, *rest.items] == [anonymous, named]
        found = await find_loop(conn, named["id"], now, viewer=EVERYTHING)
        assert found is not None
        assert (found.shown, found.relation) == (named, HAAG)

    follow: dict[str, Any] = {"loop": named["id"], "evidence": [], "occurred_at": "2026-02-04T11:00:00+01:00"}
    await office.tell("loop.followed_up", follow, by=SELF)
    assert await office.tick() == {("loop.closed", "accepted"): 1}
    async with office.engine.connect() as conn:
        (closed,) = (await list_loops(conn, now, state="closed", viewer=EVERYTHING)).items
    assert (closed["reason"], closed["followed_up_at"]) == ("followed_up", "2026-02-04T10:00:00.000000Z")


async def test_a_merge_moves_what_is_open_to_the_survivor(office: Office) -> None:
    await office.relation(DELFT, "Gemeente Delft", "B")
    await office.line()
    made = {"commitment": "k-1", "by": "us", "what": "…", "due_on": "2026-02-02", "occurred_on": "2026-01-10"}
    await office.tell("commitment.made", made, DELFT)
    before = (await office.tick())["alert.raised", "accepted"]
    assert before == 4
    await office.tell("relation.merged", {"survivor": HAAG, "absorbed": DELFT, "occurred_on": "2026-02-04"})
    assert await office.tick() == {("alert.raised", "accepted"): 1, ("alert.resolved", "accepted"): 1}
    assert await office.tick() == {}
    async with office.engine.connect() as conn:
        items = (await incomplete_relations(conn, at("2026-02-04"), viewer=EVERYTHING)).items
        assert [(i["relation"], [lack["what"] for lack in i["lacks"]]) for i in items] == [
            (HAAG, ["plan", "knowledge", "satisfaction"])
        ]
        assert (await incomplete_relations(conn, at("2026-02-04"), tier="B", viewer=EVERYTHING)).items == []
    await office.tell("relation.unmerged", {"survivor": HAAG, "absorbed": DELFT, "occurred_on": "2026-02-05"})
    assert await office.tick() == {("alert.resolved", "accepted"): 1, ("alert.reopened", "accepted"): 1}


async def test_loops_of_merged_relations_are_the_survivors(office: Office) -> None:
    await office.relation(DELFT, "Gemeente Delft", "B", team="delfland")
    await office.tell("satisfaction.instrument_defined", NPS, "organisation")
    await office.score("r-1", 3, "2026-02-03")
    await office.score("r-2", 3, "2026-02-03", DELFT)
    await office.tick()
    await office.tell("relation.merged", {"survivor": HAAG, "absorbed": DELFT, "occurred_on": "2026-02-04"})
    await office.tick()
    now, of_delft = at("2026-02-06"), of_team("delfland")
    async with office.engine.connect() as conn:
        loops = (await list_loops(conn, now, state="open", viewer=EVERYTHING)).items
        assert {(i["relation"], i["relation_name"], i["tier"]) for i in loops} == {(HAAG, "Gemeente Den Haag", "A")}
        assert len(loops) == 2
        for relation in (HAAG, DELFT):
            assert (await list_loops(conn, now, state="open", relation=relation, viewer=EVERYTHING)).items == loops
        # Who has one of those that are one has them all.
        assert (await list_loops(conn, now, state="open", viewer=of_delft)).items == loops
        assert (await list_loops(conn, now, state="open", team="haaglanden", viewer=EVERYTHING)).items == loops
        assert (await list_loops(conn, now, viewer=of_team("jeugd"))).items == []
        for loop in loops:
            assert await find_loop(conn, loop["id"], now, of_delft) is not None
        (lacking,) = (await incomplete_relations(conn, now, viewer=of_delft)).items
        assert lacking["relation"] == HAAG
        assert (await incomplete_relations(conn, now, relation=DELFT, viewer=EVERYTHING)).items == [lacking]
        assert "satisfaction" not in [lack["what"] for lack in lacking["lacks"]]


async def test_the_tick_works_by_the_institutions_calendar_and_knows_of_a_switch(office: Office) -> None:
    made = {"commitment": "k-1", "by": "us", "what": "…", "due_on": "2026-02-05", "occurred_on": "2026-01-10"}
    await office.tell("commitment.made", made)
    closed = {"closed_on": ["2026-02-10"], "open_on": [], "occurred_on": "2026-02-04"}
    await office.tell("schedule.working_calendar_set", closed, "organisation")
    await office.catch_up()
    async with office.engine.connect() as conn:
        tables = (await live(conn, PROJECTION)).tables
        here = await terms_now(conn, tables, TERMS)
        assert await last_switch(conn, PROJECTION) is None
    assert not here.calendar.is_working_day(at("2026-02-10").date())
    assert (here.laid_down, here.switched_on) == (await _position(office), None)

    await office.clock("2026-02-12")
    async with office.engine.begin() as conn:
        await create_build(conn, PROJECTION, 2, "building", indexes=True)
        await switch(conn, PROJECTION, 2)
        here = await terms_now(conn, (await live(conn, PROJECTION)).tables, TERMS)
        assert (here.switched_at, str(here.switched_on)) == (await _position(office), "2026-02-12")
        # As it was, for the tests after this one.
        await switch(conn, PROJECTION, 1)
        await drop_build(conn, PROJECTION, 2)


async def _position(office: Office) -> int:
    async with office.engine.connect() as conn:
        return (await ledger.head(conn)).position


async def test_question_four_names_what_lacks_since_when_and_why(office: Office) -> None:
    await office.relation(DELFT, "Gemeente Delft", "A", team="delfland")
    for relation in (HAAG, DELFT):
        await office.line(relation)
    for item in ITEMS:
        data = {"item": item, "text": "…", "valid_until": "2026-06-30", "occurred_on": "2026-01-10"}
        await office.tell("knowledge.item_recorded", data, DELFT)
    await office.catch_up()
    async with office.engine.connect() as conn:
        page = await incomplete_relations(conn, at("2026-07-01"), viewer=EVERYTHING)
        assert [i["relation_name"] for i in page.items] == ["Gemeente Delft", "Gemeente Den Haag"]
        delft = page.items[0]
        assert [(lack["what"], lack["since"]) for lack in delft["lacks"]] == [
            ("plan", None), ("knowledge", "2026-07-01"), ("satisfaction", None),
        ]  # fmt: skip
        assert len(delft["lacks"][1]["evidence"]) == len(ITEMS)
        (haag,) = (await incomplete_relations(conn, at("2026-07-01"), team="haaglanden", viewer=EVERYTHING)).items
        assert (await incomplete_relations(conn, at("2026-07-01"), relation=HAAG, viewer=EVERYTHING)).items == [haag]
        assert haag["lacks"][1]["missing"] == list(ITEMS)
        assert haag["lacks"][0]["evidence"] == [2]
        first = await incomplete_relations(conn, at("2026-07-01"), limit=1, viewer=EVERYTHING)
        rest = await incomplete_relations(conn, at("2026-07-01"), limit=1, cursor=first.next, viewer=EVERYTHING)
        assert [*first.items, *rest.items] == page.items
        assert rest.next is None
        seen = await incomplete_relations(conn, at("2026-06-30"), viewer=of_team("delfland"))
        assert [lack["what"] for lack in seen.items[0]["lacks"]] == ["plan", "satisfaction"]


async def test_an_a_relation_below_the_median_of_b_is_told_and_let_go(office: Office) -> None:
    await office.line()
    others = [str(UUID(int=n)) for n in range(10, 15)]
    for n, other in enumerate(others):
        await office.relation(other, f"B {n}", "B")
        for contact in range(n):
            await office.held(f"c-{contact}", "2026-02-02", other)
    await office.held("c-1", "2026-02-03")
    await office.tick()
    await office.clock("2026-04-06")
    verdicts = await office.tick()
    assert verdicts["alert.raised", "accepted"] == 1
    await office.held("c-2", "2026-04-06")
    await office.clock("2026-04-07")
    assert ("alert.resolved", "accepted") in await office.tick()
