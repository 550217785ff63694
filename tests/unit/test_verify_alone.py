"""The stand-alone verifier's own RFC 8785, which it must have: it shares no code with the book."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

VERIFY = Path(__file__).parents[2] / "services" / "auditing" / "verify.py"
_spec = importlib.util.spec_from_file_location("verify_alone", VERIFY)
assert _spec is not None
assert _spec.loader is not None
verify: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(verify)

SAFE = st.integers(-(2**53) + 1, 2**53 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | SAFE | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_it_writes_the_same_bytes_as_the_reference(value: Any) -> None:
    assert verify.canonical(value).encode() == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "number", [0.0, -0.0, 1e21, 1e-7, 1.5e-7, 123456789012345680000.0, 5e-324, 1.7976931348623157e308, 33.33, 1e20]
)
def test_numbers_that_are_easily_written_otherwise(number: float) -> None:
    assert verify.number(number).encode() == rfc8785.dumps(number)


def test_it_is_short_and_stands_alone() -> None:
    text = VERIFY.read_text()
    assert len(text.splitlines()) < 150
    imported = {line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))}
    others = {"argparse", "base64", "decimal", "hashlib", "json", "pathlib", "re", "sys", "typing"}
    assert imported == {"__future__", "cryptography"} | others
