"""Events for given/when/then tests: numbered as the book would number them, with payloads as they are stored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace as renumber

from events.in_force import WITHDRAWAL
from events.keys import Ring, RingWrapper
from events.recorded import ORGANISATION, Recorded

HAAG = "0b1f5b0e-7d0a-5c55-9a58-1f3a54f0a001"
DELFT = "0b1f5b0e-7d0a-5c55-9a58-1f3a54f0a002"
START = datetime(2026, 1, 1, 9, tzinfo=UTC)

RING = Ring.fresh()
KEYS = RingWrapper(lambda: RING)

NPS: dict[str, Any] = {
    "instrument": "nps-2026", "kind": "nps", "scale_min": 0, "scale_max": 10,
    "bands": [
        {"name": "low", "from": 0, "to": 6},
        {"name": "middle", "from": 7, "to": 8},
        {"name": "high", "from": 9, "to": 10},
    ],
    "min_n": 5, "wording_version": 1, "occurred_on": "2026-01-01",
}  # fmt: skip


@dataclass
class Book:
    """Numbers what is told to it: positions over all, versions per relation."""

    events: list[Recorded] = field(default_factory=list[Recorded])

    def tell(self, kind: str, data: dict[str, Any], relation: str = HAAG, **envelope: Any) -> Recorded:
        event = fact(kind, data, relation, id=f"e-{len(self.events) + 1}", **envelope)
        self.events = numbered([*self.events, event])
        return self.events[-1]

    def register(self, relation: str = HAAG, name: str = "Gemeente Den Haag", **data: Any) -> Recorded:
        known: dict[str, Any] = {
            "name": name,
            "kind": "municipality",
            "region": "Haaglanden",
            "identifiers": [],
            "occurred_on": "2026-01-05",
        }
        return self.tell("relation.registered", {**known, **data}, relation)

    def held(
        self, contact: str, at: str, relation: str = HAAG, *, visibility: str = "organisation", **data: Any
    ) -> Recorded:
        return self.tell("contact.held", held(contact, at, **data), relation, visibility=visibility)


def held(contact: str, at: str, **data: Any) -> dict[str, Any]:
    return {
        "contact": contact, "occurred_at": at, "duration_min": 60, "channel": "meeting", "activity": "conversation",
        "topics": ["wmo"], "ours": [{"layer": "board"}], "theirs": [{"layer": "board"}], **data,
    }  # fmt: skip


def fact(
    kind: str,
    data: dict[str, Any],
    relation: str = HAAG,
    *,
    id: str,
    source: str = "urn:nld:oin:00000001:systeem:crm",
    department: str = "wmo",
    time: str | None = "2026-01-01T09:00:00+01:00",
    visibility: str = "organisation",
    subject: str | None = None,
    absorbed: str | None = None,
    withdraws: int | None = None,
) -> Recorded:
    """One event that is not yet numbered."""
    return Recorded(
        position=0, version=0, relation=relation, type=f"nl.relatieboek.{kind}.v1", source=source, id=id,
        subject=subject or relation, department=department, recorded_at=START, data=data, visibility=visibility,
        time=time, absorbed=absorbed, withdraws=withdraws,
    )  # fmt: skip


def numbered(events: Iterable[Recorded]) -> list[Recorded]:
    """The events as the book records them when they arrive in this order."""
    versions: dict[str, int] = {}
    positions: dict[tuple[str, str], int] = {}
    found: list[Recorded] = []
    for position, event in enumerate(events, 1):
        positions[event.source, event.id] = position
        versions[event.relation] = versions.get(event.relation, 0) + 1
        found.append(
            renumber(
                event,
                position=position,
                version=versions[event.relation],
                recorded_at=START + timedelta(minutes=position),
                withdraws=positions.get((event.data.get("source", ""), event.data.get("id", "")), event.withdraws)
                if event.kind == WITHDRAWAL
                else None,
            )
        )
    return found


def stored(event: Recorded) -> bytes:
    """The stored CloudEvent, as in the stream and the ledger."""
    document = {
        "id": event.id, "source": event.source, "specversion": "1.0", "type": event.type, "subject": event.subject,
        "sequence": f"{event.position:020d}", "recordedtime": event.recorded_at.isoformat(),
        "department": event.department, "relation": event.relation, "visibility": event.visibility, "data": event.data,
    }  # fmt: skip
    more = {
        "time": event.time, "absorbed": event.absorbed,
        "withdraws": None if event.withdraws is None else str(event.withdraws),
    }  # fmt: skip
    return json.dumps({**document, **{k: v for k, v in more.items() if v is not None}}).encode()


__all__ = ["DELFT", "HAAG", "NPS", "ORGANISATION", "START", "Book", "fact", "held", "numbered", "stored"]
