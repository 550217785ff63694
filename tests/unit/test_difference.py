"""Two documents compared field by field (projections/difference.py)."""

from __future__ import annotations

from typing import Any

import pytest

from projections.difference import difference


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"name": "A"}, {"name": "A"}, []),
        ({"name": "A"}, {"name": "B"}, [("/name", "A", "B")]),
        ({"name": "A"}, {"name": "A", "tier": "B"}, [("/tier", None, "B")]),
        ({"plan": {"answered": 1}}, {"plan": {"answered": 2}}, [("/plan/answered", 1, 2)]),
        ({"teams": ["a"]}, {"teams": ["a", "b"]}, [("/teams", ["a"], ["a", "b"])]),
        ({"a/b~c": 1}, {"a/b~c": 2}, [("/a~1b~0c", 1, 2)]),
        (None, {"name": "A"}, [("", None, {"name": "A"})]),
        ({"plan": {"plan": None}}, {"plan": None}, [("/plan", {"plan": None}, None)]),
    ],
)
def test_fields(before: Any, after: Any, found: list[tuple[str, Any, Any]]) -> None:
    assert [(d["pointer"], d["before"], d["after"]) for d in difference(before, after)] == found


def test_an_object_in_a_list_keeps_its_pointer_when_others_come_before_it() -> None:
    before = {"schedule": [{"line": "l-2", "state": "due"}]}
    after = {"schedule": [{"line": "l-1", "state": "due"}, {"line": "l-2", "state": "overdue"}]}
    assert difference(before, after) == [
        {"pointer": "/schedule/l-2/state", "before": "due", "after": "overdue"},
        {"pointer": "/schedule/l-1", "before": None, "after": {"line": "l-1", "state": "due"}},
    ]


def test_what_takes_two_fields_to_tell_apart_has_both_in_its_pointer() -> None:
    pair = {"our_layer": "board", "their_layer": "board", "contacts": 1}
    other = {"our_layer": "board", "their_layer": "professional", "contacts": 1}
    found = difference({"contacts_by_layer_pair": [pair]}, {"contacts_by_layer_pair": [{**pair, "contacts": 2}, other]})
    assert [d["pointer"] for d in found] == [
        "/contacts_by_layer_pair/board,board/contacts", "/contacts_by_layer_pair/board,professional",
    ]  # fmt: skip


def test_views_of_a_relation_keep_what_identifies_their_parts() -> None:
    pocket = {"organisation": "us", "organisation_name": None, "financing_system": "wmo", "invested_cents": 1}
    given = {"question": "4", "answer": "enc~1", "stands": True, "position": 7}
    before = {
        "matrix": [pocket, {**pocket, "financing_system": None}],
        "figures": [{"instrument": "nps", "wording_version": n, "n": 1} for n in (1, 2)],
        "history": [given],
    }
    after = {
        "matrix": [pocket, {**pocket, "financing_system": None, "invested_cents": 2}],
        "figures": [{"instrument": "nps", "wording_version": n, "n": n} for n in (1, 2)],
        "history": [{**given, "position": 9}, {**given, "stands": False}],
    }
    assert [d["pointer"] for d in difference(before, after)] == [
        "/matrix/us/invested_cents", "/figures/nps,2/n", "/history/7/stands", "/history/9",
    ]  # fmt: skip


def test_a_cell_of_a_relation_matrix_stands_under_its_layers() -> None:
    """Our layer alone is in several cells."""
    cells = [{"our_layer": "board", "their_layer": their, "contacts_12m": 1} for their in ("board", "professional")]
    moved = [cells[0], {**cells[1], "contacts_12m": 2}]
    assert [d["pointer"] for d in difference({"cells": cells, "gaps": []}, {"cells": moved, "gaps": [moved[1]]})] == [
        "/cells/board,professional/contacts_12m", "/gaps/board,professional",
    ]  # fmt: skip


def test_objects_that_nothing_tells_apart_are_one_value() -> None:
    before, after = [{"line": "l-1"}, {"line": "l-1"}], [{"line": "l-1"}]
    assert difference({"schedule": before}, {"schedule": after}) == [
        {"pointer": "/schedule", "before": before, "after": after}
    ]
