"""Chain view: given these events, a reader sees this."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from projections.chain_present import present_chains
from projections.chain_view import PROJECTION
from projections.rows import fold
from projections.viewer import hidden_bits, of_team
from tests.given import DELFT, HAAG, Book
from tests.workflow_trial import Trial, told

NOW = datetime(2026, 6, 30, 10, tzinfo=UTC)
ON = {"chain": "c-1", "occurred_on": "2026-01-10"}


def defined() -> Book:
    book = Book()
    book.register()
    phases = [{"phase": "f-1", "name": "Thuis"}, {"phase": "f-2", "name": "Kliniek"}]
    book.tell("chain.defined", {**ON, "name": "Ouderen", "phases": phases})
    return book


def see(book: Book, hidden: int = 0) -> dict[str, Any]:
    seen = present_chains(fold(PROJECTION, book.events), HAAG, NOW, hidden=hidden)
    assert seen is not None
    (chain,) = seen["chains"]
    return chain


def money(book: Book, kind: str, organisation: str, system: str, cents: int, period: str = "2026-Q1") -> None:
    data = {"organisation": organisation, "financing_system": system, "cents": cents, "period": period}
    book.tell(f"chain.{kind}_recorded", {**ON, **data})


def test_phases_in_order_with_partners_and_guarantor() -> None:
    book = defined()
    book.tell("chain.partner_assigned", {**ON, "phase": "f-1", "organisation": DELFT, "financing_system": "wmo"})
    book.tell(
        "chain.partner_replaced",
        {**ON, "phase": "f-1", "organisation": DELFT, "by": "us", "financing_system": "wlz",
         "occurred_on": "2026-02-01"},
    )  # fmt: skip
    book.tell("chain.phase_guaranteed", {**ON, "phase": "f-1", "organisation": "us", "until": "2026-06-29"})
    first, second = see(book)["phases"]
    assert [p["organisation"] for p in first["partners"]] == ["us"]
    assert (first["left"][0]["organisation"], first["left"][0]["replaced_by"]) == (DELFT, "us")
    assert [(g["organisation"], g["holds"]) for g in first["guarantors"]] == [("us", False)]  # it ended yesterday
    assert first["without_guarantor"] is True
    book.tell("chain.phase_guaranteed", {**ON, "phase": "f-1", "organisation": "us", "occurred_on": "2026-06-01"})
    assert see(book)["phases"][0]["without_guarantor"] is False
    assert (second["partners"], second["guarantors"], second["without_guarantor"]) == ([], [], True)


Told = tuple[str, str, dict[str, Any]]


def _given(on: str, organisation: str = "us", **more: Any) -> Told:
    return "chain.phase_guaranteed", on, {"organisation": organisation, **more}


def _replaced(on: str, organisation: str = "us", by: str = DELFT) -> Told:
    return "chain.partner_replaced", on, {"organisation": organisation, "by": by, "financing_system": "wmo"}


@pytest.mark.parametrize(
    ("facts", "uncovered"),
    [
        ([], True),
        ([_given("2026-01-10")], False),
        ([_given("2026-01-10", until="2026-06-30")], False),  # its last day is today
        ([_given("2026-01-10", until="2026-06-29")], True),
        # Another organisation's guarantee ends nobody's: the later one ran out, the earlier one holds.
        ([_given("2026-01-10"), _given("2026-02-01", DELFT, until="2026-03-01")], False),
        ([_given("2026-01-10", until="2026-03-01"), _given("2026-02-01", DELFT, until="2026-04-01")], True),
        ([_given("2026-01-10"), _given("2026-02-01", until="2026-03-01")], True),  # its own later one does
        ([_given("2026-01-10"), _replaced("2026-03-01")], True),
        ([_given("2026-01-10"), _replaced("2026-06-30")], False),  # today is its last day
        ([_given("2026-01-10"), _given("2026-01-11", DELFT), _replaced("2026-03-01")], False),
        ([_replaced("2026-03-01"), _given("2026-03-02")], False),  # given after it left
        # Coming back as a partner brings no guarantee back.
        ([_given("2026-01-10"), _replaced("2026-03-01"), _replaced("2026-04-01", DELFT, "us")], True),
        ([_given("2026-01-10", visibility="named")], False),
        # One organisation, its UUID in capitals or not.
        ([_given("2026-01-10", DELFT.upper()), _replaced("2026-03-01", DELFT, "us")], True),
        # Of another phase, whose id begins as this one's.
        ([_given("2026-01-10", phase="f-1:b")], True),
        ([_given("2026-01-10"), _replaced("2026-03-01"), _given("2026-03-02", phase="f-1:us")], True),
    ],
)  # fmt: skip
def test_a_phase_is_without_guarantor_for_a_reader_when_it_is_for_the_rule(facts: list[Told], uncovered: bool) -> None:
    book, trial = defined(), Trial()
    phases = [{"phase": "f-1", "name": "Thuis"}]
    trial.record("chain.defined", {"chain": "c-1", "name": "Ouderen", "phases": phases}, on="2026-01-10")
    for kind, on, data in facts:
        given = {"chain": "c-1", "phase": "f-1", **data}
        visibility = given.pop("visibility", "organisation")
        book.tell(kind, {**given, "occurred_on": on}, visibility=visibility)
        trial.record(kind, given, on=on)
    raised = [about for _, about in told(trial.tick("2026-06-30"))]
    (phase, _) = see(book, hidden=hidden_bits(of_team("wmo")))["phases"]
    assert phase["without_guarantor"] is uncovered
    assert raised == (["phase:c-1:f-1"] if uncovered else [])


def test_guarantors_are_told_each_with_what_ended_it() -> None:
    book = defined()
    for kind, on, data in (_given("2026-01-10"), _given("2026-01-12", DELFT), _replaced("2026-03-01")):
        book.tell(kind, {"chain": "c-1", "phase": "f-1", **data, "occurred_on": on})
    first = see(book)["phases"][0]["guarantors"]
    assert [(g["organisation"], g["holds"], g["replaced_on"], g["evidence"]) for g in first] == [
        (DELFT, True, None, [4]), ("us", False, "2026-03-01", [3, 5]),
    ]  # fmt: skip


def test_a_replacement_that_arrives_before_the_assignment() -> None:
    book = defined()
    book.tell(
        "chain.partner_replaced",
        {**ON, "phase": "f-1", "organisation": DELFT, "by": "us", "financing_system": "wlz",
         "occurred_on": "2026-02-01"},
    )  # fmt: skip
    book.tell("chain.partner_assigned", {**ON, "phase": "f-1", "organisation": DELFT, "financing_system": "wmo"})
    assert [p["organisation"] for p in see(book)["phases"][0]["partners"]] == ["us"]


def test_who_invests_and_who_gains() -> None:
    book = defined()
    money(book, "investment", "us", "wlz", 500)
    money(book, "investment", "us", "wlz", 250, "2026-Q2")
    money(book, "return", DELFT.upper(), "zvw", 900)
    money(book, "return", "us", "zvw", 10)
    cells = {(c["organisation"], c["financing_system"]): c for c in see(book)["matrix"]}
    ours = cells["us", "wlz"]
    assert (ours["invested_cents"], ours["net_cents"], ours["role"], ours["evidence"]) == (750, -750, "invests", [3, 4])
    assert [(p["period"], p["invested_cents"]) for p in ours["periods"]] == [("2026-Q1", 500), ("2026-Q2", 250)]
    assert (cells[DELFT, "zvw"]["role"], cells["us", "zvw"]["role"]) == ("gains", "gains")


def test_savings_are_shared_by_the_key_and_count_as_gain() -> None:
    book = defined()
    money(book, "investment", "us", "wlz", 500)
    money(book, "return", DELFT, "zvw", 1)
    money(book, "return", DELFT, "wmo", 1)
    baseline = {"indicator": "dagen", "cents": 10_000, "period": "2025", "parties": ["us", DELFT]}
    book.tell("chain.baseline_agreed", {**ON, **baseline})
    shares = [{"organisation": "us", "share_pct": 60}, {"organisation": DELFT, "share_pct": 40}]
    book.tell("chain.sharing_key_agreed", {**ON, "shares": shares})
    saved = {"assessment": "s-1", "period": "2026", "saving_cents": 1_000, "quality_met": True}
    book.tell("chain.savings_assessed", {**ON, **saved})
    amounts = [{"organisation": "us", "cents": 600}, {"organisation": DELFT, "cents": 400}]
    book.tell("chain.savings_distributed", {**ON, "assessment": "s-1", "amounts": amounts})
    chain = see(book)
    assert (chain["sharing_key"], chain["baseline"][0]["cents"]) == (shares, 10_000)
    (saving,) = chain["savings"]
    assert (saving["quality_met"], saving["amounts"], saving["evidence"]) == (True, amounts, [8, 9])
    shared = {(c["organisation"], c["financing_system"]): c["shared_cents"] for c in chain["matrix"]}
    # One financing system: counted there. Two: nobody can say which.
    assert (shared["us", "wlz"], shared[DELFT, None], shared[DELFT, "zvw"]) == (600, 400, 0)


def test_a_distribution_that_arrives_before_its_assessment_waits() -> None:
    book = defined()
    amounts = [{"organisation": "us", "cents": 600}]
    book.tell("chain.savings_distributed", {**ON, "assessment": "s-1", "amounts": amounts})
    assert (see(book)["savings"], see(book)["matrix"]) == ([], [])


def test_a_chain_that_is_not_defined_yet_is_not_shown() -> None:
    book = Book()
    book.register()
    money(book, "investment", "us", "wlz", 500)
    seen = present_chains(fold(PROJECTION, book.events), HAAG, NOW, hidden=0)
    assert seen is not None
    assert seen["chains"] == []
