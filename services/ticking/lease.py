"""Who may tick: one process at a time, by an advisory lock that PostgreSQL frees with its session."""

from __future__ import annotations

from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

log = structlog.get_logger(__name__)

_CLASS: Final = 7231005
OUTAGES: Final = (DBAPIError, InterfaceError, OSError, TimeoutError)


class Lease:
    """The right to tick, held as long as its connection lives. The holder works on that very connection, so a tick
    cannot go on reading after the lease is lost."""

    def __init__(self, engine: AsyncEngine, number: int) -> None:
        self._engine = engine
        self._number = number
        self._connection: AsyncConnection | None = None

    async def take(self) -> AsyncConnection | None:
        """The connection that holds the lease, in autocommit; None while another process has it."""
        if self._connection is not None:
            return self._connection
        connection = await self._engine.connect()
        try:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            arguments = {"class": _CLASS, "number": self._number}
            held = await connection.scalar(text("SELECT pg_try_advisory_lock(:class, :number)"), arguments)
        except BaseException:
            await connection.invalidate()
            await connection.close()
            raise
        if not held:
            await connection.close()
            return None
        self._connection = connection
        log.info("lease taken")
        return connection

    async def drop(self) -> None:
        """Gives the lease back. The session ends with it: a pooled connection would keep the lock."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await connection.invalidate()
            await connection.close()
        except OUTAGES as error:
            log.warning("lease connection was gone", exc_info=error)
