"""Contact alerts against the real ledger and PostgreSQL: the tick, what intake says to its events, and the queries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import orjson
import pytest
import pytest_asyncio
from sqlalchemy import delete, insert, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from events import ledger, tables
from events.append import Ledger
from events.errors import Invalid
from events.privacy import Privacy
from projections.alert_queries import list_alerts, overdue_lines, show_alert
from projections.contact_alerts import PROJECTION
from projections.rows import fold
from projections.store import versioned
from projections.tables import checkpoint
from projections.viewer import EVERYTHING, Viewer
from projections.working_calendar import WorkingCalendar
from services.alerts.lease import Lease
from services.alerts.ticker import Ticker
from services.intake.departments import Department
from services.intake.desk import arrive
from tests.alert_trial import at

Json = Mapping[str, Any]
SOURCE = "urn:nld:oin:00000001234567890000:systeem:crm"
OWN = "urn:nld:oin:00000000000000000000:systeem:relatieboek-contact-alerts"
ZORG = Department("zorg", frozenset({SOURCE}), ("*",))
SELF = Department("relatieboek", frozenset(), ())
HAAG, DELFT = "0b1f5b0e-7d0a-4c55-9a58-1f3a54f0a001", "0b1f5b0e-7d0a-4c55-9a58-1f3a54f0a002"


class Office:
    """A book with one department, and the read model as a runner that has caught up leaves it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.privacy = Privacy(bytes(range(32)))
        self.ledger = Ledger(engine.url.render_as_string(hide_password=False), self.privacy)
        self.announced: list[Json] = []
        self.sent: list[Json] = []
        self._count = 0
        self.ticker = Ticker(PROJECTION, self._submit, self._announce, source=OWN, calendar=WorkingCalendar())

    async def clock(self, to: str) -> None:
        async with self.engine.begin() as conn:
            await conn.execute(update(tables.head).values(clock_at=at(to)))

    async def tell(self, kind: str, data: Json, relation: str = HAAG) -> None:
        """Sends an event as department zorg; it must be accepted."""
        self._count += 1
        event = {
            "specversion": "1.0", "id": f"z-{self._count}", "source": SOURCE, "type": f"nl.relatieboek.{kind}.v1",
            "subject": relation, "data": data,
        }  # fmt: skip
        (verdict,) = (await self.ledger.append([arrive(ZORG, event)])).verdicts
        assert verdict.verdict == "accepted", verdict.as_json()

    async def open_relation(self, relation: str, name: str, *, tier: str = "A", team: str | None = None) -> None:
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

    async def line(self, line: str, relation: str = HAAG, **changes: Any) -> None:
        data: dict[str, Any] = {
            "line": line, "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
            "starts_on": "2026-01-01", "grace_working_days": 5, "owner": "e-12", "occurred_on": "2026-01-06", **changes,
        }  # fmt: skip
        await self.tell("schedule.line_set", data, relation)

    async def held(self, contact: str, occurred: str, relation: str = HAAG) -> None:
        side = [{"layer": "board"}]
        data = {
            "contact": contact, "occurred_at": f"{occurred}T10:00:00+01:00", "duration_min": 60, "channel": "meeting",
            "activity": "conversation", "topics": [], "ours": side, "theirs": side,
        }  # fmt: skip
        await self.tell("contact.held", data, relation)

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

    async def _submit(self, events: Sequence[Json]) -> Sequence[Json]:
        self.sent += events
        done = await self.ledger.append([arrive(SELF, orjson.loads(orjson.dumps(e))) for e in events])
        return [orjson.loads(orjson.dumps(v.as_json())) for v in done.verdicts]

    async def _announce(self, message: Json) -> None:
        self.announced.append(message)


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


async def test_a_read_model_that_is_behind_misses_the_tick(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.alerts.ticker.CATCH_UP_S", 0.05)
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
        (shown,) = (await list_alerts(conn, state="open", now=at("2026-05-18"))).items
        owner = await office.privacy.ref_of(conn, "employee", "e-12")
        assert await show_alert(conn, shown["id"], at("2026-05-18")) == shown
        assert await show_alert(conn, "0b1f5b0e-7d0a-4c55-9a58-000000000000", at("2026-05-18")) is None
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
        assert (await list_alerts(conn, state="open", now=now)).items == []
        (shown,) = (await list_alerts(conn, state="resolved", now=now)).items
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
        items = (await list_alerts(conn, now=at("2026-05-15"))).items
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

        async def found(**wanted: Any) -> list[tuple[str, str]]:
            items = (await list_alerts(conn, now=now, **wanted)).items
            return [(i["relation"], i["line"]) for i in items]

        assert sorted(await found()) == [(HAAG, "l-1"), (DELFT, "l-1"), (DELFT, "l-2")]
        assert await found(owner_ref=e13) == [(DELFT, "l-1")]
        assert await found(tier="A") == [(HAAG, "l-1")]
        assert await found(team="haaglanden") == [(HAAG, "l-1")]
        assert await found(team="haaglanden", viewer=Viewer("delfland", team="delfland")) == []
        assert len(await found(viewer=Viewer("delfland", team="delfland"))) == 2
        assert await found(viewer=Viewer("nobody")) == []
        assert await found(state="snoozed") == []
        with pytest.raises(Invalid, match="/state"):
            await found(state="closed")

        pages: list[str] = []
        cursor = None
        while True:
            page = await list_alerts(conn, now=now, limit=1, cursor=cursor)
            pages += [i["id"] for i in page.items]
            cursor = page.next
            if cursor is None:
                break
        assert pages == [i["id"] for i in (await list_alerts(conn, now=now)).items]


async def test_question_one(office: Office) -> None:
    await office.open_relation(DELFT, "Gemeente Delft", tier="B", team="delfland")
    await office.line("l-1", DELFT, cadence={"mode": "quota", "times": 1, "per": "quarter"})
    await office.line("l-2", DELFT, their_layer="professional")
    await office.clock("2026-05-18")
    await office.catch_up()
    now = at("2026-05-18")
    async with office.engine.connect() as conn:
        items = (await overdue_lines(conn, now)).items
        # Quota: the first quarter, from 1 April; rolling from 1 January: due 1 April, last_ok 9 April.
        assert [(i["relation"], i["line"], i["overdue_on"], i["working_days_overdue"]) for i in items] == [
            (DELFT, "l-1", "2026-04-01", 31),
            (DELFT, "l-2", "2026-04-10", 25),
            (HAAG, "l-1", "2026-05-12", 4),
        ]
        assert items[2]["evidence"] == [5, 6]
        assert [i["unowned"] for i in items] == [False] * 3

        first = await overdue_lines(conn, now, limit=2)
        rest = await overdue_lines(conn, now, limit=2, cursor=first.next)
        assert [*first.items, *rest.items] == items
        assert rest.next is None
        assert [i["line"] for i in (await overdue_lines(conn, now, tier="A")).items] == ["l-1"]
        assert (await overdue_lines(conn, now, viewer=Viewer("haaglanden", team="haaglanden"))).items == items[2:]
        assert (await overdue_lines(conn, at("2026-03-31"), viewer=EVERYTHING)).items == []


async def test_a_paused_or_ended_line_is_not_in_question_one(office: Office) -> None:
    await office.clock("2026-05-14")
    await office.tell("schedule.line_paused", {"line": "l-1", "until": "2026-05-20", "occurred_on": "2026-05-13"})
    await office.catch_up()
    async with office.engine.connect() as conn:
        assert (await overdue_lines(conn, at("2026-05-14"))).items == []
        assert len((await overdue_lines(conn, at("2026-05-20"))).items) == 1


async def test_one_lease_at_a_time(engine: AsyncEngine) -> None:
    mine, other = Lease(engine, 1), Lease(engine, 1)
    assert await mine.take() is not None
    assert await mine.take() is not None
    assert await other.take() is None
    await mine.drop()
    async with engine.connect() as conn:
        gone = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        for _ in range(100):  # the server ends the session on its own time
            if not await conn.scalar(gone):
                break
            await conn.rollback()
    assert await other.take() is not None
    await other.drop()


async def _head(office: Office) -> ledger.Head:
    async with office.engine.connect() as conn:
        return await ledger.head(conn)
