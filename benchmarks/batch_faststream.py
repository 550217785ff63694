"""A peer of the catch-up: FastStream's batch pull with SQLAlchemy Core bulk writes. Run as a process of its own.

A batch is up to 1,000 messages: one SELECT a table for the rows that its events name, the fold in memory, one bulk
upsert a table (`execute(statement, list)`), commit, then every message is acknowledged. Same events, decoder, fold,
tables and indexes as the relation view; the bytes are decoded once, by msgspec. Commits wait for the disk, because an
acknowledged message does not come again. Prints {"events", "seconds"}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.security import NatsNKey
from sqlalchemy import Table, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from benchmarks.peer_tables import RELATION_VIEW, make_tables, tables_in
from events.feed import VERSION_HEADER
from events.recorded import Recorded, decode
from events.stream import STREAM
from projections.rows import MemoryRows, One, RowKey
from services.settings import Settings, load

_TABLES = tables_in("peer_batch")
_BATCH = 1_000


def _upsert(table: Table) -> Any:
    statement = insert(table)
    keys = [c.name for c in table.primary_key.columns]
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


_UPSERTS = {name: _upsert(table) for name, table in _TABLES.items()}


async def _load(conn: AsyncConnection, rows: MemoryRows, events: Sequence[Recorded]) -> None:
    wanted: dict[str, set[RowKey]] = {}
    for event in events:
        for need in RELATION_VIEW.needs(event):
            assert isinstance(need, One)
            wanted.setdefault(need.table, set()).add(need.key)
    for name, keys in wanted.items():
        table = _TABLES[name]
        found = await conn.execute(select(table).where(tuple_(*table.primary_key.columns).in_(list(keys))))
        for row in found.mappings():
            rows.put(name, dict(row))


async def _apply(conn: AsyncConnection, events: Sequence[Recorded]) -> None:
    rows = MemoryRows(RELATION_VIEW.metadata)
    await _load(conn, rows, events)
    for event in events:
        RELATION_VIEW.evolve(rows, event)
    changed: Mapping[str, Mapping[RowKey, dict[str, Any]]] = rows.tables
    for name, found in changed.items():
        if found:
            await conn.execute(_UPSERTS[name], list(found.values()))


async def run(settings: Settings, count: int) -> dict[str, float]:
    await make_tables(settings.owner_database_url, _TABLES)
    engine = create_async_engine(settings.owner_database_url)
    seed = settings.operations_nats_seed
    assert seed is not None
    broker = NatsBroker(settings.nats_url, security=NatsNKey.from_seed(seed.get_secret_value()), logger=None)
    done, over = 0, asyncio.Event()
    began = ended = 0.0

    @broker.subscriber(
        "relatieboek.>", stream=JStream(STREAM, declare=False), durable="batch", decoder=_as_it_came,
        ack_policy=AckPolicy.MANUAL, pull_sub=PullSub(batch_size=_BATCH, timeout=1.0, batch=True),
    )  # fmt: skip
    async def handle(messages: Any) -> None:
        nonlocal done, began, ended
        if done >= count:
            return
        began = began or perf_counter()
        async with engine.begin() as conn:
            await _apply(conn, [decode(m.data, int(m.headers[VERSION_HEADER])) for m in messages])
        for message in messages:
            await message.ack()
        done += len(messages)
        if done >= count:
            ended = perf_counter()
            over.set()

    async with broker:
        await broker.start()
        await over.wait()
    await engine.dispose()
    return {"events": done, "seconds": ended - began}


async def _as_it_came(message: Any) -> Any:
    return message.raw_message


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(load(), int(sys.argv[1])))))
