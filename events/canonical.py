"""RFC 8785 (JSON Canonicalization Scheme) bytes.

orjson writes the same bytes as RFC 8785 for every value without floats whose keys are ASCII, which is every event that
the contracts let through but for scores and shares; those go through the reference library. Measured: 0.8 µs against
53 µs for one contact. `tests/property/test_canonical.py` holds the two equal.
"""

from __future__ import annotations

from typing import Any

import orjson
import rfc8785


def _plain(value: Any) -> bool:
    kind: object = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind is str:
        return True
    if kind is dict:
        for key, inner in value.items():
            # a text is what most values are: not worth a call
            if not key.isascii() or (type(inner) is not str and not _plain(inner)):
                return False
        return True
    if kind is list:
        for inner in value:
            if type(inner) is not str and not _plain(inner):
                return False
        return True
    if kind is int:
        return -(2**53) < value < 2**53
    return kind is not float


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value.

    Raises `rfc8785.CanonicalizationError` for what JSON has no canonical form for (NaN, integers beyond 2**53).
    """
    if _plain(value):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return rfc8785.dumps(value)
