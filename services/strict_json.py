"""JSON as one reader and another must understand it alike: no member twice, no NaN, no endless nesting."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import orjson

from events.errors import FieldError, Invalid

# The deepest payload of the book is five levels; what is deeper was made to hurt.
MAX_DEPTH: Final = 32
_SHOWN_CHARS: Final = 60


def read_json(body: bytes) -> Any:
    """The document in `body` (UTF-8). Raises Invalid (`schema`) that names what is wrong and where it can be told."""
    try:
        quick: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unreadable(f"this is no JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH and _as_written(body, quick):
        return quick
    try:
        document = json.loads(body, object_pairs_hook=_once, parse_constant=_finite)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise _unreadable("this is no JSON: a number is out of bounds") from None
    if _deeper_than(document, MAX_DEPTH):
        raise _too_deep()
    return document


def read_array(body: bytes) -> list[Any]:
    """The items of the JSON array in `body`: read, or as bytes where they need the strict reader, which says why.

    The strict reader costs ten times as much, so a whole array is first asked one cheap question: written again, does
    it have as many colons? A member that stood twice in one object is gone then, with its colon; an escaped colon is
    the only other thing that changes their number. Raises Invalid (`schema`) for what is no array of JSON.
    """
    try:
        items: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unreadable(f"this is no JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    if not isinstance(items, list):
        raise _unreadable("this is no JSON array")
    if _as_written(body, items):
        return items  # pyright: ignore[reportUnknownVariableType]
    try:
        return [bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, RecursionError):
        raise _too_deep() from None


def _as_written(body: bytes, document: Any) -> bool:
    try:
        return body.count(b":") == orjson.dumps(document).count(b":") and b"\\u003" not in body
    except orjson.JSONEncodeError:  # nested deeper than it writes
        return False


def is_json(body: bytes) -> bool:
    """Whether it is JSON at all, by RFC 8259."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)[:_SHOWN_CHARS]
        pointer = "/" + twice.replace("~", "~0").replace("/", "~1")
        raise Invalid("schema", [FieldError(pointer, "this member stands twice in one object; send it once")])
    return members


def _finite(constant: str) -> Any:
    raise _unreadable(f"this is no JSON: {constant} is not a number")


def _deeper_than(document: Any, levels: int) -> bool:
    layer: list[Any] = [document]
    for _ in range(levels):
        below: list[Any] = []
        for value in layer:
            if isinstance(value, dict):
                below.extend(value.values())  # pyright: ignore[reportUnknownArgumentType]
            elif isinstance(value, list):
                below.extend(value)  # pyright: ignore[reportUnknownArgumentType]
        if not below:
            return False
        layer = below
    return any(isinstance(value, (dict, list)) for value in layer)


def _too_deep() -> Invalid:
    return _unreadable(f"nested too deep: at most {MAX_DEPTH} levels")


def _unreadable(detail: str) -> Invalid:
    return Invalid("schema", [FieldError("", detail)])
