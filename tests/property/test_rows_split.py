"""Whatever the batches, the cache and the overlap with writing, a working set gives what a plain fold gives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, Text

from events.recorded import Recorded
from projections.folding import Folded, Folder, Limits
from projections.registry import PROJECTIONS
from projections.rows import Group, Need, One, Projection, Row, RowKey, Rows, fold
from projections.working_set import Changes, WorkingSet
from tests.given import fact, numbered
from tests.histories import arrival, books
from tests.small_book import COUNTS, Faults, held_contact, made, name_of, projection


class Stored:
    """What PostgreSQL would hold: rows as committed, each a copy, as each load gives a new one."""

    def __init__(self, of: Projection, book: Sequence[Recorded]) -> None:
        self.book = book
        self.tables: dict[str, dict[RowKey, Row]] = {name: {} for name in of.metadata.tables}
        self.queries = 0

    async def rows(self, table: str, keys: Sequence[RowKey]) -> Iterable[Row]:
        await self._wait()
        return [dict(row) for k in keys if (row := self.tables[table].get(k)) is not None]

    async def groups(self, table: str, values: Sequence[Any]) -> Iterable[Row]:
        await self._wait()
        return [dict(row) for k, row in self.tables[table].items() if k[0] in values]

    async def whole(self, table: str) -> Iterable[Row]:
        await self._wait()
        return [dict(row) for row in self.tables[table].values()]

    async def history(self, relation: str, upto: int) -> Sequence[Recorded]:
        await self._wait()
        return [e for e in self.book if e.relation == relation and e.position <= upto]

    async def _wait(self) -> None:
        self.queries += 1
        await asyncio.sleep(0)

    async def write(self, changes: Changes, pauses: int) -> None:
        for _ in range(pauses):
            await asyncio.sleep(0)
        for name, rows in changes.items():
            for key, row in rows.items():
                if row is None:
                    self.tables[name].pop(key, None)
                else:
                    self.tables[name][key] = dict(row)


async def fold_in_batches(
    of: Projection, events: Sequence[Recorded], sizes: Sequence[int], most_rows: int, pauses: int, gather: int = 1
) -> Stored:
    """As `projections.build` does it: the next batch is folded while the last one is written."""
    stored = Stored(of, events)
    rows = WorkingSet(of.metadata, empty=True, most_rows=most_rows)
    folder = Folder(of, rows, stored, Limits(outage_relations=1_000), ())
    writing: asyncio.Task[None] | None = None
    at, turn = 0, 0
    while at < len(events):
        size = sizes[turn % len(sizes)]
        folded = await folder.fold(events[at : at + size], announcing=True)
        assert isinstance(folded, Folded)
        at, turn = at + size, turn + 1
        if turn % gather and at < len(events):
            continue
        if writing is not None:
            await writing
            rows.written()
        writing = asyncio.create_task(stored.write(rows.hand_over(), pauses))
    if writing is not None:
        await writing
    return stored


splits = st.lists(st.integers(1, 12), min_size=1, max_size=5)
caches = st.sampled_from([0, 4, 20, 1_000])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 160), st.integers(1, 6), splits, caches, st.integers(0, 4), st.integers(1, 4))
def test_counts(count: int, relations: int, sizes: list[int], most_rows: int, pauses: int, gather: int) -> None:
    events = numbered(made(count, relations=relations))
    stored = asyncio.run(fold_in_batches(COUNTS, events, sizes, most_rows, pauses, gather))
    assert stored.tables == fold(COUNTS, events).tables


@pytest.mark.parametrize("name", sorted(PROJECTIONS))
@settings(max_examples=40, deadline=None)
@given(
    groups=books(), chance=st.randoms(use_true_random=False), sizes=splits, most_rows=caches, pauses=st.integers(0, 4)
)
def test_the_read_models(
    name: str, groups: list[list[Recorded]], chance: random.Random, sizes: list[int], most_rows: int, pauses: int
) -> None:
    of = PROJECTIONS[name]
    events = arrival(groups, chance)
    if name == "workflows":  # it judges a score when it comes: by then intake has its instrument
        events = numbered(sorted(events, key=lambda e: e.kind != "satisfaction.instrument_defined"))
    stored = asyncio.run(fold_in_batches(of, events, sizes, most_rows, pauses))
    assert _json(stored.tables) == _json(fold(of, events).tables)


def _json(tables: dict[str, dict[RowKey, Row]]) -> dict[str, Any]:
    """Rows as they come back from a database: JSON has lists only."""
    return {
        name: {key: orjson.loads(orjson.dumps(row, option=orjson.OPT_NON_STR_KEYS)) for key, row in rows.items()}
        for name, rows in tables.items()
    }


def test_what_is_cached_is_not_asked_again() -> None:
    events = numbered([held_contact(n, name_of(n % 30)) for n in range(90)])
    assert asyncio.run(fold_in_batches(COUNTS, events, [1], 1_000, 0)).queries == 0  # it began empty, and kept all
    assert asyncio.run(fold_in_batches(COUNTS, events, [1], 0, 0)).queries > 60


@settings(max_examples=40, deadline=None)
@given(
    st.integers(20, 120),
    splits,
    st.sets(st.integers(0, 119), max_size=4),
    st.sampled_from(["poison", "half", "unsettled"]),
)
def test_poison_leaves_no_trace(count: int, sizes: list[int], where: set[int], how: str) -> None:
    """The rows are those of a book without the events that were parked, also of a batch that had to be folded twice."""
    topics = {n: [how] for n in where}
    events = numbered([held_contact(n, name_of(n % 11), topics=topics.get(n, ["wmo"])) for n in range(count)])
    of = projection(Faults())

    async def fold_all() -> tuple[Stored, list[int]]:
        stored = Stored(of, events)
        rows = WorkingSet(of.metadata, empty=True)
        folder = Folder(of, rows, stored, Limits(outage_relations=1_000), ())
        parked: list[int] = []
        at, turn = 0, 0
        while at < count:
            batch = events[at : at + sizes[turn % len(sizes)]]
            folded = await folder.fold_parking(batch, announcing=False)
            parked += [p.position for p in folded.parked]
            await stored.write(rows.hand_over(), 0)
            rows.written()
            at, turn = at + len(batch), turn + 1
        return stored, parked

    stored, parked = asyncio.run(fold_all())
    bad = {n + 1 for n in where if n < count}
    assert bad <= set(parked)
    assert {events[p - 1].relation for p in parked} == {events[p - 1].relation for p in bad}
    assert stored.tables == fold(of, [e for e in events if e.position not in parked]).tables


# Rows that are put or deleted unasked, and asked for later by key or by group: what the cache and the batch that is
# being written must agree on.
_things = MetaData()
Table(
    "thing", _things,
    Column("a", Integer, primary_key=True), Column("b", Integer, primary_key=True), Column("value", Integer),
)  # fmt: skip
Table("seen", _things, Column("position", Integer, primary_key=True), Column("values", Text))


def _thing_needs(event: Recorded) -> Iterable[Need]:
    op, a, b = event.data["op"], event.data["a"], event.data["b"]
    return {"add": [One("thing", (a, b))], "sum": [Group("thing", a)]}.get(op, [])


def _thing_evolve(rows: Rows, event: Recorded) -> None:
    op, a, b = event.data["op"], event.data["a"], event.data["b"]
    match op:
        case "put":
            rows.put("thing", {"a": a, "b": b, "value": event.position})
        case "delete":
            rows.delete("thing", a, b)
        case "add":
            known = rows.get("thing", a, b)
            rows.put("thing", {"a": a, "b": b, "value": event.position + (known["value"] if known else 0)})
        case _:
            values = repr([(r["b"], r["value"]) for r in rows.group("thing", a)])
            rows.put("seen", {"position": event.position, "values": values})


_OPS = Projection("things", 1, _things, _thing_needs, _thing_evolve)
_ops = st.fixed_dictionaries(
    {"op": st.sampled_from(["put", "delete", "add", "sum"]), "a": st.integers(0, 2), "b": st.integers(0, 2)}
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(_ops, min_size=1, max_size=40), st.lists(st.integers(1, 4), min_size=1), caches, st.integers(0, 4),
    st.integers(1, 3),
)  # fmt: skip
def test_rows_changed_unasked(
    ops: list[dict[str, Any]], sizes: list[int], most_rows: int, pauses: int, gather: int
) -> None:
    events = numbered([fact("thing.done", op, id=f"e-{n}") for n, op in enumerate(ops)])
    stored = asyncio.run(fold_in_batches(_OPS, events, sizes, most_rows, pauses, gather))
    assert stored.tables == fold(_OPS, events).tables
