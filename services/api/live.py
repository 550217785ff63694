"""Live timelines: a message on `live.team.<team>` only wakes its readers, who then read from the timeline itself.

So a lost message costs a delay of one heartbeat and never an entry, nothing queues up in memory for a slow reader, and
visibility is judged by the same query as for a page. A reader that does not take what it is sent is closed after
`SEND_TIMEOUT_S`; it comes back with `Last-Event-ID` and misses nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import orjson
from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from events.errors import Unavailable
from services.bus import Bus

HEARTBEAT_S: Final = 10.0
SEND_TIMEOUT_S: Final = 20.0
MAX_READERS: Final = 500
# How many entries one round sends at most; the next round follows at once.
ROUND: Final = 200

# The entries after a position, ascending, at most ROUND; None: this reader may not read any longer.
Newer = Callable[[int], Awaitable[Sequence[dict[str, Any]] | None]]


class Hub:
    """Wakes the readers of a team when something new may be on its timeline."""

    def __init__(self) -> None:
        self._wakers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._closed = False

    async def listen(self, bus: Bus) -> None:
        """Starts hearing the teams' live subjects. The subscription lives as long as the connection."""

        async def hear(subject: str, body: bytes) -> None:
            self.wake(subject.rsplit(".", 1)[1])

        await bus.subscribe("live.team.*", hear)

    def wake(self, team: str) -> None:
        for waker in self._wakers.get(team, ()):
            waker.set()

    def close(self) -> None:
        """Ends every reader, so that a stop does not wait for them."""
        self._closed = True
        for wakers in self._wakers.values():
            for waker in wakers:
                waker.set()

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def readers(self) -> int:
        return sum(len(w) for w in self._wakers.values())

    def admit(self) -> None:
        """Raises Unavailable when no further reader is taken."""
        if self._closed or self.readers >= MAX_READERS:
            raise Unavailable("Too many live readers; try again later.", 30)

    @contextmanager
    def waker(self, team: str) -> Generator[asyncio.Event]:
        """An event that is set whenever this team's timeline may have grown."""
        waker = asyncio.Event()
        self._wakers[team].add(waker)
        try:
            yield waker
        finally:
            self._wakers[team].discard(waker)
            if not self._wakers[team]:
                del self._wakers[team]


class LiveResponse(StreamingResponse):
    """Server-sent events; a reader that does not take a piece within SEND_TIMEOUT_S is closed."""

    media_type = "text/event-stream"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def bounded(message: Any) -> None:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send(message)

        try:
            await super().__call__(scope, receive, bounded)
        except TimeoutError:
            # Nothing more can be said to a reader that does not read; the server drops the connection.
            raise ConnectionResetError("slow reader") from None


async def follow(hub: Hub, team: str, after: int, newer: Newer) -> AsyncGenerator[bytes]:
    """Pieces of an event stream: one event for each entry after position `after`, a comment when all is quiet.

    Each event's id is its entry's position. Ends when the hub closes, and when the reader may not read any longer.
    """
    with hub.waker(team) as waker:
        yield format_sse_event(comment="connected")
        while not hub.closed:
            waker.clear()
            entries = await newer(after)
            if entries is None:
                return
            for entry in entries:
                after = max(after, int(entry["position"]))
                yield format_sse_event(data_str=orjson.dumps(entry).decode(), id=str(entry["position"]))
            if entries:
                continue
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await waker.wait()
            except TimeoutError:
                yield format_sse_event(comment="still here")
