"""The rules that need state: given what the book knows, when an event comes, then this is the answer. No I/O."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from events.book import Accept, Decision, Reject
from events.catalog import TYPES
from events.rules import RULES
from tests.judged import DENHAAG, Book


def registered(name: str = "Gemeente Den Haag", *identifiers: tuple[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "municipality",
        "occurred_on": "2026-01-05",
        "identifiers": [{"scheme": s, "value": v} for s, v in identifiers],
    }


def held(contact: str = "c-1", at: str = "2026-02-03T10:00:00+01:00") -> dict[str, Any]:
    return {
        "contact": contact,
        "occurred_at": at,
        "duration_min": 60,
        "channel": "meeting",
        "activity": "conversation",
        "topics": ["wmo"],
        "ours": [{"employee": "e-12", "layer": "board"}],
        "theirs": [{"person": "p-81", "layer": "board"}],
    }


LINE: dict[str, Any] = {
    "line": "l-1",
    "our_layer": "board",
    "their_layer": "board",
    "cadence": {"mode": "rolling", "every": "P3M"},
    "starts_on": "2026-01-01",
    "grace_working_days": 5,
    "owner": "e-12",
    "occurred_on": "2026-01-06",
}
INSTRUMENT: dict[str, Any] = {
    "instrument": "nps-2026",
    "kind": "nps",
    "scale_min": 0,
    "scale_max": 10,
    "bands": [
        {"name": "low", "from": 0, "to": 6},
        {"name": "middle", "from": 7, "to": 8},
        {"name": "high", "from": 9, "to": 10},
    ],
    "min_n": 5,
    "wording_version": 1,
    "occurred_on": "2026-01-01",
}


@pytest.fixture
def book() -> Book:
    book = Book()
    book.accept("relation.registered", registered())
    return book


def test_every_type_of_the_catalogue_has_a_rule() -> None:
    assert {t.kind for t in TYPES.values()} == set(RULES)


def test_the_book_makes_the_uuid_of_a_registered_identifier() -> None:
    assert Book().accept("relation.registered", registered()).relation == DENHAAG


def test_a_local_id_lives_in_its_department(book: Book) -> None:
    made = book.accept("relation.registered", registered("Huisarts"), subject="local:7", department="crm")
    assert made.relation == str(uuid5(NAMESPACE_URL, "urn:relatieboek:local:crm:7"))
    other = book.accept("relation.registered", registered("Huisarts"), subject="local:7", department="hr")
    assert other.relation == str(uuid5(NAMESPACE_URL, "urn:relatieboek:local:hr:7"))


def test_registering_again_is_accepted_for_the_same_relation(book: Book) -> None:
    assert book.accept("relation.registered", registered("Den Haag")).relation == DENHAAG


def test_an_identifier_of_another_relation_is_refused_and_named(book: Book) -> None:
    answer = book.reject("relation.registered", registered("Ander", ("gemeentecode", "0518")), subject="local:9")
    assert (answer.code, answer.more["relation"]) == ("identifier_taken", DENHAAG)
    assert DENHAAG in answer.errors[0].detail


def test_identifiers_are_linked_all_or_none(book: Book) -> None:
    book.reject(
        "relation.registered", registered("Ander", ("kvk", "12345678"), ("gemeentecode", "0518")), subject="local:9"
    )
    assert book.park("team.relation_assigned", {"team": "t", "occurred_on": "2026-01-06"}, subject="kvk:12345678")


def test_linking_again_to_the_same_relation_has_no_effect(book: Book) -> None:
    link = {"scheme": "local", "value": "D-40012", "occurred_on": "2026-01-05"}
    book.accept("relation.identifier_linked", link)
    assert book.accept("relation.identifier_linked", link).relation == DENHAAG
    assert book.accept("contact.held", held(), subject="local:D-40012").relation == DENHAAG


def test_an_event_for_an_unknown_relation_waits_for_it() -> None:
    answer = Book().park("contact.held", held())
    assert (answer.code, answer.waits_for) == ("unknown_relation", ("identifier:gemeentecode:0518",))


@pytest.mark.parametrize(
    ("kind", "data", "code"),
    [
        (
            "contact.corrected",
            {
                "contact": "c-9",
                "changes": {"duration_min": 30},
                "reason": "x",
                "occurred_at": "2026-02-05T09:00:00+01:00",
            },
            "unknown_contact",
        ),
        (
            "contact.retracted",
            {"contact": "c-9", "reason": "x", "occurred_at": "2026-02-05T09:00:00+01:00"},
            "unknown_contact",
        ),
        ("contact.cancelled", {"contact": "c-9", "occurred_at": "2026-02-02T16:00:00+01:00"}, "unknown_contact"),
        ("schedule.line_paused", {"line": "l-9", "until": "2026-06-01", "occurred_on": "2026-03-01"}, "unknown_line"),
        ("schedule.line_ended", {"line": "l-9", "occurred_on": "2026-03-01"}, "unknown_line"),
        ("plan.approved", {"plan": "2026", "occurred_on": "2026-01-20"}, "unknown_plan"),
        ("team.relation_assigned", {"team": "wmo", "occurred_on": "2026-01-06"}, "unknown_team"),
        ("commitment.fulfilled", {"commitment": "k-9", "occurred_on": "2026-01-20"}, "unknown_commitment"),
        (
            "satisfaction.scored",
            {"response": "r-1", "instrument": "nps-2026", "score": 8, "anonymous": True, "occurred_on": "2026-02-10"},
            "unknown_instrument",
        ),
    ],
)
def test_what_names_the_unknown_is_parked_under_that_name(
    book: Book, kind: str, data: dict[str, Any], code: str
) -> None:
    answer = book.park(kind, data)
    assert answer.code == code
    assert answer.errors[0].pointer.startswith("/data/")


def test_a_contact_is_held_once(book: Book) -> None:
    book.accept("contact.held", held())
    assert book.reject("contact.held", held(at="2026-02-04T10:00:00+01:00")).code == "id_taken"


def test_a_planned_contact_may_be_held(book: Book) -> None:
    planned = {
        "contact": "c-1",
        "starts_at": "2026-02-03T10:00:00+01:00",
        "ends_at": "2026-02-03T11:00:00+01:00",
        "channel": "meeting",
        "ours": [{"layer": "board"}],
        "theirs": [{"layer": "board"}],
    }
    book.accept("contact.planned", planned)
    book.accept("contact.held", held())


def test_a_held_contact_lies_not_in_the_future(book: Book) -> None:
    answer = book.reject("contact.held", held(at="2026-06-30T12:00:01+02:00"))
    assert (answer.code, answer.errors[0].pointer) == ("rule", "/data/occurred_at")
    book.accept("contact.held", held(at="2026-06-30T12:00:00+02:00"))


def test_a_correction_does_not_move_a_contact_into_the_future(book: Book) -> None:
    book.accept("contact.held", held())
    change = {
        "contact": "c-1",
        "changes": {"occurred_at": "2027-01-01T10:00:00+01:00"},
        "reason": "x",
        "occurred_at": "2026-02-05T09:00:00+01:00",
    }
    assert book.reject("contact.corrected", change).errors[0].pointer == "/data/changes/occurred_at"


def test_a_score_outside_the_scale_is_rejected_with_the_scale_in_words(book: Book) -> None:
    book.accept("satisfaction.instrument_defined", INSTRUMENT, subject="organisation")
    score = {"response": "r-1", "instrument": "nps-2026", "score": 11, "anonymous": True, "occurred_on": "2026-02-10"}
    answer = book.reject("satisfaction.scored", score)
    assert (answer.code, answer.errors[0].pointer) == ("scale", "/data/score")
    assert "from 0 to 10" in answer.errors[0].detail
    book.accept("satisfaction.scored", {**score, "score": 10})
    assert book.reject("satisfaction.scored", {**score, "score": 9}).code == "id_taken"


def test_an_instrument_is_immutable_but_for_a_new_wording(book: Book) -> None:
    book.accept("satisfaction.instrument_defined", INSTRUMENT, subject="organisation")
    assert book.reject("satisfaction.instrument_defined", INSTRUMENT, subject="organisation").code == "id_taken"
    book.accept("satisfaction.instrument_defined", {**INSTRUMENT, "wording_version": 2}, subject="organisation")


def test_a_plan_waits_for_its_last_answer_and_an_action(book: Book) -> None:
    for n in range(1, 10):
        book.accept(
            "plan.question_answered", {"plan": "2026", "question": str(n), "answer": "x", "occurred_on": "2026-01-10"}
        )
    answer = book.park("plan.approved", {"plan": "2026", "occurred_on": "2026-01-20"})
    assert (answer.code, len(answer.waits_for)) == ("not_yet", 2)
    book.accept(
        "plan.question_answered", {"plan": "2026", "question": "10", "answer": "x", "occurred_on": "2026-01-10"}
    )
    action = {
        "plan": "2026",
        "action": "a-1",
        "what": "bellen",
        "owner": "e-12",
        "due_on": "2026-04-01",
        "occurred_on": "2026-01-10",
    }
    book.accept("plan.action_agreed", action)
    book.accept("plan.approved", {"plan": "2026", "occurred_on": "2026-01-20"})


def test_expectedversion_conflicts_only_over_the_same_thing(book: Book) -> None:
    def answer(question: str, **more: Any) -> Decision:
        return book.send(
            "plan.question_answered",
            {"plan": "2026", "question": question, "answer": "x", "occurred_on": "2026-01-10"},
            **more,
        )

    assert isinstance(answer("4", expectedversion=1), Accept)  # now version 2
    assert isinstance(answer("5", expectedversion=1), Accept), "another question is another thing"
    conflict = answer("4", expectedversion=1)
    assert isinstance(conflict, Reject)
    assert (conflict.code, conflict.conflict) == ("conflict", 2)
    assert isinstance(answer("4", expectedversion=2), Accept)


def test_an_alert_conflicts_with_a_contact_that_it_did_not_see(book: Book) -> None:
    book.accept("schedule.line_set", LINE)  # version 2
    book.accept("contact.held", held())  # version 3
    alert = {
        "alert": "0b0f0a3e-3c7f-5b1e-8d0e-8a6d8b0f5a11",
        "rule": "contact_overdue",
        "rule_version": 1,
        "line": "l-1",
        "due_on": "2026-05-04",
        "overdue_on": "2026-05-12",
        "last_ok_on": "2026-05-11",
        "evidence": [3],
        "level": 0,
        "silent": False,
        "occurred_on": "2026-06-30",
    }
    assert book.reject("alert.raised", alert, department="relatieboek", expectedversion=2).code == "conflict"
    book.accept("alert.raised", alert, department="relatieboek", expectedversion=3)
    second = {**alert, "alert": "1b0f0a3e-3c7f-5b1e-8d0e-8a6d8b0f5a11"}
    assert book.reject("alert.raised", second, department="relatieboek").code == "rule"
    resolved = {"alert": alert["alert"], "reason": "contact_held", "evidence": [3], "occurred_on": "2026-06-30"}
    book.accept("alert.resolved", resolved, department="relatieboek")
    assert book.reject("alert.resolved", resolved, department="relatieboek").code == "rule"
    book.accept("alert.raised", second, department="relatieboek")


def test_a_commitment_ends_once(book: Book) -> None:
    book.accept(
        "commitment.made",
        {"commitment": "k-1", "by": "us", "what": "x", "due_on": "2026-04-01", "occurred_on": "2026-01-10"},
    )
    book.accept("commitment.fulfilled", {"commitment": "k-1", "occurred_on": "2026-02-10"})
    assert book.reject("commitment.broken", {"commitment": "k-1", "occurred_on": "2026-03-10"}).code == "rule"


def test_no_person_stands_in_a_key(book: Book) -> None:
    added = {
        "person": "p-81",
        "name": "A. Voorbeeld",
        "function": "Adviseur",
        "layer": "board",
        "decision_role": "decides",
        "occurred_on": "2026-01-06",
    }
    book.accept("counterpart.added", added)
    assert not any("p-81" in key for key in book.things)
