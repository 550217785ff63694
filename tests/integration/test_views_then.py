"""Every view of a relation as of D as known at K, from the ledger: at the head it is what the read model says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, get_args

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events.clock import set_clock
from events.errors import NotFound
from events.recorded import ORGANISATION
from projections.agreement_queries import agreements
from projections.chain_queries import chains
from projections.difference import difference
from projections.partnership_queries import opportunities, partnership
from projections.past import Bounds
from projections.registry import PROJECTIONS
from projections.relation_plan import plan_history
from projections.relation_queries import matrix, show, spent_on
from projections.satisfaction_queries import satisfaction
from projections.viewer import EVERYTHING, Viewer, of_team
from projections.views_then import ViewName, opportunities_then, view_states
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.given import DELFT, HAAG, NPS, Book
from tests.integration.test_insight import HAAG as PUBLISHED
from tests.integration.test_insight import OTHER, event, found, story
from tests.read_models import record
from tests.running_book import running

NOW: Final = datetime(2026, 6, 30, 10, tzinfo=UTC)
OF_HAAG: Final = of_team("haag")
OTHERS: Final = of_team("jeugd")
LIVE: Final[Mapping[str, Callable[..., Any]]] = {
    "relation": show, "matrix": matrix, "attention": spent_on,
    "plan": plan_history, "satisfaction": satisfaction, "agreements": agreements,
    "chain": chains, "partnership": partnership,
}  # fmt: skip


@pytest.fixture
def book() -> Book:
    """Something of every family about Den Haag, and an agreement of Delft, which it absorbs on 1 April."""
    book = Book()
    book.tell("satisfaction.instrument_defined", {**NPS, "min_n": 1}, ORGANISATION)
    for team in ("haag", "jeugd"):
        book.tell("team.formed", {"team": team, "name": team, "occurred_on": "2025-01-01"}, ORGANISATION)
    book.register(HAAG, identifiers=[{"scheme": "gemeentecode", "value": "0518"}])
    book.register(DELFT, "Gemeente Delft")
    book.tell("team.relation_assigned", {"team": "haag", "occurred_on": "2026-01-06"})
    line = {
        "line": "l-1", "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
        "starts_on": "2025-01-01", "grace_working_days": 5, "owner": "ref~1", "occurred_on": "2025-01-01",
    }  # fmt: skip
    book.tell("schedule.line_set", line)
    book.held("c-1", "2026-02-03T10:00:00+01:00")
    for on, answer in (("2026-01-10", "enc~1"), ("2026-03-10", "enc~2")):
        book.tell("plan.question_answered", {"plan": "p", "question": "4", "answer": answer, "occurred_on": on})
    score = {"response": "r-1", "instrument": NPS["instrument"], "score": 9, "anonymous": False, "layer": "board"}
    book.tell("satisfaction.scored", {**score, "occurred_on": "2026-02-10"})
    book.tell("satisfaction.scored", {**score, "response": "r-2", "score": 3, "occurred_on": "2026-03-11"})
    closed = {"round": "2026-1", "instrument": NPS["instrument"], "wording_version": 1, "occurred_on": "2026-03-31"}
    book.tell("satisfaction.round_closed", closed, ORGANISATION)
    complaints = {"period": "2026-Q1", "count": 3, "occurred_on": "2026-04-02"}
    book.tell("satisfaction.complaints_reported", complaints, visibility="named")
    signed = {
        "agreement": "a-1", "type": "covenant", "parties": ["us", HAAG, "gemeentecode:0518"], "from": "2026-01-01",
        "until": "2026-12-31", "basis": "volume_price", "occurred_on": "2026-01-07",
    }  # fmt: skip
    book.tell("agreement.signed", signed)
    book.tell("agreement.signed", {**signed, "agreement": "a-2", "parties": ["us", DELFT]}, DELFT)
    book.tell("agreement.renewed", {"agreement": "a-1", "until": "2027-12-31", "occurred_on": "2026-03-01"})
    phases = [{"phase": "f-1", "name": "Thuis"}]
    book.tell("chain.defined", {"chain": "k-1", "name": "Ouderen", "phases": phases, "occurred_on": "2026-01-08"})
    flow = {"chain": "k-1", "organisation": HAAG, "financing_system": "wmo", "cents": 100, "period": "2026-Q1"}
    book.tell("chain.investment_recorded", {**flow, "occurred_on": "2026-01-31"})
    book.tell("chain.investment_recorded", {**flow, "cents": 50, "occurred_on": "2026-03-31"})
    promise = {"commitment": "b-1", "by": "us", "what": "enc~3", "due_on": "2026-02-15", "occurred_on": "2026-01-10"}
    book.tell("commitment.made", promise)
    book.tell("commitment.fulfilled", {"commitment": "b-1", "occurred_on": "2026-03-05"})
    tender = {"opportunity": "o-1", "title": "enc~4", "occurred_on": "2026-01-20"}
    book.tell("opportunity.tender_announced", tender)
    book.tell("opportunity.lost", {"opportunity": "o-1", "occurred_on": "2026-03-20"})
    book.tell("relation.merged", {"survivor": HAAG, "absorbed": DELFT, "occurred_on": "2026-04-01"}, absorbed=DELFT)
    late = {"contact": "c-1", "changes": {"duration_min": 5}, "reason": "enc~5"}
    book.tell("contact.corrected", {**late, "occurred_at": "2026-02-05T09:00:00+01:00"})
    return book


async def _recorded(engine: AsyncEngine, book: Book) -> None:
    await record(engine, book.events, list(PROJECTIONS.values()))


async def _states(conn: AsyncConnection, view: Any, *looks: Bounds, viewer: Viewer = EVERYTHING) -> list[Any]:
    return await view_states(conn, view, HAAG, looks, viewer=viewer)


def _without_position(document: Mapping[str, Any] | None) -> dict[str, Any]:
    assert document is not None
    return {name: value for name, value in document.items() if name != "position"}


@pytest.mark.parametrize("view", LIVE)
async def test_at_the_head_a_view_is_the_live_one(engine: AsyncEngine, book: Book, view: str) -> None:
    await _recorded(engine, book)
    async with engine.connect() as conn:
        await set_clock(conn, NOW)
        for viewer in (EVERYTHING, OF_HAAG):
            live = await LIVE[view](conn, DELFT, NOW, viewer=viewer)
            states = await _states(conn, view, Bounds(), Bounds(NOW, len(book.events)), viewer=viewer)
            assert [_without_position(s) for s in states] == [_without_position(live)] * 2
        with pytest.raises(NotFound):
            await _states(conn, view, Bounds(), viewer=OTHERS)


@pytest.mark.parametrize("view", LIVE)
async def test_before_the_relation_was_known_there_is_no_view(engine: AsyncEngine, book: Book, view: str) -> None:
    await _recorded(engine, book)
    async with engine.connect() as conn:
        assert await _states(conn, view, Bounds(date(2026, 1, 4)), Bounds(None, 3), Bounds(NOW, 1)) == [None] * 3


def _agreed(seen: Any) -> Any:
    return [(a["agreement"], a["until"], len(a["renewals"])) for a in seen["agreements"]]


_TOLD: Final[Mapping[str, tuple[Callable[[Any], Any], Any, Any]]] = {
    "relation": (lambda d: (d["contacts_12m"], d["minutes_12m"], d["absorbed"]), (1, 5, []), (1, 5, [DELFT])),
    "matrix": (lambda d: [c["state"] for c in d["cells"]], ["covered"], ["late"]),
    "plan": (lambda d: [(h["answer"], h["stands"]) for h in d["history"]], [("enc~1", True)],
             [("enc~2", True), ("enc~1", False)]),
    "satisfaction": (lambda d: (d["figures"][0]["n"], d["rounds"], len(d["complaints"])), (1, [], 0), None),
    "agreements": (_agreed, [("a-1", "2026-12-31", 0)], [("a-2", "2026-12-31", 0), ("a-1", "2027-12-31", 1)]),
    "chain": (lambda d: (d["chains"][0]["matrix"][0]["invested_cents"],
                         d["chains"][0]["matrix"][0]["organisation_name"]),
              (100, "Gemeente Den Haag"), (150, "Gemeente Den Haag")),
    "partnership": (lambda d: [(c["state"], c["late"]) for c in d["commitments"]], [("open", True)],
                    [("fulfilled", False)]),
    "attention": (lambda d: (d["minutes"], d["by_kind"]),
                  (5, [{"kind": "conversation", "contacts": 1, "minutes": 5}]),
                  (5, [{"kind": "conversation", "contacts": 1, "minutes": 5}])),
    "schedule": (lambda d: [(line["line"], line["state"]) for line in d["schedule"]], [("l-1", "on_track")],
                 [("l-1", "overdue")]),
    "opportunities": (lambda d: [(o["opportunity"], o["state"]) for o in d["opportunities"]], [("o-1", "announced")],
                      [("o-1", "lost")]),
}  # fmt: skip


@pytest.mark.parametrize("view", _TOLD)
async def test_a_view_as_of_d_as_known_at_k(engine: AsyncEngine, book: Book, view: str) -> None:
    tell, then, head = _TOLD[view]
    await _recorded(engine, book)
    async with engine.connect() as conn:
        before, after = await _states(conn, view, Bounds(date(2026, 2, 28)), Bounds(date(2026, 6, 30)))
        assert tell(before) == then
        if head is not None:
            assert tell(after) == head
        assert difference(before, after)
        # As known before the late correction, the merge and what went before it.
        (unaware,) = await _states(conn, view, Bounds(date(2026, 6, 30), len(book.events) - 2))
        assert "absorbed" not in unaware or unaware["absorbed"] == []
        if view == "relation":
            assert unaware["minutes_12m"] == 60
        if view == "attention":
            assert unaware["minutes"] == 60
        if view == "satisfaction":
            assert [(r["round"], r["n"]) for r in after["rounds"]] == [("2026-1", 2)]


def test_every_view_is_told() -> None:
    assert set(get_args(ViewName)) == set(_TOLD)


async def test_the_plan_of_then_by_name_and_by_question(engine: AsyncEngine, book: Book) -> None:
    await _recorded(engine, book)
    look = [Bounds(date(2026, 2, 28))]
    async with engine.connect() as conn:
        (seen,) = await view_states(conn, "plan", HAAG, look, plan="p", question="5", viewer=EVERYTHING)
        assert seen is not None
        assert (seen["plan"], seen["history"]) == ("p", [])
        with pytest.raises(NotFound):
            await view_states(conn, "plan", HAAG, [Bounds(date(2026, 1, 9))], plan="p", viewer=EVERYTHING)


async def test_opportunities_of_then(engine: AsyncEngine, book: Book) -> None:
    await _recorded(engine, book)
    async with engine.connect() as conn:
        live, then = (
            await opportunities(conn, HAAG, viewer=EVERYTHING),
            await opportunities_then(conn, HAAG, Bounds(), viewer=EVERYTHING),
        )
        assert live is not None
        assert then is not None
        assert live[:2] == then[:2]
        early = await opportunities_then(conn, HAAG, Bounds(date(2026, 2, 28)), viewer=EVERYTHING)
        assert early is not None
        assert [(o["state"], o["decided"]) for o in early[0].items] == [("announced", None)]
        assert await opportunities_then(conn, HAAG, Bounds(date(2026, 1, 4)), viewer=EVERYTHING) is None


def _with_more() -> list[dict[str, Any]]:
    """The story, a line of the contact schedule that had no contact in January, and one more investment after it."""
    line = {
        "line": "l-1", "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
        "starts_on": "2026-01-01", "grace_working_days": 5, "owner": "e-1", "occurred_on": "2026-01-06",
    }  # fmt: skip
    contact = {
        "contact": "c-1", "occurred_at": "2026-02-03T10:00:00+01:00", "duration_min": 60, "channel": "meeting",
        "activity": "conversation", "topics": [], "ours": [{"layer": "board"}], "theirs": [{"layer": "board"}],
    }  # fmt: skip
    set_, held = event("v-1", "schedule.line_set", PUBLISHED, line), event("v-2", "contact.held", PUBLISHED, {})
    paid = {
        "chain": "c-1", "organisation": "us", "financing_system": "wlz", "cents": 700, "period": "2026-Q2",
        "occurred_on": "2026-04-30",
    }  # fmt: skip
    invested = event("v-3", "chain.investment_recorded", PUBLISHED, paid)
    return [*story(), set_, {**held, "data": contact}, invested]


# A field of each view that was another on 31 January than it is now.
_CHANGED: Final[Mapping[ViewName, str]] = {
    "relation": "/contacts_total", "matrix": "/cells/board,board/contacts_12m", "schedule": "/schedule/l-1/contacts",
    "plan": "/questions/4/answer", "satisfaction": "/figures/nps-2026,1/n", "agreements": "/programmes/p-1/rag",
    "chain": "/chains/c-1/matrix/us,wlz/invested_cents", "partnership": "/commitments/k-1/late",
    "opportunities": "/opportunities/o-1/state",
    "attention": "/by_kind/conversation",
}  # fmt: skip


async def test_over_http(settings: Settings, engine: AsyncEngine, department: AddDepartment) -> None:
    token = (await department("zorg")).http_token
    async with engine.begin() as conn:
        await set_clock(conn, NOW)  # within a year of the contact
    async with running(settings, ("intake", "relation-view", "team-timeline", "insight", "api")) as book:
        verdicts = await book.publish(_with_more(), token)
        assert [v["problem"] for v in verdicts if v["verdict"] != "accepted"] == []
        head = int(verdicts[-1]["sequence"])
        caught_up = {"If-Position": verdicts[-1]["sequence"]}
        team = {**caught_up, "Authorization": f"Bearer {(await book.viewers())['wmo']}"}
        for part in (
            "agreements", "chain", "partnership", "opportunities", "satisfaction", "plan", "matrix", "schedule",
            "attention",
        ):  # fmt: skip
            path = f"/v1/relations/{PUBLISHED}/{part}"
            for asking in (caught_up, team):
                live = _without_position(found(await book.get(path, **asking)))
                # A position that the book has not reached: all that is known.
                assert _without_position(found(await book.get(f"{path}?knownAt={head + 1000}", **asking))) == live
            then = found(await book.get(f"{path}?asOf=2026-01-31&knownAt={head - 1}", **caught_up))
            assert then.get("position", 0) < head
            for too_early in ("asOf=2026-01-04", "knownAt=0"):
                assert (await book.get(f"{path}?{too_early}", **caught_up)).status_code == 404
            assert (await book.get(f"{path}?asOf=1800-01-01")).status_code == 400
            other = await book.get(f"/v1/relations/{OTHER}/{part}?asOf=2026-06-01", **team)
            assert other.status_code == 404
        plan = found(await book.get(f"/v1/relations/{PUBLISHED}/plan?asOf=2026-01-31"))
        assert [h["answer"] for h in plan["history"]] == ["Meer zorg\nthuis"]
        for view in get_args(ViewName):
            path = f"/v1/relations/{PUBLISHED}/difference?view={view}&asOf=2026-01-31"
            compared = found(await book.get(path, **caught_up))
            assert (compared["view"], compared["relation"]) == (view, PUBLISHED)
            assert _CHANGED[view] in {item["pointer"] for item in compared["items"]}
            assert found(await book.get(path + "&withAsOf=2026-01-31", **caught_up))["items"] == []
