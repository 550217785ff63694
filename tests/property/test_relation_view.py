"""The same facts give the same relation view, in whatever order they arrive and however they are split into batches."""

from __future__ import annotations

import random
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from events.in_force import in_force
from events.recorded import Recorded
from projections.relation_present import present
from projections.relation_view import PROJECTION
from projections.rows import MemoryRows, fold
from tests.given import DELFT, HAAG
from tests.histories import arrival, books

# What says when the book heard of a fact, and so differs with the order of arrival.
NUMBERED = {"version", "position", "positions", "evidence", "recorded_at"}
NOW = datetime(2026, 6, 30, 10, tzinfo=UTC)


def comparable(rows: MemoryRows) -> dict[str, Any]:
    return {
        name: {key: {k: v for k, v in row.items() if k not in NUMBERED} for key, row in table.items()}
        for name, table in rows.tables.items()
    }


@settings(max_examples=150, deadline=None)
@given(books(), st.randoms(use_true_random=False))
def test_any_arrival_order_gives_the_same_rows(groups: list[list[Recorded]], chance: random.Random) -> None:
    first = fold(PROJECTION, arrival(groups, chance))
    second = fold(PROJECTION, arrival(groups, chance))
    assert comparable(first) == comparable(second)
    for relation in (HAAG, DELFT):
        assert present(first, relation, NOW, hidden=0) == present(second, relation, NOW, hidden=0)


@settings(max_examples=60, deadline=None)
@given(books(), st.randoms(use_true_random=False), st.integers(1, 10))
def test_any_split_gives_the_same_rows(groups: list[list[Recorded]], chance: random.Random, size: int) -> None:
    """Between batches the rows go out and come back as copies, as through a database."""
    events = in_force(arrival(groups, chance))  # with withdrawals: see test_rows_split
    whole = fold(PROJECTION, events)
    rows = MemoryRows(PROJECTION.metadata)
    for start in range(0, len(events), size):
        batch = events[start : start + size]
        for event in batch:
            PROJECTION.evolve(rows, event)
        PROJECTION.settle(rows, sorted({event.relation for event in batch}))
        rows.tables = deepcopy(rows.tables)
    assert rows.tables == whole.tables


@settings(max_examples=60, deadline=None)
@given(books(), st.randoms(use_true_random=False))
def test_totals_are_what_the_rows_add_up_to(groups: list[list[Recorded]], chance: random.Random) -> None:
    rows = fold(PROJECTION, arrival(groups, chance))
    for relation in rows.tables["relation"].values():
        counted = [c for c in rows.group("contact", relation["relation"]) if c["counted"]]
        assert relation["contacts_total"] == len(counted)
        assert relation["minutes_total"] == sum(c["minutes"] for c in counted)


@settings(max_examples=60, deadline=None)
@given(books(), st.randoms(use_true_random=False))
def test_evolve_leaves_rows_that_it_was_given_as_they_were(groups: list[list[Recorded]], chance: random.Random) -> None:
    """Rows in a cache or on their way to the database are the same objects: they may be replaced, never changed."""
    rows = MemoryRows(PROJECTION.metadata)
    for event in arrival(groups, chance):
        given_rows = [(row, deepcopy(row)) for table in rows.tables.values() for row in table.values()]
        PROJECTION.evolve(rows, event)
        assert all(row == before for row, before in given_rows)
