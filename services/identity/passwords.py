"""Passwords: made by the book, never chosen, and kept as argon2id hashes (RFC 9106, second recommended parameters)."""

from __future__ import annotations

import asyncio
import secrets
from functools import lru_cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MAX_PASSWORD_CHARS: Final = 200
# A check takes 64 MiB and some 50 ms of a core: more at once only makes them all late.
_AT_ONCE: Final = 2

_hasher: Final = PasswordHasher()
_checks: Final = asyncio.Semaphore(_AT_ONCE)


def new_password() -> str:
    """160 random bits in 27 characters that can be typed."""
    return secrets.token_urlsafe(20)


def hashed(password: str) -> str:
    return _hasher.hash(password)


async def matches(stored: str | None, password: str) -> bool:
    """Whether it is the password of this hash. Without one (no such account) it takes as long, and is not."""
    if len(password) > MAX_PASSWORD_CHARS:
        password = ""
    async with _checks:
        right = await asyncio.to_thread(_verify, stored or _nobodys(), password)
    return right and stored is not None


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


@lru_cache(maxsize=1)
def _nobodys() -> str:
    return hashed(new_password())
