"""Facts that replace each other: the one with the greater `Recorded.stamp` stands, whenever it arrives."""

from __future__ import annotations

from datetime import date
from typing import Any

from projections.rows import Row, Rows


def day(value: str | None) -> date | None:
    return None if value is None else date.fromisoformat(value)


def register(row: Row, field: str, stamp: list[str], **columns: Any) -> None:
    """Sets the columns when this fact replaces the one that the field's value came from."""
    known = row["stamps"].get(field)
    if known is None or stamp > known:
        row["stamps"] = {**row["stamps"], field: stamp}
        row.update(columns)


def put_newest(rows: Rows, table: str, row: Row, *key: str) -> None:
    """Puts a row that is one register as a whole, unless a later fact is there."""
    known = rows.get(table, *key)
    if known is None or row["stamp"] > known["stamp"]:
        rows.put(table, row)


def later(facts: dict[str, Any], name: str, stamp: list[str]) -> bool:
    """Notes the stamp when it is the latest of this name so far, and says whether it is."""
    if name in facts and facts[name] >= stamp:
        return False
    facts[name] = stamp
    return True
