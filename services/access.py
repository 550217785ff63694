"""Who is asking: tokens become departments or viewers.

A token is at least 128 random bits, so its plain SHA-256 is stored and no slow hash is needed. All hashes are compared,
each in constant time, whoever asks: the answer's time says nothing about which token came close. An expired token is
nobody's from that very instant; a revoked one within MAX_AGE_S, for which `department revoke` waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from events import tables
from projections.viewer import EVERYTHING, Viewer, of_team

# How long a revoked token may still work, at most.
MAX_AGE_S: Final = 1.0
NEW_WITHIN_S: Final = 0.1
_USE_NOTED_EVERY_S: Final = 60.0
MAX_TOKEN_CHARS: Final = 512


@dataclass(frozen=True, slots=True)
class Publisher:
    """A department that may publish under its own name and read its own verdicts."""

    name: str
    sources: tuple[str, ...]
    types: tuple[str, ...]
    expires_at: datetime | None = None


Identity = Publisher | Viewer


def digest(token: str) -> bytes:
    """What is stored of a token: its SHA-256, 32 bytes."""
    return hashlib.sha256(token.encode()).digest()


class Access:
    """Knows every token's hash, at most `max_age_s` old. Safe to share between requests of one event loop."""

    def __init__(self, engine: AsyncEngine, *, max_age_s: float = MAX_AGE_S) -> None:
        self._engine = engine
        self._max_age_s = max_age_s
        self._known: list[tuple[bytes, Identity]] = []
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        self._use_noted_at: dict[str, float] = {}

    async def identify(self, token: str) -> Identity | None:
        """Whose token this is, or None. Raises a database error when the engine is out: nobody gets in unseen."""
        found = await self._whose(token)
        if not isinstance(found, Publisher):
            return found
        if found.expires_at is not None and found.expires_at <= datetime.now(UTC):
            return None
        await self._note_use(found.name)
        return found

    async def _whose(self, token: str) -> Identity | None:
        if not token or len(token) > MAX_TOKEN_CHARS:
            return None
        given = digest(token)
        came_at = time.monotonic()
        found = _find(await self._identities(came_at - self._max_age_s), given)
        if found is not None:
            return found
        # A token made a moment ago must work, so a reading is wanted that began after it came; who guesses waits, and
        # costs one reading in NEW_WITHIN_S at most. By the time it came, not by its age: a timer may go off early.
        if self._read_at is not None:
            await asyncio.sleep(max(0.0, self._read_at + min(NEW_WITHIN_S, self._max_age_s) - came_at))
        return _find(await self._identities(came_at), given)

    async def _note_use(self, department: str) -> None:
        now = time.monotonic()
        if now - self._use_noted_at.get(department, float("-inf")) < _USE_NOTED_EVERY_S:
            return
        self._use_noted_at[department] = now
        t = tables.department
        async with self._engine.begin() as conn:
            await conn.execute(update(t).where(t.c.name == department).values(last_used_at=func.now()))

    async def _identities(self, since: float) -> list[tuple[bytes, Identity]]:
        """As they were at `since` (monotonic) or later."""
        if not self._read_since(since):
            async with self._reading:
                if not self._read_since(since):
                    asked_at = time.monotonic()
                    self._known = await self._read()
                    self._read_at = asked_at
        return self._known

    def _read_since(self, since: float) -> bool:
        return self._read_at is not None and self._read_at >= since

    async def _read(self) -> list[tuple[bytes, Identity]]:
        departments = select(tables.department).where(tables.department.c.revoked_at.is_(None))
        async with self._engine.connect() as conn:
            known: list[tuple[bytes, Identity]] = [
                (bytes(r.token_hash), Publisher(r.name, tuple(r.sources), tuple(r.types), r.expires_at))
                for r in await conn.execute(departments)
            ]
            known += [
                (bytes(r.token_hash), replace(EVERYTHING if r.team is None else of_team(r.team), name=r.name))
                for r in await conn.execute(select(tables.viewer))
            ]
        return known


def _find(known: list[tuple[bytes, Identity]], given: bytes) -> Identity | None:
    found: Identity | None = None
    for stored, identity in known:
        if hmac.compare_digest(stored, given):
            found = identity
    return found
