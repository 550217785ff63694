"""The new entries of a batch: written part by part, while the next part is judged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from events.keys import KeyWrapper, Named, of_event
from events.postgres import Connection
from events.recording import Stored

# Part of one statement with what else a batch changes; $1 to $13 are `columns_of`.
NEW_ENTRIES: Final = """
e AS (INSERT INTO ledger.entry
        (position, relation, version, source, id, type, department, recorded_at, payload, prev, leaf)
    SELECT p, relation, version, coalesce(source, $4[1]), id, coalesce(type, $6[1]), coalesce(department, $7[1]), $13,
           payload, prev, leaf FROM unnest(
        $1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[],
        $9::bytea[], $10::bytea[]) AS q(p, relation, version, source, id, type, department, payload, prev, leaf)),
k AS (INSERT INTO ledger.event_key (position, key, content_mac)
    SELECT * FROM unnest($1::bigint[], $11::bytea[], $12::bytea[]))
"""
_PART: Final = f"WITH {NEW_ENTRIES} SELECT 1"


def names_of(entries: Sequence[Stored]) -> list[Named]:
    """Their keys, to be wrapped."""
    return [(of_event(s.position), s.key) for s in entries]


def _short(column: list[str]) -> list[str]:
    """A column that says the same in every row, as most batches have it, only once: an array costs by its length."""
    return column[:1] if column and column.count(column[0]) == len(column) else column


def columns_of(entries: Sequence[Stored], keys: Sequence[bytes], recorded_at: Any) -> list[Any]:
    """The arguments of `NEW_ENTRIES`; `keys` are wrapped, `recorded_at` may be None where there are no entries."""
    e = entries
    return [
        [s.position for s in e], [s.relation for s in e], [s.version for s in e], _short([s.source for s in e]),
        [s.id for s in e], _short([s.type for s in e]), _short([s.department for s in e]), [s.payload for s in e],
        [s.prev for s in e], [s.leaf for s in e], list(keys), [s.content_mac for s in e], recorded_at,
    ]  # fmt: skip


class EntryWriter:
    """Keeps PostgreSQL at work while Python judges: 25 and 40 µs an event, which otherwise come one after the other.

    A part is written as soon as `AT_ONCE` entries are there; the rest goes with the batch's last statement. Who wants
    the connection for anything else calls `end` first.
    """

    AT_ONCE: Final = 500

    def __init__(self, conn: Connection, keys: KeyWrapper, entries: Sequence[Stored], recorded_at: Any) -> None:
        self._conn, self._keys, self._entries, self._recorded_at = conn, keys, entries, recorded_at
        self._written = 0
        self._running: asyncio.Task[Any] | None = None

    async def go_on(self) -> None:
        """Begins the next part where there is one, and lets others on the loop have their turn."""
        if len(self._entries) - self._written >= self.AT_ONCE:
            await self.end()
            self._running = asyncio.create_task(self._write(self.rest()))
        await asyncio.sleep(0)

    async def _write(self, part: Sequence[Stored]) -> None:
        keys = await self._keys.wrap(names_of(part))
        await self._conn.execute(_PART, *columns_of(part, keys, self._recorded_at))

    def rest(self) -> Sequence[Stored]:
        """The entries that no part has; from now on they count as written."""
        part = self._entries[self._written :]
        self._written = len(self._entries)
        return part

    async def end(self) -> None:
        """Returns when the connection is free. Raises what the writing raised."""
        running, self._running = self._running, None
        if running is not None:
            await running

    async def give_up(self) -> None:
        """As `end`, for who has an error to raise already: the transaction is to be rolled back."""
        if self._running is not None:
            await asyncio.wait({self._running})
