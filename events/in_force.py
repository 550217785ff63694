"""Which events count: all but those that their publisher has withdrawn (`correction.withdrawn`). Pure.

A withdrawn event counts as if it had never happened, in every read model, whatever came before or after it. It stays in
the book, and so does its withdrawal, which cannot be withdrawn itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from events.recorded import Recorded

WITHDRAWAL: Final = "correction.withdrawn"


def withdrawals(events: Iterable[Recorded]) -> dict[int, Recorded]:
    """The withdrawals among these events, by the position of the event that each withdraws."""
    return {event.withdraws: event for event in events if event.withdraws is not None}


def in_force(events: Iterable[Recorded]) -> list[Recorded]:
    """The events that count, in the order given; the withdrawals among them included."""
    return [event for event, withdrawal in with_withdrawals(events) if withdrawal is None]


def with_withdrawals(events: Iterable[Recorded]) -> Iterator[tuple[Recorded, Recorded | None]]:
    """Every event in the order given, with the event that withdraws it, or None where it counts."""
    known = list(events)
    by_position = withdrawals(known)
    return ((event, by_position.get(event.position)) for event in known)
