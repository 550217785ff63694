"""Merge and unmerge: given what the book knows, when one comes, then this is the answer. No I/O."""

from __future__ import annotations

from typing import Any

import pytest

from events.book import Accept, Decision, Park, Reject
from events.merging import MOST_LINKS
from tests.judged import Book


def code(n: int) -> str:
    return f"gemeentecode:{n:04d}"


class Municipalities:
    """Municipalities 1, 2, 3 … registered by their codes; `merge(1, 2)`: 2 absorbs 1."""

    def __init__(self, count: int) -> None:
        self.book = Book()
        self.ids = {
            n: self.book.accept("relation.registered", self.data(n), subject=code(n)).relation
            for n in range(1, count + 1)
        }

    @staticmethod
    def data(n: int) -> dict[str, Any]:
        return {"name": f"Gemeente {n}", "kind": "municipality", "occurred_on": "2000-01-01", "identifiers": []}

    def send(self, kind: str, absorbed: int, survivor: int, on: str = "2020-01-01", **more: Any) -> Decision:
        data = {"survivor": code(survivor), "absorbed": code(absorbed), "occurred_on": on}
        subject = more.pop("subject", code(survivor))
        return self.book.send(f"relation.{kind}", {**data, **more}, subject=subject)

    def merge(self, absorbed: int, survivor: int, on: str = "2020-01-01") -> Accept:
        decision = self.send("merged", absorbed, survivor, on)
        assert isinstance(decision, Accept), decision
        return decision

    def unmerge(self, absorbed: int, survivor: int, on: str = "2020-01-01") -> Accept:
        decision = self.send("unmerged", absorbed, survivor, on)
        assert isinstance(decision, Accept), decision
        return decision

    def refused(self, kind: str, absorbed: int, survivor: int, on: str = "2020-01-01", **more: Any) -> Reject:
        decision = self.send(kind, absorbed, survivor, on, **more)
        assert isinstance(decision, Reject), decision
        return decision


@pytest.fixture
def towns() -> Municipalities:
    return Municipalities(5)


def test_a_merge_is_an_event_of_the_survivor_and_says_who_was_absorbed(towns: Municipalities) -> None:
    made = towns.merge(1, 2)
    assert made.relation == towns.ids[2]
    assert made.attributes == {"absorbed": towns.ids[1]}
    assert made.touched[f"alias:{towns.ids[1]}"]["survivor"] == towns.ids[2]


def test_both_are_named_by_uuid_or_identifier(towns: Municipalities) -> None:
    data = {"survivor": towns.ids[2].upper(), "absorbed": towns.ids[1], "occurred_on": "2020-01-01"}
    made = towns.book.accept("relation.merged", data, subject=towns.ids[2])
    assert made.attributes == {"absorbed": towns.ids[1]}


def test_a_local_number_is_one_of_the_department_that_sends(towns: Municipalities) -> None:
    link = {"scheme": "local", "value": "D-1", "occurred_on": "2020-01-01"}
    towns.book.accept("relation.identifier_linked", link, subject=code(1), department="finance")
    data = {"survivor": code(2), "absorbed": "local:D-1", "occurred_on": "2020-01-01"}
    parked = towns.book.park("relation.merged", data, subject=code(2), department="crm")
    assert parked.waits_for == ("identifier:local:crm:D-1",)
    assert towns.book.accept("relation.merged", data, subject=code(2), department="finance").attributes == {
        "absorbed": towns.ids[1]
    }


def test_a_merge_waits_for_whom_the_book_does_not_know_yet(towns: Municipalities) -> None:
    parked = towns.send("merged", 99, 2)
    assert isinstance(parked, Park)
    assert (parked.code, parked.waits_for) == ("unknown_relation", ("identifier:gemeentecode:0099",))
    assert parked.errors[0].pointer == "/data/absorbed"
    parked = towns.send("merged", 1, 99, subject=code(2))
    assert isinstance(parked, Park)
    assert parked.errors[0].pointer == "/data/survivor"


def test_the_subject_is_the_survivor(towns: Municipalities) -> None:
    answer = towns.refused("merged", 1, 2, subject=code(1))
    assert (answer.code, answer.errors[0].pointer) == ("rule", "/data/survivor")
    assert towns.ids[2] in answer.errors[0].detail


def test_nobody_absorbs_itself(towns: Municipalities) -> None:
    data = {"survivor": code(1), "absorbed": towns.ids[1], "occurred_on": "2020-01-01"}
    answer = towns.book.reject("relation.merged", data, subject=code(1))
    assert (answer.code, answer.errors[0].pointer) == ("rule", "/data/absorbed")


def test_who_is_absorbed_is_absorbed_once_and_the_answer_names_the_survivor(towns: Municipalities) -> None:
    towns.merge(1, 2)
    answer = towns.refused("merged", 1, 3)
    assert (answer.code, answer.more, answer.conflict) == ("rule", {"survivor": towns.ids[2]}, towns.book.position)
    assert towns.refused("merged", 1, 2).more == {"survivor": towns.ids[2]}


def test_chains_of_merges_are_as_deep_as_they_come_and_never_a_circle(towns: Municipalities) -> None:
    for n in range(1, 5):
        towns.merge(n, n + 1)
    for top in range(1, 5):
        answer = towns.refused("merged", 5, top)
        assert (answer.code, answer.errors[0].pointer) == ("rule", "/data/absorbed")
        assert "unmerge that first" in answer.errors[0].detail


def test_a_chain_may_be_made_from_its_end(towns: Municipalities) -> None:
    towns.merge(4, 5)
    towns.merge(3, 4)
    towns.merge(2, 3)
    towns.merge(1, 2)
    assert isinstance(towns.send("merged", 5, 1), Reject)


def test_what_is_deeper_than_any_reorganisation_is_refused() -> None:
    towns = Municipalities(MOST_LINKS + 2)
    for n in range(1, MOST_LINKS + 1):
        towns.merge(n, n + 1)
    towns.book.accept("relation.registered", Municipalities.data(0), subject=code(0))
    answer = towns.refused("merged", 0, 1)
    assert answer.errors[0].pointer == "/data/survivor"


def test_a_merge_is_undone_where_it_was_made_and_then_may_be_made_anew(towns: Municipalities) -> None:
    towns.merge(1, 2)
    towns.merge(2, 3)
    assert towns.refused("unmerged", 1, 3).errors[0].pointer == "/data/absorbed", "2 absorbed it, not 3"
    undone = towns.unmerge(1, 2)
    assert undone.touched[f"alias:{towns.ids[1]}"]["survivor"] is None
    assert undone.attributes == {"absorbed": towns.ids[1]}
    assert "nothing to undo" in towns.refused("unmerged", 1, 2).errors[0].detail
    towns.merge(1, 3)


def test_what_was_never_merged_cannot_be_unmerged(towns: Municipalities) -> None:
    answer = towns.refused("unmerged", 1, 2)
    assert (answer.code, answer.errors[0].pointer) == ("rule", "/data/absorbed")


def test_the_other_way_round_is_free_again_after_an_unmerge(towns: Municipalities) -> None:
    towns.merge(1, 2)
    towns.unmerge(1, 2)
    towns.merge(2, 1)


def test_what_undoes_a_merge_did_not_occur_before_it(towns: Municipalities) -> None:
    towns.merge(1, 2, on="2020-06-01")
    answer = towns.refused("unmerged", 1, 2, on="2020-05-31")
    assert (answer.code, answer.errors[0].pointer) == ("rule", "/data/occurred_on")
    towns.unmerge(1, 2, on="2020-06-01")


def test_an_event_of_an_absorbed_relation_stays_in_its_own_chain(towns: Municipalities) -> None:
    towns.merge(1, 2)
    data = {"tier": "B", "occurred_on": "2020-02-01"}
    assert towns.book.accept("relation.tier_assigned", data, subject=code(1)).relation == towns.ids[1]
