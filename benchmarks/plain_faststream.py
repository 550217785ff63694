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
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import registry

from benchmarks.peer_tables import RELATION_VIEW, make_tables, tables_in
from events.feed import VERSION_HEADER
from events.recorded import decode
from events.stream import STREAM
from projections.rows import One, Row
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

    async def fetch(self, need: One) -> None:
        """What the fold may ask for."""
        self._there[need] = await self._session.get(_CLASSES[need.table], need.key)

    def get(self, table: str, *key: Any) -> Row | None:
        found = self._there[(table, key)]
        return None if found is None else {c: getattr(found, c) for c in _COLUMNS[table]}

    def group(self, table: str, value: Any) -> list[Row]:
        raise LookupError(f"the relation view asks for no groups ({table})")

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
    done, over = 0, asyncio.Event()
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
        async with sessions.begin() as session:
            rows = OrmRows(session)
            for need in RELATION_VIEW.needs(event):
                assert isinstance(need, One)
                await rows.fetch(need)
            RELATION_VIEW.evolve(rows, event)
        await message.ack()
        done += 1
        if done == count:
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
