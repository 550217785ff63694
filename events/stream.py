"""The stream RELATIEBOEK: every accepted event in the ledger's order; its sequence is the event's position."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple, cast
from uuid import uuid4

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, NoRespondersError, OutboundBufferLimitError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

from events.errors import Diverged, NoRoom, Unavailable
from events.recorded import TYPE_PREFIX

STREAM: Final = "RELATIEBOEK"
MOST_IN_BATCH: Final = 1_000
_FEW: Final = 16
_WRONG_LAST_SEQUENCE: Final = 10071
_IN_FLIGHT: Final = 10164
# What each of a department's two streams may grow to.
DEPARTMENT_STREAM_BYTES: Final = 256 << 20
_NO_ROOM: Final = (10023, 10028, 10047)  # a stream's `max_bytes` is set aside when it is made
VERDICTS_KEPT: Final = timedelta(days=30)
_OUT: Final = (
    NatsTimeoutError,
    asyncio.TimeoutError,
    NoRespondersError,
    ConnectionClosedError,
    OutboundBufferLimitError,
    OSError,
)


class Message(msgspec.Struct, frozen=True):
    """An entry as it goes into the stream."""

    position: int
    relation: str
    version: int
    type: str
    department: str
    payload: bytes
    prev: bytes
    leaf: bytes

    @property
    def subject(self) -> str:
        """`relatieboek.<family>.<event>.<department>`: a bounded set."""
        return f"relatieboek.{self.type[len(TYPE_PREFIX) : self.type.rindex('.v')]}.{self.department}"

    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/cloudevents+json",
            "Relatieboek-Relation": self.relation,
            "Relatieboek-Version": str(self.version),
            "Relatieboek-Prev": self.prev.hex(),
            "Relatieboek-Leaf": self.leaf.hex(),
        }


class Held(NamedTuple):
    """An entry as the stream holds it. `headers` are those of `Message.headers`."""

    position: int
    payload: bytes
    headers: Mapping[str, str]

    @property
    def leaf(self) -> bytes:
        return bytes.fromhex(self.headers.get("Relatieboek-Leaf", ""))


def _held(message: Msg) -> Held:
    return Held(message.metadata.sequence.stream, message.data, message.headers or {})


class WrongLast(Exception):
    """The stream's last sequence is not the one expected: another relay was first, or stream and ledger differ."""


@dataclass(frozen=True, slots=True)
class StreamState:
    created: str
    first: int
    last: int
    messages: int
    deleted: int


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _PubAck(msgspec.Struct):
    seq: int = 0
    error: _Error | None = None


class Stream:
    """The writing and checking side of the stream, over one NATS connection. Every wait is bounded."""

    def __init__(self, nc: Client, *, replicas: int = 1, timeout_s: float = 5.0) -> None:
        self._nc, self._replicas, self._timeout_s = nc, replicas, timeout_s

    async def _api(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            reply = await self._nc.request(f"$JS.API.{subject}", msgspec.json.encode(body), timeout=self._timeout_s)
        except _OUT as error:
            raise Unavailable("NATS") from error
        answer: dict[str, Any] = msgspec.json.decode(reply.data)
        if error := answer.get("error"):
            if error.get("code") == 404:
                raise NotFoundError(code=404, description=error.get("description"), err_code=error.get("err_code"))
            if error.get("err_code") in _NO_ROOM:
                raise NoRoom(f"NATS has no room for {subject.rpartition('.')[2]}: {error.get('description')}")
            raise APIError(code=error.get("code"), description=error.get("description"), err_code=error.get("err_code"))
        return answer

    async def create(self) -> StreamState:
        """Makes the stream: on file, nothing deletable, atomic batches. Deduplication is the ledger's."""
        await self._api(
            f"STREAM.CREATE.{STREAM}",
            {
                "name": STREAM, "subjects": ["relatieboek.>"], "retention": "limits", "storage": "file",
                "num_replicas": self._replicas, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_consumers": -1,
                "max_msgs_per_subject": -1, "discard": "new", "deny_delete": True, "deny_purge": True,
                "allow_atomic": True, "allow_direct": True, "allow_rollup_hdrs": False, "allow_msg_ttl": False,
            },
        )  # fmt: skip
        return await self.state()

    async def state(self) -> StreamState:
        """Raises NotFoundError when there is no stream, Unavailable when NATS is out."""
        info = await self._api(f"STREAM.INFO.{STREAM}", {})
        s = info["state"]
        return StreamState(info["created"], s["first_seq"], s["last_seq"], s["messages"], s.get("num_deleted", 0))

    async def leaf_at(self, position: int) -> bytes:
        """The leaf hash in the header of the message at a position. Raises NotFoundError when there is none."""
        js = JetStreamContext(self._nc, timeout=self._timeout_s)
        try:
            message = await js.get_msg(STREAM, seq=position, direct=True)
        except _OUT as error:
            raise Unavailable("NATS") from error
        headers = cast("dict[str, str]", message.headers or {})  # pyright: ignore[reportUnknownMemberType]
        return bytes.fromhex(headers.get("Relatieboek-Leaf", ""))

    async def read(self, after: int, last: int, at_once: int = MOST_IN_BATCH) -> AsyncGenerator[list[Held]]:
        """The messages after a position up to and including `last`, in order, at most `at_once` in a list.

        Raises Unavailable when one of them does not come within ten seconds.
        """
        js = JetStreamContext(self._nc, timeout=10)
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1, ack_policy=AckPolicy.NONE,
            mem_storage=True, num_replicas=1, inactive_threshold=60,
        )  # fmt: skip
        try:
            sub = await js.pull_subscribe("", stream=STREAM, config=config)
            try:
                while after < last:
                    found = [_held(m) for m in await sub.fetch(min(at_once, last - after), timeout=10)]
                    yield found
                    after = found[-1].position
            finally:
                await sub.unsubscribe()
        except _OUT as error:
            raise Unavailable("NATS") from error

    async def publish(self, messages: Sequence[Message]) -> None:
        """Adds contiguous messages in order: their positions follow the stream's last sequence.

        Many go in as one atomic batch. The server makes a store of its own for each batch, which costs as much as
        twenty messages with their fsyncs (measured: 4 ms of CPU for two messages, 14 for thirty-two), so a few are sent
        one behind the other, each fenced by the sequence before it: after a failure a first part of them may be in.

        Raises WrongLast when the stream's last sequence is another, Unavailable when the answer did not come: then it
        is unknown which of them are in, and the caller looks before it sends again.
        """
        first, last = messages[0], messages[-1]
        batch = {"Nats-Batch-Id": uuid4().hex} if len(messages) > _FEW else {}
        for n, message in enumerate(messages, 1):
            headers = message.headers()
            if message is first or not batch:
                headers["Nats-Expected-Last-Sequence"] = str(message.position - 1)
                headers["Nats-Expected-Stream"] = STREAM
            if batch:
                headers |= batch | {"Nats-Batch-Sequence": str(n)}
            try:
                if message is not last:
                    await self._send(message.subject, message.payload, headers)
                    continue
                if batch:
                    headers["Nats-Batch-Commit"] = "1"
                reply = await self._nc.request(
                    message.subject, message.payload, timeout=self._timeout_s, headers=headers
                )
            except _OUT as error:
                raise Unavailable("NATS") from error
            ack = msgspec.json.decode(reply.data, type=_PubAck)
            if ack.error is not None:
                if ack.error.err_code in (_WRONG_LAST_SEQUENCE, _IN_FLIGHT):
                    raise WrongLast(ack.error.description)
                raise Unavailable(f"JetStream: {ack.error.description} ({ack.error.err_code})")
            if ack.seq != last.position:
                raise Diverged(f"the stream gave sequence {ack.seq} to position {last.position}", last.position)

    async def _send(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> None:
        """As the client's own `publish`, which spends 10 µs an event on looking at headers that are ours.

        The method that takes the finished command is not public; where a later version does without it, `publish` does.
        """
        untyped: Any = self._nc
        command = getattr(untyped, "_send_command", None)
        if command is None or not self._nc.is_connected:
            await self._nc.publish(subject, payload, headers=dict(headers))
            return
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        block = f"NATS/1.0\r\n{lines}\r\n".encode()
        await command(
            b"HPUB %b %d %d\r\n%b%b\r\n" % (subject.encode(), len(block), len(block) + len(payload), block, payload)
        )

    async def delete(self) -> None:
        """Only `reconcile --repair`, with the operations credential, may do this."""
        await self._api(f"STREAM.DELETE.{STREAM}", {})

    async def forget_department(self, department: str) -> int:
        """Takes away what was told to whoever had this name before, and their reader's place. Both streams stay.

        Only with the operations credential. Returns how many messages wait in the inbox: when there are any, nothing is
        taken away. Raises Unavailable.
        """
        verdicts = f"VERDICTS_{department}"
        try:
            waiting = int((await self._api(f"STREAM.INFO.INBOX_{department}", {}))["state"]["messages"])
            if not waiting:
                await self._api(f"STREAM.PURGE.{verdicts}", {})
                await self._api(f"CONSUMER.DELETE.{verdicts}.{department}", {})
        except NotFoundError:  # made later, and then new
            return 0
        return waiting

    async def ensure_department(self, department: str, *, max_bytes: int = DEPARTMENT_STREAM_BYTES) -> None:
        """A department's inbox and verdict streams, and its pull consumer on the latter. Made if absent, else left."""
        common: dict[str, Any] = {
            "storage": "file", "num_replicas": self._replicas, "max_msgs": -1, "max_bytes": max_bytes,
            "max_consumers": -1, "max_msg_size": 8 << 20,
        }  # fmt: skip
        wanted = [
            {"name": f"INBOX_{department}", "subjects": [f"inbox.{department}.>"], "retention": "workqueue",
             "discard": "new", "max_age": 0, "duplicate_window": 120_000_000_000},
            {"name": f"VERDICTS_{department}", "subjects": [f"verdicts.{department}"], "retention": "limits",
             "discard": "old", "max_age": int(VERDICTS_KEPT.total_seconds() * 1e9)},
        ]  # fmt: skip
        for stream in wanted:
            try:
                await self._api(f"STREAM.INFO.{stream['name']}", {})
            except NotFoundError:
                await self._api(f"STREAM.CREATE.{stream['name']}", common | stream)
        await self._api(
            f"CONSUMER.DURABLE.CREATE.VERDICTS_{department}.{department}",
            {
                "stream_name": f"VERDICTS_{department}",
                "config": {
                    "durable_name": department, "ack_policy": "explicit", "ack_wait": 60_000_000_000,
                    "max_ack_pending": 10_000, "description": "the department's own reader of its verdicts",
                },
            },
        )  # fmt: skip
