"""A handler that fails still answers whoever waits for its reply, and a stored message is never taken for handled."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
import structlog
from faststream import BaseMiddleware
from nats.aio.msg import Msg

from events.verdict import Verdict
from services.telemetry import subject_group

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from faststream.message import StreamMessage

log = structlog.get_logger(__name__)

RETRY_AFTER_S: Final = 1.0
# Intake opens the request doors of departments that it did not know yet, when it is asked here.
OPEN_DOORS_ON: Final = "doors.open"
# Of one request, at every door.
MOST_EVENTS: Final = 1_000
MOST_BYTES: Final = 4 << 20


class AnswerFailures(BaseMiddleware):
    """Outermost of the broker's middlewares.

    FastStream sends no reply when a handler raises, and its own exception middleware with a published answer would let
    a JetStream message count as handled, hence acknowledged. Here a core request gets `busy`, without details; for a
    JetStream message the error goes on to the subscriber's ack policy, so that the message comes again.
    """

    async def consume_scope(
        self, call_next: Callable[[StreamMessage[Any]], Awaitable[Any]], msg: StreamMessage[Any]
    ) -> Any:
        try:
            return await call_next(msg)
        except Exception as error:  # the edge of every handler: whatever it was, the sender must hear
            raw = msg.raw_message
            subject = raw.subject if isinstance(raw, Msg) else ""
            log.error("handler failed", subject=subject_group(subject), exc_info=error)
            if isinstance(raw, Msg) and raw.reply and not raw.reply.startswith("$JS.ACK."):
                return busy(msg.body)
            raise


def busy(body: bytes, retry_after_s: float = RETRY_AFTER_S) -> bytes:
    """The JSON reply to a request that was not dealt with: one `busy` for one event, an array for an array.

    What no door takes, of more than 4 MiB or 1,000 events, hears it once: more would cost more than to deal with it.
    """
    sent: Any = None
    if len(body) <= MOST_BYTES:
        with suppress(orjson.JSONDecodeError):
            sent = orjson.loads(body)
    if isinstance(sent, list) and len(cast("list[Any]", sent)) <= MOST_EVENTS:
        return orjson.dumps([_busy(one, retry_after_s) for one in cast("list[Any]", sent)])
    return orjson.dumps(_busy(sent, retry_after_s))


def _busy(sent: Any, retry_after_s: float) -> dict[str, Any]:
    event = cast("dict[str, Any]", sent) if isinstance(sent, dict) else {}
    return Verdict("busy", _text(event.get("id")), _text(event.get("source")), retry_after_s=retry_after_s).as_json()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
