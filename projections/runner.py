"""Keeps one projection's live build up with the stream, for as long as the service lives.

Any error ends the session, and the next one reopens from the checkpoint: live, restart, failover and the switch to
another build are one code path. Between sessions without progress the wait grows to `most_wait_s`; nothing is skipped.

Two replicas: the lease (an advisory lock of the writing connection) makes the second stand by, and the checkpoint's
epoch and position fence whoever writes without it. PostgreSQL frees the lease when its holder's connection dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, NoReturn

import orjson
import stamina
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from events import ledger
from events.errors import Diverged, Fenced, RelatieboekError, Unavailable
from events.feed import StreamReader
from events.postgres import OUTAGES
from projections.build import NO_CARE, NO_WATCH, Build, Refused, Step, Watch
from projections.folding import LIMITS, Limits, Paused
from projections.postgres import Connection, close, connect
from projections.rebuild import rebuild
from projections.rows import LiveMessage, Projection
from projections.store import Live, install, live_of_any_code, set_paused

log = structlog.get_logger(__name__)

RunnerState = Literal["ready", "starting", "paused", "diverged"]
Publish = Callable[[str, bytes], Awaitable[None]]
Tell = Callable[[RunnerState, str | None], None]

_LEASE: Final = "SELECT pg_try_advisory_lock(7231003, hashtext($1))"
_ASK_LEASE_EVERY_S: Final = 0.5


async def _nobody(subject: str, body: bytes) -> None:
    return None


class _Standstill(RelatieboekError):
    """A session ended without progress; the text is for the log."""


class Runner:
    """Runs one projection. `publish` sends a core NATS message, `tell` hears every change of state,
    `watch.on_step` every commit."""

    def __init__(
        self, projection: Projection, engine: AsyncEngine, reader: StreamReader, *, publish: Publish = _nobody,
        tell: Tell | None = None, watch: Watch = NO_WATCH, limits: Limits = LIMITS, idle_s: float = 1.0,
        most_wait_s: float = 10.0,
    ) -> None:  # fmt: skip
        self._projection, self._engine, self._reader = projection, engine, reader
        self._publish, self._tell_state, self._limits, self._on_step = publish, tell, limits, watch.on_step
        self._watch = Watch(announce=self._announce, on_step=self._step)
        self._idle_s, self._most_wait_s = idle_s, most_wait_s
        self._care = NO_CARE
        self._moved = False

    async def run(self) -> NoReturn:
        """Until cancelled. Everything else it survives: it tells its state, waits, and goes on from the checkpoint."""
        while True:
            async for attempt in stamina.retry_context(
                on=_Standstill,
                attempts=None,
                timeout=None,
                wait_initial=0.1,
                wait_max=self._most_wait_s,
                wait_jitter=0.2,
            ):
                with attempt:
                    await self._session()

    async def _session(self) -> None:
        """One session. Returns when the next may follow at once; raises _Standstill when it is better to wait."""
        self._moved = False
        try:
            await self._follow()
        except Fenced as fenced:
            log.info("fenced", projection=self._projection.name, reason=str(fenced))
        except Refused as refused:
            log.warning("batch refused", projection=self._projection.name, reason=str(refused), upto=refused.care.upto)
            again, self._care = refused.care == self._care, refused.care
            if again and not self._moved:
                raise _Standstill(str(refused)) from refused
        except Exception as error:  # the edge of the runner: no error of a session may end the service
            what = await self._explain(error)
            if not self._moved:
                raise _Standstill(what) from error

    async def _explain(self, error: Exception) -> str:
        what = str(error) if isinstance(error, RelatieboekError) else type(error).__name__
        self._tell("diverged" if isinstance(error, Diverged) else "paused", what)
        if isinstance(error, (RelatieboekError, SQLAlchemyError, *OUTAGES)):
            log.warning("projection stands still", projection=self._projection.name, reason=what)
        else:
            log.error("projection stands still", projection=self._projection.name, exc_info=error)
        if isinstance(error, (Paused, Diverged)):
            await set_paused(self._engine, self._projection, what)
        return what

    async def _follow(self) -> None:
        build = await self._open(await self._lease())
        try:
            feed = self._reader.feed(
                build.position, name=f"projection-{self._projection.name}", created=build.stream_created,
                most=self._limits.batch, kinds=self._projection.heard,
            )  # fmt: skip
            async with feed as messages:
                self._tell("ready", None)
                await set_paused(self._engine, self._projection, None)
                log.info("following", projection=self._projection.name, build=build.version, position=build.position)
                await build.follow(messages, self._watch, care=self._care, idle_s=self._idle_s)
        finally:
            await build.close()

    def _step(self, step: Step) -> None:
        self._moved = True
        if self._on_step is not None:
            self._on_step(step)

    async def _lease(self) -> Connection:
        """A connection that holds this projection's lease; stands by for as long as another replica has it."""
        writer = await connect(self._engine, name=f"relatieboek-{self._projection.name}")
        try:
            while not await writer.fetchval(_LEASE, self._projection.name):
                self._tell("ready", "standing by: another replica writes")
                await asyncio.sleep(_ASK_LEASE_EVERY_S)
        except BaseException:
            await close(writer)
            raise
        return writer

    async def _open(self, writer: Connection) -> Build:
        """The live build, taken over with the connection that holds the lease."""
        try:
            live = await self._live()
            async with self._engine.connect() as conn:
                created = (await ledger.head(conn)).stream_created
            if created is None:
                raise Unavailable("the ledger knows no stream yet")
        except BaseException:
            await close(writer)
            raise
        return await Build.open(
            self._engine, self._projection, live.version, state="live", limits=self._limits, stream_created=created,
            writer=writer,
        )  # fmt: skip

    async def _live(self) -> Live:
        """The live build, made by this version of the code: first installed, or built beside an older one."""
        projection = self._projection
        async with self._engine.begin() as conn:
            await install(conn, projection)
            live = await live_of_any_code(conn, projection)
        if live is None:
            raise Unavailable(f"{projection.name} has no live build")
        if live.code_version > projection.version:
            raise Paused(f"the live build is of newer code ({live.code_version}); this is {projection.version}")
        if live.code_version < projection.version:
            building = f"building version {projection.version} beside {live.code_version}"
            self._tell("starting", building)
            report = await rebuild(
                self._engine, self._reader, projection,
                on_progress=lambda done: self._tell("starting", f"{building}: {done.events} of {done.total} events"),
            )  # fmt: skip
            log.info("rebuilt for new code", projection=projection.name, build=report.version, differs=report.differs)
            return await self._live()
        return live

    async def _announce(self, messages: Sequence[LiveMessage]) -> None:
        try:
            for subject, body in messages:
                await self._publish(subject, orjson.dumps(body))
        except Exception as error:  # noqa: BLE001 hints: whoever misses one polls the position
            log.info("live messages not sent", projection=self._projection.name, reason=type(error).__name__)

    def _tell(self, state: RunnerState, detail: str | None) -> None:
        if self._tell_state is not None:
            self._tell_state(state, detail)
