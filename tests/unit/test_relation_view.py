"""Relation view: given these events, a reader sees this."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from events.recorded import ORGANISATION, Recorded
from projections.line_state import Rules
from projections.relation_matrix import matrix_of
from projections.relation_present import present
from projections.relation_view import PROJECTION, name_key
from projections.rows import Group, One, fold
from tests.given import DELFT, HAAG, NPS, Book

NOW = datetime(2026, 6, 30, 10, tzinfo=UTC)
LINE: dict[str, Any] = {
    "line": "l-1", "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
    "channels": ["meeting", "video"], "starts_on": "2026-01-01", "grace_working_days": 5, "owner": "ref~12",
    "occurred_on": "2026-01-06",
}  # fmt: skip


@pytest.fixture
def book() -> Book:
    book = Book()
    book.register()
    return book


def see(book: Book, now: datetime = NOW, relation: str = HAAG) -> dict[str, Any]:
    seen = present(fold(PROJECTION, book.events), relation, now, position=len(book.events), hidden=0)
    assert seen is not None
    return seen


def test_a_new_relation_has_every_field_and_no_figures(book: Book) -> None:
    seen = see(book)
    named = (
        "id name kind region identifiers tier tier_arguments version last_contact_at contacts_total contacts_12m "
        "minutes_12m contacts_by_channel contacts_by_layer_pair schedule open_alerts satisfaction plan knowledge teams "
        "position"
    )
    assert set(named.split()) <= set(seen)
    assert (seen["id"], seen["name"], seen["kind"]) == (HAAG, "Gemeente Den Haag", "municipality")
    assert (seen["version"], seen["position"], seen["tier"]) == (1, 1, None)
    assert (seen["last_contact_at"], seen["contacts_total"], seen["minutes_12m"]) == (None, 0, 0)
    assert seen["plan"]["plan"] is None
    assert (seen["knowledge"]["complete"], seen["knowledge"]["of"], seen["knowledge"]["stale"]) == (1, 13, 0)


def test_a_relation_that_is_not_registered_is_not_there(book: Book) -> None:
    assert present(fold(PROJECTION, book.events), DELFT, NOW, hidden=0) is None
    assert present(fold(PROJECTION, book.events), ORGANISATION, NOW, hidden=0) is None


def test_subject_and_identifiers_are_linked_and_local_ones_keep_their_department() -> None:
    book = Book()
    book.tell(
        "relation.registered",
        {
            "name": "X",
            "kind": "municipality",
            "identifiers": [{"scheme": "kvk", "value": "1"}],
            "occurred_on": "2026-01-05",
        },
        subject="gemeentecode:0518",
    )
    book.tell("relation.identifier_linked", {"scheme": "local", "value": "D-4", "occurred_on": "2026-01-05"})
    book.tell(
        "relation.identifier_linked",
        {"scheme": "local", "value": "D-4", "occurred_on": "2026-01-05"},
        department="jeugd",
    )
    assert see(book)["identifiers"] == [
        {"scheme": "gemeentecode", "value": "0518"},
        {"scheme": "kvk", "value": "1"},
        {"scheme": "local", "value": "D-4", "department": "jeugd"},
        {"scheme": "local", "value": "D-4", "department": "wmo"},
    ]


def test_the_tier_that_occurred_last_stands_though_it_came_first(book: Book) -> None:
    evidence = [{"criterion": "revenue_share", "evidence": "18 % of 2025 revenue"}]
    book.tell(
        "relation.tier_assigned",
        {"tier": "A", "arguments": evidence, "review_on": "2027-01-01", "occurred_on": "2026-03-01"},
    )
    book.tell("relation.tier_assigned", {"tier": "B", "arguments": [], "occurred_on": "2026-02-01"})
    seen = see(book)
    assert (seen["tier"], seen["tier_arguments"], seen["tier_review_on"]) == ("A", evidence, "2027-01-01")
    assert seen["version"] == 3


def test_contacts_are_counted_by_channel_layer_pair_and_year(book: Book) -> None:
    book.held("c-0", "2025-06-30T10:00:00+02:00")  # a year ago to the day: no longer in the last twelve months
    book.held("c-1", "2025-07-01T10:00:00+02:00", duration_min=30)
    both = [{"layer": "board"}, {"layer": "professional"}]
    book.held("c-2", "2026-02-03T10:00:00+01:00", ours=both, channel="phone", duration_min=15)
    seen = see(book)
    assert (seen["contacts_total"], seen["contacts_12m"], seen["minutes_12m"]) == (3, 2, 45)
    assert seen["last_contact_at"] == "2026-02-03T10:00:00+01:00"
    assert seen["contacts_by_channel"] == {"meeting": 2, "phone": 1}
    assert seen["contacts_by_layer_pair"] == [
        {"our_layer": "board", "their_layer": "board", "contacts": 3, "last_at": "2026-02-03T10:00:00+01:00"},
        {"our_layer": "professional", "their_layer": "board", "contacts": 1, "last_at": "2026-02-03T10:00:00+01:00"},
    ]


def test_corrections_apply_in_the_order_they_occurred(book: Book) -> None:
    book.held("c-1", "2026-02-03T10:00:00+01:00")
    later = {"occurred_at": "2026-02-05T10:00:00+01:00", "duration_min": 20}
    book.tell("contact.corrected", {"contact": "c-1", "changes": later, "occurred_at": "2026-02-08T09:00:00+01:00"})
    earlier = {"occurred_at": "2026-02-04T10:00:00+01:00", "channel": "video", "theirs": [{"layer": "professional"}]}
    book.tell("contact.corrected", {"contact": "c-1", "changes": earlier, "occurred_at": "2026-02-07T09:00:00+01:00"})
    seen = see(book)
    assert (seen["last_contact_at"], seen["minutes_12m"]) == ("2026-02-05T10:00:00+01:00", 20)
    assert seen["contacts_by_channel"] == {"video": 1}
    assert [p["their_layer"] for p in seen["contacts_by_layer_pair"]] == ["professional"]


def test_a_retraction_is_final_and_what_was_before_counts_again(book: Book) -> None:
    book.held("c-1", "2026-02-03T10:00:00+01:00")
    book.held("c-2", "2026-03-03T10:00:00+01:00")
    book.tell("contact.retracted", {"contact": "c-2", "reason": "enc~", "occurred_at": "2026-03-04T09:00:00+01:00"})
    change = {"duration_min": 5}
    book.tell("contact.corrected", {"contact": "c-2", "changes": change, "occurred_at": "2026-03-05T09:00:00+01:00"})
    seen = see(book)
    assert (seen["contacts_total"], seen["minutes_12m"], seen["last_contact_at"]) == (
        1,
        60,
        "2026-02-03T10:00:00+01:00",
    )


SAME: list[tuple[str, dict[str, Any]]] = [
    ("contact.declared_same", {"contacts": ["c-1", "c-2"], "canonical": "c-2", "occurred_on": "2026-03-05"}),
    ("contact.declared_same", {"contacts": ["c-2", "c-3"], "canonical": "c-2", "occurred_on": "2026-03-06"}),
    ("contact.retracted", {"contact": "c-2", "occurred_at": "2026-03-04T09:00:00+01:00"}),
    (
        "contact.corrected",
        {"contact": "c-2", "changes": {"duration_min": 5}, "occurred_at": "2026-03-07T09:00:00+01:00"},
    ),
]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_what_links_two_contacts_links_them_though_it_was_retracted(book: Book, order: tuple[int, ...]) -> None:
    for n in (1, 2, 3):
        book.held(f"c-{n}", f"2026-03-0{n}T10:00:00+01:00", duration_min=10 * n)
    for n in order:
        book.tell(*SAME[n])
    seen = see(book)
    assert (seen["contacts_total"], seen["minutes_12m"]) == (1, 10)
    assert seen["last_contact_at"] == "2026-03-01T10:00:00+01:00"


PLANNED: dict[str, Any] = {
    "contact": "c-1", "starts_at": "2026-07-03T10:00:00+02:00", "ends_at": "2026-07-03T11:00:00+02:00",
    "channel": "meeting", "ours": [{"layer": "board"}], "theirs": [{"layer": "board"}],
}  # fmt: skip


def test_a_planned_meeting_is_no_contact_until_held(book: Book) -> None:
    book.tell("contact.planned", PLANNED)
    seen = see(book)
    assert seen["contacts_total"] == 0
    assert [(p["contact"], p["starts_at"]) for p in seen["planned"]] == [("c-1", "2026-07-03T10:00:00+02:00")]
    book.held("c-1", "2026-06-29T10:00:00+02:00")
    seen = see(book)
    assert (seen["contacts_total"], seen["planned"]) == (1, [])


@pytest.mark.parametrize("kind", ["contact.cancelled", "contact.no_show"])
def test_a_meeting_called_off_is_not_to_come_unless_it_was_moved_since(book: Book, kind: str) -> None:
    book.tell("contact.planned", PLANNED, time="2026-06-20T09:00:00+02:00")
    # The calendar logged the plan later than the cancellation says it occurred: it holds all the same.
    book.tell(kind, {"contact": "c-1", "occurred_at": "2026-06-19T09:00:00+02:00"})
    assert see(book)["planned"] == []
    moved = {"contact": "c-1", "starts_at": "2026-07-09T10:00:00+02:00", "ends_at": "2026-07-09T11:00:00+02:00"}
    book.tell("contact.rescheduled", moved, time="2026-06-21T09:00:00+02:00")
    assert [p["starts_at"] for p in see(book)["planned"]] == ["2026-07-09T10:00:00+02:00"]


def test_a_line_shows_its_state_and_the_example_of_the_specification(book: Book) -> None:
    book.tell("schedule.line_set", LINE)
    book.held("c-1", "2026-02-03T10:00:00+01:00")
    book.held("c-2", "2026-04-03T10:00:00+02:00", channel="phone")  # not an accepted channel
    on = datetime(2026, 5, 12, 10, tzinfo=UTC)
    (line,) = see(book, on)["schedule"]
    assert (line["state"], line["anchor_on"], line["due_on"]) == ("overdue", "2026-02-03", "2026-05-04")
    assert (line["last_ok_on"], line["overdue_on"], line["working_days_overdue"]) == ("2026-05-11", "2026-05-12", 1)
    assert (line["owner"], line["last_contact_on"]) == ("ref~12", "2026-02-03")
    assert see(book, on)["next_due_on"] == "2026-05-04"


def test_the_configured_lead_says_when_a_line_shows_as_due(book: Book) -> None:
    book.tell("schedule.line_set", LINE)
    book.held("c-1", "2026-02-03T10:00:00+01:00")
    rows, on = fold(PROJECTION, book.events), datetime(2026, 4, 22, 10, tzinfo=UTC)
    states = [present(rows, HAAG, on, rules=Rules(lead_working_days=days), hidden=0) for days in (3, 10)]
    assert [seen and seen["schedule"][0]["state"] for seen in states] == ["on_track", "due"]


def test_a_paused_line_moves_and_a_resumption_ends_the_pause(book: Book) -> None:
    book.tell("schedule.line_set", LINE)
    book.held("c-1", "2026-02-03T10:00:00+01:00")
    book.tell("schedule.line_paused", {"line": "l-1", "until": "2026-06-01", "occurred_on": "2026-03-01"})
    (line,) = see(book)["schedule"]
    assert (line["due_on"], line["last_ok_on"]) == ("2026-07-30", "2026-08-06")
    book.tell("schedule.line_resumed", {"line": "l-1", "occurred_on": "2026-03-01"})
    (line,) = see(book)["schedule"]
    assert line["due_on"] == "2026-05-04"


def test_an_ended_line_starts_again_when_it_is_set_later(book: Book) -> None:
    book.tell("schedule.line_set", LINE)
    book.tell("schedule.line_ended", {"line": "l-1", "occurred_on": "2026-03-01"})
    assert see(book)["schedule"][0]["state"] == "ended"
    assert see(book)["next_due_on"] is None
    book.tell("schedule.line_set", {**LINE, "occurred_on": "2026-02-01", "owner": "ref~13"})
    (line,) = see(book)["schedule"]
    assert (line["state"], line["owner"]) == ("ended", "ref~13")
    book.tell("schedule.line_set", {**LINE, "occurred_on": "2026-04-01"})
    assert see(book)["schedule"][0]["state"] != "ended"


def test_alerts_open_and_close_in_the_order_of_the_book(book: Book) -> None:
    raised = {
        "alert": "a-1", "rule": "contact_overdue", "rule_version": 1, "line": "l-1", "due_on": "2026-05-04",
        "overdue_on": "2026-05-12", "last_ok_on": "2026-05-11", "evidence": [2], "level": 0, "silent": False,
        "occurred_on": "2026-05-12",
    }  # fmt: skip
    book.tell("alert.raised", raised)
    (alert,) = see(book)["open_alerts"]
    assert (alert["id"], alert["line"], alert["due_on"]) == ("a-1", "l-1", "2026-05-04")
    closed = {"alert": "a-1", "reason": "contact_held", "evidence": [3], "occurred_on": "2026-05-12"}
    book.tell("alert.resolved", closed)
    assert see(book)["open_alerts"] == []
    book.tell("alert.reopened", {"alert": "a-1", "evidence": [4], "silent": False, "occurred_on": "2026-05-13"})
    assert [a["id"] for a in see(book)["open_alerts"]] == ["a-1"]


def test_an_acknowledged_and_snoozed_alert_says_so_and_snoozes_its_line(book: Book) -> None:
    book.tell("schedule.line_set", LINE)
    book.tell("alert.raised", {"alert": "a-1", "rule": "r", "line": "l-1", "level": 0, "occurred_on": "2026-05-12"})
    book.tell("alert.acknowledged", {"alert": "a-1", "occurred_at": "2026-05-13T09:00:00+02:00"})
    book.tell("alert.snoozed", {"alert": "a-1", "until": "2026-07-15", "occurred_at": "2026-05-13T09:00:00+02:00"})
    seen = see(book)
    assert (seen["open_alerts"][0]["acknowledged"], seen["open_alerts"][0]["snoozed_until"]) == (True, "2026-07-15")
    assert seen["schedule"][0]["state"] == "snoozed"


def scores(book: Book, *values: int, on: str = "2026-02-10") -> None:
    for value in values:
        data = {
            "response": f"r-{len(book.events)}",
            "instrument": "nps-2026",
            "score": value,
            "anonymous": True,
            "occurred_on": on,
        }
        book.tell("satisfaction.scored", data)


def test_satisfaction_shows_no_figure_below_min_n(book: Book) -> None:
    book.tell("satisfaction.instrument_defined", NPS, ORGANISATION)
    scores(book, 10, 9, 8, 3)
    (figure,) = see(book)["satisfaction"]
    assert (figure["n"], figure["mean"], figure["nps"], figure["low_share"]) == (4, None, None, None)
    scores(book, 10)
    (figure,) = see(book)["satisfaction"]
    assert (figure["instrument"], figure["wording_version"]) == ("nps-2026", 1)
    assert (figure["n"], figure["mean"], figure["nps"], figure["low_share"]) == (5, 8.0, 40.0, 0.2)


def test_satisfaction_never_mixes_wordings(book: Book) -> None:
    book.tell("satisfaction.instrument_defined", NPS, ORGANISATION)
    scores(book, 1, 2, 3, 4, 5, on="2026-02-10")
    scores(book, 10, 10, 10, 10, 10, on="2026-05-10")
    second = {**NPS, "wording_version": 2, "occurred_on": "2026-04-01"}
    book.tell("satisfaction.instrument_defined", second, ORGANISATION)
    assert [(s["wording_version"], s["mean"]) for s in see(book)["satisfaction"]] == [(1, 3.0), (2, 10.0)]


def test_a_kind_without_nps_has_none_and_the_low_band_may_be_the_best_of_the_scale(book: Book) -> None:
    ces = {
        **NPS, "instrument": "ces", "kind": "ces", "scale_min": 1, "scale_max": 5, "low_is_best": True, "min_n": 1,
        "bands": [{"name": "easy", "from": 1, "to": 2}, {"name": "hard", "from": 3, "to": 5}],
    }  # fmt: skip
    book.tell("satisfaction.instrument_defined", ces, ORGANISATION)
    book.tell(
        "satisfaction.scored",
        {"response": "r", "instrument": "ces", "score": 4, "anonymous": False, "occurred_on": "2026-02-10"},
    )
    (figure,) = see(book)["satisfaction"]
    assert (figure["nps"], figure["low_share"]) == (None, 1.0)


def answer(book: Book, plan: str, question: str, on: str = "2026-01-10", text: str = "enc~a") -> None:
    book.tell("plan.question_answered", {"plan": plan, "question": question, "answer": text, "occurred_on": on})


def test_the_plan_begun_last_is_shown_with_its_actions(book: Book) -> None:
    answer(book, "2025", "1", "2025-01-10")
    answer(book, "2026", "4", "2026-01-10", "enc~old")
    answer(book, "2026", "4", "2026-01-12", "enc~new")
    answer(book, "2026", "vraag-van-ons")
    for action, due_on in (("a-1", "2026-04-01"), ("a-2", "2026-12-01")):
        book.tell(
            "plan.action_agreed",
            {
                "plan": "2026",
                "action": action,
                "what": "enc~w",
                "owner": "ref~1",
                "due_on": due_on,
                "occurred_on": "2026-01-10",
            },
        )
    plan = see(book)["plan"]
    assert (plan["plan"], plan["answered"], plan["actions_open"], plan["actions_late"]) == ("2026", 1, 2, 1)
    assert (plan["approved_on"], plan["age_days"]) == (None, 171)
    assert [q["answer"] for q in plan["questions"] if q["question"] == "4"] == ["enc~new"]
    book.tell("plan.approved", {"plan": "2026", "occurred_on": "2026-06-20"})
    book.tell("plan.action_completed", {"plan": "2026", "action": "a-1", "occurred_on": "2026-06-20"})
    plan = see(book)["plan"]
    assert (plan["approved_on"], plan["age_days"], plan["actions_open"], plan["actions_late"]) == (
        "2026-06-20",
        10,
        1,
        0,
    )


def test_knowledge_counts_what_is_there_and_what_is_past_its_date(book: Book) -> None:
    for item, until in (("objectives", "2027-01-01"), ("market", "2026-06-29"), ("strategy", "2026-06-30")):
        book.tell(
            "knowledge.item_recorded", {"item": item, "text": "enc~", "valid_until": until, "occurred_on": "2026-01-10"}
        )
    knowledge = see(book)["knowledge"]
    assert (knowledge["complete"], knowledge["of"], knowledge["stale"]) == (4, 13, 1)


def test_commitments_are_open_until_they_end(book: Book) -> None:
    for name, due_on in (("k-1", "2026-04-01"), ("k-2", "2026-09-01")):
        book.tell(
            "commitment.made",
            {"commitment": name, "by": "us", "what": "enc~", "due_on": due_on, "occurred_on": "2026-01-10"},
        )
    assert [(c["commitment"], c["late"]) for c in see(book)["commitments"]] == [("k-1", True), ("k-2", False)]
    book.tell("commitment.fulfilled", {"commitment": "k-1", "occurred_on": "2026-03-10"})
    assert [c["commitment"] for c in see(book)["commitments"]] == ["k-2"]


def test_teams_are_those_that_have_the_relation_now(book: Book) -> None:
    book.tell("team.relation_assigned", {"team": "wmo-haaglanden", "occurred_on": "2026-01-06"})
    book.tell("team.relation_assigned", {"team": "jeugd", "occurred_on": "2026-01-06"})
    book.tell("team.relation_unassigned", {"team": "jeugd", "occurred_on": "2026-02-06"})
    assert see(book)["teams"] == ["wmo-haaglanden"]


def test_the_matrix_sets_required_against_actual(book: Book) -> None:
    book.tell("schedule.line_set", LINE)
    book.tell("schedule.line_set", {**LINE, "line": "l-2", "their_layer": "professional"})
    book.tell(
        "schedule.line_set",
        {**LINE, "line": "l-3", "our_layer": "professional", "their_layer": "professional", "starts_on": "2026-12-01"},
    )
    book.held("c-1", "2026-06-03T10:00:00+02:00", ours=[{"layer": "board"}, {"layer": "professional"}])
    person = {
        "person": "ref~81",
        "name": "enc~",
        "function": "enc~",
        "layer": "board",
        "decision_role": "decides",
        "occurred_on": "2026-01-06",
    }
    book.tell("counterpart.added", person)
    matrix = matrix_of(fold(PROJECTION, book.events), HAAG, NOW, hidden=0)
    assert matrix is not None
    assert [(c["our_layer"], c["their_layer"], c["state"], c["contacts_12m"]) for c in matrix["cells"]] == [
        ("board", "board", "covered", 1), ("board", "professional", "gap", 0), ("professional", "board", "extra", 1),
    ]  # fmt: skip
    assert [(g["our_layer"], g["their_layer"]) for g in matrix["gaps"]] == [("board", "professional")]
    assert [p["person"] for p in matrix["counterparts"][0]["people"]] == ["ref~81"]


def test_a_kind_that_the_view_does_not_know_counts_in_the_version_only(book: Book) -> None:
    book.tell("partnership.interest_recorded", {"holder": "ours", "occurred_on": "2026-01-06"})
    assert see(book)["version"] == 2


def test_evolve_reads_only_what_needs_names(book: Book) -> None:
    book.tell("satisfaction.instrument_defined", NPS, ORGANISATION)
    answer(book, "2026", "4")
    book.tell(
        "plan.action_agreed",
        {
            "plan": "2026",
            "action": "a",
            "what": "enc~",
            "owner": "ref~1",
            "due_on": "2026-04-01",
            "occurred_on": "2026-01-10",
        },
    )
    book.held("c-1", "2026-02-03T10:00:00+01:00")
    book.tell("schedule.line_set", LINE)
    scores(book, 3)
    assert_needs_suffice(book.events)


def assert_needs_suffice(events: Sequence[Recorded]) -> None:
    """Folds with rows that refuse whatever `needs` did not name."""
    rows = fold(PROJECTION, [])
    for event in events:
        allowed = set(PROJECTION.needs(event))
        inner_get, inner_group = rows.get, rows.group

        class Guarded:
            put, delete = rows.put, rows.delete

            @staticmethod
            def get(table: str, *key: Any, _allowed: set[Any] = allowed, _get: Any = inner_get) -> Any:
                assert One(table, key) in _allowed or Group(table, key[0]) in _allowed, (table, key)
                return _get(table, *key)

            @staticmethod
            def group(table: str, value: Any, _allowed: set[Any] = allowed, _group: Any = inner_group) -> Any:
                assert Group(table, value) in _allowed, (table, value)
                return _group(table, value)

        PROJECTION.evolve(Guarded(), event)


def test_each_event_of_a_relation_is_announced_with_position_relation_and_type_only(book: Book) -> None:
    event = book.held("c-1", "2026-02-03T10:00:00+01:00")
    (message,) = PROJECTION.announce(fold(PROJECTION, book.events), event)
    assert message.subject == f"live.relation.{HAAG}"
    assert message.body == {"position": 2, "relation": HAAG, "type": "nl.relatieboek.contact.held.v1"}


def test_names_are_compared_without_case_and_accents() -> None:
    assert name_key("Súdwest-Fryslân") == "sudwest-fryslan"
