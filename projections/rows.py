"""The rows of one batch: loaded once, changed in memory, written once.

A projection's `evolve` reads and changes rows only here. In a unit test, and in a fold of one relation's history,
`Rows` simply starts empty. Rows are plain dicts with the table's column names; the runner loads and writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from sqlalchemy import MetaData

from events.in_force import WITHDRAWAL, with_withdrawals
from events.recorded import ORGANISATION, Recorded

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


def _not_shown(rows: Rows, event: Recorded, withdrawal: Recorded) -> None:
    return None


def _no_spread(rows: Rows, relations: Collection[str]) -> Iterator[Iterable[Need]]:
    return iter(())


def _no_settle(rows: Rows, relations: Iterable[str]) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Later:
    """Statements for a quoted schema, each within the transaction of the rows: `put_off` makes the triggers do nothing,
    `is_put_off` asks for that, `make_up` makes their tables say what the rows do and the triggers follow again."""

    put_off: Callable[[str], str]
    is_put_off: Callable[[str], str]
    make_up: Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Projection:
    """One read model: its tables, which rows an event needs, and how the event changes them.

    `metadata` holds the tables without a schema; the store puts version n of `relation_view` in the PostgreSQL schema
    `relation_view_v<n>`. `evolve` is pure: no clock, no I/O, the same result for the same rows and event, and it reads
    only what `needs` named. `settle` runs once per batch after the fold, for the relations that the batch touched, to
    recompute derived columns (`settle_needs` names what it reads per relation). Where those follow from rows that only
    the folded rows name (relations that were merged, say), `spread` yields further needs after the fold, each lot
    loaded before it goes on; `settle` then settles whatever these events reach. `announce` names the live messages of
    an event after its commit; it is not called in rebuilds.

    `kinds` names the events that it looks at (`chain.defined`; None: every kind). Those of other kinds are not decoded
    for it, so a read model of rare events costs little beside a flood of others; its position moves on past them.

    A withdrawn event counts as if it had never happened: on its withdrawal the rows of its relation are deleted, and
    its history is folded again without it. A table whose first key column is `relation` holds rows of that relation
    alone; rows of the other tables come from events about no relation. `kept` names the tables for which that does not
    hold: their rows stay, and take the same facts again without harm. `evolve_withdrawn(rows, event, withdrawal)` is
    called in the place of `evolve` for an event that was withdrawn, for who shows it as such; `needs` holds for it too.

    `triggers` gives the statements, for a quoted schema, that make PostgreSQL keep tables which no fold writes: the
    first fill them from the rows that are there, which a rebuild has made without them. `later`: how a live build that
    is far behind puts those tables off, and makes them up once it is there.
    """

    name: str
    version: int
    metadata: MetaData
    needs: Callable[[Recorded], Iterable[Need]]
    evolve: Callable[[Rows, Recorded], None]
    settle: Callable[[Rows, Iterable[str]], None] = _no_settle
    settle_needs: Callable[[str], Iterable[Need]] = field(default=lambda relation: ())
    spread: Callable[[Rows, Collection[str]], Iterator[Iterable[Need]]] = _no_spread
    announce: Callable[[Rows, Recorded], Iterable[LiveMessage]] = field(default=lambda rows, event: ())
    kinds: frozenset[str] | None = None
    kept: frozenset[str] = frozenset({"alias"})
    evolve_withdrawn: Callable[[Rows, Recorded, Recorded], None] = _not_shown
    triggers: Callable[[str], Sequence[str]] = field(default=lambda schema: ())
    later: Later | None = None

    @property
    def heard(self) -> frozenset[str] | None:
        """The kinds that its feed must give: its own, and withdrawals, which may be of any of them."""
        return None if self.kinds is None else self.kinds | {WITHDRAWAL}

    def takes(self, event: Recorded) -> bool:
        """Whether the event is of a kind that this projection looks at."""
        return self.kinds is None or event.kind in self.kinds

    def owned(self, relation: str) -> Iterable[tuple[str, bool]]:
        """The tables with rows that come from this relation's events alone, and whether all their rows do.

        Else those are the rows whose first key column, `relation`, is this relation.
        """
        for name, table in self.metadata.tables.items():
            if name in self.kept:
                continue
            of_relations = next(iter(table.primary_key.columns)).name == "relation"
            if of_relations or relation == ORGANISATION:
                yield name, not of_relations

    def apply(self, rows: Rows, events: Iterable[Recorded]) -> None:
        """Evolves whole histories: each event by whether it was withdrawn among these."""
        for event, withdrawal in with_withdrawals(events):
            if not self.takes(event):
                continue
            if withdrawal is None:
                self.evolve(rows, event)
            else:
                self.evolve_withdrawn(rows, event, withdrawal)


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
    """All rows that these events, in this order, give; those withdrawn among them do not count."""
    rows = MemoryRows(projection.metadata)
    known = list(events)
    projection.apply(rows, known)
    projection.settle(rows, sorted({e.relation for e in known if projection.takes(e)}))
    return rows
