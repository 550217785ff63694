"""Two builds of a projection, row by row, in one snapshot of PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.rows import Projection
from projections.store import schema_name, versioned

MOST_DIFFERENCES: Final = 50  # of each table

Kind = Literal["missing", "extra", "changed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that the new build lacks (`missing`) or alone has (`extra`), or one column of a row that is in both."""

    table: str
    key: dict[str, Any]
    kind: Kind
    column: str | None
    live: Any
    new: Any


@dataclass(frozen=True, slots=True)
class TableReport:
    """Rows of one table in each build, and how many differ. `columns_added` / `_removed`: in one build only."""

    table: str
    live_rows: int
    new_rows: int
    missing: int
    extra: int
    changed: int
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        return bool(self.missing or self.extra or self.changed or self.columns_added or self.columns_removed)


async def compare(
    conn: AsyncConnection, projection: Projection, live: int, new: int, *, most: int = MOST_DIFFERENCES
) -> tuple[list[TableReport], list[Difference]]:
    """Compares build `live` with build `new`: counts of everything, and the first `most` differences of
    each table in key order.

    Both builds must hold the same position in the connection's snapshot. Columns that only one of them has are named
    and not compared; so are tables. Values are as stored: tokens, never the personal data that they stand for.
    """
    reports: list[TableReport] = []
    differences: list[Difference] = []
    before = await _as_they_are(conn, schema_name(projection.name, live))
    for name, table in versioned(projection, new).items():
        old = before.pop(name, None)
        if old is None:
            rows = await _rows_in(conn, table)
            reports.append(TableReport(name, 0, rows, 0, rows, 0, columns_added=tuple(table.columns.keys())))
            continue
        pair = _Pair(old, table)
        report = await pair.count(conn)
        reports.append(report)
        if report.missing or report.extra or report.changed:
            differences += await pair.differences(conn, most)
    for name, table in before.items():
        rows = await _rows_in(conn, table)
        reports.append(TableReport(name, rows, 0, rows, 0, 0, columns_removed=tuple(table.columns.keys())))
    return reports, differences


async def _as_they_are(conn: AsyncConnection, schema: str) -> dict[str, Table]:
    """A build of older code may have other columns than this code says."""
    metadata = sa.MetaData(schema=schema)
    await conn.run_sync(lambda sync: metadata.reflect(sync, resolve_fks=False))
    return {t.name: t for t in metadata.tables.values()}


async def _rows_in(conn: AsyncConnection, table: Table) -> int:
    return await conn.scalar(sa.select(sa.func.count()).select_from(table)) or 0


class _Pair:
    """A table in both builds, joined in full on the key columns that both have."""

    def __init__(self, live: Table, new: Table) -> None:
        self._old, self._table = live, new
        self._live, self._new = live.alias("l"), new.alias("n")
        self._key = [c.name for c in new.primary_key.columns if c.name in live.c]
        self._both = [c.name for c in new.columns if c.name in live.c and c.name not in self._key]
        on = sa.and_(sa.true(), *(self._live.c[k] == self._new.c[k] for k in self._key))
        self._joined = sa.join(self._live, self._new, on, full=True)
        first = self._key[0]
        self._missing, self._extra = self._new.c[first].is_(None), self._live.c[first].is_(None)
        different = sa.or_(sa.false(), *(self._differs(c) for c in self._both))
        self._changed = sa.and_(~self._missing, ~self._extra, different)

    def _differs(self, column: str) -> sa.ColumnElement[bool]:
        return self._live.c[column].is_distinct_from(self._new.c[column])

    async def count(self, conn: AsyncConnection) -> TableReport:
        n = sa.func.count()
        query = sa.select(
            n.filter(~self._extra), n.filter(~self._missing), n.filter(self._missing), n.filter(self._extra),
            n.filter(self._changed),
        ).select_from(self._joined)  # fmt: skip
        live_rows, new_rows, missing, extra, changed = (await conn.execute(query)).one()
        return TableReport(
            self._table.name, live_rows, new_rows, missing, extra, changed,
            columns_added=tuple(c.name for c in self._table.columns if c.name not in self._old.c),
            columns_removed=tuple(c.name for c in self._old.columns if c.name not in self._table.c),
        )  # fmt: skip

    async def differences(self, conn: AsyncConnection, most: int) -> list[Difference]:
        live, new = self._live, self._new
        keys = [sa.func.coalesce(live.c[k], new.c[k]).label(f"k_{k}") for k in self._key]
        values = [side.c[c].label(f"{side.name}_{c}") for c in self._both for side in (live, new)]
        flags = [self._differs(c).label(f"d_{c}") for c in self._both]
        query = (
            sa.select(*keys, self._missing.label("missing"), self._extra.label("extra"), *values, *flags)
            .select_from(self._joined)
            .where(sa.or_(self._missing, self._extra, self._changed))
            .order_by(*keys)
            .limit(most)
        )
        out: list[Difference] = []
        for row in (await conn.execute(query)).mappings():
            key = {k: row[f"k_{k}"] for k in self._key}
            of_live = None if row["extra"] else {c: row[f"l_{c}"] for c in self._both}
            of_new = None if row["missing"] else {c: row[f"n_{c}"] for c in self._both}
            if of_live is None or of_new is None:
                kind: Kind = "extra" if of_live is None else "missing"
                out.append(Difference(self._table.name, key, kind, None, of_live, of_new))
                continue
            out += [
                Difference(self._table.name, key, "changed", c, of_live[c], of_new[c])
                for c in self._both
                if row[f"d_{c}"]
            ]
        return out[:most]
