"""Consumers of the stream for the services' feeds, made by the one service that may make any (`events.opening`)."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from events.opening import OPENED_ON, Asked, Opened, consumer_config
from events.stream import STREAM

log = structlog.get_logger(__name__)

_WITHIN_S: Final = 4.0


async def answer_feeds(services: Client, book: Client) -> Any:
    """Answers `feeds.open` among the services, with consumers that `book` makes, until the subscription that it returns
    ends. Of several intakes one answers."""

    async def answer(message: Msg) -> None:
        if message.reply:
            await message.respond(msgspec.json.encode(await _opened(book, message.data)))

    untyped: Any = services
    return await untyped.subscribe(OPENED_ON, queue="intake", cb=answer)


async def _opened(book: Client, body: bytes) -> Opened:
    if not book.is_connected:  # each would wait, and those behind it
        return Opened(error="NATS is out")
    try:
        asked = msgspec.json.decode(body, type=Asked)
        untyped: Any = JetStreamContext(book, timeout=_WITHIN_S)  # its own types are incomplete here and below
        info = await untyped.add_consumer(STREAM, consumer_config(asked))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Opened(error=str(error))
    except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
        log.warning("no consumer for a feed", exc_info=error)
        return Opened(error=type(error).__name__)
    return Opened(info.name or "")
