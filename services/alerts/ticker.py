"""The due-date tick: time enters the book as events (DESIGN decision 7).

A tick reads the lines whose instant has come, lets the pure rule decide on each, and publishes what it says through
intake like any department. Nothing is kept here: the events' ids are made of what they say, so a crash, a second
replica or a rebuild sends at most what intake answers with `duplicate`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from events.clock import book_now
from events.errors import NotYetThere, Unavailable
from events.ledger import head
from events.recorded import iso
from projections.alert_queries import Candidate, lines_to_check
from projections.alert_rule import Transition, decide
from projections.due import LEAD_WORKING_DAYS
from projections.rows import Projection
from projections.store import Live, live
from projections.working_calendar import WorkingCalendar

log = structlog.get_logger(__name__)

BATCH: Final = 500
MOST_BATCHES: Final = 20
CATCH_UP_S: Final = 5.0
# A rejected event is a fault of ours that the next tick would only repeat.
REFUSED_FOR_S: Final = 60.0
_MOST_REFUSED: Final = 10_000

Json = Mapping[str, Any]
# Sends CloudEvents as department `relatieboek` and gives the verdicts, in order. Raises Unavailable.
Submit = Callable[[Sequence[Json]], Awaitable[Sequence[Json]]]
# Sends a live message about an accepted event. Best effort.
Announce = Callable[[Json], Awaitable[None]]


@dataclass(slots=True)
class Tick:
    """What one tick did: lines examined, and verdicts by transition and name. `missed`: it was not its time yet."""

    at: datetime | None = None
    examined: int = 0
    verdicts: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    missed: bool = False

    @property
    def accepted(self) -> int:
        return sum(n for (_, verdict), n in self.verdicts.items() if verdict == "accepted")


def cloud_event(transition: Transition, source: str, now: datetime) -> dict[str, Any]:
    """The transition as a structured CloudEvent of the book's own."""
    return {
        "specversion": "1.0",
        "id": transition.event_id,
        "source": source,
        "type": f"nl.relatieboek.{transition.kind}.v1",
        "subject": transition.relation,
        "time": iso(now),
        "datacontenttype": "application/json",
        "expectedversion": transition.expected_version,
        "data": dict(transition.data),
    }


class Ticker:
    """Ticks on the connection that holds the lease. Not for use by two tasks at once."""

    def __init__(
        self,
        projection: Projection,
        submit: Submit,
        announce: Announce,
        *,
        source: str,
        calendar: WorkingCalendar,
        lead_working_days: int = LEAD_WORKING_DAYS,
        batch: int = BATCH,
    ) -> None:
        self._projection = projection
        self._submit = submit
        self._announce = announce
        self._source = source
        self._calendar = calendar
        self._lead = lead_working_days
        self._batch = batch
        self._refused: dict[str, float] = {}

    async def tick(self, conn: AsyncConnection) -> Tick:
        """One tick: bounded in events and time. Each line gets at most one event; what remains is for the next tick.

        Runs on the live version only, once that has reached the ledger's head as it stood at the start; else the
        result is `missed`. Raises Unavailable when intake does not answer, and what the database raises.
        """
        target = (await head(conn)).position
        build = await self._caught_up(conn, target)
        if build is None:
            return Tick(missed=True)
        now = await book_now(conn)
        tick = Tick(at=now)
        after: tuple[datetime, str, str] | None = None
        for _ in range(MOST_BATCHES):
            found = await lines_to_check(conn, build.tables, now, after, self._batch)
            tick.examined += len(found)
            transitions = [t for t in (self._decide(c, now) for c in found) if t is not None]
            if transitions:
                await self._publish(transitions, now, tick)
            if len(found) < self._batch:
                break
            after = found[-1].key
        return tick

    async def _caught_up(self, conn: AsyncConnection, target: int) -> Live | None:
        until = monotonic() + CATCH_UP_S
        pause_s = 0.005
        while True:
            try:
                build = await live(conn, self._projection)
            except NotYetThere:
                return None
            if build.position >= target:
                return build
            if build.paused is not None or monotonic() >= until:
                return None
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.1)

    def _decide(self, candidate: Candidate, now: datetime) -> Transition | None:
        found = decide(candidate.line, candidate.bucket, candidate.version, now, self._calendar, self._lead)
        if found is None or self._refused.get(found.event_id, 0.0) > monotonic():
            return None
        return found

    async def _publish(self, transitions: Sequence[Transition], now: datetime, tick: Tick) -> None:
        verdicts = await self._submit([cloud_event(t, self._source, now) for t in transitions])
        busy: float | None = None
        for transition, verdict in zip(transitions, verdicts, strict=True):
            name = str(verdict["verdict"])
            key = (transition.kind, name)
            tick.verdicts[key] = tick.verdicts.get(key, 0) + 1
            if name == "accepted":
                position = int(verdict["sequence"])
                kind = f"nl.relatieboek.{transition.kind}.v1"
                await self._announce({"position": position, "relation": transition.relation, "type": kind})
            elif name == "busy":
                busy = float(verdict.get("retry_after_s") or 1.0)
            elif name == "rejected":
                self._note_refusal(transition, verdict)
        if busy is not None:
            raise Unavailable("intake is busy", busy)

    def _note_refusal(self, transition: Transition, verdict: Json) -> None:
        problem: Json = verdict.get("problem") or {}
        code = str(problem.get("type", "")).rsplit(":", 1)[-1]
        if code == "conflict":
            return  # something came in between: the line is evaluated again, on newer facts
        log.warning("alert event rejected", transition=transition.kind, code=code)
        if len(self._refused) >= _MOST_REFUSED:
            self._refused.clear()
        self._refused[transition.event_id] = monotonic() + REFUSED_FOR_S
