"""Every read model against an independent naive fold, over random valid histories of all families.

Whatever order the book took the facts in, and however they are cut into batches, the rows say what a plain look over
all facts that count says. In the usual run each test takes seconds; `make test-all` looks longer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.catalog import TYPES
from events.recorded import Recorded
from projections.registry import PROJECTIONS
from projections.rows import MemoryRows, fold
from tests.every_family import histories
from tests.family_facts import FAMILIES
from tests.given import numbered
from tests.naive_shown import SHOWN
from tests.naive_tables import NOT_COMPARED, TABLES, compare
from tests.property.test_rows_split import fold_in_batches
from tests.ticked import Ticked, ticked

_SLOW: Final = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def test_every_read_model_is_compared() -> None:
    """Every table and column of every read model, but those that `NOT_COMPARED` explains; and it explains no others."""
    explained: set[tuple[str, str, str]] = set()
    assert set(TABLES) == set(PROJECTIONS) == set(CORE)
    for name, projection in PROJECTIONS.items():
        for table, stored in projection.metadata.tables.items():
            assert (table in TABLES[name]) != ((name, table, "*") in NOT_COMPARED), (name, table)
            columns = [c.name for c in stored.columns]
            explained |= {(n, t, c) for n in (name, "*") for t in (table, "*") for c in (*columns, "*")}
    assert set(NOT_COMPARED) <= explained


def check(name: str, rows: MemoryRows, book: Ticked) -> None:
    compare(name, rows, book.events)
    for look in SHOWN.get(name, ()):
        look(rows, book)


def check_all(facts: Sequence[Recorded], chance: random.Random, names: Sequence[str]) -> None:
    book = ticked(facts, chance)
    for name in names:
        projection = PROJECTIONS[name]
        check(name, fold(projection, book.events), book)
        sizes = [chance.randint(1, 12) for _ in range(3)]
        rows = MemoryRows(projection.metadata)
        rows.tables = asyncio.run(fold_in_batches(projection, book.events, sizes, 1_000, 1)).tables
        check(name, rows, book)


def shuffled(events: Sequence[Recorded], chance: random.Random) -> list[Recorded]:
    """The same facts in another order; what a withdrawal, a merge or a score rests on still comes before it."""
    first = [e for e in events if e.kind in ("satisfaction.instrument_defined", "relation.merged", "relation.unmerged")]
    rest = [e for e in events if e not in first]
    order = [*first, *chance.sample(rest, len(rest))]
    withdrawals = [e for e in order if e.withdraws is not None]
    return numbered([*(e for e in order if e.withdraws is None), *withdrawals])


# The families of which a read model is made most; another one is mixed in.
CORE: Final[dict[str, list[str]]] = {
    "relation_view": ["relation", "contact", "schedule", "plan", "satisfaction", "agreement", "partnership"],
    "team_timeline": list(FAMILIES),
    "contact_alerts": ["schedule", "schedule", "contact"],
    "workflows": ["satisfaction", "plan", "agreement", "partnership", "chain", "relation"],
    "partnership_view": ["partnership", "partnership", "schedule"],
    "agreement_view": ["agreement"],
    "chain_view": ["chain"],
    "satisfaction_view": ["satisfaction"],
}


@pytest.mark.parametrize("name", sorted(PROJECTIONS))
@settings(max_examples=40, deadline=None, suppress_health_check=_SLOW)
@given(data=st.data(), chance=st.randoms(use_true_random=False))
def test_a_read_model_is_what_a_plain_look_says(name: str, data: st.DataObject, chance: random.Random) -> None:
    events = data.draw(histories(core=CORE[name]))
    check_all(events, chance, [name])
    check_all(shuffled(events, chance), chance, [name])


_BY_THE_BOOK: Final = ("alert", "loop", "person", "retention")


def test_every_kind_that_departments_send_is_in_the_histories_and_every_table_in_their_rows() -> None:
    met: set[str] = set()
    filled: set[tuple[str, str]] = set()
    for family in FAMILIES:

        @settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=_SLOW)
        @given(events=histories(60, 80, 1, [family]))
        def look(events: list[Recorded]) -> None:
            met.update(e.kind for e in events)
            # An alert about an absorbed relation's line is rare: a tick must fall between its merge and its undoing.
            for seed in range(3 if family == "schedule" else 1):  # noqa: B023 used at once
                book = ticked(events, random.Random(seed))
                for name, projection in PROJECTIONS.items():
                    filled.update((name, table) for table, rows in fold(projection, book.events).tables.items() if rows)

        look()
    assert met == {t.kind for t in TYPES.values() if t.family not in _BY_THE_BOOK}
    # Nothing is compared that is always empty.
    never = {("contact_alerts", "pending"), ("workflows", "pending")}
    assert {(name, table) for name in TABLES for table in TABLES[name]} - filled == never


@pytest.mark.full
@settings(max_examples=100, deadline=None, suppress_health_check=_SLOW)
@given(events=histories(20, 80, len(FAMILIES)), chance=st.randoms(use_true_random=False))
def test_all_read_models_at_length(events: list[Recorded], chance: random.Random) -> None:
    check_all(events, chance, sorted(PROJECTIONS))
    check_all(shuffled(events, chance), chance, sorted(PROJECTIONS))
