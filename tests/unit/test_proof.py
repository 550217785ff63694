"""An entry has the form of INTERFACE section 5, and every part of it changes the leaf hash."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import rfc8785

from events.proof import GENESIS, entry_of, leaf_hash

STORED: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "urn:nld:oin:00000001234567890000:systeem:crm",
    "type": "nl.relatieboek.team.formed.v1",
    "subject": "organisation",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "sequence": "00000000000000000007",
    "recordedtime": "2026-01-01T00:00:00.000000Z",
    "department": "crm",
    "relation": "organisation",
    "visibility": "organisation",
    "data": {"team": "wmo", "name": "Wmo", "occurred_on": "2026-01-01"},
}


def test_entry_leaves_out_the_position_attribute_and_the_trace() -> None:
    entry = entry_of(STORED, 7, 3, GENESIS)
    assert set(entry) == {"attributes", "data_sha256", "position", "prev", "relation", "v", "version"}
    assert set(entry["attributes"]) == set(STORED) - {"data", "sequence", "traceparent"}
    assert entry["prev"] == "0" * 64
    assert entry["data_sha256"] == hashlib.sha256(rfc8785.dumps(STORED["data"])).hexdigest()


def test_leaf_hash_is_sha256_over_zero_byte_and_canonical_entry() -> None:
    expected = hashlib.sha256(b"\x00" + rfc8785.dumps(entry_of(STORED, 7, 3, GENESIS))).digest()
    assert leaf_hash(STORED, 7, 3, GENESIS) == expected


@pytest.mark.parametrize(
    ("change", "position", "version", "prev"),
    [
        ({"id": "2"}, 7, 3, GENESIS),
        ({"department": "hr"}, 7, 3, GENESIS),
        ({"data": {"team": "wmo", "name": "Wmo 2", "occurred_on": "2026-01-01"}}, 7, 3, GENESIS),
        ({}, 8, 3, GENESIS),
        ({}, 7, 4, GENESIS),
        ({}, 7, 3, b"\x01" * 32),
    ],
)
def test_every_part_counts(change: dict[str, Any], position: int, version: int, prev: bytes) -> None:
    assert leaf_hash({**STORED, **change}, position, version, prev) != leaf_hash(STORED, 7, 3, GENESIS)


def test_a_trace_does_not_count() -> None:
    assert leaf_hash({**STORED, "traceparent": "other"}, 7, 3, GENESIS) == leaf_hash(STORED, 7, 3, GENESIS)
