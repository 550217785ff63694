"""The ticker's life: take the lease, tick on every hint and at the latest every second, give the lease back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from events.errors import Unavailable
from services.ticking.lease import OUTAGES, Lease
from services.ticking.ticker import Tick, Ticker

log = structlog.get_logger(__name__)

# Hints come with every event; a tick needs no more than this many a second.
_AT_MOST_EVERY_S: Final = 0.2
_RETRY_S: Final = 1.0


class Loop:
    """Runs ticks until cancelled. `hint` wakes it; it needs no hint to work."""

    def __init__(self, ticker: Ticker, lease: Lease, registry: CollectorRegistry, *, every_s: float) -> None:
        self._ticker = ticker
        self._lease = lease
        self._every_s = every_s
        self._hint = asyncio.Event()
        self._events = Counter(
            "relatieboek_alert_events", "events of the rules, by verdict", ["transition", "verdict"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram("relatieboek_tick_seconds", "one tick of the rules", registry=registry)

    def hint(self) -> None:
        """Says that there may be something to do."""
        self._hint.set()

    async def run(self) -> None:
        """For ever. Outages of PostgreSQL or intake are waited out; anything else ends the service."""
        try:
            while True:
                again_s = await self._once()
                if again_s > _AT_MOST_EVERY_S:
                    await asyncio.sleep(_AT_MOST_EVERY_S)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._hint.wait(), again_s - _AT_MOST_EVERY_S)
                else:
                    await asyncio.sleep(again_s)
        finally:
            await self._lease.drop()

    async def _once(self) -> float:
        """One tick, if the lease is ours; seconds until the next one is wanted."""
        self._hint.clear()
        try:
            conn = await self._lease.take()
            if conn is None:
                return _RETRY_S
            with self._seconds.time():
                tick = await self._ticker.tick(conn)
        except Unavailable as error:
            log.warning("intake does not take the events of the rules now", what=error.what)
            return max(_RETRY_S, error.retry_after_s)
        except OUTAGES as error:
            log.warning("tick failed", error=type(error).__name__)
            await self._lease.drop()
            return _RETRY_S
        return self._after(tick)

    def _after(self, tick: Tick) -> float:
        for (transition, verdict), count in tick.verdicts.items():
            self._events.labels(transition, verdict).inc(count)
        if tick.accepted:
            log.info("events of the rules", examined=tick.examined, accepted=tick.accepted)
            # What changed its due date needs a second event: its new alert.
            return 0.0
        return self._every_s
