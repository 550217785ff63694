"""What the peers of the catch-up share: the relation view's fold, and copies of its tables with the same columns,
indexes and triggers, in schemas of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.schema import CreateSchema, DropSchema

from events.recorded import ORGANISATION, Recorded
from projections.relation_view import PROJECTION
from projections.rows import MemoryRows, Need, Row, RowKey, Rows

RELATION_VIEW = PROJECTION
# Only who tells readers of a merge looks at it for every event: the peers tell nobody, and are spared the query.
_SPARED: Final = "alias"


class PeerRows(MemoryRows):
    """Rows of one transaction. `changed`: those that the fold put, to be written; not those that were loaded."""

    def __init__(self) -> None:
        super().__init__(RELATION_VIEW.metadata)
        self.changed: dict[str, dict[RowKey, Row]] = {}

    def loaded(self, table: str, row: Row) -> None:
        super().put(table, row)

    def put(self, table: str, row: Row) -> None:
        super().put(table, row)
        self.changed.setdefault(table, {})[tuple(row[c] for c in self._pk[table])] = row


def folding(rows: Rows, events: Sequence[Recorded]) -> Iterator[Iterable[Need]]:
    """Folds events into rows. Yields what must be loaded before it goes on; at its end everything is folded."""
    relations = dict.fromkeys(e.relation for e in events)
    needs = {n for e in events for n in RELATION_VIEW.needs(e) if n.table != _SPARED}
    yield needs.union(*(RELATION_VIEW.settle_needs(r) for r in relations))
    for event in events:
        RELATION_VIEW.evolve(rows, event)
    yield from RELATION_VIEW.spread(rows, relations.keys())
    RELATION_VIEW.settle(rows, [r for r in relations if r != ORGANISATION])


@contextmanager
def failing(over: asyncio.Future[None]) -> Generator[None]:
    """An error of a handler, which FastStream only logs, ends the peer."""
    try:
        yield
    except BaseException as error:
        if not over.done():
            over.set_exception(error)
        raise


def tables_in(schema: str) -> Mapping[str, Table]:
    """The relation view's tables in a schema, by their plain names."""
    metadata = MetaData(schema=schema)
    return {t.name: t.to_metadata(metadata) for t in RELATION_VIEW.metadata.sorted_tables}


async def make_tables(owner_url: str, tables: Mapping[str, Table]) -> None:
    """Makes them anew, empty."""
    first = next(iter(tables.values()))
    assert first.schema is not None
    engine = create_async_engine(owner_url)
    async with engine.begin() as conn:
        await conn.execute(DropSchema(first.schema, cascade=True, if_exists=True))
        await conn.execute(CreateSchema(first.schema))
        await conn.run_sync(first.metadata.create_all)
        for statement in RELATION_VIEW.triggers(f'"{first.schema}"'):
            await conn.exec_driver_sql(statement)
    await engine.dispose()
