"""The history of every kind: the book accepts all of it, and each fact of the relation shows in the timeline."""

from __future__ import annotations

import random
from typing import Any

import pytest

from events.book import Accept, Decision, Park, Reject
from events.catalog import TYPES
from events.recorded import ORGANISATION
from projections.rows import fold
from projections.team_timeline import PROJECTION
from tests.every_kind import RELATION, department_of, every_kind
from tests.given import HAAG, fact, numbered
from tests.judged import Book


def test_every_kind_occurs() -> None:
    assert {event["type"] for event in every_kind()} == set(TYPES)


def send(book: Book, event: dict[str, Any]) -> Decision:
    attributes = {name: event[name] for name in ("id", "source", "time")}
    return book.send(TYPES[event["type"]].kind, event["data"], event["subject"], department_of(event), **attributes)


def test_the_book_accepts_it_all() -> None:
    book = Book()
    for event in every_kind():
        decision = send(book, event)
        assert isinstance(decision, Accept), (event["type"], decision)


@pytest.mark.parametrize("seed", range(20))
def test_in_any_order_what_waits_is_freed_and_what_is_refused_came_too_late(seed: int) -> None:
    """No rule looks at a key that it does not name; a parked event names a key that some other event touches."""
    book, waiting = Book(), random.Random(seed).sample(every_kind(), len(every_kind()))
    refused: list[str] = []
    moved = True
    while moved:
        moved, still = False, list[dict[str, Any]]()
        for event in waiting:
            decision = send(book, event)
            if isinstance(decision, Park):
                assert decision.waits_for
                still.append(event)
                continue
            moved = True
            if isinstance(decision, Reject):
                assert decision.code == "rule", (event["type"], decision)
                refused.append(TYPES[event["type"]].kind)
        waiting = still
    assert waiting == []
    # Each of these follows on something that has ended or escalated by then.
    assert set(refused) <= {
        "plan.action_deferred", "loop.followed_up", "loop.escalated", "alert.escalated", "alert.reopened",
        "alert.resolved", "alert.acknowledged", "alert.snoozed", "relation.unmerged", "relation.merged",
    }  # fmt: skip


def test_each_fact_of_the_relation_is_an_entry() -> None:
    told = [
        fact(TYPES[e["type"]].kind, e["data"], HAAG if e["subject"] == RELATION else e["subject"], id=e["id"])
        for e in every_kind()
        if TYPES[e["type"]].kind not in ("relation.merged", "relation.unmerged", "correction.withdrawn")
    ]
    events = numbered(told)
    entries = {e["position"] for e in fold(PROJECTION, events).group("entry", HAAG)}
    assert entries == {e.position for e in events if e.relation == HAAG}
    assert any(e.relation == ORGANISATION for e in events)
