"""Entries and leaf hashes: what makes a history provable (INTERFACE section 5, RFC 6962 hashing)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from events.canonical import canonical

# Attributes of the stored event that an entry leaves out: its position stands beside it, and a trace is no fact.
_NOT_IN_ENTRY: Final = frozenset({"data", "sequence", "traceparent"})
GENESIS: Final = bytes(32)


def entry_of(stored: Mapping[str, Any], position: int, version: int, prev: bytes) -> dict[str, Any]:
    """The canonical entry of a stored event. `prev` is the leaf hash before it in the same relation."""
    attributes = {k: v for k, v in stored.items() if k not in _NOT_IN_ENTRY}
    return _entry(attributes, canonical(stored["data"]), position, version, prev)


def _entry(attributes: Mapping[str, Any], data: bytes, position: int, version: int, prev: bytes) -> dict[str, Any]:
    return {
        "attributes": attributes,
        "data_sha256": hashlib.sha256(data).hexdigest(),
        "position": position,
        "prev": prev.hex(),
        "relation": attributes["relation"],
        "v": 1,
        "version": version,
    }


def leaf_hash(stored: Mapping[str, Any], position: int, version: int, prev: bytes) -> bytes:
    """SHA-256(0x00 ‖ RFC 8785 bytes of the entry): 32 bytes."""
    return _hash(entry_of(stored, position, version, prev))


def entry_hash(attributes: Mapping[str, Any], data: bytes, position: int, version: int, prev: bytes) -> bytes:
    """As `leaf_hash`, from the attributes that an entry has and the RFC 8785 bytes of its data."""
    return _hash(_entry(attributes, data, position, version, prev))


def _hash(entry: Mapping[str, Any]) -> bytes:
    # Texts and small integers under ASCII names: RFC 8785 and orjson agree on them without a look at each.
    return hashlib.sha256(b"\x00" + orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)).digest()
