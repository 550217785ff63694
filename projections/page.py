"""One page of a list, and the opaque cursor to the next one (keyset paging: stable while facts arrive)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import msgspec

from events.errors import FieldError, Invalid

MAX_LIMIT: Final = 500
_MAX_CURSOR_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Page:
    """`items` in the list's order; `next` is the cursor of the next page, None on the last one."""

    items: list[dict[str, Any]]
    next: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"items": self.items, "next": self.next}


def encode_cursor(scope: str, key: Sequence[str | int]) -> str:
    """A cursor that stands behind the entry with this sort key. `scope` names the list: a cursor fits its own list."""
    return base64.urlsafe_b64encode(msgspec.json.encode([scope, *key])).decode().rstrip("=")


def decode_cursor(scope: str, cursor: str, types: Sequence[type]) -> list[Any]:
    """The sort key in a cursor. Raises Invalid naming `/cursor` for anything that `encode_cursor` did not make."""
    if len(cursor) > _MAX_CURSOR_CHARS:
        bad_cursor()
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = msgspec.json.decode(raw, type=list[str | int])
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        bad_cursor(error)
    if len(parts) != len(types) + 1 or parts[0] != scope:
        bad_cursor()
    key = parts[1:]
    if not all(type(part) is wanted for part, wanted in zip(key, types, strict=True)):
        bad_cursor()
    if any(isinstance(part, str) and "\x00" in part for part in key):
        bad_cursor()
    if any(isinstance(part, int) and not -(2**63) <= part < 2**63 for part in key):
        bad_cursor()
    return list(key)


def cursor_instant(text: str) -> datetime:
    """An instant in a cursor. Raises Invalid naming `/cursor`."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            bad_cursor()
        return at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        bad_cursor(error)


def bad_cursor(cause: Exception | None = None) -> NoReturn:
    detail = "this cursor does not belong to this list; take `next` of the page before, or leave it out"
    raise Invalid("schema", [FieldError("/cursor", detail)]) from cause


def check_limit(limit: int) -> int:
    """The limit itself, 1..500. Raises Invalid naming `/limit`."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid("schema", [FieldError("/limit", f"is {limit}, must be from 1 to {MAX_LIMIT}")])
    return limit
