"""What one transaction of the ledger knows and makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from events import erasing
from events.book import Thing
from events.recording import Stored
from events.verdict import Verdict

ACCEPTED, DUPLICATE, REJECTED, PARKED, LATE = range(5)  # the columns of a department's tally


class NotLoaded(Exception):
    """`decide` asked for a key that the look-ups of this batch did not foresee."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(slots=True)
class Batch:
    """The state of one transaction: what is known, what it makes."""

    now: datetime
    recorded: str
    position: int
    things: dict[str, Thing | None] = field(default_factory=dict[str, Thing | None])
    chains: dict[str, tuple[int, bytes]] = field(default_factory=dict[str, tuple[int, bytes]])
    entries: list[Stored] = field(default_factory=list[Stored])
    touched: set[str] = field(default_factory=set[str])
    absorbed: dict[str, str | None] = field(default_factory=dict[str, str | None])
    merges: dict[str, str | None] = field(default_factory=dict[str, str | None])
    parked: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    rejected: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    unparked: list[int] = field(default_factory=list[int])
    reparked: list[tuple[int, list[str], str]] = field(default_factory=list[tuple[int, list[str], str]])
    seen: dict[tuple[str, str], tuple[Verdict, bytes | None, bytes | None]] = field(
        default_factory=dict[tuple[str, str], tuple[Verdict, bytes | None, bytes | None]]
    )
    works: list[erasing.Work] = field(default_factory=list[erasing.Work])
    held: set[str] = field(default_factory=set[str])
    erasing: dict[str, bytes] = field(default_factory=dict[str, bytes])  # lookups of those whom the batch erases
    counts: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def look(self, key: str) -> Thing | None:
        try:
            return self.things[key]
        except KeyError:
            raise NotLoaded(key) from None

    def survivor(self, relation: str | None) -> str | None:
        """Whose relation this is at the end of the chain of merges; None when it is its own."""
        found = None
        while relation is not None and (above := self.absorbed.get(relation)) is not None:
            found = relation = above
        return found

    def count(self, department: str, column: int) -> None:
        counts = self.counts.get(department)
        if counts is None:
            counts = self.counts[department] = [0, 0, 0, 0, 0]
        counts[column] += 1
