"""A new build of a projection beside the live one: folded from the stream's start, compared, switched (decision 9).

The live build goes on meanwhile. The new one folds in memory, writes large ranges by COPY, and gets its secondary
indexes after that. For the comparison both must hold the same position: the live writer waits for the few
milliseconds in which the new build takes the last events and PostgreSQL gives one snapshot of both. For the switch it
waits once more, so that no reader sees the projection go back. The build that was live stays, as `old`; older ones go.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, Final, Literal

import sqlalchemy as sa
import stamina
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events import ledger
from events.errors import FeedBroken, Fenced, Unavailable
from events.feed import Feed, StreamReader
from events.postgres import OUTAGES
from projections.build import NO_CARE, Build, Refused, Step, Watch
from projections.compare import Difference, TableReport, compare
from projections.folding import Limits
from projections.rows import Projection
from projections.store import builds, complete, create_build, drop_build, live_of_any_code, next_version, switch
from projections.tables import checkpoint, parked

log = structlog.get_logger(__name__)

# Events gathered in memory until so many rows have changed; a build of 500,000 events stays below 300 MB with it.
REBUILD_LIMITS: Final = Limits(batch=2_000, gather=10_000, most_rows=30_000)

_NEAR: Final = 500  # events that may be taken while the live writer waits
_ATTEMPTS: Final = 8

Phase = Literal["fold", "index", "compare", "switch"]


@dataclass(frozen=True, slots=True)
class Progress:
    """`events` of `total` folded, `rate` in events/s since the start, `seconds_left` None while unknown."""

    phase: Phase
    events: int
    total: int
    rate: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """What a rebuild did. `differences` is bounded, the counts in `tables` are of everything.

    `compared_at` is the position at which both builds were compared; None when there was nothing to compare with.
    """

    projection: str
    version: int
    code_version: int
    live_version: int | None
    compared_at: int | None
    events: int
    seconds: float
    parked: int
    switched: bool
    tables: Sequence[TableReport]
    differences: Sequence[Difference]

    @property
    def differs(self) -> bool:
        return any(t.differs for t in self.tables)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "differs": self.differs}


async def rebuild(
    engine: AsyncEngine, reader: StreamReader, projection: Projection, *, diff_only: bool = False,
    on_progress: Callable[[Progress], None] | None = None, limits: Limits = REBUILD_LIMITS,
) -> Report:  # fmt: skip
    """Builds anew, compares, and switches (not with `diff_only`: then the new build is removed again).

    Outages are waited out, a bounded number of times. Raises Unavailable when another rebuild of this projection
    runs or an outage lasts, Diverged, Paused; the live build is untouched then and what was built is removed.
    """
    async with _only_one(engine, projection):
        async with engine.begin() as conn:
            for build in await builds(conn, projection):
                if build.state == "building":  # of a rebuild that was killed
                    await drop_build(conn, projection, build.version)
            version = await next_version(conn, projection)
            await create_build(conn, projection, version, "building", indexes=False)
        work = _Rebuild(engine, reader, projection, version, limits, on_progress)
        try:
            report = await work.run(diff_only=diff_only)
        except BaseException:
            await _drop(engine, projection, version)
            raise
        if diff_only:
            await _drop(engine, projection, version)
        else:
            await _drop_older(engine, projection)
        return report


@asynccontextmanager
async def _only_one(engine: AsyncEngine, projection: Projection) -> AsyncGenerator[None]:
    async with engine.connect() as conn:
        conn = await conn.execution_options(isolation_level="AUTOCOMMIT")
        key = sa.func.hashtext(projection.name)
        if not await conn.scalar(sa.select(sa.func.pg_try_advisory_lock(7231004, key))):
            raise Unavailable(f"{projection.name} is being rebuilt already", retry_after_s=30)
        try:
            yield
        finally:
            with suppress(DBAPIError, OSError):  # a connection that is gone holds no lock
                await conn.execute(sa.select(sa.func.pg_advisory_unlock(7231004, key)))


async def _drop(engine: AsyncEngine, projection: Projection, version: int) -> None:
    try:
        async with engine.begin() as conn:
            await drop_build(conn, projection, version)
    except (DBAPIError, OSError) as error:  # the next rebuild removes it
        log.warning("build left behind", projection=projection.name, build=version, reason=type(error).__name__)


async def _drop_older(engine: AsyncEngine, projection: Projection) -> None:
    async with engine.connect() as conn:
        old = [b.version for b in await builds(conn, projection) if b.state == "old"]
    for version in old[:-1]:
        await _drop(engine, projection, version)


class _Rebuild:
    """One rebuild under way."""

    def __init__(
        self, engine: AsyncEngine, reader: StreamReader, projection: Projection, version: int, limits: Limits,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:  # fmt: skip
        self._engine, self._reader, self._projection, self._version = engine, reader, projection, version
        self._limits, self._on_progress = limits, on_progress
        self._began = perf_counter()
        self._done, self._total = 0, 0
        self._care = NO_CARE
        self._watch = Watch(on_step=self._step)
        self._indexed = False
        self._compared: tuple[int | None, list[TableReport], list[Difference]] | None = None

    async def run(self, *, diff_only: bool) -> Report:
        live_version: int | None = None
        async for attempt in stamina.retry_context(
            on=_mendable, attempts=_ATTEMPTS, timeout=None, wait_initial=0.2, wait_max=10
        ):
            with attempt:
                live_version = await self._attempt(diff_only=diff_only)
        at, tables, differences = self._compared or (None, [], [])
        async with self._engine.connect() as conn:
            left_out = await conn.scalar(
                sa.select(sa.func.count()).where(
                    parked.c.name == self._projection.name, parked.c.version == self._version
                )
            )
        return Report(
            projection=self._projection.name, version=self._version, code_version=self._projection.version,
            live_version=live_version, compared_at=at, events=self._done, seconds=perf_counter() - self._began,
            parked=left_out or 0, switched=not diff_only, tables=tables, differences=differences,
        )  # fmt: skip

    async def _attempt(self, *, diff_only: bool) -> int | None:
        async with self._engine.connect() as conn:
            head = await ledger.head(conn)
            live = await live_of_any_code(conn, self._projection)
        if head.stream_created is None:
            raise Unavailable("the ledger knows no stream yet")
        build = await Build.open(
            self._engine, self._projection, self._version, state="building", limits=self._limits,
            stream_created=head.stream_created,
        )  # fmt: skip
        try:
            name = f"rebuild-{self._projection.name}"
            async with self._reader.feed(
                build.position, name=name, created=build.stream_created, most=self._limits.batch,
                kinds=self._projection.heard,
            ) as feed:  # fmt: skip
                await self._steps(build, feed, diff_only=diff_only)
        except Refused as refused:
            self._care = refused.care
            raise
        finally:
            await build.close()
        return live.version if live is not None else None

    async def _steps(self, build: Build, feed: Feed, *, diff_only: bool) -> None:
        if self._compared is None:
            # never beyond the live build: at its position the two are compared
            await self._catch_up(build, feed, self._live_position)
            await self._index()
            await self._catch_up(build, feed, self._live_position)
            self._compared = await self._compare(build, feed)
        if not diff_only:
            await self._catch_up(build, feed, self._head_position)
            await self._switch(build, feed)

    async def _catch_up(self, build: Build, feed: Feed, target: Callable[[], Any]) -> None:
        """Follows until the build is within a few events of the target, which moves meanwhile."""
        while (upto := await target()) > build.position:
            self._total = max(self._total, upto)
            near = upto - build.position <= _NEAR
            await build.follow(feed, self._watch, upto=upto, care=self._care)
            if near:
                return

    async def _live_position(self) -> int:
        async with self._engine.connect() as conn:
            live = await live_of_any_code(conn, self._projection)
        return live.position if live is not None else await self._head_position()

    async def _head_position(self) -> int:
        return (await self._reader.state()).last

    async def _index(self) -> None:
        if not self._indexed:
            self._tell("index")
            async with self._engine.begin() as conn:
                await complete(conn, self._projection, self._version)
            self._indexed = True

    async def _hold_live(self, conn: AsyncConnection) -> tuple[int, int] | None:
        """Makes the live writer wait until the transaction ends; build number and position that it holds."""
        row = (
            await conn.execute(
                sa.select(checkpoint.c.version, checkpoint.c.position)
                .where(checkpoint.c.name == self._projection.name, checkpoint.c.state == "live")
                .with_for_update()
            )
        ).one_or_none()
        return None if row is None else (row.version, row.position)

    async def _compare(self, build: Build, feed: Feed) -> tuple[int | None, list[TableReport], list[Difference]]:
        self._tell("compare")
        async with self._engine.connect() as snapshot:
            await snapshot.execution_options(isolation_level="REPEATABLE READ")
            async with self._engine.begin() as conn:
                held = await self._hold_live(conn)
                if held is None or held[1] < build.position:
                    return None, [], []
                await build.follow(feed, self._watch, upto=held[1], care=self._care)
                await snapshot.execute(sa.text("SELECT 1"))  # the snapshot is taken here, both builds at one position
            reports, differences = await compare(snapshot, self._projection, held[0], self._version)
        return held[1], reports, differences

    async def _switch(self, build: Build, feed: Feed) -> None:
        self._tell("switch")
        async with self._engine.begin() as conn:
            held = await self._hold_live(conn)
            if held is not None and held[1] > build.position:
                await build.follow(feed, self._watch, upto=held[1], care=self._care)
            await switch(conn, self._projection, self._version)
        log.info("switched", projection=self._projection.name, build=self._version, position=build.position)

    def _step(self, step: Step) -> None:
        self._done = step.position
        self._tell("fold")

    def _tell(self, phase: Phase) -> None:
        if self._on_progress is None:
            return
        rate = self._done / max(perf_counter() - self._began, 1e-6)
        left = (self._total - self._done) / rate if rate and self._total else None
        self._on_progress(Progress(phase, self._done, max(self._total, self._done), rate, left))


def _mendable(error: Exception) -> bool:
    return isinstance(error, (Refused, FeedBroken, Fenced, Unavailable, DBAPIError, *OUTAGES))
