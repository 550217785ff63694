"""One build of a projection being written: the loop that live service, restart, failover and rebuild share.

    feed.read → needs → prepare (cache, or one query a table) → evolve → settle → ONE transaction: checkpoint by
    compare-and-set, rows, parked positions → announce

The next batch is read and folded while the last one is written. Nothing is skipped and nothing is stored twice: a
batch moves the checkpoint from the position before its first event to that of its last one, or it did not happen.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import Fenced, RelatieboekError
from events.feed import Feed
from events.recorded import Recorded
from projections.folding import Failure, Folded, Folder, Limits, ParkedEvent
from projections.postgres import DATA_ERRORS, Connection, PostgresLoader, close, connect, make_scratch, shapes, write
from projections.rows import LiveMessage, Projection
from projections.store import POSITION_SUBJECT, State, schema_name, versioned
from projections.working_set import Changes, WorkingSet

_MOVE: Final = """
UPDATE projection.checkpoint SET position = $4, stream_created = $6, updated_at = now(), paused = NULL
WHERE name = $1 AND version = $2 AND position = $3 AND epoch = $5
"""
_TAKE: Final = """
UPDATE projection.checkpoint SET epoch = epoch + 1 WHERE name = $1 AND version = $2 AND state = $3
RETURNING position, epoch
"""
_LOOK: Final = "SELECT 1 FROM projection.checkpoint WHERE name = $1 AND version = $2 AND epoch = $3"
_PARKED: Final = "SELECT DISTINCT relation FROM projection.parked WHERE name = $1 AND version = $2"
_PARK: Final = """
INSERT INTO projection.parked (name, version, position, relation, error, parked_at) VALUES ($1, $2, $3, $4, $5, now())
"""

_COLLECT_AFTER: Final = 50_000  # new objects

Announce = Callable[[Sequence[LiveMessage]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Care:
    """Up to where, and how: each batch by itself (not gathered), or every event `alone`."""

    upto: int = 0
    alone: bool = False


NO_CARE: Final = Care()


class Refused(RelatieboekError):
    """A batch could not be applied or stored as a whole; open the build again and follow with this `care`."""

    def __init__(self, why: str, care: Care) -> None:
        super().__init__(why)
        self.care = care


@dataclass(frozen=True, slots=True)
class Step:
    """One commit: how many events, up to where, the seconds from reading to commit, how many the stream has more."""

    events: int
    position: int
    seconds: float
    behind: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What the feed gave: the events of the projection's kinds, up to position `last`, and how many messages the stream
    holds after it."""

    events: Sequence[Recorded]
    last: int
    behind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who hears of commits: `announce` sends live messages (only of a live build), `on_step` counts."""

    announce: Announce | None = None
    on_step: Callable[[Step], None] | None = None


def _schema(projection: Projection, version: int) -> str:
    return f'"{schema_name(projection.name, version)}"'


def _collect_rarely() -> None:
    """Folding makes many objects and no cycles: collecting as often as Python does by itself costs a fifth of it."""
    if gc.get_threshold()[0] < _COLLECT_AFTER:
        gc.set_threshold(_COLLECT_AFTER, 20, 20)


NO_WATCH: Final = Watch()


class Build:
    """Writes one build. Made by `open`; after any exception it is over, and its owner opens a new one."""

    def __init__(
        self, projection: Projection, version: int, limits: Limits, writer: Connection, loader: Connection,
        position: int, epoch: int, parked: Sequence[str], stream_created: str, live: bool, owed: bool,
    ) -> None:  # fmt: skip
        self.projection, self.version, self.position, self.epoch = projection, version, position, epoch
        self.stream_created = stream_created
        self._limits, self._writer, self._loading = limits, writer, loader
        self._shapes = shapes(versioned(projection, version))
        self._rows = WorkingSet(projection.metadata, empty=position == 0, most_rows=limits.most_rows)
        self._folder = Folder(projection, self._rows, PostgresLoader(loader, self._shapes), limits, parked)
        self._gathered: list[Folded] = []
        self._folded_to = position
        self._live, self._owed = live, owed
        self._writing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, engine: AsyncEngine, projection: Projection, version: int, *, state: State, limits: Limits,
        stream_created: str, writer: Connection = None,
    ) -> Build:  # fmt: skip
        """Takes the build over: every other writer of it is fenced from here on. Raises Fenced when it is not in
        `state` any more. A `writer` connection given (it may hold a lease) is closed with the build."""
        _collect_rarely()
        name = f"relatieboek-{projection.name}"
        loader = None
        if writer is None:
            writer = await connect(engine, name=name)
        try:
            # Read models are made again from the events: a commit that a crash of PostgreSQL loses takes its
            # checkpoint with it, so waiting for the disk would only cost time.
            await writer.execute("SET synchronous_commit = off")
            loader = await connect(engine, name=f"{name}-load")
            taken = await writer.fetchrow(_TAKE, projection.name, version, state)
            if taken is None:
                raise Fenced(f"build {version} of {projection.name} is not {state} any more")
            by_table = shapes(versioned(projection, version))
            await make_scratch(writer, by_table)
            parked = [r["relation"] for r in await writer.fetch(_PARKED, projection.name, version)]
            schema, later = _schema(projection, version), projection.later
            owed = later is not None and bool(await writer.fetchval(later.is_put_off(schema)))
        except BaseException:
            await close(loader)
            await close(writer)
            raise
        return cls(
            projection, version, limits, writer, loader, taken["position"], taken["epoch"], parked, stream_created,
            state == "live", owed,
        )  # fmt: skip

    async def close(self) -> None:
        await close(self._loading)
        await close(self._writer)

    async def check_fence(self) -> None:
        """Raises Fenced when someone else has taken this build over, or switched to another."""
        if await self._loading.fetchval(_LOOK, self.projection.name, self.version, self.epoch) is None:
            raise Fenced(f"build {self.version} of {self.projection.name} was taken over")

    async def follow(
        self, feed: Feed, watch: Watch, *, upto: int | None = None, care: Care = NO_CARE, idle_s: float = 1.0
    ) -> None:
        """Folds and writes what the feed gives: for ever, or up to and including position `upto`.

        Raises Fenced, Refused (go on with its care), Paused, FeedBroken, and what asyncpg raises.
        """
        try:
            while upto is None or self._folded_to < upto:
                events = await feed.read(hold=self._busy, idle_s=idle_s, upto=upto)
                began = perf_counter()
                if not self._busy():
                    await self._end_write()
                if feed.position == self._folded_to:
                    await self._end_write()
                    await self.check_fence()
                elif care.alone and self._folded_to < care.upto:
                    await self._end_write()
                    await self._one_by_one(events, feed.position, watch)
                elif await self._fold(Batch(events, feed.position, feed.behind), watch, upto, care):
                    await self._end_write()
                    work = self._write(self._gathered, self._rows.hand_over(), watch, began, feed.behind)
                    self._gathered = []
                    self._writing = asyncio.create_task(work)
                    self._writing.add_done_callback(lambda _: feed.poke())
            await self._end_write()
        finally:
            await self._drop_write()

    def _busy(self) -> bool:
        return self._writing is not None and not self._writing.done()

    async def _end_write(self) -> None:
        if self._writing is not None:
            done, self._writing = self._writing, None
            await done

    async def _drop_write(self) -> None:
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=5)
            self._writing.cancel()
            await asyncio.wait({self._writing})
            if not self._writing.cancelled():
                self._writing.exception()  # the error that ended the loop is the one to tell

    async def _fold(self, batch: Batch, watch: Watch, upto: int | None, care: Care) -> bool:
        """Folds a batch; whether what was gathered is to be written now."""
        events, last = batch.events, batch.last
        if upto is None or not self._limits.gather or self._folded_to < care.upto:
            # far behind there is nobody to tell: dashboards poll the position
            announcing = watch.announce is not None and batch.behind < self._limits.batch
            found = await self._folder.fold_parking(events, announcing=announcing) if events else Folded(last, 0)
            self._gathered.append(replace(found, position=last))
            self._folded_to = last
            return True
        folded = await self._folder.fold(events, announcing=False) if events else Folded(last, 0)
        if not isinstance(folded, Folded):
            # what was gathered before cannot be told from this batch's changes any more
            raise Refused("poison in what was gathered", Care(last))
        self._gathered.append(replace(folded, position=last))
        self._folded_to = last
        return last == upto or self._rows.changed_rows() >= self._limits.gather

    async def _write(
        self, gathered: Sequence[Folded], changes: Changes, watch: Watch, began: float, behind: int
    ) -> None:
        name, version = self.projection.name, self.version
        position = gathered[-1].position
        events = sum(f.events for f in gathered)
        try:
            async with self._writer.transaction():
                moved = await self._writer.execute(
                    _MOVE, name, version, self.position, position, self.epoch, self.stream_created
                )
                if moved != "UPDATE 1":
                    raise Fenced(f"build {version} of {name} was moved by someone else")
                await self._put_off(behind)
                await write(self._writer, self._shapes, changes)
                await self._make_up(behind)
                parked = [(name, version, *p) for f in gathered for p in f.parked]
                if parked:
                    await self._writer.executemany(_PARK, parked)
        except DATA_ERRORS as error:
            why = f"{type(error).__name__} in PostgreSQL"
            raise Refused(why, Care(position, alone=len(gathered) == 1)) from error
        self.position = position
        self._rows.written()
        if watch.on_step is not None:
            watch.on_step(Step(events, position, perf_counter() - began, behind))
        if watch.announce is not None and behind < self._limits.batch:
            here = LiveMessage(f"{POSITION_SUBJECT}.{name}", {"position": position})
            await watch.announce([here, *(m for f in gathered for m in f.messages)])

    async def _put_off(self, behind: int) -> None:
        later = self.projection.later
        if later is not None and self._live and not self._owed and self.position == 0 and behind >= self._limits.far:
            await self._writer.execute(later.put_off(_schema(self.projection, self.version)))
            self._owed = True

    async def _make_up(self, behind: int) -> None:
        later = self.projection.later
        if later is not None and self._owed and behind < self._limits.batch:
            for statement in later.make_up(_schema(self.projection, self.version)):
                await self._writer.execute(statement)
            self._owed = False

    async def _one_by_one(self, events: Sequence[Recorded], last: int, watch: Watch) -> None:
        """Every event in a transaction of its own, so that values that PostgreSQL refuses park their own relation; then
        the checkpoint moves to `last`."""
        quiet = Watch(on_step=watch.on_step)
        for event in events:
            began = perf_counter()
            folded = await self._folder.fold_parking([event], announcing=False)
            try:
                await self._write([folded], self._rows.hand_over(), quiet, began, 0)
            except Refused as refused:
                why = str(refused)
                self._folder.judge({event.relation: Failure(event.position, why)}, 1, event.position)
                self._rows.forget()
                self._rows.written()
                self._folder.parked.add(event.relation)
                folded = Folded(event.position, 1, [ParkedEvent(event.position, event.relation, why)])
                await self._write([folded], {}, quiet, began, 0)
            self._folded_to = event.position
        if self._folded_to < last:  # what follows is of kinds that this projection leaves out
            await self._write([Folded(last, 0)], {}, quiet, perf_counter(), 0)
            self._folded_to = last
