"""The NATS doors, as FastStream subscribers: `submit.<department>` (request and reply) and `inbox.<department>.>`.

A request is answered with its verdicts. An inbox message is stored by JetStream before anybody here looks at it; it is
acknowledged only when its verdict lies in `verdicts.<department>`, so a crash in between brings it again, and then its
verdict is `duplicate`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal

import orjson
import structlog
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig
from nats.js.errors import Error as JetStreamError
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import FieldError, Invalid, SetupError, Unavailable
from events.relay import Relay
from events.stream import Stream
from events.tables import outbox
from events.verdict import Verdict, problem
from services.answering import MOST_BYTES, MOST_EVENTS, OPEN_DOORS_ON, busy
from services.fair import Room
from services.intake.departments import OWN, Departments
from services.intake.desk import Desk
from services.strict_json import read_array
from services.wiring import Context

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 5_000
# Of all messages that wait for their verdict. What was read of them takes some eight times as much memory.
_BYTES_AT_ONCE: Final = 32 << 20
_INBOX_AHEAD: Final = 2_000
_RETRY_S: Final = 1.0
# A key that is refused here is one that this service came in with: a server that reads its configuration anew, as for
# each department that comes, refuses it for a moment.
_OUT: Final = (SetupError, Unavailable, NatsError, JetStreamError, SQLAlchemyError, OSError, TimeoutError)


async def as_it_came(message: Any) -> Any:
    """FastStream's decoder: none. It would parse JSON unasked; the desk judges the very bytes."""
    return message.raw_message


class Waiting:
    """Room for messages that wait for their verdict, in number and in bytes, at all NATS doors together.

    One department's leave room for the others' (`services.fair`).
    """

    def __init__(self, messages: int = _AT_ONCE, size: int = _BYTES_AT_ONCE) -> None:
        self._messages, self._bytes = Room(messages), Room(size)

    def take(self, department: str, size: int) -> bool:
        """Whether there was room; then it is taken."""
        if not (self._messages.has(department, 1) and self._bytes.has(department, size)):
            return False
        self._messages.take(department, 1)
        self._bytes.take(department, size)
        return True

    def give_back(self, department: str, size: int) -> None:
        self._messages.give_back(department, 1)
        self._bytes.give_back(department, size)


def open_submit(broker: NatsBroker, context: Context, department: str, desk: list[Desk], waiting: Waiting) -> Any:
    """The request door of one department: its subscriber. `desk` is filled before that starts.

    A core request knows no acknowledgement: the reply is one, hence MANUAL. The subscriber only takes the request; its
    answer waits for the batch beside it and goes out by itself, at a quarter of the cost of FastStream's own workers
    and replies. Who finds no room hears `busy`.
    """
    subscriber = broker.subscriber(
        f"submit.{department}", queue="intake", decoder=as_it_came, ack_policy=AckPolicy.MANUAL, no_reply=True
    )

    async def submit(message: Any) -> None:
        if waiting.take(department, len(message.data)):
            context.owe(_reply(desk[0], message, waiting))
        else:
            await message.respond(busy(message.data))

    subscriber(submit)
    return subscriber


def _department(message: Msg) -> str:
    return message.subject.split(".", 2)[1]


async def _reply(desk: Desk, message: Msg, waiting: Waiting) -> None:
    try:
        body = await answer(desk, message)
    except Exception as error:
        log.error("submit failed", exc_info=error)
        body = busy(message.data)
    finally:
        waiting.give_back(_department(message), len(message.data))
    if not message.reply:
        return
    try:
        await message.respond(body)
    except NatsError as error:
        log.warning("verdict not sent", exc_info=error)


async def answer(desk: Desk, message: Msg) -> bytes:
    """The reply to one request: the verdict of one event, or the array of verdicts of an array."""
    department = _department(message)
    if message.data.lstrip()[:1] != b"[":
        return orjson.dumps((await desk.submit(department, [message.data]))[0].as_json())
    if len(message.data) > MOST_BYTES:
        return _too_much(f"{len(message.data)} bytes; at most {MOST_BYTES} at once")
    try:
        events = read_array(message.data)
    except Invalid:
        return orjson.dumps((await desk.submit(department, [message.data]))[0].as_json())
    if len(events) > MOST_EVENTS:
        return _too_much(f"{len(events)} events; at most {MOST_EVENTS} at once")
    return orjson.dumps([v.as_json() for v in await desk.submit(department, events)])


def _too_much(detail: str) -> bytes:
    refusal = Verdict("rejected", None, None, problem=problem("too_large", [FieldError("", detail)]))
    return orjson.dumps([refusal.as_json()])


class Doors:
    """Both NATS doors of each department, old and new, each on a connection of its own.

    What one department sends faster than it is read, NATS answers by cutting that connection: on a common one, all
    departments would be cut off, and the relay too. A revoked department's doors open too: what it sent before, and
    nobody took, would stay in its inbox in the clear. The desk rejects it.
    """

    def __init__(
        self, context: Context, book: NatsBroker, desk: Desk, departments: Departments, waiting: Waiting
    ) -> None:
        self._context, self._book, self._desk, self._departments = context, book, desk, departments
        self._stream = Stream(book.connection, replicas=context.settings.replicas)
        self._waiting = waiting
        self._submits: set[str] = set()
        self._inboxes: set[str] = set()
        self._opening = asyncio.Lock()

    async def answer_opening(self) -> None:
        """Opens the request door of a new department at once when it is asked to, on OPEN_DOORS_ON."""

        async def answer(message: Msg) -> None:
            try:
                await self.open_submits()
            except _OUT as error:
                log.warning("doors not open yet", exc_info=error)
            if message.reply:
                await message.respond(b"")

        untyped: Any = self._context.nats  # its own types are incomplete
        await untyped.subscribe(OPEN_DOORS_ON, cb=answer)

    async def open_submits(self) -> None:
        """Opens each request door that is not open."""
        async with self._opening:
            for name in await self._departments.refresh():
                if name not in self._submits:
                    await self._open("service", f"submit-{name}", partial(self._submit, name))
                    self._submits.add(name)

    async def watch(self) -> None:
        """Opens the doors of each department, for as long as the service lives."""
        while True:
            try:
                await self.open_submits()
                for name in self._submits - self._inboxes:
                    await self._stream.ensure_department(name)
                    await self._open("relay", f"inbox-{name}", partial(self._inbox, name))
                    self._inboxes.add(name)
            except _OUT as error:
                log.warning("doors not open yet", exc_info=error)
            await asyncio.sleep(_RETRY_S)

    async def _open(self, user: Literal["service", "relay"], name: str, door: Callable[[NatsBroker], Any]) -> None:
        """A door on a connection of its own: both or none of the two."""
        broker = await self._context.connect_as(user, name=name)
        try:
            await door(broker).start()
            await broker.connection.flush()
        except Exception:
            await self._context.disconnect(broker)
            raise

    def _submit(self, department: str, broker: NatsBroker) -> Any:
        return open_submit(broker, self._context, department, [self._desk], self._waiting)

    def _inbox(self, department: str, broker: NatsBroker) -> Any:
        subscriber = broker.subscriber(
            f"inbox.{department}.>", queue="intake", decoder=as_it_came,
            stream=JStream(f"INBOX_{department}", declare=False), ack_policy=AckPolicy.MANUAL,
            config=ConsumerConfig(ack_wait=60, max_ack_pending=_INBOX_AHEAD),
        )  # fmt: skip

        async def take(message: Any) -> None:
            # Not awaited: the next message joins the same batch. JetStream holds back beyond max_ack_pending.
            if self._waiting.take(department, len(message.data)):
                self._context.owe(self._handle(department, message))
            else:
                await message.nak(delay=_RETRY_S)

        subscriber(take)
        return subscriber

    async def _handle(self, department: str, message: Msg) -> None:
        try:
            verdict = (await self._desk.submit(department, [message.data]))[0]
            if verdict.verdict == "busy":
                await message.nak(delay=verdict.retry_after_s)
                return
            sequence = message.metadata.sequence.stream
            await publish_verdict(self._book, department, verdict.as_json(), f"{department}-inbox-{sequence}")
            await message.ack()
        except (NatsError, JetStreamError, OSError, TimeoutError) as error:
            log.warning("inbox message comes again", department=department, exc_info=error)
        finally:
            self._waiting.give_back(department, len(message.data))


async def publish_verdict(book: NatsBroker, department: str, verdict: dict[str, Any], message_id: str) -> None:
    """Stores a verdict in `verdicts.<department>`; the id makes a repetition after a crash disappear."""
    js = JetStreamContext(book.connection)
    name = hashlib.sha256(orjson.dumps([message_id, verdict.get("verdict")])).hexdigest()[:32]
    await js.publish(f"verdicts.{department}", orjson.dumps(verdict), timeout=5, headers={"Nats-Msg-Id": name})


async def send_outbox(engine: AsyncEngine, book: NatsBroker, relay: Relay, wake: asyncio.Event) -> None:
    """Sends the verdicts of parked events that were decided, in order, once the stream has the events."""
    while True:
        wake.clear()
        try:
            async with engine.begin() as conn:
                query = select(outbox).order_by(outbox.c.seq).limit(500).with_for_update(skip_locked=True)
                sent = 0
                for row in await conn.execute(query):
                    if row.position is not None and row.position > relay.relayed:
                        break
                    if row.department != OWN:
                        await publish_verdict(book, row.department, row.verdict, f"outbox-{row.seq}")
                    await conn.execute(delete(outbox).where(outbox.c.seq == row.seq))
                    sent += 1
            if sent == 500:
                continue
        except (NatsError, JetStreamError, SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("verdicts wait", exc_info=error)
        try:
            async with asyncio.timeout(_RETRY_S):
                await wake.wait()
        except TimeoutError:
            continue
