"""Kept with every line of the relation view: the day of the newest contact of its own relation that qualifies. Pure.

Question 2 asks it of all lines at once. A contact that comes moves the day on; where the newest one is lost (corrected,
retracted, declared the same as another), or the line itself is set, the line is stale until `settle_lines` has looked
at the relation's contacts. So those are read only then, and the day follows from the rows, whatever the order of facts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date

from events.recorded import ORGANISATION
from projections.rows import Group, Need, Row, Rows


def follow_contact(rows: Rows, relation: str, before: Row | None, after: Row) -> None:
    """Notes what became of one contact in the lines of its relation; the rows of the contact are as `contact`'s."""
    for line in rows.group("line", relation):
        if line["stale"]:
            continue
        last: date | None = line["last_on"]
        counts = _qualifies(line, after)
        newer = counts and (last is None or after["held_on"] >= last)
        if before is not None and not newer and _qualifies(line, before) and before["held_on"] == last:
            rows.put("line", {**line, "stale": True})
        elif newer and after["held_on"] != last:
            rows.put("line", {**line, "last_on": after["held_on"]})


def line_settle_needs(relation: str) -> Iterable[Need]:
    return () if relation == ORGANISATION else (Group("line", relation),)


def spread_lines(rows: Rows, relations: Collection[str]) -> Iterator[Iterable[Need]]:
    """The contacts of relations with a stale line."""
    yield [Group("contact", r) for r in relations if any(line["stale"] for line in _lines(rows, r))]


def settle_lines(rows: Rows, relations: Iterable[str]) -> None:
    for relation in relations:
        stale = [line for line in _lines(rows, relation) if line["stale"]]
        contacts = [c for c in rows.group("contact", relation) if c["counted"]] if stale else []
        for line in stale:
            days: list[date] = [c["held_on"] for c in contacts if _qualifies(line, c)]
            rows.put("line", {**line, "last_on": max(days, default=None), "stale": False})


def _lines(rows: Rows, relation: str) -> Iterable[Row]:
    return () if relation == ORGANISATION else rows.group("line", relation)


def _qualifies(line: Row, contact: Row) -> bool:
    """As `schedule_line.qualifies`, on rows; a line that is not set yet asks for nothing."""
    if not contact["counted"] or not (line["pair"] or 0) & contact["pairs"]:
        return False
    return line["channels"] is None or contact["channel"] in line["channels"]
