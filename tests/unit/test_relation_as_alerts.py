"""What the relation view says of lines and alerts is what the contact alerts say of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from events.recorded import ORGANISATION
from projections.registry import PROJECTIONS
from projections.relation_present import present
from projections.rows import Row, fold
from tests.given import DELFT, HAAG, Book

ALERT = "7b3f5b0e-7d0a-5c55-9a58-1f3a54f0a001"


@pytest.fixture
def book() -> Book:
    book = Book()
    book.register()
    return book


def rows(book: Book, name: str, table: str) -> list[Row]:
    return list(fold(PROJECTIONS[name], book.events).tables[table].values())


def tier(book: Book, tier: str, on: str) -> None:
    book.tell("relation.tier_assigned", {"tier": tier, "arguments": [], "occurred_on": on})


@pytest.mark.parametrize(
    ("told", "since"),
    [
        ([("A", "2026-02-02"), ("A", "2026-04-01")], "2026-02-02"),
        ([("A", "2026-04-01"), ("A", "2026-02-02")], "2026-02-02"),
        ([("A", "2026-02-02"), ("B", "2026-03-01"), ("A", "2026-04-01")], "2026-04-01"),
        ([("B", "2026-02-02"), ("A", "2026-03-01"), ("A", "2026-04-01")], "2026-03-01"),
    ],
)
def test_a_tier_that_is_told_again_begins_nothing_new(book: Book, told: list[tuple[str, str]], since: str) -> None:
    policy: dict[str, Any] = {
        "tier": "A", "policy_version": 1, "effective_on": "2026-01-01", "escalation_working_days": [5, 10],
        "lines": [
            {
                "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
                "grace_working_days": 5,
            }
        ],
        "occurred_on": "2026-01-01",
    }  # fmt: skip
    book.tell("schedule.policy_set", policy, ORGANISATION)
    for one in told:
        tier(book, *one)
    (relation,) = rows(book, "relation_view", "relation")
    (line,) = rows(book, "contact_alerts", "line")
    assert (relation["tier"], str(relation["tier_on"]), str(line["starts_on"])) == ("A", since, since)


def test_an_alert_that_is_opened_again_begins_at_its_owner(book: Book) -> None:
    days = {"due_on": "2026-05-04", "overdue_on": "2026-05-12", "last_ok_on": "2026-05-11"}
    raised = {"rule": "contact_overdue", "rule_version": 1, "line": "l-1", **days, "level": 0}
    told: list[tuple[str, dict[str, Any]]] = [
        ("raised", {**raised, "evidence": [1], "silent": False}), ("escalated", {"level": 2}),
        ("resolved", {"reason": "contact_held", "evidence": [1]}), ("reopened", {"evidence": [1], "silent": True}),
    ]  # fmt: skip
    for verb, data in told:
        book.tell(f"alert.{verb}", {"alert": ALERT, **data, "occurred_on": "2026-06-01"}, HAAG)
    shown, (known,) = rows(book, "relation_view", "alert"), rows(book, "contact_alerts", "alert")
    assert [(row["state"], row["level"]) for row in (*shown, known)] == [("open", 0), ("open", 0)]


def test_of_merged_relations_each_has_its_own_word_on_a_person(book: Book) -> None:
    book.register(DELFT, "Gemeente Delft")
    person = {"person": "p-1", "name": "x", "function": "y", "layer": "board", "decision_role": "decides"}
    for relation in (HAAG, DELFT):
        book.tell("counterpart.added", {**person, "occurred_on": "2026-01-06"}, relation)
    line = {
        "line": "l-1", "our_layer": "board", "their_layer": "board", "their_person": "p-1", "starts_on": "2026-01-01",
        "cadence": {"mode": "rolling", "every": "P3M"}, "grace_working_days": 5, "owner": "ref~1",
    }  # fmt: skip
    book.tell("schedule.line_set", {**line, "occurred_on": "2026-01-06"})
    book.tell("counterpart.departed", {"person": "p-1", "occurred_on": "2026-03-02"})
    merged = {"survivor": HAAG, "absorbed": DELFT, "reason": "enc~x", "occurred_on": "2026-03-03"}
    book.tell("relation.merged", merged, absorbed=DELFT)
    shown = present(
        fold(PROJECTIONS["relation_view"], book.events), HAAG, datetime(2026, 6, 1, 10, tzinfo=UTC), hidden=0
    )
    assert shown is not None
    (known,) = rows(book, "contact_alerts", "line")
    assert ([one["state"] for one in shown["schedule"]], str(known["vacant_on"])) == (["vacant"], "2026-03-02")


def test_contacts_of_merged_relations_with_one_id_are_two(book: Book) -> None:
    book.register(DELFT, "Gemeente Delft")
    line = {
        "line": "l-1", "our_layer": "board", "their_layer": "board", "starts_on": "2026-01-01", "owner": "ref~1",
        "cadence": {"mode": "rolling", "every": "P3M"}, "grace_working_days": 5,
    }  # fmt: skip
    book.tell("schedule.line_set", {**line, "occurred_on": "2026-01-06"})
    book.held("c-1", "2026-05-12T10:00:00+02:00")
    book.held("c-1", "2026-05-13T10:00:00+02:00", DELFT, ours=[{"layer": "professional"}])
    merged = {"survivor": HAAG, "absorbed": DELFT, "reason": "enc~x", "occurred_on": "2026-05-14"}
    book.tell("relation.merged", merged, absorbed=DELFT)
    shown = present(
        fold(PROJECTIONS["relation_view"], book.events), HAAG, datetime(2026, 6, 1, 10, tzinfo=UTC), hidden=0
    )
    assert shown is not None
    (known,) = rows(book, "contact_alerts", "line")
    assert ([one["last_contact_on"] for one in shown["schedule"]], str(known["last_on"])) == (
        ["2026-05-12"],
        "2026-05-12",
    )
