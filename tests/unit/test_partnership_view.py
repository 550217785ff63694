"""Partnership view: given these events, a reader sees this."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from events.recorded import ORGANISATION
from projections.partnership_present import contributors_of, opportunity_json, present_partnership
from projections.partnership_view import PROJECTION
from projections.rows import fold
from projections.viewer import TEAM
from tests.given import HAAG, Book

NOW = datetime(2026, 6, 30, 10, tzinfo=UTC)
ON = {"occurred_on": "2026-01-10"}


@pytest.fixture
def book() -> Book:
    book = Book()
    book.register()
    return book


def see(book: Book, hidden: int = 0) -> dict[str, Any]:
    seen = present_partnership(fold(PROJECTION, book.events), HAAG, NOW, hidden=hidden)
    assert seen is not None
    return seen


@pytest.mark.parametrize(("holder", "by"), [("ours", "them"), ("theirs", "us"), ("shared", "us"), ("shared", "them")])
def test_an_interest_is_known_first_and_acknowledged_by_the_other_side(book: Book, holder: str, by: str) -> None:
    book.tell("partnership.interest_recorded", {**ON, "interest": "i-1", "holder": holder, "text": "enc~1"})
    (one,) = see(book)["interests"]
    assert (one["known"], one["known_since"], one["acknowledged"]) == (True, "2026-01-10", False)
    book.tell("partnership.interest_acknowledged", {"interest": "i-1", "by": by, "occurred_on": "2026-02-01"})
    (one,) = see(book)["interests"]
    assert (one["acknowledged"], one["acknowledged_by"]) == (True, [{"by": by, "on": "2026-02-01"}])
    assert one["evidence"] == [2, 3]


def test_a_performance_is_acknowledged_by_who_did_not_deliver_it(book: Book) -> None:
    data = {"performance": "p-1", "by": "us", "text": "enc~1", "period": "2026-Q1"}
    book.tell("partnership.performance_reported", {**ON, **data})
    book.tell("partnership.performance_acknowledged", {**ON, "performance": "p-1", "by": "them"})
    (one,) = see(book)["performances"]
    assert (one["by"], one["period"], one["acknowledged_by"]) == ("us", "2026-Q1", [{"by": "them", "on": "2026-01-10"}])


def test_a_promise_is_late_the_day_after_it_was_due(book: Book) -> None:
    for name, due in (("k-1", "2026-06-29"), ("k-2", "2026-06-30")):
        book.tell("commitment.made", {**ON, "commitment": name, "by": "them", "what": "enc~1", "due_on": due})
    promised = see(book)["commitments"]
    assert [(c["commitment"], c["late"], c["days_late"]) for c in promised] == [("k-1", True, 1), ("k-2", False, 0)]


def test_a_promise_that_was_kept_too_late_says_by_how_many_days(book: Book) -> None:
    book.tell("commitment.fulfilled", {"commitment": "k-1", "occurred_on": "2026-03-11"})
    assert see(book)["commitments"] == []  # nobody said yet what was promised
    book.tell("commitment.made", {**ON, "commitment": "k-1", "by": "us", "what": "enc~1", "due_on": "2026-03-01"})
    (one,) = see(book)["commitments"]
    assert (one["state"], one["ended_on"], one["late"], one["days_late"]) == ("fulfilled", "2026-03-11", False, 10)


def test_a_restricted_promise_is_left_out(book: Book) -> None:
    data = {**ON, "commitment": "k-1", "by": "us", "what": "enc~1", "due_on": "2026-03-01"}
    book.tell("commitment.made", data, visibility="team")
    assert (len(see(book)["commitments"]), see(book, hidden=TEAM)["commitments"]) == (1, [])


def test_an_opportunity_is_announced_offered_and_decided_once(book: Book) -> None:
    def now() -> dict[str, Any]:
        (row,) = fold(PROJECTION, book.events).group("opportunity", HAAG)
        return opportunity_json(row)

    book.tell("opportunity.lost", {"opportunity": "o-1", "reason": "enc~2", "occurred_on": "2026-04-01"})
    tender = {"opportunity": "o-1", "title": "enc~1", "value_cents": 100, "closes_on": "2026-03-01"}
    book.tell("opportunity.tender_announced", {**ON, **tender})
    book.tell("opportunity.offer_submitted", {"opportunity": "o-1", "value_cents": 90, "occurred_on": "2026-02-01"})
    one = now()
    assert (one["state"], one["value_cents"], one["decided_on"], one["reason"]) == ("lost", 90, "2026-04-01", "enc~2")
    assert (one["title"], one["offered_on"], one["evidence"]) == ("enc~1", "2026-02-01", [2, 3, 4])


def test_contributors_are_counted_and_who_left_is_not(book: Book) -> None:
    for n, profile in enumerate(("innovator", "innovator", "klantenbinder")):
        data = {"employee": f"ref~{n}", "profile": profile, "stage": "tactical"}
        book.tell("contributor.profiled", {**ON, **data}, ORGANISATION)
    book.tell("employee.left", {"employee": "ref~1", "on": "2026-03-01"}, ORGANISATION, time="2026-03-01T09:00:00Z")
    rows = fold(PROJECTION, book.events).tables["contributor"].values()
    assert [(r["employee"], r["present"]) for r in rows] == [("ref~0", 1), ("ref~1", 0), ("ref~2", 1)]
    counted = contributors_of([("innovator", "tactical", 1)], [("A", "board", 2, 8.0), (None, "board", 1, 1.0)])
    assert counted["contributors"] == [{"profile": "innovator", "stage": "tactical", "people": 1}]
    assert [a["tier"] for a in counted["asked"]] == ["A", None]


def test_what_a_schedule_asks_for_in_a_year(book: Book) -> None:
    for line, cadence in (
        ("l-1", {"mode": "rolling", "every": "P3M"}), ("l-2", {"mode": "quota", "times": 2, "per": "quarter"}),
    ):  # fmt: skip
        data = {"line": line, "our_layer": "board", "their_layer": "board", "cadence": cadence, "grace_working_days": 5}
        book.tell("schedule.line_set", {**ON, **data, "starts_on": "2026-01-01", "owner": "ref~1"})
    book.tell("schedule.line_ended", {"line": "l-2", "occurred_on": "2026-03-01"})
    first, second = fold(PROJECTION, book.events).group("ask", HAAG)
    assert (first["contacts_per_year"], second["contacts_per_year"]) == (4.0, 8.0)
    assert (first["ended_on"], str(second["ended_on"])) == (None, "2026-03-01")
