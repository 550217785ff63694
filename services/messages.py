"""Reading what a stream holds now, whatever kind of stream it is, without taking anything from anybody."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from events.errors import NotFound, Unavailable


async def held_messages(nc: Client, stream: str) -> AsyncGenerator[bytes]:
    """All messages that the stream holds when it is asked, in order: each body, with its headers' values behind it.

    Raises NotFound where there is no such stream, Unavailable where messages do not come.
    """
    js = JetStreamContext(nc, timeout=10)
    try:
        info = await js.stream_info(stream)
    except NotFoundError:
        raise NotFound(f"stream {stream}") from None
    state = info.state
    if info.config.retention == "workqueue":
        # A work queue allows no second reader: what waits there is fetched by its number.
        for sequence in range(state.first_seq, state.last_seq + 1) if state.messages else ():
            try:
                message = await js.get_msg(stream, seq=sequence)
            except NotFoundError:
                continue  # taken meanwhile
            yield _whole(message)
        return
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.NONE, mem_storage=True, num_replicas=1,
        inactive_threshold=60,
    )  # fmt: skip
    left = state.messages
    if left:
        sub = await js.pull_subscribe("", stream=stream, config=config)
        try:
            while left > 0:
                batch = await sub.fetch(min(1_000, left), timeout=10)
                left -= len(batch)
                for message in batch:
                    yield _whole(message)
        except NatsTimeoutError as error:
            raise Unavailable(f"stream {stream}") from error
        finally:
            await sub.unsubscribe()


def _whole(message: Any) -> bytes:
    headers: Mapping[str, Any] = message.headers or {}
    return b"\n".join([message.data or b"", *(str(value).encode() for value in headers.values())])
