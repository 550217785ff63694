"""Agreement view: given these events, a reader sees this."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from projections.agreement_present import present_agreements
from projections.agreement_view import PROJECTION
from projections.rows import fold
from projections.viewer import NAMED
from tests.given import HAAG, Book

NOW = datetime(2026, 6, 30, 10, tzinfo=UTC)
SIGNED: dict[str, Any] = {
    "agreement": "a-1", "type": "coalition", "name": "Samen sterk", "parties": ["us", HAAG.upper()],
    "from": "2026-01-01", "until": "2026-12-31", "basis": "transformation",
    "frame": [{"year": 2026, "cents": 100, "certainty": "firm"}], "insured_share_pct": 12.5,
    "occurred_on": "2025-12-01",
}  # fmt: skip
STARTED: dict[str, Any] = {
    "programme": "p-1", "agreement": "a-1", "name": "Wachttijd", "starts_on": "2026-01-01", "ends_on": "2026-12-31",
    "indicators": [{"indicator": "dagen", "baseline": 30, "target": 20, "unit": "dagen"}], "occurred_on": "2026-01-01",
}  # fmt: skip


def signed(**data: Any) -> Book:
    book = Book()
    book.register()
    book.tell("agreement.signed", {**SIGNED, **data})
    return book


def see(book: Book, now: datetime = NOW, hidden: int = 0) -> dict[str, Any]:
    seen = present_agreements(fold(PROJECTION, book.events), HAAG, now, hidden=hidden)
    assert seen is not None
    return seen


def report(book: Book, rag: str, on: str, actual: float = 25, indicator: str = "dagen", **envelope: Any) -> None:
    data = {"programme": "p-1", "indicator": indicator, "target": 22, "actual": actual, "rag": rag, "occurred_on": on}
    book.tell("programme.progress_reported", data, **envelope)


def test_a_running_agreement_says_when_it_ends() -> None:
    (one,) = see(signed())["agreements"]
    assert (one["state"], one["until"], one["ends_in_days"], one["insured_share_pct"]) == (
        "running", "2026-12-31", 184, 12.5,
    )  # fmt: skip
    assert (one["parties"], one["frame"][0]["cents"], one["evidence"]) == (["us", HAAG], 100, [2])
    assert see(signed(), datetime(2025, 12, 31, 10, tzinfo=UTC))["agreements"][0]["state"] == "coming"
    assert see(signed(), datetime(2027, 1, 1, 10, tzinfo=UTC))["agreements"][0]["state"] == "expired"


def test_a_renewal_moves_the_end_and_keeps_the_frame_unless_it_brings_one() -> None:
    book = signed()
    book.tell("agreement.renewed", {"agreement": "a-1", "until": "2027-12-31", "occurred_on": "2026-05-01"})
    (one,) = see(book)["agreements"]
    assert (one["until"], one["frame"][0]["year"], [r["until"] for r in one["renewals"]]) == (
        "2027-12-31", 2026, ["2027-12-31"],
    )  # fmt: skip
    frame = [{"year": 2028, "cents": 7, "certainty": "possible"}]
    book.tell(
        "agreement.renewed", {"agreement": "a-1", "until": "2028-12-31", "frame": frame, "occurred_on": "2026-06-01"}
    )
    assert (see(book)["agreements"][0]["frame"], see(book)["agreements"][0]["until"]) == (frame, "2028-12-31")


def test_a_renewal_that_arrives_before_the_signing_counts_too() -> None:
    book = Book()
    book.register()
    book.tell("agreement.renewed", {"agreement": "a-1", "until": "2027-12-31", "occurred_on": "2026-05-01"})
    assert see(book)["agreements"] == []
    book.tell("agreement.signed", SIGNED)
    assert see(book)["agreements"][0]["until"] == "2027-12-31"


def test_a_renewal_from_before_the_signing_moves_nothing() -> None:
    book = signed()
    book.tell("agreement.renewed", {"agreement": "a-1", "until": "2030-12-31", "occurred_on": "2025-11-01"})
    assert see(book)["agreements"][0]["until"] == "2026-12-31"


def test_an_ended_agreement_keeps_its_reason() -> None:
    book = signed()
    book.tell("agreement.ended", {"agreement": "a-1", "reason": "enc~1", "occurred_on": "2026-06-01"})
    (one,) = see(book)["agreements"]
    assert (one["state"], one["ended_on"], one["end_reason"], one["ends_in_days"]) == (
        "ended", "2026-06-01", "enc~1", None,
    )  # fmt: skip


def test_a_programme_is_as_bad_as_its_worst_indicator() -> None:
    book = signed()
    book.tell("programme.started", STARTED)
    assert see(book)["programmes"][0]["rag"] is None
    report(book, "green", "2026-03-01")
    report(book, "red", "2026-04-01", 40, "kosten")
    report(book, "amber", "2026-02-01")  # late: an older one changes nothing
    (one,) = see(book)["programmes"]
    assert (one["rag"], one["red_since"], one["red_without_decision"], one["stale"]) == (
        "red", "2026-04-01", True, False,
    )  # fmt: skip
    days = next(i for i in one["indicators"] if i["indicator"] == "dagen")
    assert (days["baseline"], days["unit"], days["target"], days["actual"], days["rag"]) == (
        30, "dagen", 22, 25, "green",
    )  # fmt: skip
    assert [r["rag"] for r in days["reports"]] == ["amber", "green"]
    assert see(book)["agreements"][0]["programmes"] == ["p-1"]


def test_a_decision_after_it_turned_red_answers_it() -> None:
    book = signed()
    book.tell("programme.started", STARTED)
    report(book, "red", "2026-04-01")
    decision = {"programme": "p-1", "decision": "enc~2", "parties": ["us", HAAG], "due_on": "2026-06-01"}
    book.tell("programme.steering_decision_taken", {**decision, "occurred_on": "2026-03-01"})
    assert see(book)["programmes"][0]["red_without_decision"] is True
    book.tell("programme.steering_decision_taken", {**decision, "occurred_on": "2026-04-10"})
    (one,) = see(book)["programmes"]
    assert (one["red_without_decision"], one["decisions"][0]["due_passed"]) == (False, True)
    assert [d["position"] for d in one["decisions"]] == [6, 5]
    assert one["evidence"] == [3, 4, 5, 6]


def test_red_again_after_the_decision_is_the_same_redness() -> None:
    book = signed()
    book.tell("programme.started", STARTED)
    decision = {"programme": "p-1", "decision": "enc~2", "parties": ["us", HAAG], "due_on": "2026-06-01"}
    report(book, "red", "2026-03-02")
    report(book, "green", "2026-02-01")  # late: it lies before the run
    book.tell("programme.steering_decision_taken", {**decision, "occurred_on": "2026-03-02"})
    report(book, "red", "2026-03-30")
    (one,) = see(book)["programmes"]
    assert (one["red_since"], one["red_without_decision"]) == ("2026-03-02", False)
    # Another indicator that turns red after the decision wants one of its own.
    report(book, "red", "2026-04-10", 40, "kosten")
    (one,) = see(book)["programmes"]
    assert (one["red_since"], one["red_without_decision"]) == ("2026-03-02", True)
    assert {i["indicator"]: i["red_since"] for i in one["indicators"]} == {
        "dagen": "2026-03-02", "kosten": "2026-04-10",
    }  # fmt: skip
    # Not red in between: then it turned red anew, and the decision is no answer to that.
    report(book, "green", "2026-04-12", 25, "kosten")
    report(book, "amber", "2026-03-10")
    (one,) = see(book)["programmes"]
    assert (one["red_since"], one["red_without_decision"]) == ("2026-03-30", True)


def test_a_programme_without_a_report_for_three_months_is_stale() -> None:
    book = signed()
    book.tell("programme.started", STARTED)
    assert see(book)["programmes"][0]["stale"] is True
    report(book, "green", "2026-06-01")
    assert see(book)["programmes"][0]["stale"] is False


def test_what_is_restricted_is_left_out() -> None:
    book = signed()
    book.tell("programme.started", STARTED)
    report(book, "red", "2026-04-01", visibility="named")
    (one,) = see(book, hidden=NAMED)["programmes"]
    assert (one["indicators"][0]["actual"], one["indicators"][0]["reports"]) == (None, [])
    book.tell("agreement.signed", {**SIGNED, "agreement": "a-2"}, visibility="named")
    assert [a["agreement"] for a in see(book, hidden=NAMED)["agreements"]] == ["a-1"]
