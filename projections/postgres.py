"""The hot reads and writes of a build, on asyncpg's own connections.

SQLAlchemy holds the tables and the queries of readers; a fold needs COPY, pipelined statements and its own codecs
(jsonb ↔ Python by orjson), so a writer opens its own two connections: one that writes and holds the projection's
lease, one that loads the next batch's rows while the last one is being written.
"""

# ruff: noqa: S608 the names in these statements come from the tables of this code, the values never

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import asyncpg
import orjson
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from events.postgres import OUTAGES
from events.recorded import Recorded, decode
from projections.rows import Row, RowKey
from projections.working_set import Changes

# Connections of this module are untyped as asyncpg's are partially typed: what comes out is narrowed to rows.
Connection = Any

# Below this many rows of a table one pipelined round trip beats COPY into a temporary table (measured, 8 columns).
_FEW_ROWS: Final = 64
_HISTORY: Final = """
SELECT payload, version FROM ledger.entry WHERE relation = $1 AND position <= $2 ORDER BY version
"""
_DIALECT: Final = PGDialect_asyncpg()
# A lease is a lock of its connection: a host that vanishes without a word must lose it within half a minute.
_SESSION: Final = {
    "jit": "off", "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
}  # fmt: skip
_NOT_ASYNCPG: Final = ("prepared_statement_cache_size", "prepared_statement_name_func", "async_fallback",
                       "async_creator_fn")  # fmt: skip

# What PostgreSQL or asyncpg say about values (not about the connection): the event that gave them is poison.
DATA_ERRORS: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.UntranslatableCharacterError,
    TypeError,
    ValueError,
    OverflowError,
)


def _to_jsonb(value: Any) -> bytes:
    return b"\x01" + orjson.dumps(value)


def _from_jsonb(value: bytes) -> Any:
    return orjson.loads(memoryview(value)[1:])


async def connect(engine: AsyncEngine, *, name: str) -> Connection:
    """An asyncpg connection to the engine's database, outside its pool. `name` shows in pg_stat_activity."""
    arguments: dict[str, Any] = dict(engine.dialect.create_connect_args(engine.url)[1])
    for key in _NOT_ASYNCPG:
        arguments.pop(key, None)
    settings = {**arguments.pop("server_settings", {}), **_SESSION, "application_name": name}
    untyped: Any = asyncpg
    connection: Connection = await untyped.connect(
        **arguments, server_settings=settings, timeout=10, command_timeout=120
    )
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_to_jsonb, decoder=_from_jsonb, format="binary"
    )
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=orjson.dumps, decoder=orjson.loads, format="binary"
    )
    return connection


async def close(connection: Connection | None) -> None:
    """Closes politely within two seconds, else at once: a server that is gone must not hold up a restart."""
    if connection is None:
        return
    with suppress(*OUTAGES):
        await asyncio.wait_for(connection.close(), 2)
    connection.terminate()


class Shape:
    """One table of a build as SQL: columns in order, key columns with their types, and the statements."""

    def __init__(self, table: Table) -> None:
        self.name = table.name
        self.columns = [c.name for c in table.columns]
        self.key = [c.name for c in table.primary_key.columns]
        self.scratch = f"{table.schema}__{table.name}"[:63]
        types = [c.type.compile(dialect=_DIALECT) for c in table.primary_key.columns]
        full = f'"{table.schema}"."{table.name}"'
        columns = ", ".join(f'"{c}"' for c in self.columns)
        key = ", ".join(f'"{c}"' for c in self.key)
        arrays = ", ".join(f"${i}::{t}[]" for i, t in enumerate(types, 1))
        names = ", ".join(f"k{i}" for i in range(len(types)))
        same = " AND ".join(f't."{c}" = k.k{i}' for i, c in enumerate(self.key))
        rest = [c for c in self.columns if c not in self.key]
        update = ", ".join(f'"{c}" = EXCLUDED."{c}"' for c in rest)
        conflict = f"ON CONFLICT ({key}) DO " + (f"UPDATE SET {update}" if rest else "NOTHING")
        whole = ", ".join(f't."{c}"' for c in self.columns)
        self.load_rows = f"SELECT {whole} FROM unnest({arrays}) AS k({names}) JOIN {full} t ON {same}"
        self.load_whole = f"SELECT {columns} FROM {full}"
        self.load_groups = f'SELECT {columns} FROM {full} WHERE "{self.key[0]}" = ANY($1::{types[0]}[])'
        self.delete = f"DELETE FROM {full} t USING unnest({arrays}) AS k({names}) WHERE {same}"
        values = ", ".join(f"${i}" for i in range(1, len(self.columns) + 1))
        self.upsert = f"INSERT INTO {full} ({columns}) VALUES ({values}) {conflict}"
        self.make_scratch = f'CREATE TEMPORARY TABLE "{self.scratch}" (LIKE {full}) ON COMMIT DELETE ROWS'
        self.from_scratch = f'INSERT INTO {full} ({columns}) SELECT {columns} FROM "{self.scratch}" {conflict}'


def shapes(tables: Mapping[str, Table]) -> dict[str, Shape]:
    return {name: Shape(table) for name, table in tables.items()}


class PostgresLoader:
    """Loads a build's committed rows (see `projections.working_set.Loader`)."""

    def __init__(self, connection: Connection, by_table: Mapping[str, Shape]) -> None:
        self._connection = connection
        self._shapes = by_table

    async def rows(self, table: str, keys: Sequence[RowKey]) -> Iterable[Row]:
        shape = self._shapes[table]
        arrays = [list(column) for column in zip(*keys, strict=True)]
        return map(dict, await self._connection.fetch(shape.load_rows, *arrays))

    async def groups(self, table: str, values: Sequence[Any]) -> Iterable[Row]:
        return map(dict, await self._connection.fetch(self._shapes[table].load_groups, list(values)))

    async def whole(self, table: str) -> Iterable[Row]:
        return map(dict, await self._connection.fetch(self._shapes[table].load_whole))

    async def history(self, relation: str, upto: int) -> Sequence[Recorded]:
        rows = await self._connection.fetch(_HISTORY, relation, upto)
        return [decode(r["payload"], r["version"]) for r in rows]


async def make_scratch(connection: Connection, by_table: Mapping[str, Shape]) -> None:
    """The temporary tables that `write` copies into; they last as long as the connection, and are empty between."""
    await connection.execute(";".join(shape.make_scratch for shape in by_table.values()))


async def write(connection: Connection, by_table: Mapping[str, Shape], changes: Changes) -> None:
    """Upserts and deletes the changed rows, within the caller's transaction, after `make_scratch` before it."""
    for name, shape in by_table.items():
        rows = changes.get(name)
        if rows is None:
            continue
        columns = shape.columns
        gone = [key for key, row in rows.items() if row is None]
        there = [tuple([row[c] for c in columns]) for row in rows.values() if row is not None]
        if gone:
            await connection.execute(shape.delete, *[list(column) for column in zip(*gone, strict=True)])
        if 0 < len(there) < _FEW_ROWS:
            await connection.executemany(shape.upsert, there)
        elif there:
            await connection.copy_records_to_table(shape.scratch, records=there, columns=columns)
            await connection.execute(shape.from_scratch)
