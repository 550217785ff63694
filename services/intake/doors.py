"""The NATS doors, as FastStream subscribers: `submit.<department>` (request and reply) and `inbox.<department>.>`.

A request is answered with its verdicts. An inbox message is stored by JetStream before anybody here looks at it; it is
acknowledged only when its verdict lies in `verdicts.<department>`, so a crash in between brings it again, and then its
verdict is `duplicate`.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, Final

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

from events.errors import FieldError, Invalid, Unavailable
from events.relay import Relay
from events.stream import Stream
from events.tables import outbox
from events.verdict import Verdict, problem
from services.answering import busy
from services.fair import Room
from services.intake.departments import OWN, Departments
from services.intake.desk import Desk
from services.strict_json import read_array
from services.wiring import Context

log = structlog.get_logger(__name__)

MOST_EVENTS: Final = 1_000
MOST_BYTES: Final = 4 << 20
_AT_ONCE: Final = 5_000
_INBOX_AHEAD: Final = 2_000
_RETRY_S: Final = 1.0


async def as_it_came(message: Any) -> Any:
    """FastStream's decoder: none. It would parse JSON unasked; the desk judges the very bytes."""
    return message.raw_message


def open_submit(broker: NatsBroker, context: Context, desk: list[Desk]) -> None:
    """The request door, for every department at once. `desk` is filled before the subscriber starts.

    A core request knows no acknowledgement: the reply is one, hence MANUAL. The subscriber only takes the request; its
    answer waits for the batch beside it and goes out by itself, at a quarter of the cost of FastStream's own workers
    and replies. At most `_AT_ONCE` requests wait, and one department's leave room for the others'; who comes then hears
    `busy`.
    """
    room = Room(_AT_ONCE)

    @broker.subscriber("submit.*", queue="intake", decoder=as_it_came, ack_policy=AckPolicy.MANUAL, no_reply=True)
    async def submit(message: Any) -> None:
        if room.has(message.subject, 1):
            room.take(message.subject, 1)
            context.owe(_reply(desk[0], message, room))
        else:
            await message.respond(busy(message.data))


async def _reply(desk: Desk, message: Msg, room: Room) -> None:
    try:
        body = await answer(desk, message)
    except Exception as error:
        log.error("submit failed", exc_info=error)
        body = busy(message.data)
    finally:
        room.give_back(message.subject, 1)
    if not message.reply:
        return
    try:
        await message.respond(body)
    except NatsError as error:
        log.warning("verdict not sent", exc_info=error)


async def answer(desk: Desk, message: Msg) -> bytes:
    """The reply to one request: the verdict of one event, or the array of verdicts of an array."""
    department = message.subject.split(".", 1)[1]
    if message.data.lstrip()[:1] != b"[":
        return orjson.dumps((await desk.submit(department, [message.data]))[0].as_json())
    try:
        events = read_array(message.data)
    except Invalid:
        return orjson.dumps((await desk.submit(department, [message.data]))[0].as_json())
    if len(events) > MOST_EVENTS or len(message.data) > MOST_BYTES:
        detail = f"{len(events)} events in {len(message.data)} bytes; at most {MOST_EVENTS} and {MOST_BYTES} at once"
        refusal = Verdict("rejected", None, None, problem=problem("too_large", [FieldError("", detail)]))
        return orjson.dumps([refusal.as_json()])
    return orjson.dumps([v.as_json() for v in await desk.submit(department, events)])


class Inboxes:
    """One JetStream subscriber per department, opened when the department appears."""

    def __init__(self, context: Context, desk: Desk, departments: Departments, stream: Stream) -> None:
        self._context, self._desk, self._departments, self._stream = context, desk, departments, stream
        self._broker = context.broker
        self._open: set[str] = set()

    async def watch(self) -> None:
        """Opens the door of each department, old and new, for as long as the service lives."""
        while True:
            try:
                for name in await self._departments.refresh():
                    if name not in self._open and name != OWN:
                        await self._stream.ensure_department(name)
                        await self._subscribe(name)
                        self._open.add(name)
            except (Unavailable, NatsError, JetStreamError, SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("inbox not open yet", exc_info=error)
            await asyncio.sleep(_RETRY_S)

    async def _subscribe(self, department: str) -> None:
        subscriber = self._broker.subscriber(
            f"inbox.{department}.>", queue="intake", decoder=as_it_came,
            stream=JStream(f"INBOX_{department}", declare=False), ack_policy=AckPolicy.MANUAL,
            config=ConsumerConfig(ack_wait=60, max_ack_pending=_INBOX_AHEAD),
        )  # fmt: skip

        async def take(message: Any) -> None:
            # Not awaited: the next message joins the same batch. JetStream holds back beyond max_ack_pending.
            self._context.owe(self._handle(department, message))

        subscriber(take)
        await subscriber.start()

    async def _handle(self, department: str, message: Msg) -> None:
        try:
            verdict = (await self._desk.submit(department, [message.data]))[0]
            if verdict.verdict == "busy":
                await message.nak(delay=verdict.retry_after_s)
                return
            sequence = message.metadata.sequence.stream
            await publish_verdict(self._broker, department, verdict.as_json(), f"{department}-inbox-{sequence}")
            await message.ack()
        except (NatsError, JetStreamError, OSError, TimeoutError) as error:
            log.warning("inbox message comes again", department=department, exc_info=error)


async def publish_verdict(broker: NatsBroker, department: str, verdict: dict[str, Any], message_id: str) -> None:
    """Stores a verdict in `verdicts.<department>`; the id makes a repetition after a crash disappear."""
    js = JetStreamContext(broker.connection)
    name = hashlib.sha256(orjson.dumps([message_id, verdict.get("verdict")])).hexdigest()[:32]
    await js.publish(f"verdicts.{department}", orjson.dumps(verdict), timeout=5, headers={"Nats-Msg-Id": name})


async def send_outbox(engine: AsyncEngine, broker: NatsBroker, relay: Relay, wake: asyncio.Event) -> None:
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
                        await publish_verdict(broker, row.department, row.verdict, f"outbox-{row.seq}")
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
