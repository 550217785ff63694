"""An alert or loop shows to those who may see the facts that it rests on, and to nobody else, wherever it is read."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events.errors import Invalid
from events.recorded import ORGANISATION, Recorded
from projections import contact_alerts, relation_view, team_timeline
from projections.alert_explain import explain
from projections.alert_queries import list_alerts, show_alert
from projections.history import history_of, relation_as_of
from projections.layer_contacts import layer_contacts
from projections.overdue_queries import overdue_lines
from projections.page import encode_cursor
from projections.relation_queries import list_relations, matrix, show
from projections.rows import fold
from projections.timeline_queries import after_position, relation_page, team_page
from projections.viewer import EVERYTHING, Viewer, of_team
from projections.workflows import projection as workflows
from projections.workflows.completeness_queries import incomplete_relations
from projections.workflows.loop_queries import find_loop, list_loops
from tests.alert_trial import at
from tests.given import DELFT, HAAG, NPS, Book
from tests.read_models import record

PROJECTIONS = (contact_alerts.PROJECTION, relation_view.PROJECTION, team_timeline.PROJECTION, workflows.PROJECTION)
NOW = at("2026-03-10")
BOARD = Viewer("board", tiers=frozenset({"A"}))
WMO = of_team("wmo")
ZORG = Viewer("z", teams=frozenset({"wmo"}), department="zorg")
ANNA = Viewer("a", teams=frozenset({"wmo"}), department="inkoop", employee="ref~anna")


def alert_of(name: str) -> str:
    return str(UUID(int=sum(name.encode())))


def of_the_team() -> Book:
    """A relation of tier A that team wmo has."""
    book = Book()
    book.tell("team.formed", {"team": "wmo", "name": "Wmo", "occurred_on": "2026-01-01"}, ORGANISATION)
    book.register()
    book.tell("relation.tier_assigned", {"tier": "A", "arguments": [], "occurred_on": "2026-01-06"})
    book.tell("team.relation_assigned", {"team": "wmo", "occurred_on": "2026-01-06"})
    return book


@pytest.fixture
def book() -> Book:
    """Commitments that are late, one of each visibility, and what the book's services told about them."""
    book = of_the_team()
    for visibility in ("organisation", "team", "department", "named"):
        raised(book, visibility, promised(book, visibility))
        taken = {"alert": alert_of(visibility), "occurred_at": "2026-03-04T10:00:00+01:00"}
        book.tell("alert.acknowledged", taken, department="relatieboek")
    return book


def promised(book: Book, visibility: str, relation: str = HAAG) -> Recorded:
    made = {"commitment": visibility, "by": "us", "due_on": "2026-03-02", "occurred_on": "2026-01-10"}
    return book.tell("commitment.made", made, relation, department="zorg", visibility=visibility)


def raised(book: Book, name: str, *evidence: Recorded) -> Recorded:
    data: dict[str, Any] = {
        "alert": alert_of(name), "rule": "commitment_late", "rule_version": 1, "about": f"commitment:{name}",
        "due_on": "2026-03-02", "overdue_on": "2026-03-03", "last_ok_on": "2026-03-02", "level": 0,
        "evidence": [e.position for e in evidence], "silent": False, "occurred_on": "2026-03-03",
    }  # fmt: skip
    return book.tell("alert.raised", data, department="relatieboek")


async def seen(conn: AsyncConnection, viewer: Viewer) -> list[set[str]]:
    """The names of the alerts that a viewer sees in each place where alerts show."""
    names = {alert_of(n): n for n in ("organisation", "team", "department", "named", "merged", "contact")}
    listed = (await list_alerts(conn, now=NOW, viewer=viewer)).items
    one = [a for a in names if await show_alert(conn, a, NOW, viewer) is not None]
    why = [a for a in names if await explain(conn, a, NOW, viewer) is not None]
    whole = await show(conn, HAAG, NOW, viewer)
    then = await relation_as_of(conn, HAAG, viewer=viewer)
    beside = (await list_relations(conn, now=NOW, viewer=viewer)).items
    assert whole is not None
    assert then is not None
    told = [e["detail"] for e in (await relation_page(conn, HAAG, viewer, limit=200)).items]
    past = [e["data"] for e in (await history_of(conn, HAAG, viewer=viewer))[1]]
    found = [
        [a["id"] for a in listed], one, why, [a["id"] for a in whole["open_alerts"]],
        [a["id"] for a in then["open_alerts"]], _alerts(told), _alerts(past),
        [a["id"] for one in beside for a in one["open_alerts"]],
    ]  # fmt: skip
    if viewer.is_of("wmo"):
        page = (await team_page(conn, "wmo", viewer, limit=200, family="alert")).items
        stream = await after_position(conn, "wmo", viewer, 0)
        found += [_alerts([e["detail"] for e in page]), _alerts([e["detail"] for e in stream])]
    return [{names[a] for a in place} for place in found]


def _alerts(details: list[Any]) -> list[str]:
    return [d["alert"] for d in details if d is not None and "alert" in d]


@pytest.mark.parametrize(
    ("viewer", "names"),
    [
        (EVERYTHING, {"organisation", "team", "department", "named"}),
        (ZORG, {"organisation", "team", "department"}),
        (ANNA, {"organisation", "team"}),
        (WMO, {"organisation", "team"}),
        (BOARD, {"organisation"}),
    ],
    ids=["all", "its department", "another department", "the team", "the board"],
)
async def test_an_alert_shows_to_who_may_see_its_evidence(
    engine: AsyncEngine, book: Book, viewer: Viewer, names: set[str]
) -> None:
    await record(engine, book.events, PROJECTIONS)
    async with engine.connect() as conn:
        for number, place in enumerate(await seen(conn, viewer)):
            assert place == names, number


async def test_a_restricted_contact_hides_no_alert(engine: AsyncEngine, book: Book) -> None:
    contact = book.held("c-1", "2026-02-03T10:00:00+01:00", visibility="named")
    raised(book, "contact", contact)
    await record(engine, book.events, PROJECTIONS)
    async with engine.connect() as conn:
        for place in await seen(conn, WMO):
            assert place == {"organisation", "team", "contact"}


async def test_an_alert_of_the_survivor_is_as_restricted_as_the_fact_of_the_absorbed(
    engine: AsyncEngine, book: Book
) -> None:
    book.register(DELFT, "Gemeente Delft")
    made = promised(book, "named", DELFT)
    merged = {"survivor": HAAG, "absorbed": DELFT, "occurred_on": "2026-02-04"}
    book.tell("relation.merged", merged, absorbed=DELFT)
    raised(book, "merged", made)
    await record(engine, book.events, PROJECTIONS)
    async with engine.connect() as conn:
        for place in await seen(conn, ZORG):
            assert place == {"organisation", "team", "department"}
        assert all("merged" in place for place in await seen(conn, EVERYTHING))


async def test_what_settled_an_alert_restricts_it_from_then_on(engine: AsyncEngine, book: Book) -> None:
    kept = {"commitment": "organisation", "occurred_on": "2026-03-05"}
    done = book.tell("commitment.fulfilled", kept, department="zorg", visibility="department")
    settled = {"alert": alert_of("organisation"), "reason": "settled", "evidence": [done.position]}
    book.tell("alert.resolved", {**settled, "occurred_on": "2026-03-05"}, department="relatieboek")
    await record(engine, book.events, PROJECTIONS)
    async with engine.connect() as conn:
        assert [a["about"] for a in (await list_alerts(conn, now=NOW, viewer=WMO)).items] == ["commitment:team"]
        assert await show_alert(conn, alert_of("organisation"), NOW, ZORG) is not None


@pytest.mark.parametrize(
    ("viewer", "lines"),
    [
        (EVERYTHING, ["department", "named", "open", "paused", "team"]),
        (ZORG, ["department", "open", "paused", "team"]),
        (WMO, ["open", "team"]), (ANNA, ["open", "team"]), (BOARD, ["open"]),
    ],
    ids=["all", "its department", "the team", "another department", "the board"],
)  # fmt: skip
async def test_a_line_is_overdue_and_a_gap_for_who_may_see_it(
    engine: AsyncEngine, viewer: Viewer, lines: list[str]
) -> None:
    """Restricted by what set it, or by what paused it: what is said of it says both."""
    book = of_the_team()
    for name in ("open", "team", "department", "named", "paused"):
        set_ = {
            "line": name, "our_layer": "board", "their_layer": "board", "starts_on": "2024-01-01",
            "cadence": {"mode": "rolling", "every": "P3M"}, "grace_working_days": 5, "occurred_on": "2026-01-06",
        }  # fmt: skip
        visibility = "organisation" if name in {"open", "paused"} else name
        book.tell("schedule.line_set", set_, department="zorg", visibility=visibility)
    pause = {"line": "paused", "until": "2024-02-01", "occurred_on": "2024-01-10"}
    book.tell("schedule.line_paused", pause, department="zorg", visibility="department")
    await record(engine, book.events, (contact_alerts.PROJECTION, relation_view.PROJECTION))
    async with engine.connect() as conn:
        late = (await overdue_lines(conn, NOW, viewer=viewer)).items
        assert sorted(item["line"] for item in late) == lines
        assert sorted(item["line"] for item in (await layer_contacts(conn, NOW, viewer=viewer)).items) == lines
        whole, grid = await show(conn, HAAG, NOW, viewer), await matrix(conn, HAAG, NOW, viewer)
        then = await relation_as_of(conn, HAAG, viewer=viewer)
        assert whole is not None
        assert grid is not None
        assert then is not None
        assert sorted(line["line"] for line in whole["schedule"]) == lines
        assert sorted(line["line"] for line in then["schedule"]) == lines
        assert sorted(line["line"] for cell in grid["cells"] for line in cell["required"]) == lines
        first = await overdue_lines(conn, NOW, viewer=viewer, limit=1)
        assert (first.next is None) is (len(lines) == 1), "a page has no room kept for what is not shown"


# What is told of a line, in order: `set` anew, `owner` (a reassignment) or `end`, `person` (their person left) or
# `back`, and for whom; and whether the line stands on a restricted fact after that.
LIVES: Mapping[str, tuple[Sequence[tuple[str, str]], bool]] = {
    "open": ([("set", "organisation")], False),
    "closed": ([("set", "department")], True),
    "set again": ([("set", "department"), ("set", "organisation")], False),
    "set again closed": ([("set", "organisation"), ("set", "department")], True),
    "new owner": ([("set", "department"), ("owner", "organisation")], True),
    "closed owner": ([("set", "organisation"), ("owner", "department")], True),
    "owner again": ([("set", "organisation"), ("owner", "department"), ("owner", "organisation")], False),
    "owner by set": ([("set", "organisation"), ("owner", "department"), ("set", "organisation")], False),
    "taken up": ([("set", "organisation"), ("end", "department"), ("set", "organisation")], False),
    "gone": ([("set", "organisation"), ("person", "department")], True),
    "back": ([("set", "organisation"), ("person", "department"), ("back", "organisation")], False),
    "gone openly": ([("back", "department"), ("set", "organisation"), ("person", "organisation")], False),
}


def lived(book: Book, name: str) -> Recorded:
    """Tells a line's life; the event that set it last."""
    last: Recorded | None = None
    for n, (what, visibility) in enumerate(LIVES[name][0], 6):
        on, told = {"occurred_on": f"2026-01-{n:02}"}, {"department": "zorg", "visibility": visibility}
        match what:
            case "set":
                set_ = {
                    "line": name, "our_layer": "board", "their_layer": "board", "starts_on": "2024-01-01",
                    "cadence": {"mode": "rolling", "every": "P3M"}, "grace_working_days": 5, "owner": "ref~a",
                    "their_person": name, **on,
                }  # fmt: skip
                last = book.tell("schedule.line_set", set_, **told)
            case "owner":
                book.tell("schedule.line_reassigned", {"line": name, "owner": "ref~b", **on}, **told)
            case "end":
                book.tell("schedule.line_ended", {"line": name, **on}, **told)
            case "person":
                book.tell("counterpart.departed", {"person": name, **on}, **told)
            case _:
                book.tell("counterpart.added", {"person": name, "name": "x", "layer": "board", **on}, **told)
    assert last is not None
    return last


@pytest.mark.parametrize("viewer", [EVERYTHING, ZORG, WMO, ANNA, BOARD], ids=lambda viewer: viewer.name)
async def test_questions_schedule_and_alerts_agree_on_whom_a_line_is_for(engine: AsyncEngine, viewer: Viewer) -> None:
    """It is as restricted as the facts that it stands on: what was replaced counts no more, in all places alike."""
    book = of_the_team()
    for name in LIVES:
        data = {
            "alert": alert_of(name), "rule": "contact_overdue", "rule_version": 1, "line": name, "due_on": "2026-02-02",
            "overdue_on": "2026-02-10", "last_ok_on": "2026-02-09", "level": 0, "silent": False,
            "evidence": [lived(book, name).position], "occurred_on": "2026-03-03",
        }  # fmt: skip
        book.tell("alert.raised", data, department="relatieboek")
    may = {n for n, (_, closed) in LIVES.items() if viewer in (EVERYTHING, ZORG) or not closed}
    vacant = {"gone", "gone openly"}
    await record(engine, book.events, (contact_alerts.PROJECTION, relation_view.PROJECTION))
    async with engine.connect() as conn:
        late = (await overdue_lines(conn, NOW, viewer=viewer)).items
        covered = (await layer_contacts(conn, NOW, viewer=viewer)).items
        whole, grid = await show(conn, HAAG, NOW, viewer), await matrix(conn, HAAG, NOW, viewer)
        then = await relation_as_of(conn, HAAG, viewer=viewer)
        listed = (await list_alerts(conn, now=NOW, viewer=viewer)).items
        (beside,) = (await list_relations(conn, now=NOW, viewer=viewer)).items
        one = {n for n in LIVES if await show_alert(conn, alert_of(n), NOW, viewer) is not None}
    assert whole is not None
    assert grid is not None
    assert then is not None
    lines = {
        "question 1": {item["line"] for item in late} | (may & vacant),
        "question 2": {item["line"] for item in covered},
        "schedule": {line["line"] for line in whole["schedule"]},
        "schedule as of now": {line["line"] for line in then["schedule"]},
        "matrix": {line["line"] for cell in grid["cells"] for line in cell["required"]},
    }
    assert lines == dict.fromkeys(lines, may)
    assert vacant.isdisjoint(item["line"] for item in late)
    # A vacant line's alert is over at the next tick; until then it says no more than the events that it names.
    alerts = {
        "list": {a["line"] for a in listed}, "one": one,
        "relation": {a["line"] for a in whole["open_alerts"]}, "then": {a["line"] for a in then["open_alerts"]},
        "beside the list": {a["line"] for a in beside["open_alerts"]} - (vacant - may),
    }  # fmt: skip
    assert alerts == dict.fromkeys(alerts, may)


async def test_a_restricted_alert_of_an_open_line_leaves_no_trace_in_its_state(engine: AsyncEngine) -> None:
    """The line is late for everybody; that there is an alert, that it climbed and was put off, only for some."""
    book = of_the_team()
    line = lived(book, "open")
    secret = promised(book, "department")
    data = {
        "alert": alert_of("open"), "rule": "contact_overdue", "rule_version": 1, "line": "open", "due_on": "2026-02-02",
        "overdue_on": "2026-02-10", "last_ok_on": "2026-02-09", "level": 1, "silent": False,
        "evidence": [line.position, secret.position], "occurred_on": "2026-03-03",
    }  # fmt: skip
    book.tell("alert.raised", data, department="relatieboek")
    await record(engine, book.events, (contact_alerts.PROJECTION, relation_view.PROJECTION))
    async with engine.connect() as conn:
        for viewer, alert, state in ((ZORG, alert_of("open"), "escalated"), (WMO, None, "overdue")):
            (late,) = (await overdue_lines(conn, NOW, viewer=viewer)).items
            assert (late["alert"], late["level"], late["state"]) == (alert, 1 if alert else 0, state)
            whole = await show(conn, HAAG, NOW, viewer)
            assert whole is not None
            assert [one["state"] for one in whole["schedule"]] == [state]


async def test_why_an_alert_exists_tells_of_a_restricted_contact_its_date_only(engine: AsyncEngine, book: Book) -> None:
    """Also when only what is told later of that contact is among the evidence, openly. An anonymous score shows
    nowhere singly."""
    held = book.held("c-1", "2026-02-03T10:00:00+01:00", visibility="department")
    changes = {"contact": "c-1", "changes": {"duration_min": 30}, "reason": "x"}
    corrected = book.tell("contact.corrected", {**changes, "occurred_at": "2026-02-04T11:00:00+01:00"})
    scored = {"response": "r-1", "instrument": "nps", "score": 3, "anonymous": True, "occurred_on": "2026-02-03"}
    low = book.tell("satisfaction.scored", scored)
    raised(book, "contact", held, corrected, low)
    await record(engine, book.events, PROJECTIONS)
    async with engine.connect() as conn:
        closed = await explain(conn, alert_of("contact"), NOW, ANNA)
        seen = await explain(conn, alert_of("contact"), NOW, EVERYTHING)
    assert closed is not None
    assert seen is not None
    for one, on in zip(closed["evidence"][:2], ("2026-02-03", "2026-02-04"), strict=True):
        assert (one["title"], one["department"], one["recorded_at"]) == ("vertrouwelijk contact", None, None)
        assert one["occurred_at"] == on
    titles = [one["title"] for one in seen["evidence"]]
    assert titles[0] == "Gesprek, afspraak, 60 minuten"
    assert titles[1] != "vertrouwelijk contact"
    assert titles[2] == closed["evidence"][2]["title"]
    assert "3" not in closed["evidence"][2]["title"]


async def test_a_cursor_that_somebody_made_up_tells_nobody_when_something_was(engine: AsyncEngine, book: Book) -> None:
    """It holds a position. Between which of their own entries that lies would tell its time."""
    theirs = book.register(DELFT, "Gemeente Delft")
    secret = [e for e in book.events if e.kind == "commitment.made" and e.visibility == "named"]
    await record(engine, book.events, PROJECTIONS)
    async with engine.connect() as conn:
        first = await relation_page(conn, HAAG, WMO, limit=1)
        assert first.next is not None
        (scope, position) = json.loads(base64.urlsafe_b64decode(first.next + "=="))
        assert position == first.items[0]["position"]
        for made_up in (theirs, *secret):
            cursor = encode_cursor(scope, (made_up.position,))
            with pytest.raises(Invalid):
                await relation_page(conn, HAAG, WMO, cursor=cursor)
            with pytest.raises(Invalid):
                await team_page(conn, "wmo", WMO, cursor=cursor)
        (one,) = secret
        assert (await relation_page(conn, HAAG, EVERYTHING, cursor=encode_cursor(scope, (one.position,)))).items
        second = await team_page(conn, "wmo", WMO, cursor=first.next)
        assert len(second.items) == len((await team_page(conn, "wmo", WMO, limit=200)).items) - 1


@pytest.mark.parametrize(
    ("told", "opened"),
    [
        (["organisation", "organisation"], True), (["department", "organisation"], False),
        (["organisation", "department"], False), (["department", "organisation", "organisation"], True),
    ],
    ids=["open", "drafted for some", "approved for some", "drafted again openly"],
)  # fmt: skip
async def test_a_plan_and_the_arguments_of_a_tier_show_to_who_may_see_what_says_so(
    engine: AsyncEngine, told: Sequence[str], opened: bool
) -> None:
    book = of_the_team()
    kinds = ("plan.drafted", "plan.approved", "plan.drafted")
    for n, (kind, visibility) in enumerate(zip(kinds, told, strict=False), 7):
        plan = {"plan": "2026", "template": "ten", "horizon_on": "2026-12-31", "occurred_on": f"2026-01-{n:02}"}
        book.tell(kind, plan, department="zorg", visibility=visibility)
    arguments = [{"criterion": "revenue_share", "evidence": "18 %"}]
    tier = {"tier": "A", "arguments": arguments, "occurred_on": "2026-01-07"}
    book.tell("relation.tier_assigned", tier, department="zorg", visibility=told[0])
    await record(engine, book.events, (relation_view.PROJECTION,))
    async with engine.connect() as conn:
        for viewer, may in ((EVERYTHING, True), (ZORG, True), (WMO, opened), (BOARD, opened)):
            seen = [await show(conn, HAAG, NOW, viewer), await relation_as_of(conn, HAAG, viewer=viewer)]
            for whole in seen:
                assert whole is not None
                assert whole["plan"]["plan"] == ("2026" if may else None)
                assert whole["tier"] == "A"
                closed = told[0] == "department" and viewer in (WMO, BOARD)
                assert whole["tier_arguments"] == ([] if closed else arguments)


@pytest.mark.parametrize("visibility", ["organisation", "department"])
async def test_what_a_relation_lacks_shows_to_who_may_see_what_says_so(engine: AsyncEngine, visibility: str) -> None:
    """The horizon of a plan is told when it is drafted: who may not see that hears nothing of the day that it ended."""
    book = of_the_team()
    plan = {"plan": "2026", "occurred_on": "2026-01-07"}
    drafted = {**plan, "template": "ten", "horizon_on": "2026-02-02"}
    told = [
        book.tell("plan.drafted", drafted, department="zorg", visibility=visibility),
        book.tell("plan.approved", plan, department="zorg"),
    ]
    rows = fold(workflows.PROJECTION, book.events)
    duty = rows.tables["duty"][HAAG, "a_relation_incomplete", "lack:plan"]["wanted"]
    assert duty["evidence"] == [3, *(e.position for e in told)]
    await record(engine, book.events, (workflows.PROJECTION,))
    async with engine.connect() as conn:
        for viewer, may in ((EVERYTHING, True), (ZORG, True), (WMO, visibility == "organisation"), (BOARD, None)):
            (item,) = (await incomplete_relations(conn, NOW, viewer=viewer)).items
            lacks = {lack["what"]: lack for lack in item["lacks"]}
            assert set(lacks) == {"schedule", "board_line", "knowledge", "satisfaction"} | (
                {"plan"} if may or visibility == "organisation" else set()
            )
            if "plan" in lacks:
                assert (lacks["plan"]["since"], lacks["plan"]["evidence"]) == ("2026-02-03", [e.position for e in told])


async def test_a_fall_of_satisfaction_shows_to_who_may_see_both_quarters(engine: AsyncEngine) -> None:
    book = of_the_team()
    book.tell("satisfaction.instrument_defined", {**NPS, "min_n": 1}, ORGANISATION)
    for response, score, on, visibility in (
        ("r-1", 9, "2026-01-06", "department"), ("r-2", 2, "2026-04-07", "organisation"),
    ):  # fmt: skip
        told = {"response": response, "instrument": "nps-2026", "score": score, "anonymous": True, "occurred_on": on}
        book.tell("satisfaction.scored", told, department="zorg", visibility=visibility)
    await record(engine, book.events, (workflows.PROJECTION,))
    async with engine.connect() as conn:
        for viewer, may in ((EVERYTHING, True), (ZORG, True), (WMO, False), (BOARD, False)):
            (item,) = (await incomplete_relations(conn, at("2026-06-01"), viewer=viewer)).items
            assert (item["satisfaction_falling"] is not None) is may


async def test_a_loop_shows_to_who_may_see_its_score(engine: AsyncEngine, book: Book) -> None:
    score = {"instrument": "nps-2026", "score": 3, "anonymous": False, "occurred_on": "2026-02-03"}
    for name, visibility in (("1", "organisation"), ("2", "department")):
        scored = {"response": f"r-{name}", **score}
        low = book.tell("satisfaction.scored", scored, department="zorg", visibility=visibility)
        opened: dict[str, Any] = {
            "loop": str(UUID(int=int(name))), "response": f"r-{name}", "instrument": "nps-2026", "silent": False,
            "due_on": "2026-02-05", "evidence": [low.position], "occurred_on": "2026-02-03",
        }  # fmt: skip
        book.tell("loop.opened", opened, department="relatieboek")
    await record(engine, book.events, PROJECTIONS)
    async with engine.connect() as conn:
        for viewer, responses in ((WMO, ["r-1"]), (ZORG, ["r-2", "r-1"])):
            assert [loop["response"] for loop in (await list_loops(conn, NOW, viewer=viewer)).items] == responses
            assert (await find_loop(conn, str(UUID(int=2)), NOW, viewer) is None) is (viewer is WMO)
            told = (await relation_page(conn, HAAG, viewer, family="loop")).items
            loops = [f"r-{UUID(e['detail']['loop']).int}" for e in told]
            assert sorted(loops) == sorted(responses)


def test_nobody_is_woken_by_an_alert_that_is_not_for_all(book: Book) -> None:
    rows = fold(team_timeline.PROJECTION, book.events)
    woken = {
        e.data["about"]: [m.subject for m in team_timeline.PROJECTION.announce(rows, e)]
        for e in book.events
        if e.kind == "alert.raised"
    }
    assert woken == {
        "commitment:organisation": ["live.team.wmo"], "commitment:team": ["live.team.wmo"],
        "commitment:department": [], "commitment:named": [],
    }  # fmt: skip


def test_a_withdrawn_fact_still_restricts_what_was_told_of_it(book: Book) -> None:
    made = next(e for e in book.events if e.kind == "commitment.made" and e.visibility == "department")
    book.tell("correction.withdrawn", {"source": made.source, "id": made.id, "occurred_on": "2026-03-05"})
    for projection in PROJECTIONS[:3]:
        rows = fold(projection, book.events)
        known = rows.get("guarded", HAAG, alert_of("department"))
        assert known is not None, projection.name
        assert known["hidden"] != 0


@pytest.mark.parametrize(
    ("viewer", "people", "lines"),
    [
        (EVERYTHING, ["department", "named", "open", "team"], ["about gone", "about open"]),
        (ZORG, ["department", "open", "team"], ["about gone", "about open"]),
        (WMO, ["open", "team"], ["about open"]), (BOARD, ["open"], ["about open"]),
    ],
    ids=["all", "its department", "the team", "the board"],
)  # fmt: skip
async def test_a_contact_person_shows_to_who_may_see_it_and_so_does_that_one_is_gone(
    engine: AsyncEngine, viewer: Viewer, people: list[str], lines: list[str]
) -> None:
    book = of_the_team()
    for name in ("open", "team", "department", "named", "gone"):
        added = {"person": name, "name": name, "layer": "board", "occurred_on": "2026-01-06"}
        visibility = "organisation" if name in {"open", "gone"} else name
        book.tell("counterpart.added", added, department="zorg", visibility=visibility)
    for name in ("open", "gone"):
        book.tell(
            "schedule.line_set",
            {
                "line": f"about {name}", "our_layer": "board", "their_layer": "board", "starts_on": "2026-01-06",
                "cadence": {"mode": "rolling", "every": "P3M"}, "grace_working_days": 5, "their_person": name,
                "occurred_on": "2026-01-06",
            },
            department="zorg",
        )  # fmt: skip
    left = {"person": "gone", "occurred_on": "2026-02-01"}
    book.tell("counterpart.departed", left, department="zorg", visibility="department")
    await record(engine, book.events, (relation_view.PROJECTION,))
    async with engine.connect() as conn:
        whole, grid = await show(conn, HAAG, NOW, viewer), await matrix(conn, HAAG, NOW, viewer)
    assert whole is not None
    assert grid is not None
    assert sorted(c["person"] for c in whole["counterparts"]) == people
    assert sorted(c["person"] for layer in grid["counterparts"] for c in layer["people"]) == people
    assert sorted(line["line"] for line in whole["schedule"]) == lines
    assert sorted(line["line"] for cell in grid["cells"] for line in cell["required"]) == lines
