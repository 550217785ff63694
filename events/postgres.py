"""The ledger's own connections to PostgreSQL: asyncpg without a layer in between, for the hot writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import asyncpg

# What asyncpg raises when PostgreSQL is out, does not answer, or refuses; as against errors of our own. The third: an
# idle connection on which the server said that it stops, and whose end did not come yet.
OUTAGES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)

# asyncpg ships partial types: what comes out of a connection is narrowed where it is used.
Connection = Any


async def connect(url: str, settings: Mapping[str, str] | None = None) -> Connection:
    """A connection to a `postgresql+asyncpg://` or plain address; its waits are bounded (10 s, 30 s a command)."""
    untyped: Any = asyncpg
    dsn = url.replace("postgresql+asyncpg://", "postgresql://")
    return await untyped.connect(dsn, server_settings=dict(settings or {}), timeout=10, command_timeout=30)
