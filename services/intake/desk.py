"""The one desk behind every door: queues, checks, appends in batches, relays, and answers when the stream has it.

An idle desk takes one event at once; a busy one fills batches of about `batch`. While a batch is in PostgreSQL the next
one is checked, and the one before it goes into the stream. Everything is bounded: events waiting here (`max_queued`),
those of the next batch, and events in the ledger that the stream does not have yet (`max_unrelayed`); beyond the first
or the last the doors answer `busy` and nothing is stored. Departments take turns before their events are checked, and
none can fill the queue for the others (`fair`).
"""

from __future__ import annotations

import asyncio
from collections import Counter as CountOf
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import structlog
from nats.js.errors import Error as JetStreamError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from sqlalchemy.exc import SQLAlchemyError

from events.append import Appended, Ledger
from events.deciding import Arrival
from events.errors import Diverged, Unavailable
from events.relay import Relay
from events.verdict import Verdict
from services.fair import Turns
from services.health import ServiceState
from services.intake.arriving import arrive, busy, busy_for, stranger
from services.intake.departments import Department, Departments

log = structlog.get_logger(__name__)

_RETRY_S: Final = 0.5
_GATHER_S: Final = 0.005
_ENOUGH: Final = 32
_CHECK_AT_ONCE: Final = 25  # half a millisecond; then whoever PostgreSQL or NATS answered has its turn
_ANSWER_WITHIN_S: Final = 10.0
_OUT: Final = (
    asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError, OSError, TimeoutError,
)  # fmt: skip


@dataclass(slots=True)
class _Work:
    """What one request brought; `arrivals` are those of its events that were checked."""

    department: Department
    sent: Sequence[Any]
    answer: asyncio.Future[list[Verdict]]
    arrivals: list[Arrival] = field(default_factory=list[Arrival])

    def turn_away(self, detail: str) -> None:
        if not self.answer.done():
            self.answer.set_result([busy(s, "unavailable", detail) for s in self.sent])


@dataclass(slots=True)
class _Waiting:
    position: int
    work: _Work
    verdicts: list[Verdict]
    since: float


class Desk:
    def __init__(
        self, ledger: Ledger, relay: Relay, departments: Departments, state: ServiceState, registry: CollectorRegistry,
        *, batch: int, max_queued: int, max_unrelayed: int, tiers: frozenset[str],
    ) -> None:  # fmt: skip
        self._ledger, self._relay, self._departments, self._state = ledger, relay, departments, state
        self._batch, self._max_unrelayed, self._tiers = batch, max_unrelayed, tiers
        self._queue: Turns[_Work] = Turns(max_queued)
        self._waiting: deque[_Waiting] = deque()
        self.released = asyncio.Event()
        self._checked: deque[_Work] = deque()
        self._came, self._came_checked, self._appended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._out: str | None = "the book is not open yet"
        self._verdicts = Counter(
            "relatieboek_intake_events_total", "Events by verdict", ["department", "verdict"], registry=registry
        )
        self._sizes = Histogram(
            "relatieboek_intake_batch_events", "Events in one append", buckets=(1, 3, 10, 30, 100, 300, 1000),
            registry=registry,
        )  # fmt: skip
        Gauge("relatieboek_intake_queued", "Events waiting for their batch", registry=registry).set_function(
            self._queued
        )
        Gauge("relatieboek_intake_unrelayed", "Events not yet in the stream", registry=registry).set_function(
            lambda: self._relay.unrelayed
        )
        relay.moved = self._answer

    def open(self) -> None:
        """Until here everybody hears `busy`: nothing may be added to a book that was not looked at."""
        self._out = None

    async def submit(self, department: str, sent: Sequence[Any]) -> list[Verdict]:
        """Verdicts in the order of the events. Answers `busy` at once when it cannot take them all."""
        try:
            known = await self._departments.get(department)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("departments unknown", exc_info=error)
            return [busy(s, "unavailable", "PostgreSQL is out") for s in sent]
        if known is None:
            return [stranger(department, s) for s in sent]
        if self._out is not None or self._relay.diverged is not None:
            return [busy(s, "unavailable", self._out or "the book waits for a repair") for s in sent]
        if not self._queue.has_room(department, len(sent)) or self._relay.unrelayed > self._max_unrelayed:
            return [busy(s, "busy", "too many events wait already") for s in sent]
        if not sent:
            return []
        work = _Work(known, sent, asyncio.get_running_loop().create_future())
        self._queue.add(department, len(sent), work)
        self._came.set()
        verdicts = await work.answer
        for name, count in CountOf(v.verdict for v in verdicts).items():
            self._verdicts.labels(department, name).inc(count)
        return verdicts

    def _queued(self) -> int:
        return self._queue.size + sum(len(work.sent) for work in self._checked)

    async def check(self) -> None:
        """Checks what waits, until the next batch is full, for as long as the service lives.

        A little at a time: it has the loop while `commit` waits for PostgreSQL, and hardly keeps it from going on.
        """
        while True:
            await self._came.wait()
            self._came.clear()
            while self._queue and sum(len(work.sent) for work in self._checked) < 2 * self._batch:
                work = self._queue.take()
                try:
                    if await self._revoked(work):
                        continue
                    for start in range(0, len(work.sent), _CHECK_AT_ONCE):
                        few = work.sent[start : start + _CHECK_AT_ONCE]
                        work.arrivals += [arrive(work.department, s, self._tiers) for s in few]
                        await asyncio.sleep(0)
                except Exception as error:  # noqa: BLE001 whoever brought it hears of it; the others' work goes on
                    if not work.answer.done():
                        work.answer.set_exception(error)
                    continue
                self._checked.append(work)
                self._came_checked.set()

    async def _revoked(self, work: _Work) -> bool:
        """Whether who sent it was revoked while it waited its turn; then it hears so, and nothing of it is stored."""
        try:
            if await self._departments.get(work.department.name) is not None:
                return False
        except (SQLAlchemyError, OSError, TimeoutError):
            return False  # PostgreSQL is out: nothing can be appended either
        if not work.answer.done():
            work.answer.set_result([stranger(work.department.name, s) for s in work.sent])
        return True

    async def commit(self) -> None:
        """Appends batch after batch, for as long as the service lives."""
        more_ready = True  # what a crash left ready is tried at the start
        while True:
            if not more_ready:
                await self._came_checked.wait()
            self._came_checked.clear()
            await self._gather()
            works = self._take()
            try:
                done = await self._ledger.append([a for w in works for a in w.arrivals])
            except (Unavailable, *_OUT) as error:
                log.warning("append failed", exc_info=error)
                await self._engine_out(works, error.what if isinstance(error, Unavailable) else "PostgreSQL is out")
                more_ready = True
                continue
            except Exception as error:  # noqa: BLE001 one event that the ledger cannot take must not hold up the others
                more_ready = await self._one_by_one(works, error)
                continue
            self._engine_back()
            self._settle(works, done)
            more_ready = done.more_ready

    async def _gather(self) -> None:
        """Waits for company when events come faster than they are answered: a commit costs the two engines as much for
        one event as for ten. Who sends one event after the other never waits; neither does a batch that is worth it.
        """
        works = len(self._queue) + len(self._checked)
        if (works > 1 or self._waiting) and 0 < self._queued() < _ENOUGH:
            await asyncio.sleep(_GATHER_S)

    def _take(self) -> list[_Work]:
        works: list[_Work] = []
        size = 0
        while self._checked and size < self._batch:
            works.append(self._checked.popleft())
            size += len(works[-1].arrivals)
        self._came.set()  # there is room for what waits
        if self._checked:
            self._came_checked.set()
        self._sizes.observe(size)
        return works

    async def _one_by_one(self, works: list[_Work], error: Exception) -> bool:
        log.error("append refused a batch", exc_info=error)
        if sum(len(w.arrivals) for w in works) == 0:
            await asyncio.sleep(_RETRY_S)
            return True
        more_ready = False
        for work in works:
            answers: list[Verdict] = []
            position = 0
            for arrival in work.arrivals:
                try:
                    done = await self._ledger.append([arrival])
                except Exception as own:
                    log.error("append refused an event", type=arrival.type, exc_info=own)
                    answers.append(busy_for(arrival, "unavailable", "the ledger could not take this event"))
                    continue
                self._offer(done)
                more_ready = more_ready or done.more_ready
                answers += done.verdicts
                position = max([position, *_positions(done.verdicts)])
            self._wait(work, answers, position)
        self._answer()
        return more_ready

    def _offer(self, done: Appended) -> None:
        self._relay.offer(done.entries, done.head)
        if done.released:
            self.released.set()
        self._appended.set()

    def _settle(self, works: list[_Work], done: Appended) -> None:
        self._offer(done)
        start = 0
        for work in works:
            verdicts = done.verdicts[start : start + len(work.arrivals)]
            start += len(work.arrivals)
            self._wait(work, verdicts, max(_positions(verdicts), default=0))
        self._answer()

    def _wait(self, work: _Work, verdicts: list[Verdict], position: int) -> None:
        self._waiting.append(_Waiting(position, work, verdicts, asyncio.get_running_loop().time()))

    def _answer(self) -> None:
        """Answers everybody whose events the stream has; who waited too long hears that it is to be sent again."""
        now = asyncio.get_running_loop().time()
        while self._waiting:
            first = self._waiting[0]
            late = now - first.since > _ANSWER_WITHIN_S
            if first.position > self._relay.relayed and not late:
                return
            self._waiting.popleft()
            if first.position > self._relay.relayed:
                first.work.turn_away("it may have been stored: send the same event again")
            if not first.work.answer.done():
                first.work.answer.set_result(first.verdicts)

    async def relay(self) -> None:
        """Carries what was appended into the stream, for as long as the service lives."""
        while True:
            await self._appended.wait()
            self._appended.clear()
            try:
                if not self._relay.opened:
                    # Nothing is published into a stream whose identity was not seen to be right; after a repair it is.
                    await self._relay.open()
                    self._answer()
                await self._relay.run_once()
                self._engine_back()
            except Diverged as error:
                self._relay.diverged, self._relay.opened, self._out = error, False, None
                self._state.set("diverged", error.what)
                log.error("diverged", what=error.what, position=error.position)
                self._answer()
                await asyncio.sleep(_RETRY_S * 10)
                self._appended.set()
            except (Unavailable, JetStreamError, *_OUT) as error:
                log.warning("relay failed", exc_info=error)
                self._relay.opened = False  # a server that comes back may have come back without its stream
                self._out = "NATS or PostgreSQL is out"
                self._state.set("paused", self._out)
                self._answer()
                await asyncio.sleep(_RETRY_S)
                self._appended.set()

    async def _engine_out(self, works: list[_Work], why: str) -> None:
        self._out = why
        self._state.set("paused", why)
        waiting = [*self._checked, *self._queue.clear()]
        self._checked.clear()
        for work in [*works, *waiting]:
            work.turn_away(why)
        await self._ledger.close()
        await asyncio.sleep(_RETRY_S)

    def _engine_back(self) -> None:
        if self._relay.diverged is None and (self._out is not None or self._state.state != "ready"):
            self._out = None
            self._state.set("ready")


def _positions(verdicts: Sequence[Verdict]) -> list[int]:
    return [v.position for v in verdicts if v.position is not None]
