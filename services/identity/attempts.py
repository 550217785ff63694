"""How often someone may try to sign in: so often for an account, and so often from an address, in a quarter of an hour.

A try is counted before it is judged, so that many at once are no way around. What is kept is bounded: rows end with
their quarter, and one address makes no more of them than it may try.
"""

from __future__ import annotations

import hashlib
import ipaddress
from datetime import timedelta
from typing import Final

from sqlalchemy import case, delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from events.clock import system_now
from services.identity.tables import attempt
from services.problems import refuse
from services.problems import seconds as whole_seconds

WINDOW: Final = timedelta(minutes=15)
PER_ACCOUNT: Final = 10
PER_ADDRESS: Final = 100


async def take(engine: AsyncEngine, address: str, account: str | None = None) -> None:
    """Counts one try. Raises Refused (429, with Retry-After) when there were too many."""
    asked = [(_key("address", _block(address)), PER_ADDRESS)]
    if account is not None:
        asked.append((_key("account", account), PER_ACCOUNT))
    now = system_now()
    for key, most in asked:
        over = attempt.c.since <= now - WINDOW
        statement = insert(attempt).values(key=key, tries=1, since=now)
        counted = statement.on_conflict_do_update(
            index_elements=["key"],
            set_={
                "tries": case((over, 1), else_=attempt.c.tries + 1),
                "since": case((over, now), else_=attempt.c.since),
            },
        ).returning(attempt.c.tries, attempt.c.since)
        async with engine.begin() as conn:
            row = (await conn.execute(counted)).one()
            await conn.execute(delete(attempt).where(attempt.c.since <= now - WINDOW))
        if row.tries > most:
            wait_s = (row.since + WINDOW - now).total_seconds()
            error = refuse("too_many", "", "too many tries to sign in; wait, and try again")
            error.headers["Retry-After"] = whole_seconds(wait_s)
            raise error


async def forget(engine: AsyncEngine, account: str) -> None:
    """After a right password the account may be tried as often as before."""
    async with engine.begin() as conn:
        await conn.execute(delete(attempt).where(attempt.c.key == _key("account", account)))


def _key(kind: str, value: str) -> bytes:
    return hashlib.sha256(f"{kind}:{value}".encode()).digest()


def _block(address: str) -> str:
    """An IPv6 subscriber has a whole /64."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((known, 64), strict=False)) if known.version == 6 else address
