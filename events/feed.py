"""The stream, read in order from a position: batches without gaps, or an error.

A feed holds no acknowledgements: the reader stores its own position and reopens from there after any error (decision
3). The consumer is ephemeral and unfiltered, and made by intake, since no service may make one (decision 19); the feed
issues its own pull requests and collects by callback, which is five times as fast as nats-py's `fetch()`. What it
refuses to pass over in silence:

- another stream than the ledger's (`created`), a stream shorter than the reader's position, deleted messages: Diverged;
- a gap in the stream's or the consumer's sequence, silence longer than three heartbeats, a consumer that is gone, a
  payload whose own sequence is not its place in the stream: FeedBroken.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from events.errors import Diverged, FeedBroken, Unavailable
from events.opening import Asked, open_consumer
from events.recorded import Recorded, decode
from events.stream import STREAM, Stream, StreamState

VERSION_HEADER: Final = "Relatieboek-Version"

_VERSION: Final = f"\r\n{VERSION_HEADER}: ".encode()
_STATUS: Final = b"NATS/1.0 "
_SUBJECT: Final = "relatieboek."  # then family, event and department

# A pull request ends early at this many bytes, so that two batches of the largest events stay within bounds too.
_MOST_BYTES: Final = 16 * 1024 * 1024
_EXPIRES_S: Final = 30
_MISSED_BEATS: Final = 3
_SLICE: Final = 64


def _never() -> bool:
    return False


class _Got(NamedTuple):
    """A message of the stream: its subject, the place that its acknowledgement subject names, its version header and
    its payload."""

    subject: bytes
    reply: bytes
    version: bytes
    data: bytes


_Take = Callable[[bytes, bytes, bytes, bytes], None]
_taps: WeakKeyDictionary[Client, dict[int, _Take]] = WeakKeyDictionary()


def _tap(nc: Client, sid: int, take: _Take) -> None:
    """Hands the messages of subscription `sid` over as they were parsed: `take(subject, reply, headers, data)`.

    On its usual way nats-py 2.16 parses every header of a message (each character of each name, in Python), builds an
    object and passes a queue and a task: three quarters of the cost of receiving. The method that is stepped in for is
    not public; where a later version does without it, messages simply come by the subscription's callback.
    """
    taps = _taps.get(nc)
    if taps is None:
        taps = _taps[nc] = {}
        untyped: Any = nc
        usual = getattr(untyped, "_process_msg", None)
        if usual is not None:

            async def process(sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
                tapped = taps.get(sid)
                if tapped is None:
                    await usual(sid, subject, reply, data, headers)
                else:
                    tapped(subject, reply, headers or b"", data)

            untyped._process_msg = process
    taps[sid] = take


def _untap(nc: Client, sid: int) -> None:
    _taps.get(nc, {}).pop(sid, None)


class Feed:
    """One open feed. Read by one task only; at most two batches of messages are in memory."""

    def __init__(
        self, nc: Client, consumer: str, after: int, most: int, beat_s: float, kinds: frozenset[str] | None = None
    ) -> None:
        self._nc = nc
        self._wanted = None if kinds is None else frozenset(f"{_SUBJECT}{kind}".encode() for kind in kinds)
        self._most = most
        self._silence_s = _MISSED_BEATS * beat_s
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{consumer}"
        self._ask = json.dumps(
            {
                "batch": most,
                "max_bytes": _MOST_BYTES,
                "expires": _EXPIRES_S * 1_000_000_000,
                "idle_heartbeat": int(beat_s * 1e9),
            }
        ).encode()
        self.inbox = nc.new_inbox()
        self.consumer = consumer
        self._got: deque[_Got] = deque()
        self._woken = asyncio.Event()
        self._due = 0
        self._delivered = 0
        self._heard_at = 0.0
        self._over = ""
        self.position = after
        self.behind = 0

    async def take_message(self, message: Msg) -> None:
        """The subscription's callback, where messages do not come by `take`."""
        headers = message.headers or {}
        status = headers.get("Status") if not message.data else None
        if status is None:
            version = headers.get(VERSION_HEADER, "").encode()
            self._got.append(_Got(message.subject.encode(), message.reply.encode(), version, message.data))
            self._due -= 1
        else:
            self._told(status, headers.get("Description", ""))
        self.poke()

    def take(self, subject: bytes, reply: bytes, headers: bytes, data: bytes) -> None:
        """A message as the server sent it; `headers` with their status line."""
        if not data and headers.startswith(_STATUS):
            status, _, what = headers[len(_STATUS) : headers.index(b"\r\n")].decode().partition(" ")
            self._told(status, what)
        else:
            at = headers.find(_VERSION) + len(_VERSION)
            version = headers[at : headers.find(b"\r\n", at)] if at >= len(_VERSION) else b""
            self._got.append(_Got(subject, reply, version, data))
            self._due -= 1
        self.poke()

    def _told(self, status: str, what: str) -> None:
        if status in {"404", "408"} or "MaxBytes" in what or "Batch Completed" in what:
            self._due = 0  # the request is over, the feed is not
        elif status != "100":  # 409 consumer deleted, leader changed, server shuts down; 503 no such consumer
            self._over = f"{status} {what}".strip()

    def poke(self) -> None:
        """Makes a waiting `read` look again at what it was told to hold for."""
        self._woken.set()

    async def read(
        self, *, hold: Callable[[], bool] = _never, idle_s: float = 1.0, upto: int | None = None
    ) -> list[Recorded]:
        """The next events in order, at most `most` and none after position `upto`; empty after `idle_s` without any.

        `position` then is that of the last message taken. A feed of certain kinds leaves the other messages out, so
        its batch may be empty although `position` moved on.

        While `hold()` is true it waits for a full batch: a reader that is still busy with the last batch is better
        served by a larger next one. `behind` then says how many messages the stream held after these when the last of
        them was sent. Raises FeedBroken.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + idle_s
        while True:
            if self._due <= 0 and len(self._got) < self._most:
                self._due = self._most
                await self._publish_ask()
                self._heard_at = loop.time()  # without a request out, a silent server is a well-behaved one
            now = loop.time()
            if self._woken.is_set():
                self._heard_at = now
                self._woken.clear()
            if self._got and (len(self._got) >= self._most or not hold()):
                return await self._batch(self._most if upto is None else upto - self.position)
            if self._over and not self._got:
                raise FeedBroken(self._over)
            if not self._got and now >= until:
                return []
            if now - self._heard_at > self._silence_s:
                raise FeedBroken("no heartbeat")
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(until, self._heard_at + self._silence_s) - now) + 0.001):
                    await self._woken.wait()

    async def _publish_ask(self) -> None:
        try:
            await self._nc.publish(self._next, self._ask, reply=self.inbox)
        except nats.errors.Error as error:
            raise FeedBroken("cannot ask for messages") from error

    async def _batch(self, limit: int) -> list[Recorded]:
        got = self._got
        out: list[Recorded] = []
        position, delivered, behind, wanted = self.position, self._delivered, self.behind, self._wanted
        for n in range(1, min(len(got), self._most, limit) + 1):
            if n % _SLICE == 0:
                await asyncio.sleep(0)  # whoever shares the loop should not wait for a whole batch
            subject, reply, version, data = got.popleft()
            # $JS.ACK[.domain.account].stream.consumer.delivered.stream sequence.consumer sequence.time.pending[.token]
            parts = reply.split(b".")
            at = 5 if len(parts) == 9 else 7
            position += 1
            delivered += 1
            if int(parts[at]) != position or int(parts[at + 1]) != delivered:
                raise FeedBroken(f"expected position {position}, got {int(parts[at])}")
            behind = int(parts[at + 3])
            if wanted is not None and subject[: subject.rfind(b".")] not in wanted:
                continue
            try:
                event = decode(data, int(version))
            except (ValueError, msgspec.MsgspecError) as error:
                raise FeedBroken(f"message {position} cannot be read: {type(error).__name__}") from None
            if event.position != position:
                raise FeedBroken(f"message {position} says that it is {event.position}")
            out.append(event)
        self.position, self._delivered, self.behind = position, delivered, behind
        return out


class StreamReader:
    """Opens feeds of the book's stream on a NATS connection; it never closes that connection."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def state(self) -> StreamState:
        """The stream as it is. Raises Diverged when messages are missing, Unavailable when there is no answer."""
        try:
            state = await Stream(self._nc).state()
        except nats.js.errors.NotFoundError as error:
            raise Unavailable("the stream does not exist") from error
        if state.messages != state.last or (state.messages and state.first != 1) or state.deleted:
            raise Diverged(f"the stream holds {state.messages} messages, its last is {state.last}")
        return state

    @asynccontextmanager
    async def feed(
        self, after: int, *, name: str, created: str, most: int = 2_000, beat_s: float = 1.0,
        kinds: frozenset[str] | None = None,
    ) -> AsyncGenerator[Feed]:  # fmt: skip
        """A feed from position `after` + 1 of the stream that was made at `created`.

        `kinds` (`contact.held`; None: all): events of other kinds are not decoded and not given. The consumer stays
        unfiltered all the same: a filtered one is slower, and could not show that no position is missing.
        `name` is for people who look at the server's consumers. Raises Diverged, Unavailable, FeedBroken.
        """
        state = await self.state()
        if state.created != created:
            raise Diverged(f"the stream of {state.created} is not the ledger's of {created}")
        if after > state.last:
            raise Diverged(f"the stream ends at {state.last}, before position {after}", state.last + 1)
        nc: Any = self._nc  # its own types are incomplete
        consumer = await open_consumer(self._nc, Asked(after, name))
        feed = Feed(self._nc, consumer, after, most, beat_s, kinds)
        try:
            subscription = await nc.subscribe(feed.inbox, cb=feed.take_message)
            _tap(self._nc, subscription._id, feed.take)
        except nats.errors.Error as error:
            raise FeedBroken("cannot subscribe") from error
        try:
            yield feed
        finally:
            # a server that is gone has nothing left to clean up: the consumer goes by itself after a minute
            with suppress(nats.errors.Error, TimeoutError, OSError):
                _untap(self._nc, subscription._id)
                await subscription.unsubscribe()
                if self._nc.is_connected:
                    await nc.jetstream(timeout=1).delete_consumer(STREAM, consumer)
