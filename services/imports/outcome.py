"""What an import made of one row or meeting: an event, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from events.catalog import check
from events.errors import Invalid
from services.dutch_problems import detail_in_dutch


@dataclass(frozen=True, slots=True)
class Taken:
    """`event` is a structured CloudEvent that passed `events.catalog.check`; `where` says what it was made of."""

    where: str
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Skipped:
    """Not taken. `reason` has no values of free text in it, so that reasons can be counted."""

    where: str
    reason: str


Outcome = Taken | Skipped


def checked(where: str, event: dict[str, Any]) -> Outcome:
    """The event when the contracts take it, else why not."""
    try:
        check(event, tiers=None)  # which tiers there are only the book knows
    except Invalid as error:
        return Skipped(where, "; ".join(f"{e.pointer}: {detail_in_dutch(e.detail)}" for e in error.errors))
    return Taken(where, event)


def each_once(outcomes: Iterable[Outcome]) -> Iterable[Outcome]:
    """The same outcomes, without an event whose id came before in this input with other content.

    The book would reject the second as a conflict; here it can still name both places.
    """
    seen: dict[str, tuple[int, str]] = {}
    for outcome in outcomes:
        if isinstance(outcome, Taken):
            digest = hash(repr(outcome.event))
            first = seen.setdefault(outcome.event["id"], (digest, outcome.where))
            if first[0] != digest:
                yield Skipped(outcome.where, "zelfde id als een eerdere rij, met andere inhoud")
                continue
        yield outcome
