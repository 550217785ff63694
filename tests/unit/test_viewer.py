"""Restriction bits: the narrowest of several facts is their OR, and a reader sees what has none that they lack."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.viewer import EVERYTHING, Viewer, hidden_bits, of_team, restriction, visibility_of
from tests.given import Book

CODE = Path(__file__).parents[2]
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


def given_by_default(source: str) -> Iterator[str]:
    """Parameters and fields that say who reads, and may be left out: `<name> on line <n>`."""
    for node in ast.walk(ast.parse(source)):
        found: list[tuple[str, ast.expr | None, int]] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            args = node.args
            positional = [*args.posonlyargs, *args.args]
            optional = positional[len(positional) - len(args.defaults) :]
            optional += [arg for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True) if default]
            found = [(arg.arg, arg.annotation, arg.lineno) for arg in optional]
        elif isinstance(node, ast.ClassDef):
            fields = [one for one in node.body if isinstance(one, ast.AnnAssign) and one.value is not None]
            found = [(ast.unparse(one.target), one.annotation, one.lineno) for one in fields]
        for name, kind, line in found:
            words = "" if kind is None else ast.unparse(kind)
            if "Viewer" in words.split(" | ") or (name, words) in {("hidden", "int"), ("viewer", "")}:
                yield f"{name} on line {line}"


def test_nothing_is_asked_without_saying_who_reads() -> None:
    leaving = """def f(conn, viewer=ALL): ...
def g(*, hidden: int = 0, limit=1): ...
class C:
    reader: Viewer | None = None
    viewer: Viewer
"""
    assert list(given_by_default(leaving)) == ["viewer on line 1", "hidden on line 2", "reader on line 4"]
    files = [path for part in ("projections", "services") for path in sorted((CODE / part).rglob("*.py"))]
    assert len(files) > 100
    assert not [f"{path}: {one}" for path in files for one in given_by_default(path.read_text())]
