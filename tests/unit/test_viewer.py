"""Restriction bits: the narrowest of several facts is their OR, and a reader sees what has none that they lack."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.viewer import EVERYTHING, Viewer, hidden_bits, of_team, restriction, visibility_of
from tests.given import Book

names = st.from_regex(r"[a-z][a-z0-9-]{1,30}", fullmatch=True)


def bits_of(visibility: str, department: str = "zorg") -> int:
    on = {"occurred_on": "2026-01-05"}
    return restriction(Book().tell("relation.ended", on, visibility=visibility, department=department))


def test_who_satisfies_what() -> None:
    team, zorg = of_team("wmo"), Viewer("z", teams=frozenset({"wmo"}), department="zorg")
    board = Viewer("b", tiers=frozenset({"A"}))
    anna = Viewer("a", teams=frozenset({"wmo"}), employee="ref~1")
    seen = {
        name: [v for v in ("organisation", "team", "department", "named") if not bits_of(v) & hidden_bits(who)]
        for name, who in (("all", EVERYTHING), ("team", team), ("zorg", zorg), ("board", board), ("anna", anna))
    }
    assert seen == {
        "all": ["organisation", "team", "department", "named"],
        "team": ["organisation", "team"],
        "zorg": ["organisation", "team", "department"],
        "board": ["organisation"],
        "anna": ["organisation", "team"],
    }
    assert not bits_of("named") & hidden_bits(anna, ["ref~1", "ref~2"])
    assert bits_of("named") & hidden_bits(anna, ["ref~2"])
    assert bits_of("named") & hidden_bits(team, ["ref~1"])


@pytest.mark.parametrize("visibility", ["organisation", "team", "department", "named"])
def test_the_bits_tell_their_restriction(visibility: str) -> None:
    assert visibility_of(bits_of(visibility)) == visibility
    assert 0 <= bits_of(visibility) < 2**63


@given(names, names)
def test_what_two_departments_restricted_is_open_to_neither(one: str, other: str) -> None:
    reader = hidden_bits(Viewer("x", department=one))
    assert not bits_of("department", one) & reader
    if one != other:
        assert bits_of("department", other) & reader
        assert (bits_of("department", one) | bits_of("department", other)) & reader
