"""Withdrawals: given what the book knows, when a publisher takes an event back, then this is the answer. No I/O."""

from __future__ import annotations

from typing import Any

import pytest

from events.book import Accept, Decision, Park, Reject
from tests.judged import Book

SOURCE = "urn:nld:oin:00000001234567890000:systeem:crm"
ON = {"occurred_on": "2026-01-10"}


class Withdrawing:
    """A book with one relation, and the id of each event that was accepted."""

    def __init__(self) -> None:
        self.book = Book()
        self.registered = self.tell(
            "relation.registered",
            {"name": "Gemeente Den Haag", "kind": "municipality", "occurred_on": "2026-01-05", "identifiers": []},
        )

    def tell(self, kind: str, data: dict[str, Any], **more: Any) -> str:
        id_ = f"e-{self.book.position + 1}"
        self.book.accept(kind, data, id=id_, **more)
        return id_

    def send(self, id_: str, **more: Any) -> Decision:
        data = {"source": more.pop("named", SOURCE), "id": id_, "occurred_at": "2026-02-01T09:00:00+01:00"}
        return self.book.send("correction.withdrawn", data, id=f"w-{self.book.position}", **more)

    def withdraw(self, id_: str, **more: Any) -> Accept:
        decision = self.send(id_, **more)
        assert isinstance(decision, Accept), decision
        return decision

    def refused(self, id_: str, **more: Any) -> str:
        decision = self.send(id_, **more)
        assert isinstance(decision, Reject), decision
        assert decision.code == "rule"
        return f"{decision.errors[0].pointer}: {decision.errors[0].detail}"


@pytest.fixture
def told() -> Withdrawing:
    return Withdrawing()


def tier(tier: str = "B") -> dict[str, Any]:
    return {"tier": tier, "arguments": [], **ON}


def held(contact: str = "c-1") -> dict[str, Any]:
    return {
        "contact": contact, "occurred_at": "2026-01-10T10:00:00+01:00", "duration_min": 60, "channel": "meeting",
        "activity": "conversation", "topics": [], "ours": [{"layer": "board"}], "theirs": [{"layer": "board"}],
    }  # fmt: skip


def test_the_stored_event_says_the_position_of_what_it_withdraws(told: Withdrawing) -> None:
    id_ = told.tell("relation.tier_assigned", tier())
    made = told.withdraw(id_)
    assert dict(made.attributes) == {"withdraws": "2"}


def test_it_touches_what_the_event_touched_so_that_editors_hear_of_it(told: Withdrawing) -> None:
    id_ = told.tell("relation.tier_assigned", tier())
    told.withdraw(id_)
    decision = told.book.send("relation.tier_assigned", tier(), expectedversion=2)
    assert isinstance(decision, Reject)
    assert (decision.code, decision.conflict) == ("conflict", 3)


def test_an_event_that_the_book_does_not_know_yet_is_waited_for(told: Withdrawing) -> None:
    decision = told.send("later")
    assert isinstance(decision, Park)
    assert (decision.code, decision.waits_for) == ("unknown_event", (f"event:{SOURCE}|later",))


def test_only_who_published_an_event_withdraws_it(told: Withdrawing) -> None:
    id_ = told.tell("relation.tier_assigned", tier())
    assert "another department" in told.refused(id_, department="hr")


def test_the_books_own_events_stand(told: Withdrawing) -> None:
    id_ = told.tell("relation.tier_assigned", tier(), department="relatieboek")
    assert "the book's own" in told.refused(id_, department="relatieboek")


def test_the_subject_is_that_of_the_event(told: Withdrawing) -> None:
    id_ = told.tell("team.formed", {"team": "wmo", "name": "Wmo", **ON}, subject="organisation")
    assert told.refused(id_).startswith("/subject: this event is about no relation")
    assert told.withdraw(id_, subject="organisation").relation == "organisation"


def test_an_event_is_withdrawn_once(told: Withdrawing) -> None:
    id_ = told.tell("relation.tier_assigned", tier())
    told.withdraw(id_)
    assert "withdrawn before" in told.refused(id_)


def test_a_withdrawal_is_final(told: Withdrawing) -> None:
    id_ = told.tell("relation.tier_assigned", tier())
    told.withdraw(id_)
    assert "with a new id" in told.refused("w-2")


def test_what_the_book_could_not_stand_without_is_refused_with_what_to_do(told: Withdrawing) -> None:
    assert "relation.details_changed" in told.refused(told.registered)
    wording = {
        "instrument": "nps", "kind": "nps", "scale_min": 0, "scale_max": 10, "min_n": 5, "wording_version": 1,
        "bands": [{"name": "low", "from": 0, "to": 10}], **ON,
    }  # fmt: skip
    defined = told.tell("satisfaction.instrument_defined", wording, subject="organisation")
    assert "wording_version" in told.refused(defined, subject="organisation")


def test_a_contact_that_was_withdrawn_keeps_its_id_and_is_waited_for_by_its_corrections(told: Withdrawing) -> None:
    told.withdraw(told.tell("contact.held", held()))
    retracted = {"contact": "c-1", "reason": "twice", "occurred_at": "2026-01-11T10:00:00+01:00"}
    assert told.book.park("contact.retracted", retracted).code == "unknown_contact"
    assert told.book.reject("contact.held", held()).code == "id_taken"


def test_an_answer_that_was_withdrawn_does_not_count_for_approval(told: Withdrawing) -> None:
    answers = [
        told.tell("plan.question_answered", {"plan": "2026", "question": str(n), "answer": "…", **ON})
        for n in range(1, 11)
    ]
    action = {"plan": "2026", "action": "a", "what": "…", "owner": "e-1", "due_on": "2026-05-01", **ON}
    agreed = told.tell("plan.action_agreed", action)
    again = told.tell("plan.question_answered", {"plan": "2026", "question": "4", "answer": "better", **ON})
    told.withdraw(again)
    approved = {"plan": "2026", **ON}
    assert isinstance(told.book.send("plan.approved", approved), Accept)  # the answer before it stands again
    told.withdraw(answers[3])
    told.withdraw(agreed)
    waiting = told.book.park("plan.approved", approved)
    assert waiting.code == "not_yet"
    assert [key.split(":")[0] for key in waiting.waits_for] == ["question", "actions"]
    told.tell("plan.question_answered", {"plan": "2026", "question": "4", "answer": "…", **ON})
    assert [k.split(":")[0] for k in told.book.park("plan.approved", approved).waits_for] == ["actions"]


def test_an_action_that_was_dropped_stands_again_when_that_was_withdrawn(told: Withdrawing) -> None:
    for n in range(1, 11):
        told.tell("plan.question_answered", {"plan": "2026", "question": str(n), "answer": "…", **ON})
    action = {"plan": "2026", "action": "a", "what": "…", "owner": "e-1", "due_on": "2026-05-01", **ON}
    told.tell("plan.action_agreed", action)
    dropped = told.tell("plan.action_dropped", {"plan": "2026", "action": "a", **ON})
    waiting = told.book.park("plan.approved", {"plan": "2026", **ON})
    undone = told.withdraw(dropped)
    assert set(waiting.waits_for) & set(undone.touched)  # so that the approval is tried again
    assert isinstance(told.book.send("plan.approved", {"plan": "2026", **ON}), Accept)


def test_an_action_that_was_dropped_and_withdrawn_takes_none_of_another(told: Withdrawing) -> None:
    for n in range(1, 11):
        told.tell("plan.question_answered", {"plan": "2026", "question": str(n), "answer": "…", **ON})
    action = {"plan": "2026", "what": "…", "owner": "e-1", "due_on": "2026-05-01", **ON}
    agreed = told.tell("plan.action_agreed", {"action": "a", **action})
    told.tell("plan.action_dropped", {"plan": "2026", "action": "a", **ON})
    told.tell("plan.action_agreed", {"action": "b", **action})
    told.withdraw(agreed)
    assert isinstance(told.book.send("plan.approved", {"plan": "2026", **ON}), Accept)


def test_a_declaration_that_contacts_are_the_same_can_be_withdrawn_and_made_again(told: Withdrawing) -> None:
    same = {"contacts": ["c-1", "c-2"], "canonical": "c-1", **ON}
    told.tell("contact.held", held())
    told.tell("contact.held", held("c-2"))
    declared = told.tell("contact.declared_same", same)
    touched = told.withdraw(declared).touched
    assert any(key.startswith("same:") for key in touched)
    assert not any(key.startswith("held:") for key in touched)  # both contacts stand
    told.tell("contact.declared_same", same)


def test_an_end_that_was_withdrawn_may_come_again(told: Withdrawing) -> None:
    told.tell("commitment.made", {"commitment": "k", "by": "us", "what": "…", "due_on": "2026-04-01", **ON})
    ended = told.tell("commitment.fulfilled", {"commitment": "k", **ON})
    assert told.book.reject("commitment.broken", {"commitment": "k", **ON}).code == "rule"
    told.withdraw(ended)
    told.tell("commitment.broken", {"commitment": "k", **ON})
    assert told.book.reject("commitment.fulfilled", {"commitment": "k", **ON}).code == "rule"
