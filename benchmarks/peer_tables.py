"""The peers' own copies of the relation view's tables, with the same columns and indexes, in schemas of their own."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.schema import CreateSchema, DropSchema

from projections.relation_view import PROJECTION

RELATION_VIEW = PROJECTION


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
    await engine.dispose()
