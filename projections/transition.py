"""What a rule says at a tick: one event of the book's own, to be published about a relation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# How many positions one of the book's own events names at most (the contracts of `alert` and `loop`).
MAX_EVIDENCE: Final = 20


@dataclass(frozen=True, slots=True)
class Transition:
    """An event to publish about a relation: `kind` is alert.raised, alert.resolved, loop.opened …

    `event_id` is made of what the event says and what caused it, so that the same decision, taken twice, is one event.
    `expected_version` is the relation's version at which it was decided.
    """

    kind: str
    relation: str
    event_id: str
    expected_version: int
    data: Mapping[str, Any]
