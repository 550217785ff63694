"""Whose rows are whose: what a relation's withdrawal deletes and folds again must be that relation's alone."""

from __future__ import annotations

import pytest

from projections.registry import PROJECTIONS


@pytest.mark.parametrize("name", sorted(PROJECTIONS))
def test_rows_of_a_relation_are_found_by_their_first_key_column(name: str) -> None:
    """A table that is about relations and cannot be found so is named in `kept`, and takes facts twice without harm."""
    projection = PROJECTIONS[name]
    for table in projection.metadata.tables.values():
        first = next(iter(table.primary_key.columns)).name
        assert "relation" not in table.c or first == "relation" or table.name in projection.kept, table.name
    assert projection.kept - {"alias"} <= set(projection.metadata.tables)


@pytest.mark.parametrize("name", sorted(PROJECTIONS))
def test_a_projection_of_some_kinds_hears_of_withdrawals(name: str) -> None:
    heard = PROJECTIONS[name].heard
    assert heard is None or "correction.withdrawn" in heard
