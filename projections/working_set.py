"""The rows that a running fold works on: loaded per batch, kept while they are in use, written once.

`WorkingSet` is the `Rows` of a writer. Before a batch is folded, `prepare` makes everything that its events need
present: from the cache, from the batch that is being written at this moment, or from PostgreSQL in one query a table.
The cache is valid because a fenced writer is the only one; after any error the whole set is thrown away.

The cache has two generations instead of an order: what is asked for moves to the young one; when that holds half of
`most_rows`, it becomes the old one and what was in there is forgotten. Rows that were only added (a timeline's entries)
are forgotten as soon as they are handed over for writing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import MetaData, Table

from events.recorded import Recorded
from projections.rows import Group, Need, One, Row, RowKey

# What a batch changed: per table, by primary key, the row as it is now, or None when it is gone.
Changes = Mapping[str, Mapping[RowKey, Row | None]]


class Loader(Protocol):
    """Reads committed rows; one query a table and kind of need."""

    async def rows(self, table: str, keys: Sequence[RowKey]) -> Iterable[Row]: ...

    async def groups(self, table: str, values: Sequence[Any]) -> Iterable[Row]: ...

    async def whole(self, table: str) -> Iterable[Row]: ...

    async def history(self, relation: str, upto: int) -> Sequence[Recorded]:
        """Every event of the relation up to and including a position, from the ledger, in the order of the book."""
        ...


def _key_of(table: Table) -> Callable[[Row], RowKey]:
    names = [c.name for c in table.primary_key.columns]
    if len(names) == 1:
        only = names[0]
        return lambda row: (row[only],)
    return itemgetter(*names)


class _Part:
    """One table's share of the set."""

    __slots__ = (
        "added", "count", "dirty", "grouped", "groups", "key_of", "loose", "old_groups", "old_rows", "ordered", "rows",
        "whole", "width",
    )  # fmt: skip

    def __init__(self, table: Table, *, empty: bool) -> None:
        self.key_of = _key_of(table)
        self.width = len(table.columns)
        self.grouped = False  # some group was ever asked for
        self.whole = empty  # PostgreSQL holds no row that is not here: what is not here is nowhere
        self.loose = False  # some row was put outside a group
        self.rows: dict[RowKey, Row | None] = {}
        self.old_rows: dict[RowKey, Row | None] = {}
        self.groups: dict[Any, dict[RowKey, Row]] = {}
        self.old_groups: dict[Any, dict[RowKey, Row]] = {}
        self.ordered: dict[Any, list[Row]] = {}
        self.dirty: dict[RowKey, Row | None] = {}
        self.added: set[RowKey] = set()
        self.count = 0  # rows in the young generation, about

    def group(self, value: Any) -> dict[RowKey, Row] | None:
        """The complete group, made young, or None."""
        found = self.groups.get(value)
        if found is None:
            found = self.old_groups.pop(value, None)
            if found is not None:
                self.groups[value] = found
                self.count += len(found) + 1
        return found

    def has_row(self, key: RowKey, flight: Mapping[RowKey, Row | None]) -> bool:
        """Makes the row (or its known absence) young, if that needs no query."""
        if self.grouped and self.group(key[0]) is not None:
            return True
        if key in self.rows:
            return True
        if key in self.old_rows:
            self.rows[key] = self.old_rows.pop(key)
        elif key in flight:
            self.rows[key] = flight[key]
        elif self.whole:
            self.rows[key] = None
        else:
            return False
        self.count += 1
        return True

    def has_group(self, value: Any) -> bool:
        self.grouped = True
        if self.group(value) is not None:
            return True
        if self.whole and not self.loose:
            self.groups[value] = {}
            return True
        return False

    def set(self, key: RowKey, row: Row | None) -> None:
        self.dirty[key] = row
        if self.grouped:
            group = self.group(key[0])
            if group is not None:
                if row is None:
                    group.pop(key, None)
                else:
                    self.count += key not in group
                    group[key] = row
                self.ordered.pop(key[0], None)
                self.rows.pop(key, None)
                self.old_rows.pop(key, None)
                return
        if key not in self.rows:
            self.added.add(key)
            self.count += 1
        self.loose = True
        self.rows[key] = row

    def known(self) -> set[RowKey]:
        """The keys of all rows that are here, whatever became of them."""
        groups = (group for generation in (self.groups, self.old_groups) for group in generation.values())
        return {*self.rows, *self.old_rows, *self.dirty, *(key for group in groups for key in group)}

    def hand_over(self) -> dict[RowKey, Row | None]:
        for key in self.added:
            self.rows.pop(key, None)
            self.old_rows.pop(key, None)
            self.whole = False
        self.count -= len(self.added)
        self.added.clear()
        dirty, self.dirty = self.dirty, {}
        return dirty

    def age(self) -> None:
        if self.old_rows or self.old_groups:
            self.whole = False
        self.old_rows, self.rows = self.rows, {}
        self.old_groups, self.groups = self.groups, {}
        self.ordered.clear()
        self.count = 0

    def forget(self) -> None:
        self.whole = False
        self.count = 0
        for part in (self.rows, self.old_rows, self.groups, self.old_groups, self.ordered, self.dirty, self.added):
            part.clear()


class WorkingSet:
    """Implements `Rows` over a cache of one build's tables. `empty`: the build holds no rows yet."""

    def __init__(self, metadata: MetaData, *, empty: bool = False, most_rows: int = 40_000) -> None:
        self._parts = {name: _Part(table, empty=empty) for name, table in metadata.tables.items()}
        self._most_rows = most_rows
        self._flight: Changes = {}

    def get(self, table: str, *key: Any) -> Row | None:
        part = self._parts[table]
        if part.grouped:
            group = part.groups.get(key[0])
            if group is not None:
                return group.get(key)
        try:
            return part.rows[key]
        except KeyError:
            raise LookupError(f"a row of {table} was asked for that needs did not name") from None

    def group(self, table: str, value: Any) -> Sequence[Row]:
        part = self._parts[table]
        found = part.ordered.get(value)
        if found is None:
            group = part.groups.get(value)
            if group is None:
                raise LookupError(f"a group of {table} was asked for that needs did not name")
            found = part.ordered[value] = [group[k] for k in sorted(group)]
        return found

    def put(self, table: str, row: Row) -> None:
        part = self._parts[table]
        if len(row) != part.width:
            raise ValueError(f"a row of {table} must have {part.width} columns, not {len(row)}")
        part.set(part.key_of(row), row)

    def delete(self, table: str, *key: Any) -> None:
        self._parts[table].set(key, None)

    async def empty(self, table: str, value: Any, loader: Loader) -> None:
        """Deletes every row whose first key column is `value`; with None every row of the table (a small one)."""
        if value is not None:
            await self.prepare([Group(table, value)], loader)
            keys = [self._parts[table].key_of(row) for row in self.group(table, value)]
        else:
            part = self._parts[table]
            keys = {part.key_of(row) for row in await loader.whole(table)} | part.known()
            keys.update(self._flight.get(table, {}))
        for key in keys:
            self._parts[table].set(key, None)

    async def prepare(self, needs: Iterable[Need], loader: Loader) -> None:
        """Makes present what `needs` names: one query a table that lacks rows, one a table that lacks groups."""
        flight = self._flight  # a batch that is committed while the queries run is still newer than what they return
        rows: dict[str, list[RowKey]] = {}
        groups: dict[str, list[Any]] = {}
        singles: list[One] = []
        for need in needs:
            if isinstance(need, One):
                singles.append(need)
            elif not self._parts[need.table].has_group(need.value):
                groups.setdefault(need.table, []).append(need.value)
        for table, values in groups.items():
            await self._load_groups(table, values, loader, flight.get(table, {}))
        nothing: Mapping[RowKey, Row | None] = {}
        for table, key in singles:
            if not self._parts[table].has_row(key, flight.get(table, nothing)):
                rows.setdefault(table, []).append(key)
        for table, keys in rows.items():
            found = await loader.rows(table, keys)
            part = self._parts[table]
            part.rows.update(dict.fromkeys(keys))
            part.count += len(keys)
            part.rows.update((part.key_of(row), row) for row in found)

    async def _load_groups(
        self, table: str, values: list[Any], loader: Loader, flight: Mapping[RowKey, Row | None]
    ) -> None:
        part = self._parts[table]
        loaded: dict[Any, dict[RowKey, Row]] = {value: {} for value in values}
        for row in await loader.groups(table, values):
            key = part.key_of(row)
            loaded[key[0]][key] = row
        for changed in (flight, part.dirty):
            for key, row in changed.items():
                group = loaded.get(key[0])
                if group is None:
                    continue
                if row is None:
                    group.pop(key, None)
                else:
                    group[key] = row
        part.groups.update(loaded)
        part.count += sum(len(g) + 1 for g in loaded.values())

    def changed_rows(self) -> int:
        """How many rows the fold has changed since the last hand-over."""
        return sum(len(p.dirty) for p in self._parts.values())

    def hand_over(self) -> Changes:
        """What has changed since the last call; the caller writes it, and calls `written` before the next hand-over."""
        changes = {name: dirty for name, part in self._parts.items() if (dirty := part.hand_over())}
        self._flight = changes
        if sum(p.count for p in self._parts.values()) > self._most_rows // 2:
            for part in self._parts.values():
                part.age()
        return changes

    def written(self) -> None:
        """What was handed over is committed: PostgreSQL has it."""
        self._flight = {}

    def forget(self) -> None:
        """Drops every cached and changed row. What was handed over stays known until `written`."""
        for part in self._parts.values():
            part.forget()
