"""Group commit: records of many requests go into one transaction, and each request waits for the disk."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import structlog

from events.errors import Unavailable
from events.postgres import OUTAGES, Connection
from services.access_log.record import Prepared, Record, prepare
from services.access_log.store import append, session

_log = structlog.get_logger(__name__)

MOST_TOGETHER: Final = 500


class Writer:
    """Writes for one event loop. An idle writer writes one record at once; a busy one writes what has gathered."""

    def __init__(self, url: str, *, within_s: float, most_waiting: int) -> None:
        self._url, self._within_s, self._most = url, within_s, most_waiting
        self._waiting: deque[tuple[Prepared, asyncio.Future[None]]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._conn: Connection | None = None

    async def write(self, record: Record) -> None:
        """Returns once the record is durable.

        Raises Unavailable when the queue is full or it did not get there in time. Then the record may still come
        (a commit whose answer was lost): the log rather says too much than too little.
        """
        if len(self._waiting) >= self._most:
            raise Unavailable("The access log cannot keep up; try again.", 2)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((prepare(record), done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="access-log")
        try:
            async with asyncio.timeout(self._within_s):
                await done
        except TimeoutError:
            raise Unavailable("The access log did not answer in time; try again.", 2) from None

    async def aclose(self) -> None:
        """Ends when what waits is written, or has failed."""
        if self._writing is not None:
            await self._writing
        await self._drop()

    async def _write(self) -> None:
        try:
            while self._waiting:
                # Who gave up waiting got no data: nothing to write for them.
                batch = [self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))]
                batch = [(record, done) for record, done in batch if not done.done()]
                if batch:
                    await self._commit(batch)
        finally:
            self._writing = None

    async def _commit(self, batch: list[tuple[Prepared, asyncio.Future[None]]]) -> None:
        failed: Unavailable | None = None
        try:
            async with asyncio.timeout(self._within_s):
                if self._conn is None:
                    self._conn = await session(self._url, wait_s=self._within_s)
                await append(self._conn, [record for record, _ in batch])
        except OUTAGES as error:
            _log.error("access_log.not_written", records=len(batch), error=type(error).__name__)
            failed = Unavailable("What is read cannot be logged now, so nothing is shown; try again.", 2)
            await self._drop()
        for _, done in batch:
            if done.done():
                continue
            if failed is None:
                done.set_result(None)
            else:
                done.set_exception(failed)

    async def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            # Not `close`: it waits for a server that may be gone.
            conn.terminate()
