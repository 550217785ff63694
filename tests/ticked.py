"""Books in which the book's own services tell alerts and loops between the facts, and people act on them.

What they tell is decided by the product itself; what they should have come to is read off the facts (`naive_open`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from events.recorded import Recorded
from tests import alert_trial, workflow_trial
from tests.given import fact
from tests.naive import local
from tests.naive_alerts import alerts, loops

# After the last day on which anything occurs in the histories; meetings that were planned run until 2 July.
NOWS: Final = tuple(
    datetime(*on, 10, tzinfo=UTC) for on in ((2026, 6, 30), (2026, 7, 9), (2026, 9, 15), (2026, 12, 29), (2027, 2, 2))
)
_SOURCE: Final = "urn:nld:oin:00000000000000000000:systeem:relatieboek"


class Ticked(NamedTuple):
    """A book, the moments of its ticks since its last fact, and how far it was then. It is quiet at the last moment:
    nothing is left to tell."""

    events: list[Recorded]
    ticks: list[datetime]
    facts_until: int

    @property
    def now(self) -> datetime:
        return self.ticks[-1]


class _Book:
    def __init__(self) -> None:
        self.events: list[Recorded] = []

    def add(self, event: Recorded, at: datetime) -> Recorded:
        taken_back = (event.data.get("source"), event.data.get("id"))
        withdraws = [e.position for e in self.events if (e.source, e.id) == taken_back]
        numbered = replace(
            event, position=len(self.events) + 1, recorded_at=at,
            version=1 + sum(e.relation == event.relation for e in self.events),
            withdraws=withdraws[0] if event.kind == "correction.withdrawn" else None,
        )  # fmt: skip
        self.events.append(numbered)
        return numbered

    def tell(self, kind: str, data: Any, relation: str, at: datetime, id: str | None = None) -> Recorded:
        told = fact(
            kind, dict(data), relation, id=id or f"own-{len(self.events)}", source=_SOURCE, department="relatieboek",
            time=None,
        )  # fmt: skip
        return self.add(told, at)

    def tick(self, now: datetime) -> None:
        """Lets both services tell what is due, until there is nothing left."""
        contact, workflows = alert_trial.Trial(), workflow_trial.Trial()
        contact.take(self.events, now)
        workflows.take(self.events, now)
        for _ in range(12):
            due = [*contact.due(), *workflows.due()]
            if not due:
                return
            for event in due:
                told = self.tell(event.kind, event.data, event.relation, now, event.event_id)
                contact.hear(told)
                workflows.hear(told)
        raise AssertionError("the ticks do not come to rest")

    def act(self, now: datetime, chance: random.Random) -> None:
        """People take an alert up, put it off or resolve it; a loop they follow up or close."""
        at, on = now.isoformat(), str(local(now))
        for (relation, alert), row in alerts(self.events).items():
            if row["state"] != "open":
                continue
            match chance.randrange(8):
                case 0:
                    self.tell("alert.acknowledged", {"alert": alert, "occurred_at": at}, relation, now)
                case 1:
                    until = str(local(now) + timedelta(days=chance.randint(1, 40)))
                    self.tell("alert.snoozed", {"alert": alert, "occurred_at": at, "until": until}, relation, now)
                case 2:
                    done: dict[str, Any] = {"alert": alert, "reason": "manual", "evidence": [], "occurred_on": on}
                    self.tell("alert.resolved", done, relation, now)
                case _:
                    pass
        for (relation, loop), row in loops(self.events).items():
            if row["state"] == "open" and chance.randrange(3) == 0:
                self.tell("loop.followed_up", {"loop": loop, "evidence": [], "occurred_at": at}, relation, now)
            elif row["state"] == "open" and chance.randrange(3) == 0:
                done: dict[str, Any] = {"loop": loop, "reason": "manual", "evidence": [], "occurred_on": on}
                self.tell("loop.closed", done, relation, now)


def ticked(facts: Sequence[Recorded], chance: random.Random) -> Ticked:
    """The facts in this order, cut in up to three by ticks, and up to three ticks after the last of them."""
    book = _Book()
    now = NOWS[0] - timedelta(days=chance.choice([0, 30, 170]), hours=2)
    cuts = sorted(chance.randint(0, len(facts)) for _ in range(2))
    for part in (facts[: cuts[0]], facts[cuts[0] : cuts[1]], facts[cuts[1] :]):
        if book.events:
            now = max(now, NOWS[0]) + timedelta(hours=5)
            book.tick(now)
            book.act(now, chance)
        for n, event in enumerate(part):
            book.add(event, now + timedelta(seconds=n))
    until = len(book.events)
    ticks = sorted(chance.sample(NOWS[1:], chance.randint(1, 3)))
    for n, now in enumerate(ticks):
        if n:
            book.act(ticks[n - 1] + timedelta(hours=1), chance)
        book.tick(now)
    return Ticked(book.events, ticks, until)
