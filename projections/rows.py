"""The rows of one batch: loaded once, changed in memory, written once.

A projection's `evolve` reads and changes rows only here. In a unit test, and in a fold of one relation's history,
`Rows` simply starts empty. Rows are plain dicts with the table's column names; the runner loads and writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from sqlalchemy import MetaData

from events.recorded import Recorded

Row = dict[str, Any]
RowKey = tuple[Any, ...]


class One(NamedTuple):
    """The row of `table` with this primary key (in the order of the table's primary key columns)."""

    table: str
    key: RowKey


class Group(NamedTuple):
    """Every row of `table` whose first primary key column has this value (a relation's lines, say)."""

    table: str
    value: Any


Need = One | Group


class Rows(Protocol):
    """What `evolve` works on. All access is in memory; asking for what `needs` did not name is an error."""

    def get(self, table: str, *key: Any) -> Row | None:
        """The row with this primary key, or None. Change it only by `put`."""
        ...

    def group(self, table: str, value: Any) -> Sequence[Row]:
        """All rows whose first primary key column is `value`, in the order of the primary key."""
        ...

    def put(self, table: str, row: Row) -> None:
        """Inserts or replaces the row by its primary key. The row must have every column."""
        ...

    def delete(self, table: str, *key: Any) -> None:
        """Removes the row; no error when it is not there."""
        ...


class LiveMessage(NamedTuple):
    """A core NATS message for dashboards: position, relation and type only (SPEC section 6)."""

    subject: str
    body: Mapping[str, Any]


def _no_settle(rows: Rows, relations: Iterable[str]) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Projection:
    """One read model: its tables, which rows an event needs, and how the event changes them.

    `metadata` holds the tables without a schema; the store puts version n of `relation_view` in the PostgreSQL schema
    `relation_view_v<n>`. `evolve` is pure: no clock, no I/O, the same result for the same rows and event, and it reads
    only what `needs` named. `settle` runs once per batch after the fold, for the relations that the batch touched, to
    recompute derived columns (`settle_needs` names what it reads per relation). `announce` names the live messages of
    an event after its commit; it is not called in rebuilds.
    """

    name: str
    version: int
    metadata: MetaData
    needs: Callable[[Recorded], Iterable[Need]]
    evolve: Callable[[Rows, Recorded], None]
    settle: Callable[[Rows, Iterable[str]], None] = _no_settle
    settle_needs: Callable[[str], Iterable[Need]] = field(default=lambda relation: ())
    announce: Callable[[Rows, Recorded], Iterable[LiveMessage]] = field(default=lambda rows, event: ())


class MemoryRows:
    """Rows that live in memory only: for given/when/then tests and for folds of a history."""

    def __init__(self, metadata: MetaData) -> None:
        self._pk = {name: [c.name for c in t.primary_key.columns] for name, t in metadata.tables.items()}
        self.tables: dict[str, dict[RowKey, Row]] = {name: {} for name in self._pk}

    def get(self, table: str, *key: Any) -> Row | None:
        return self.tables[table].get(key)

    def group(self, table: str, value: Any) -> Sequence[Row]:
        rows = self.tables[table]
        return [rows[k] for k in sorted(k for k in rows if k[0] == value)]

    def put(self, table: str, row: Row) -> None:
        self.tables[table][tuple(row[c] for c in self._pk[table])] = row

    def delete(self, table: str, *key: Any) -> None:
        self.tables[table].pop(key, None)


def fold(projection: Projection, events: Iterable[Recorded]) -> MemoryRows:
    """All rows that these events, in this order, give."""
    rows = MemoryRows(projection.metadata)
    touched: set[str] = set()
    for event in events:
        projection.evolve(rows, event)
        touched.add(event.relation)
    projection.settle(rows, sorted(touched))
    return rows
