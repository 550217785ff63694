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
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import Any

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.security import NatsNKey
from sqlalchemy import ColumnElement, Table, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from benchmarks.peer_tables import PeerRows, failing, folding, make_tables, tables_in
from events.feed import VERSION_HEADER
from events.recorded import Recorded, decode
from events.stream import STREAM
from projections.rows import Need, One, RowKey
from services.settings import Settings, load

_TABLES = tables_in("peer_batch")
_BATCH = 1_000


def _upsert(table: Table) -> Any:
    statement = insert(table)
    keys = [c.name for c in table.primary_key.columns]
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


_UPSERTS = {name: _upsert(table) for name, table in _TABLES.items()}


async def _load(conn: AsyncConnection, rows: PeerRows, needs: Iterable[Need]) -> None:
    wanted: dict[str, set[RowKey]] = {}
    groups: dict[str, set[Any]] = {}
    for need in needs:
        if isinstance(need, One):
            wanted.setdefault(need.table, set()).add(need.key)
        else:
            groups.setdefault(need.table, set()).add(need.value)
    for name, values in groups.items():
        first = next(iter(_TABLES[name].primary_key.columns))
        await _load_where(conn, rows, name, first.in_(list(values)))
    for name, keys in wanted.items():
        await _load_where(conn, rows, name, tuple_(*_TABLES[name].primary_key.columns).in_(list(keys)))


async def _load_where(conn: AsyncConnection, rows: PeerRows, name: str, where: ColumnElement[bool]) -> None:
    for row in (await conn.execute(select(_TABLES[name]).where(where))).mappings():
        rows.loaded(name, dict(row))


async def _apply(conn: AsyncConnection, events: Sequence[Recorded]) -> None:
    rows = PeerRows()
    for needs in folding(rows, events):
        await _load(conn, rows, needs)
    for name, changed in rows.changed.items():
        await conn.execute(_UPSERTS[name], list(changed.values()))


async def run(settings: Settings, count: int) -> dict[str, float]:
    await make_tables(settings.owner_database_url, _TABLES)
    engine = create_async_engine(settings.owner_database_url)
    seed = settings.operations_nats_seed
    assert seed is not None
    broker = NatsBroker(settings.nats_url, security=NatsNKey.from_seed(seed.get_secret_value()), logger=None)
    done = 0
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
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
        with failing(over):
            async with engine.begin() as conn:
                await _apply(conn, [decode(m.data, int(m.headers[VERSION_HEADER])) for m in messages])
        for message in messages:
            await message.ack()
        done += len(messages)
        if done >= count:
            ended = perf_counter()
            over.set_result(None)

    async with broker:
        await broker.start()
        await over
    await engine.dispose()
    return {"events": done, "seconds": ended - began}


async def _as_it_came(message: Any) -> Any:
    return message.raw_message


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(load(), int(sys.argv[1])))))
