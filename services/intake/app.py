"""The intake service: every event's one way into the book."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog
from cryptography.exceptions import InvalidTag
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from events.append import Ledger
from events.clock import set_clock
from events.errors import Diverged, KeyMissing, SetupError, Unavailable
from events.keys import KEPT, of_event
from events.postgres import OUTAGES, connect
from events.privacy import Privacy
from events.refill import refill
from events.relay import Relay
from events.rewrapping import UNWRAPPED, rewrap, wrapped_by
from events.stream import Stream
from services.intake.departments import OWN, Departments
from services.intake.desk import Desk
from services.intake.doors import Doors, Waiting, open_submit, send_outbox
from services.intake.erasing import Eraser
from services.intake.feeds import answer_feeds
from services.intake.keeping import keep
from services.keys import first_key, privacy_of
from services.settings import Settings
from services.wiring import Context, Register, Setup, run_service

log = structlog.get_logger(__name__)

_RETRY_S: Final = 0.5
_LOOK_AGAIN_S: Final = 5.0
_COLLECT_AFTER: Final = 100_000  # new objects; a batch of 1,000 events makes about as many


def main(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Two replicas share the doors; the ledger's head row makes them take turns."""
    _collect_rarely()
    setup, register = parts(settings)
    run_service(settings, "intake", setup=setup, register=register)


def _collect_rarely() -> None:
    """A batch is thousands of small objects and no cycles: looking for cycles as often as Python does by itself costs
    a third of the time of a busy intake. What was imported is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)


async def _open_keys(context: Context, privacy: Privacy) -> None:
    """Does as below, once the keeper of the keys is there."""
    while True:
        try:
            return await _look_at_keys(context.settings, privacy)
        except Unavailable as error:
            context.state.set("paused", error.what)
            log.warning("not open yet", reason=error.what)
            await asyncio.sleep(_LOOK_AGAIN_S)


async def _look_at_keys(settings: Settings, privacy: Privacy) -> None:
    """Wraps keys of before there were key-encryption keys, and looks whether the keeper opens what the book has.

    Raises SetupError when it does not: a book that goes on with another ring would hold texts that nobody can read.
    """
    await first_key(settings)
    await privacy.keys.wrap([(KEPT, bytes(64))])  # a keeper that cannot is found here, and not at the first event
    conn = await connect(settings.database_url)
    try:
        by = await wrapped_by(conn)
        if by[UNWRAPPED]:
            log.info("wrapping keys", count=await rewrap(conn, privacy.keys))
        newest = await conn.fetchrow(
            "SELECT position, key FROM ledger.event_key WHERE key IS NOT NULL ORDER BY position DESC LIMIT 1"
        )
        if newest is not None:
            await privacy.keys.unwrap([(of_event(newest["position"]), newest["key"])])
    except (KeyMissing, InvalidTag) as error:
        raise SetupError(
            "De sleutelring of het token past niet bij dit boek. Zet terug waarmee het boek is geschreven "
            "(credentials.json, RELATIEBOEK_KEY_RING, of wat in het token stond)."
        ) from error
    finally:
        await conn.close()


def parts(settings: Settings) -> tuple[Setup, Register]:
    """What the wiring needs to run intake: its set-up, and its subscribers."""
    desks: list[Desk] = []
    waiting = Waiting()

    @asynccontextmanager
    async def setup(context: Context) -> AsyncGenerator[None]:
        # The streams lie in an account of their own, and only this user of it works in a service.
        book = await context.connect_as("relay", name="relay", pending_bytes=16 << 20)
        await answer_feeds(context.nats, book.connection)
        if settings.clock is not None and settings.up_pid is None:  # `up` has set it before any service started
            async with context.engine.begin() as conn:
                await set_clock(conn, settings.clock)
        privacy = privacy_of(settings)
        await _open_keys(context, privacy)
        ledger = Ledger(settings.database_url, privacy)
        relay = Relay(settings.database_url, Stream(book.connection, replicas=settings.replicas))
        departments = Departments(context.engine)
        desk = Desk(
            ledger, relay, departments, context.state, context.registry, batch=settings.batch,
            max_queued=settings.max_queued, max_unrelayed=settings.max_unrelayed, tiers=settings.tier_set,
        )  # fmt: skip
        desks.append(desk)
        eraser = Eraser(settings, privacy, relay.offer)
        doors = Doors(context, book, desk, departments, waiting)
        await doors.open_submits()
        await doors.answer_opening()

        async def open_doors() -> None:
            await _until_ready(context, relay, _before_the_doors(context, relay, privacy, book.connection, eraser))
            desk.open()
            context.state.set("ready")
            context.run(desk.check(), name="check")
            context.run(desk.commit(), name="commit")
            context.run(desk.relay(), name="relay")
            context.run(doors.watch(), name="doors")
            context.run(eraser.run(), name="erase")
            context.run(send_outbox(context.engine, book, relay, desk.released), name="outbox")
            days = {"parked_days": settings.parked_days, "rejected_days": settings.rejected_days}
            context.run(keep(context.engine, desk.released, **days), name="keep")

        context.run(open_doors(), name="open doors")
        try:
            yield
        finally:
            await ledger.close()
            await relay.close()

    return setup, lambda broker, context: open_submit(broker, context, OWN, desks, waiting)


def _before_the_doors(
    context: Context, relay: Relay, privacy: Privacy, nc: Client, eraser: Eraser
) -> Callable[[], Awaitable[None]]:
    """What must be true of the book before anybody may add to it. Idempotent: done again until it succeeds."""
    dsn, stream = context.settings.database_url, Stream(nc)

    def tell(done: int, total: int) -> None:
        context.state.set("starting", f"the ledger is refilled from the stream: {done} of {total}")

    async def prepare() -> None:
        await refill(dsn, stream, context.engine, privacy, tell)
        await relay.open()
        await eraser.in_force()  # a backup that was put back brings nobody back
        await relay.run_once()

    return prepare


async def _until_ready(context: Context, relay: Relay, prepare: Callable[[], Awaitable[None]]) -> None:
    """Prepares; says why it cannot, and tries again: an engine comes back, a person repairs what diverged."""
    while True:
        try:
            await prepare()
        except Diverged as error:
            relay.diverged = error
            context.state.set("diverged", error.what)
            log.error("diverged", what=error.what, position=error.position)
            await asyncio.sleep(_LOOK_AGAIN_S)
        except (Unavailable, JetStreamError, *OUTAGES) as error:
            context.state.set("paused", "NATS or PostgreSQL is out")
            log.warning("not open yet", reason=type(error).__name__)
            await asyncio.sleep(_RETRY_S)
        else:
            return
