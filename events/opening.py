"""How a service comes by a consumer of the stream: it asks intake, over core NATS.

The services' account on NATS has no call that makes a consumer: with it, a service that was taken over could make one
that pushes events into a department's inbox. What it asks for here is a name and a position, and what intake makes
(`services.intake.feeds`) only answers.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Final
from uuid import uuid4

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from events.errors import FeedBroken

OPENED_ON: Final = "feeds.open"
_WITHIN_S: Final = 5.0
_ASK_AGAIN_S: Final = 0.1
_INACTIVE_S: Final = 60


class Asked(msgspec.Struct, frozen=True):
    """A feed that is to be: after which position it starts, and what people see of it in the server's lists."""

    after: Annotated[int, msgspec.Meta(ge=0)]
    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9_-]{1,64}$")]


class Opened(msgspec.Struct, frozen=True):
    """The consumer that a feed reads from, or why there is none."""

    consumer: str = ""
    error: str = ""


def consumer_config(asked: Asked) -> ConsumerConfig:
    """A consumer that answers one feed's requests, and goes by itself a minute after the last."""
    return ConsumerConfig(
        name=f"{asked.name}-{uuid4().hex[:12]}", deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=asked.after + 1, ack_policy=AckPolicy.NONE, mem_storage=True, num_replicas=1,
        inactive_threshold=_INACTIVE_S,
    )  # fmt: skip


async def open_consumer(nc: Client, asked: Asked) -> str:
    """The name of a consumer made for us. Waits a while for an intake that is about to start. Raises FeedBroken."""
    until = asyncio.get_running_loop().time() + _WITHIN_S
    while True:
        try:
            reply = await nc.request(OPENED_ON, msgspec.json.encode(asked), timeout=_WITHIN_S)
            break
        except nats.errors.NoRespondersError as error:
            if asyncio.get_running_loop().time() > until:
                raise FeedBroken("intake, which opens feeds, does not answer") from error
            await asyncio.sleep(_ASK_AGAIN_S)
        except (nats.errors.Error, TimeoutError) as error:
            raise FeedBroken("cannot open a consumer") from error
    opened = msgspec.json.decode(reply.data, type=Opened)
    if not opened.consumer:
        raise FeedBroken(f"cannot open a consumer: {opened.error}")
    return opened.consumer
