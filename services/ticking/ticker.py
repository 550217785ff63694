"""One tick: wait until the read model is at the head, ask what is due, publish what the rules say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from events.clock import book_now
from events.errors import NotYetThere, Unavailable
from events.ledger import head
from events.recorded import TYPE_PREFIX, iso
from projections.rows import Projection
from projections.store import Live, live
from projections.transition import Transition

log = structlog.get_logger(__name__)

CATCH_UP_S: Final = 5.0
# A rejected event is a fault of ours that the next tick would only repeat.
REFUSED_FOR_S: Final = 60.0
_MOST_REFUSED: Final = 10_000
_SUBMIT_AT_MOST: Final = 1_000

Json = Mapping[str, Any]
# Sends CloudEvents as department `relatieboek` and gives the verdicts, in order. Raises Unavailable.
Submit = Callable[[Sequence[Json]], Awaitable[Sequence[Json]]]
# Sends a live message about an accepted event. Best effort.
Announce = Callable[[Json], Awaitable[None]]


class Portion(NamedTuple):
    """A part of a tick's work: how many things were looked at, and the events that they want, in order."""

    examined: int
    transitions: Sequence[Transition]


# What a service does at a tick: its read model's live build, at `now`, in portions that are published one by one.
# Bounded: what is too much for one tick is for the next. It must want nothing twice once the book holds it.
Work = Callable[[AsyncConnection, Live, datetime], AsyncIterator[Portion]]


@dataclass(slots=True)
class Tick:
    """What one tick did: things examined, and verdicts by transition and name. `missed`: it was not its time yet."""

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
        "type": f"{TYPE_PREFIX}{transition.kind}.v1",
        "subject": transition.relation,
        "time": iso(now),
        "datacontenttype": "application/json",
        "expectedversion": transition.expected_version,
        "data": dict(transition.data),
    }


class Ticker:
    """Ticks on the connection that holds the lease. Not for use by two tasks at once."""

    def __init__(
        self, projection: Projection, work: Work, submit: Submit, announce: Announce, *, source: str,
        catch_up_s: float = CATCH_UP_S,
    ) -> None:  # fmt: skip
        self._projection = projection
        self._work = work
        self._submit = submit
        self._announce = announce
        self._source = source
        self._catch_up_s = catch_up_s
        self._refused: dict[str, float] = {}

    async def tick(self, conn: AsyncConnection) -> Tick:
        """One tick: bounded in events and time by the service's work.

        Runs on the live version only, once that has reached the ledger's head as it stood at the start; else the
        result is `missed`. Raises Unavailable when intake does not answer, and what the database raises.
        """
        target = (await head(conn)).position
        build = await self._caught_up(conn, target)
        if build is None:
            return Tick(missed=True)
        now = await book_now(conn)
        tick = Tick(at=now)
        async for portion in self._work(conn, build, now):
            tick.examined += portion.examined
            wanted = [t for t in portion.transitions if self._refused.get(t.event_id, 0.0) <= monotonic()]
            for start in range(0, len(wanted), _SUBMIT_AT_MOST):
                await self._publish(wanted[start : start + _SUBMIT_AT_MOST], now, tick)
        return tick

    async def _caught_up(self, conn: AsyncConnection, target: int) -> Live | None:
        until = monotonic() + self._catch_up_s
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

    async def _publish(self, transitions: Sequence[Transition], now: datetime, tick: Tick) -> None:
        verdicts = await self._submit([cloud_event(t, self._source, now) for t in transitions])
        busy: float | None = None
        for transition, verdict in zip(transitions, verdicts, strict=True):
            name = str(verdict["verdict"])
            key = (transition.kind, name)
            tick.verdicts[key] = tick.verdicts.get(key, 0) + 1
            if name == "accepted":
                position = int(verdict["sequence"])
                kind = f"{TYPE_PREFIX}{transition.kind}.v1"
                await self._announce({"position": position, "relation": transition.relation, "type": kind})
            elif name == "busy":
                busy = float(verdict.get("retry_after_s") or 1.0)
            elif name in ("rejected", "parked"):
                self._note_refusal(transition, name, verdict)
        if busy is not None:
            raise Unavailable("intake is busy", busy)

    def _note_refusal(self, transition: Transition, name: str, verdict: Json) -> None:
        problem: Json = verdict.get("problem") or {}
        code = str(problem.get("type", "")).rsplit(":", 1)[-1]
        if code == "conflict":
            return  # something came in between: it is evaluated again, on newer facts
        log.warning("event of a rule not taken", transition=transition.kind, verdict=name, code=code)
        if len(self._refused) >= _MOST_REFUSED:
            self._refused.clear()
        self._refused[transition.event_id] = monotonic() + REFUSED_FOR_S
