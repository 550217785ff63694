"""Waiting until a read model is as far as a reader wants (`If-Position`), for all readers together.

Every commit of a live build is told on `live.position.<projection>`; whoever waits for that position or one before it
goes on at once, and nobody has asked the database. Hints may be lost: as long as somebody waits, one look at the
checkpoint every `LOOK_EVERY_S` does for all of them. The first look is at once, unless commits were told a moment ago
that end before the position: then the one that has it is about to be told.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from contextlib import suppress
from typing import Final

import orjson
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import NotYetThere
from projections.rows import Projection
from projections.store import POSITION_SUBJECT, position_of
from services.bus import Bus

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 0.05
# A build that is switched back to is behind the one before: what was told longer ago is not believed.
_FRESH_S: Final = 0.25


class _Line:
    """Who waits for one projection: their positions, and where the projection was when last heard of."""

    def __init__(self) -> None:
        self.waiting: dict[asyncio.Future[None], int] = {}
        self.at = 0
        self.heard_at = float("-inf")
        self.looking: asyncio.Task[None] | None = None

    def told_within(self, seconds: float) -> bool:
        return time.monotonic() - self.heard_at < seconds

    def heard(self, position: int) -> None:
        self.at, self.heard_at = position, time.monotonic()
        for future, wanted in self.waiting.items():
            if wanted <= position and not future.done():
                future.set_result(None)


class Waits:
    """Safe to share between the requests of one event loop. `listen` once; without it every wait takes a look."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._lines: defaultdict[str, _Line] = defaultdict(_Line)

    async def listen(self, bus: Bus) -> None:
        """Starts hearing of commits. The subscription lives as long as the connection."""

        async def hear(subject: str, body: bytes) -> None:
            with suppress(orjson.JSONDecodeError, KeyError, TypeError):
                self._lines[subject.rsplit(".", 1)[1]].heard(int(orjson.loads(body)["position"]))

        await bus.subscribe(f"{POSITION_SUBJECT}.*", hear)

    async def until(self, projection: Projection, position: int, *, timeout_s: float) -> None:
        """Returns once the live build holds `position`. Raises NotYetThere after `timeout_s`."""
        line = self._lines[projection.name]
        if line.at >= position and line.told_within(_FRESH_S):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.waiting[future] = position
        if line.looking is None or line.looking.done():
            line.looking = asyncio.create_task(self._look(projection, line))
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            detail = f"{projection.name} is at {line.at}, not yet at {position}"
            raise NotYetThere(detail, retry_after_s=1.0) from None
        finally:
            del line.waiting[future]

    async def _look(self, projection: Projection, line: _Line) -> None:
        if line.told_within(_FRESH_S):
            await asyncio.sleep(LOOK_EVERY_S)
        while line.waiting:
            try:
                line.heard(await position_of(self._engine, projection))
            except (SQLAlchemyError, OSError) as error:
                log.info("position unknown", projection=projection.name, reason=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_S)
