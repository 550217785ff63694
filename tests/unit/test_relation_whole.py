"""Relation view, what a relation shows beside contacts: agreements, matrix and coverage, loops, plan, knowledge."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from events.recorded import ORGANISATION
from projections.relation_plan import changes, history_of, with_changes
from projections.relation_present import present
from projections.relation_view import PROJECTION
from projections.rows import fold
from projections.viewer import DEPARTMENT
from tests.given import HAAG, Book

NOW = datetime(2026, 6, 30, 10, tzinfo=UTC)
ON = {"occurred_on": "2026-01-10"}
EVERY = {"mode": "rolling", "every": "P3M"}
LINE: dict[str, Any] = {
    "line": "l-1", "our_layer": "board", "their_layer": "board", "cadence": EVERY, "starts_on": "2026-01-01",
    "grace_working_days": 5, "owner": "ref~12", "occurred_on": "2026-01-06",
}  # fmt: skip


@pytest.fixture
def book() -> Book:
    book = Book()
    book.register()
    return book


def see(book: Book, hidden: int = 0) -> dict[str, Any]:
    seen = present(fold(PROJECTION, book.events), HAAG, NOW, position=len(book.events), hidden=hidden)
    assert seen is not None
    return seen


def test_a_new_relation_has_the_new_parts_and_nothing_in_them(book: Book) -> None:
    seen = see(book)
    assert (seen["agreements"], seen["matrix"], seen["open_loops"], seen["position_measured"]) == ([], [], [], [])
    assert (seen["coverage"]["required"], seen["coverage"]["share"], seen["coverage"]["policy"]) == (0, None, None)
    assert (seen["ended_on"], seen["plan"]["state"]) == (None, None)


def test_lines_of_who_left_are_the_relations_owners_else_of_the_lead_of_the_team_that_came_first(book: Book) -> None:
    def owners() -> list[str | None]:
        return [line["owner"] for line in see(book)["schedule"]]

    book.tell("schedule.line_set", LINE)
    book.tell("schedule.line_set", {**LINE, "line": "l-2", "owner": "ref~13"})
    for team, lead, on in (("t-late", "ref~7", "2026-02-02"), ("t-first", "ref~8", "2026-02-01")):
        book.tell("team.member_joined", {"team": team, "employee": lead, "role": "lead", **ON}, ORGANISATION)
        book.tell("team.relation_assigned", {"team": team, "occurred_on": on})
    left = {"employee": "ref~12", "on": "2026-06-30", "occurred_on": "2026-06-01"}
    book.tell("employee.left", {**left, "on": "2026-07-01"}, ORGANISATION)
    assert owners() == ["ref~12", "ref~13"], "not before the day"
    book.tell("employee.left", {**left, "occurred_on": "2026-06-02"}, ORGANISATION)
    assert owners() == ["ref~8", "ref~13"]
    book.tell("relation.owner_assigned", {"employee": "ref~9", **ON})
    assert owners() == ["ref~9", "ref~13"]
    book.tell("employee.left", {**left, "employee": "ref~9"}, ORGANISATION)
    book.tell("employee.left", {**left, "employee": "ref~8"}, ORGANISATION)
    assert owners() == [None, "ref~13"], "nobody's"


def test_agreements_and_the_end_of_the_relation(book: Book) -> None:
    signed = {"agreement": "a-1", "type": "contract", "parties": ["us", HAAG], "from": "2026-01-01"}
    book.tell("agreement.signed", {**ON, **signed, "until": "2026-12-31", "basis": "volume_price"})
    book.tell("relation.ended", {"reason": "enc~1", "occurred_on": "2026-06-01"})
    seen = see(book)
    assert [(a["agreement"], a["state"], a["ends_in_days"]) for a in seen["agreements"]] == [("a-1", "running", 184)]
    assert (seen["ended_on"], seen["end_reason"]) == ("2026-06-01", "enc~1")


def test_a_move_changes_only_what_it_says_and_who_departed_is_gone(book: Book) -> None:
    known = {"person": "ref~81", "name": "enc~1", "function": "enc~2", "layer": "board", "decision_role": "decides"}
    book.tell("counterpart.moved", {"person": "ref~81", "layer": "professional", "occurred_on": "2026-03-01"})
    book.tell("counterpart.added", {**ON, **known})
    (person,) = see(book)["counterparts"]
    assert person == {**known, "layer": "professional"}
    book.tell("counterpart.departed", {"person": "ref~81", "occurred_on": "2026-05-01"})
    assert see(book)["counterparts"] == []


def test_a_line_about_a_person_who_left_is_vacant_and_not_covered(book: Book) -> None:
    book.tell("counterpart.added", {**ON, "person": "ref~81", "layer": "board"})
    book.tell("schedule.line_set", {**LINE, "their_person": "ref~81"})
    book.held("c-1", "2026-06-01T10:00:00+02:00")
    assert see(book)["matrix"][0]["covered"] is True
    book.tell("counterpart.departed", {"person": "ref~81", "occurred_on": "2026-06-15"})
    seen = see(book)
    assert (seen["schedule"][0]["state"], seen["matrix"][0]["vacant"], seen["matrix"][0]["covered"]) == (
        "vacant", True, False,
    )  # fmt: skip
    assert (seen["coverage"]["vacant"], seen["coverage"]["share"]) == (1, 0.0)


def test_what_the_policy_of_the_tier_asks_for_is_required_too(book: Book) -> None:
    asked = {"our_layer": "professional", "their_layer": "professional", "cadence": EVERY, "grace_working_days": 5}
    lines = [asked, {**asked, "our_layer": "board", "their_layer": "board"}]
    policy = {"tier": "A", "policy_version": 3, "lines": lines, "effective_on": "2026-01-01"}
    book.tell("schedule.policy_set", {**ON, **policy}, ORGANISATION)
    book.tell("relation.tier_assigned", {**ON, "tier": "A", "arguments": []})
    book.tell("schedule.line_set", LINE)
    book.held("c-1", "2026-06-01T10:00:00+02:00")
    seen = see(book)
    # the board has a line of its own, so the policy adds one for the professionals only
    assert [line["line"] for line in seen["schedule"]] == ["l-1", "policy:A:professional:professional:2026-01-01"]
    coverage = seen["coverage"]
    assert (coverage["required"], coverage["covered"], coverage["policy"]["policy_version"]) == (2, 1, 3)
    assert [(p["our_layer"], p["covered"]) for p in coverage["policy"]["pairs"]] == [
        ("professional", False), ("board", True),
    ]  # fmt: skip


def test_links_are_counted_by_how_good_they_are(book: Book) -> None:
    link = {"ours": "ref~1", "theirs": "ref~2", "coverage": "thin", "basis": "enc~1"}
    book.tell("matrix.link_assessed", {**ON, **link})
    book.tell("matrix.link_assessed", {**link, "coverage": "strong", "occurred_on": "2026-02-01"})
    coverage = see(book)["coverage"]
    assert coverage["link_counts"] == {"none": 0, "thin": 0, "adequate": 0, "strong": 1}
    assert coverage["links"][0]["evidence"] == [3]


def test_position_per_year_the_last_first(book: Book) -> None:
    for year, cents in ((2024, 100), (2025, 200), (2025, 250)):
        data = {"year": year, "revenue_cents": cents, "share_pct": 12.5, "occurred_on": f"2026-01-{cents // 10}"}
        book.tell("knowledge.position_measured", data)
    assert [(m["year"], m["revenue_cents"]) for m in see(book)["position_measured"]] == [(2025, 250), (2024, 100)]


def test_knowledge_is_complete_and_stale_as_the_items_are(book: Book) -> None:
    for item, until in (("market", "2026-06-29"), ("strategy", "2026-06-30")):
        book.tell("knowledge.item_recorded", {**ON, "item": item, "text": "enc~1", "valid_until": until})
    knowledge = see(book)["knowledge"]
    assert (knowledge["complete"], knowledge["of"], knowledge["stale"]) == (3, 13, 1)
    assert [i["item"] for i in knowledge["items"] if i["stale"]] == ["market"]


def test_open_loops_show_and_closed_ones_do_not(book: Book) -> None:
    opened: dict[str, Any] = {
        "response": "r-1",
        "instrument": "nps",
        "due_on": "2026-06-01",
        "evidence": [],
        "silent": False,
    }
    for loop in ("l-1", "l-2"):
        book.tell("loop.opened", {**ON, **opened, "loop": loop})
    book.tell("loop.closed", {**ON, "loop": "l-2", "reason": "manual", "evidence": []})
    assert [(x["loop"], x["late"]) for x in see(book)["open_loops"]] == [("l-1", True)]


def answered(book: Book, answer: str, on: str, question: str = "4", **envelope: Any) -> None:
    data = {"plan": "2026", "question": question, "answer": answer, "occurred_on": on}
    book.tell("plan.question_answered", data, **envelope)


def test_a_plan_is_drafted_approved_and_superseded_by_another(book: Book) -> None:
    drafted = {"plan": "2026", "template": "tien-vragen", "horizon_on": "2028-12-31"}
    book.tell("plan.drafted", {**ON, **drafted})
    assert (see(book)["plan"]["state"], see(book)["plan"]["template"]) == ("drafted", "tien-vragen")
    book.tell("plan.approved", {"plan": "2026", "occurred_on": "2026-02-01"})
    assert see(book)["plan"]["state"] == "approved"
    book.tell("plan.superseded", {"plan": "2026", "by": "2027", "occurred_on": "2026-03-01"})
    (plan,) = [see(book)["plan"]]
    assert (plan["state"], plan["superseded_by"]) == ("superseded", "2027")
    book.tell("plan.drafted", {**drafted, "plan": "2025", "occurred_on": "2025-01-01"})
    assert see(book)["plan"]["plan"] == "2025"  # the only one that nothing replaced


@pytest.mark.parametrize(("anew", "state"), [("2026-03-02", "approved"), ("2026-02-27", "superseded")])
def test_a_plan_that_is_approved_anew_after_it_was_superseded_stands(book: Book, anew: str, state: str) -> None:
    for on in ("2026-02-01", anew):
        book.tell("plan.approved", {"plan": "2026", "occurred_on": on})
    book.tell("plan.superseded", {"plan": "2026", "by": "2027", "occurred_on": "2026-03-01"})
    assert see(book)["plan"]["state"] == state


def test_actions_are_completed_deferred_and_dropped(book: Book) -> None:
    for action in ("a-1", "a-2", "a-3"):
        data = {"plan": "2026", "action": action, "what": "enc~1", "owner": "ref~1", "due_on": "2026-04-01"}
        book.tell("plan.action_agreed", {**ON, **data})
    book.tell("plan.action_completed", {"plan": "2026", "action": "a-1", "occurred_on": "2026-03-01"})
    later = {"plan": "2026", "action": "a-2", "due_on": "2026-09-01", "reason": "enc~2", "occurred_on": "2026-03-02"}
    book.tell("plan.action_deferred", later)
    book.tell("plan.action_dropped", {"plan": "2026", "action": "a-3", "reason": "enc~3", "occurred_on": "2026-03-03"})
    actions = {a["action"]: a for a in see(book)["plan"]["actions"]}
    assert [(a["state"], a["late"]) for _, a in sorted(actions.items())] == [
        ("completed", False), ("open", False), ("dropped", False),
    ]  # fmt: skip
    assert (actions["a-2"]["due_on"], actions["a-2"]["reason"], actions["a-3"]["reason"]) == (
        "2026-09-01", "enc~2", "enc~3",
    )  # fmt: skip


def test_the_history_of_a_question_says_who_changed_what(book: Book) -> None:
    answered(book, "Meer zorg\nthuis", "2026-01-10")
    answered(book, "Meer zorg\nthuis en dichtbij", "2026-03-10", department="jeugd")
    answered(book, "Tussendoor", "2026-02-10")  # late: it was replaced before the book heard of it
    answered(book, "Iets anders", "2026-02-11", question="5")
    rows = fold(PROJECTION, book.events)
    history = with_changes(history_of(list(rows.tables["answer_version"].values())))
    fourth = [entry for entry in history if entry["question"] == "4"]
    assert [(e["position"], e["stands"], e["department"]) for e in fourth] == [
        (3, True, "jeugd"), (4, False, "wmo"), (2, False, "wmo"),
    ]  # fmt: skip
    assert fourth[2]["changes"] == ["@@ -0,0 +1,2 @@", "+Meer zorg", "+thuis"]
    assert see(book)["plan"]["questions"][0]["answer"] == "Meer zorg\nthuis en dichtbij"


def test_what_two_answers_differ_in() -> None:
    assert changes("een\ntwee", "een\ndrie") == ["@@ -1,2 +1,2 @@", " een", "-twee", "+drie"]
    assert changes("een", "een") == []


def test_restricted_facts_are_left_out_for_who_may_not_see_them(book: Book) -> None:
    answered(book, "enc~1", "2026-01-10", visibility="department")
    book.tell(
        "commitment.made",
        {**ON, "commitment": "k-1", "by": "us", "what": "enc~2", "due_on": "2026-04-01"},
        visibility="department",
    )
    book.tell(
        "knowledge.item_recorded",
        {**ON, "item": "market", "text": "enc~3", "valid_until": "2027-01-01"},
        visibility="department",
    )
    whole, part = see(book), see(book, hidden=DEPARTMENT)
    assert (len(whole["commitments"]), whole["plan"]["answered"], whole["knowledge"]["complete"]) == (1, 1, 2)
    assert (part["commitments"], part["plan"]["questions"], part["knowledge"]["complete"]) == ([], [], 1)
