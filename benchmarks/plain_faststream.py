"""A peer of the catch-up: the handler that FastStream's manual shows. Run as a process of its own.

One JetStream message, one SQLAlchemy ORM transaction (`session.get` of the rows that the event names, then the fold),
commit, ack. Same events, decoder, fold, tables and indexes as the relation view. To its advantage: the bytes are
decoded once by msgspec instead of by FastStream and pydantic, and there are no middlewares. Its commits wait for the
disk, because an acknowledged message does not come again. Prints {"events", "seconds"}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import perf_counter
from typing import Any

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker
from faststream.nats.security import NatsNKey
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import registry

from benchmarks.peer_tables import failing, folding, make_tables, tables_in
from events.feed import VERSION_HEADER
from events.recorded import decode
from events.stream import STREAM
from projections.rows import Need, One, Row
from services.settings import Settings, load

_TABLES = tables_in("peer_plain")


def _mapped() -> dict[str, type[Any]]:
    orm = registry()
    classes: dict[str, type[Any]] = {}
    for name, table in _TABLES.items():
        classes[name] = type(name.title(), (), {})
        orm.map_imperatively(classes[name], table)
    return classes


_CLASSES = _mapped()
_COLUMNS = {name: [c.name for c in table.columns] for name, table in _TABLES.items()}
_KEYS = {name: [c.name for c in table.primary_key.columns] for name, table in _TABLES.items()}


class OrmRows:
    """The fold's rows as objects of one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._there: dict[tuple[str, tuple[Any, ...]], Any] = {}

    async def fetch(self, need: Need) -> None:
        """What the fold may ask for."""
        mapped = _CLASSES[need.table]
        if isinstance(need, One):
            found = await self._session.get(mapped, need.key)
            if found is not None:
                self._there[need] = found
            return
        keys = _KEYS[need.table]
        for found in await self._session.scalars(select(mapped).where(getattr(mapped, keys[0]) == need.value)):
            self._there[(need.table, tuple(getattr(found, k) for k in keys))] = found

    def get(self, table: str, *key: Any) -> Row | None:
        found = self._there.get((table, key))
        return None if found is None else {c: getattr(found, c) for c in _COLUMNS[table]}

    def group(self, table: str, value: Any) -> list[Row]:
        keys = sorted(key for name, key in self._there if name == table and key[0] == value)
        return [row for key in keys if (row := self.get(table, *key)) is not None]

    def put(self, table: str, row: Row) -> None:
        at = (table, tuple(row[c] for c in _KEYS[table]))
        found = self._there.get(at)
        if found is None:
            found = self._there[at] = _CLASSES[table]()
            self._session.add(found)
        for column, value in row.items():
            setattr(found, column, value)

    def delete(self, table: str, *key: Any) -> None:
        raise LookupError(f"the relation view deletes nothing ({table})")


async def run(settings: Settings, count: int) -> dict[str, float]:
    await make_tables(settings.owner_database_url, _TABLES)
    engine = create_async_engine(settings.owner_database_url)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    seed = settings.operations_nats_seed
    assert seed is not None
    broker = NatsBroker(settings.nats_url, security=NatsNKey.from_seed(seed.get_secret_value()), logger=None)
    done = 0
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    began = ended = 0.0

    @broker.subscriber(
        "relatieboek.>", stream=JStream(STREAM, declare=False), durable="plain", decoder=_as_it_came,
        ack_policy=AckPolicy.MANUAL, pending_msgs_limit=0, pending_bytes_limit=0,
    )  # fmt: skip
    async def handle(message: Any) -> None:
        nonlocal done, began, ended
        if done >= count:
            return
        began = began or perf_counter()
        event = decode(message.data, int(message.headers[VERSION_HEADER]))
        with failing(over):
            async with sessions.begin() as session:
                rows = OrmRows(session)
                for needs in folding(rows, [event]):
                    for need in needs:
                        await rows.fetch(need)
        await message.ack()
        done += 1
        if done == count:
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
