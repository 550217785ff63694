"""The same facts give the same timelines, in whatever order they arrive; only positions differ."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.in_force import in_force
from events.recorded import Recorded
from projections.rows import MemoryRows, fold
from projections.team_timeline import PROJECTION
from tests.histories import arrival, books

visibilities = st.sampled_from(["organisation", "team", "department", "named"])
_POSITIONS = ("held", "planned", "corrected", "retracted", "off")


@st.composite
def restricted_books(draw: st.DrawFn) -> list[list[Recorded]]:
    return [[replace(event, visibility=draw(visibilities)) for event in group] for group in draw(books())]


def comparable(rows: MemoryRows, events: list[Recorded]) -> dict[str, Any]:
    """The rows with the ids of events in place of their positions, without recorded times."""
    ids = {event.position: event.id for event in events}
    entries = {
        ids[row["position"]]: {
            **row, "position": None, "recorded_at": None,
            **{name: ids.get(row[name]) for name in ("withdrawn", "withdraws")},
        }
        for row in rows.tables["entry"].values()
    }  # fmt: skip
    contacts = {
        key: {**row, **{name: ids.get(row[name]) for name in _POSITIONS}} for key, row in rows.tables["contact"].items()
    }
    restricted = {ids[row["position"]]: row["hidden"] for row in rows.tables["restricted"].values()}
    return {**rows.tables, "entry": entries, "contact": contacts, "restricted": restricted}


@settings(max_examples=150, deadline=None)
@given(restricted_books(), st.randoms(use_true_random=False))
def test_any_arrival_order_gives_the_same_timelines(groups: list[list[Recorded]], chance: random.Random) -> None:
    first, second = arrival(groups, chance), arrival(groups, chance)
    assert comparable(fold(PROJECTION, first), first) == comparable(fold(PROJECTION, second), second)


@settings(max_examples=60, deadline=None)
@given(restricted_books(), st.randoms(use_true_random=False), st.integers(1, 10))
def test_any_split_gives_the_same_rows(groups: list[list[Recorded]], chance: random.Random, size: int) -> None:
    events = in_force(arrival(groups, chance))  # with withdrawals: see test_rows_split
    rows = MemoryRows(PROJECTION.metadata)
    for start in range(0, len(events), size):
        for event in events[start : start + size]:
            PROJECTION.evolve(rows, event)
        rows.tables = deepcopy(rows.tables)
    assert rows.tables == fold(PROJECTION, events).tables
