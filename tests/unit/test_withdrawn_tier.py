"""A tier that was withdrawn counts nowhere: not for what a policy asks, not for whom an alert climbs to."""

from __future__ import annotations

import pytest

from projections.registry import PROJECTIONS
from projections.rows import fold
from tests.given import HAAG, ORGANISATION, Book
from tests.samples import golden


@pytest.fixture
def book() -> Book:
    book = Book()
    book.register()
    book.tell(
        "schedule.policy_set", {**golden("schedule.policy_set")["data"], "effective_on": "2026-02-01"}, ORGANISATION
    )
    told = book.tell("relation.tier_assigned", {"tier": "A", "arguments": [], "occurred_on": "2026-02-02"})
    taken_back = {"source": told.source, "id": told.id, "occurred_at": "2026-02-03T10:00:00+01:00"}
    book.tell("correction.withdrawn", taken_back)
    return book


def test_the_contact_alerts_know_no_tier_and_ask_for_no_line(book: Book) -> None:
    rows = fold(PROJECTIONS["contact_alerts"], book.events)
    assert (rows.tables["relation"][HAAG,]["tier"], rows.tables["relation"][HAAG,]["tiers"]) == (None, [])
    assert rows.tables["line"] == {}
    untouched = fold(PROJECTIONS["contact_alerts"], book.events[:-1])
    assert len(untouched.tables["line"]) == 2, "the policy asks for lines while the tier stands"


@pytest.mark.parametrize("name", sorted(n for n, p in PROJECTIONS.items() if "tier" in p.metadata.tables["relation"].c))
def test_no_read_model_knows_the_tier(name: str, book: Book) -> None:
    assert fold(PROJECTIONS[name], book.events).tables["relation"][HAAG,]["tier"] is None
