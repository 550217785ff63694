"""The api's side of NATS: requests to intake and to the other services, hints for live readers, the stream's end.

Together with `services.wiring` the only module under services/ that knows the NATS client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.client import JetStreamContext

from events.errors import Unavailable

STREAM: Final = "RELATIEBOEK"
HEALTH_TIMEOUT_S: Final = 1.0


class Bus(Protocol):
    """What the api asks of the message system. Every call ends within its time."""

    @property
    def connected(self) -> bool: ...

    async def request(self, subject: str, body: bytes, *, timeout_s: float) -> bytes:
        """The one reply to a request. Raises Unavailable when nobody answers in time."""
        ...

    async def subscribe(self, subject: str, hear: Callable[[str, bytes], Awaitable[None]]) -> Subscription:
        """Calls `hear` with subject and body of each core message. Messages may be missed: they are hints."""
        ...

    async def stream_end(self) -> int | None:
        """The stream's last sequence, or None when the stream or the server cannot be reached."""
        ...

    async def waiting(self, departments: Sequence[str]) -> int:
        """How many events lie in these departments' inboxes, not dealt with yet; 0 for what cannot be reached."""
        ...


class NatsBus:
    """`Bus` on one NATS connection, which it neither opens nor closes."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection

    @property
    def connected(self) -> bool:
        return self._connection.is_connected

    async def request(self, subject: str, body: bytes, *, timeout_s: float) -> bytes:
        if not self.connected:
            raise Unavailable("NATS is out; try again.", 2)
        try:
            reply: Msg = await self._connection.request(subject, body, timeout=timeout_s)
        except nats.errors.NoRespondersError as error:
            raise Unavailable("Nobody takes this in at the moment; try again.", 2) from error
        except TimeoutError as error:
            raise Unavailable("No answer in time. It may have been stored: send the same again.", 2) from error
        except nats.errors.Error as error:
            raise Unavailable("NATS is out; try again.", 2) from error
        return reply.data

    async def subscribe(self, subject: str, hear: Callable[[str, bytes], Awaitable[None]]) -> Subscription:
        async def on_message(message: Msg) -> None:
            await hear(message.subject, message.data)

        client: Any = self._connection  # its own types are incomplete here and below
        return await client.subscribe(subject, cb=on_message)

    async def tell(self, subject: str, body: bytes) -> None:
        """Sends a hint to whoever listens now. Best effort: it may be lost, and never raises."""
        try:
            await self._connection.publish(subject, body)
        except nats.errors.Error:
            return  # whoever misses a hint polls

    async def stream_end(self) -> int | None:
        if not self.connected:
            return None
        try:
            info = await self._jetstream().stream_info(STREAM)
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError):
            return None
        return info.state.last_seq

    async def waiting(self, departments: Sequence[str]) -> int:
        if not self.connected:
            return 0
        return sum(await asyncio.gather(*(self._waiting_in(f"INBOX_{name}") for name in departments)))

    def _jetstream(self) -> JetStreamContext:
        client: Any = self._connection
        return client.jetstream(timeout=HEALTH_TIMEOUT_S)

    async def _waiting_in(self, stream: str) -> int:
        # A work queue: what was dealt with is gone from it.
        try:
            info = await self._jetstream().stream_info(stream)
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError):
            return 0
        return info.state.messages


async def health(bus: Bus, service: str) -> dict[str, Any]:
    """What a service says of itself: {"service", "state", "detail"?}; state `silent` when it does not answer."""
    try:
        reply = await bus.request(f"health.{service}", b"", timeout_s=HEALTH_TIMEOUT_S)
        return msgspec.json.decode(reply, type=dict[str, Any])
    except (Unavailable, msgspec.MsgspecError):
        return {"service": service, "state": "silent"}
