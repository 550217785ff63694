"""From ledger to stream: contiguous positions, atomic batches, the stream's last sequence as the fence.

The relay publishes what follows the stream's last sequence, whatever batches or replicas wrote it. After a wrong last
sequence or a time-out it compares the leaf hash of the stream's last message with the ledger's and goes on from there,
or stops as diverged. A crash between ledger and stream is repaired by the same loop at the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from nats.js.errors import NotFoundError

from events.errors import Diverged, Unavailable
from events.postgres import Connection, connect
from events.recording import Stored
from events.stream import MOST_IN_BATCH, Message, Stream, StreamState, WrongLast

log = structlog.get_logger(__name__)

_BYTES_IN_BATCH: Final = 4 << 20
_READ = """SELECT position, relation, version, type, department, payload, prev, leaf FROM ledger.entry
            WHERE position > $1 ORDER BY position LIMIT $2"""


class Relay:
    """One ledger connection and one place in the order. The stream has all positions up to `relayed`."""

    def __init__(self, dsn: str, stream: Stream) -> None:
        self._dsn = dsn
        self._stream = stream
        self._conn: Connection | None = None
        self._ahead: dict[int, Stored] = {}
        self._created: str | None = None
        self.relayed = 0
        self.head = 0
        self.diverged: Diverged | None = None
        self.opened = False
        self.moved: Callable[[], None] = lambda: None

    @property
    def unrelayed(self) -> int:
        return max(0, self.head - self.relayed)

    async def open(self) -> None:
        """Checks the stream's identity against the ledger's, makes the stream of an empty book, and catches up.

        Raises Diverged when the stream is another one, is shorter than the ledger knows it was, or has gaps.
        """
        conn = await self._connection()
        row = await conn.fetchrow("SELECT position, stream_created FROM ledger.head")
        assert row is not None
        self.head, created = max(self.head, row["position"]), row["stream_created"]
        try:
            state = await self._stream.state()
        except NotFoundError:
            if created is not None:
                raise Diverged(
                    "the stream is gone; 'relatieboek reconcile --repair' fills it from the ledger"
                ) from None
            state = await self._stream.create()
        if created is None:
            if state.messages:
                raise Diverged("the stream has messages that this ledger does not know", state.first)
            created = await conn.fetchval(
                "UPDATE ledger.head SET stream_created = coalesce(stream_created, $1) RETURNING stream_created",
                state.created,
            )
        self._created = created
        await self._check(state)
        self.relayed = state.last
        self.opened, self.diverged = True, None

    async def close(self) -> None:
        if self._conn is not None:
            await self._conn.close(timeout=5)
            self._conn = None

    async def _connection(self) -> Connection:
        if self._conn is None or self._conn.is_closed():
            self._conn = await connect(self._dsn)
        return self._conn

    async def _check(self, state: StreamState) -> None:
        """It is the ledger's stream, dense from 1, and its last message is the ledger's at that position."""
        if state.created != self._created:
            raise Diverged("the stream was replaced; 'relatieboek reconcile --repair' fills it from the ledger")
        if state.deleted or (state.messages and state.first != 1) or state.messages != state.last:
            raise Diverged(f"the stream has gaps: {state.messages} messages up to {state.last}", state.first)
        if state.last == 0:
            return
        conn = await self._connection()
        mine = await conn.fetchval("SELECT leaf FROM ledger.entry WHERE position = $1", state.last)
        if mine is None:
            raise Diverged("the stream is ahead of the ledger; intake refills it at its start", state.last)
        if bytes(mine) != await self._stream.leaf_at(state.last):
            raise Diverged("stream and ledger have different events at one position", state.last)

    def offer(self, entries: Sequence[Stored], head: int) -> None:
        """Hands over what a transaction just wrote, so that it need not be read back. Bounded by the doors."""
        self._ahead.update((s.position, s) for s in entries)
        self.head = max(self.head, head)

    async def run_once(self) -> None:
        """Publishes until the stream has all that the ledger has. Raises Unavailable or Diverged."""
        while self.relayed < self.head:
            batch = await self._next()
            if not batch:
                raise Diverged("the ledger lacks a position that its head counts", self.relayed + 1)
            try:
                await self._stream.publish(batch)
                self._advance(batch[-1].position)
            except (WrongLast, Unavailable) as error:
                log.warning("relay_resync", reason=type(error).__name__)
                state = await self._stream.state()
                await self._check(state)
                self._advance(state.last)
                if isinstance(error, Unavailable) and state.last < batch[-1].position:
                    raise

    async def _next(self) -> list[Message]:
        found: list[Any] = []
        position = self.relayed + 1
        while position in self._ahead and len(found) < MOST_IN_BATCH:
            found.append(self._ahead[position])
            position += 1
        if not found:
            conn = await self._connection()
            found = list(await conn.fetch(_READ, self.relayed, MOST_IN_BATCH))
            messages = [Message(**dict(r)) for r in found]
        else:
            messages = [
                Message(s.position, s.relation, s.version, s.type, s.department, s.payload, s.prev, s.leaf)
                for s in found
            ]
        size = 0
        for n, message in enumerate(messages):
            size += len(message.payload)
            if size > _BYTES_IN_BATCH and n:
                return messages[:n]
        return messages

    def _advance(self, position: int) -> None:
        for done in range(self.relayed + 1, position + 1):
            self._ahead.pop(done, None)
        self.relayed = max(self.relayed, position)
        self.head = max(self.head, self.relayed)
        self.moved()
