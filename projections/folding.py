"""Folding one batch in memory, and what is done about an event that cannot be applied (decision 8).

When `needs`, `evolve` or `settle` fails for an event, the batch is folded again without that relation from that event
on; those positions are parked. A failing event about no relation, or many relations failing at once, raises Paused:
that is no poison but a fault of ours, and nothing is skipped for it.

A relation of which an event was withdrawn is folded again from the ledger, within the batch that brings the withdrawal:
its rows are deleted, and its history up to the batch's end is folded without what is withdrawn. The cost is one reading
of that history for each batch with withdrawals of the relation.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from traceback import extract_tb
from typing import Final, NamedTuple

import structlog

from events.errors import RelatieboekError
from events.in_force import withdrawals
from events.recorded import ORGANISATION, Recorded
from projections.rows import LiveMessage, Need, Projection
from projections.working_set import Loader, WorkingSet

log = structlog.get_logger(__name__)

_RECENT: Final = 1_000  # positions: relations parked within so many count as failing at once
# Between so many events the loop turns once: the batch before is being written meanwhile, statement after statement,
# and each would wait for the whole fold.
_SLICE: Final = 64
_ROOT: Final = Path(__file__).parent.parent


class Paused(RelatieboekError):
    """This projection stands still until the cause is gone; nothing was skipped. The text says why, without data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`batch`: events folded at most at once. `gather`: rows changed before a rebuild writes them (0: every batch).

    More than `outage_share` of a batch's events, and at least `outage_relations` relations, failing at once is an
    outage, not poison. `most_rows` bounds the cache of rows. A live build that starts from nothing and is `far` behind
    makes what triggers keep once at the end: at every write that costs 40 µs an event, as much as all the rest.
    """

    batch: int = 5_000
    gather: int = 0
    most_rows: int = 40_000
    far: int = 20_000
    outage_share: float = 0.05
    outage_relations: int = 10


LIMITS: Final = Limits()


class Failure(NamedTuple):
    """From which position on a relation's events cannot be applied, and why."""

    position: int
    error: str


class _Again(NamedTuple):
    """A relation that is folded again: the position of the withdrawal that asks for it, and its history."""

    first: int
    history: Sequence[Recorded]


class ParkedEvent(NamedTuple):
    position: int
    relation: str
    error: str


@dataclass(slots=True)
class Folded:
    """A batch that was folded: its last position, how many events, what was parked, what to announce."""

    position: int
    events: int
    parked: list[ParkedEvent] = field(default_factory=list[ParkedEvent])
    messages: list[LiveMessage] = field(default_factory=list[LiveMessage])


_EARLIER: Final = Failure(0, "an earlier event of the relation is parked")


def describe(error: Exception) -> str:
    """Kind and place of an error in our code, with a missing key's name: never a value."""
    what = f"{type(error).__name__} {error.args[0]!r}" if isinstance(error, KeyError) else type(error).__name__
    for frame in reversed(extract_tb(error.__traceback__)):
        with suppress(ValueError):
            return f"{what} at {Path(frame.filename).relative_to(_ROOT)}:{frame.lineno}"
    return what


class Folder:
    """Folds batches into a working set. `parked` holds the relations of which nothing more is applied."""

    def __init__(
        self, projection: Projection, rows: WorkingSet, loader: Loader, limits: Limits, parked: Iterable[str]
    ) -> None:
        self._projection, self._rows, self._loader, self._limits = projection, rows, loader, limits
        self.parked = set(parked)
        self._recently: deque[int] = deque()

    async def fold(self, events: Sequence[Recorded], *, announcing: bool) -> Folded | Mapping[str, Failure]:
        """One attempt at a batch in position order: what came of it, or which relations failed in it.

        After failures the working set is not to be used before `forget`; then try again, having told `park`.
        """
        failed = await self._try(events)
        if failed:
            return failed
        parked = [ParkedEvent(e.position, e.relation, _EARLIER.error) for e in events if e.relation in self.parked]
        folded = Folded(events[-1].position, len(events), parked)
        if announcing:
            takes = self._projection.takes
            folded.messages = self._messages(e for e in events if e.relation not in self.parked and takes(e))
        return folded

    async def fold_parking(self, events: Sequence[Recorded], *, announcing: bool) -> Folded:
        """Folds a batch, parking what is poison in it. Raises Paused. The working set must hold no earlier changes."""
        skip: dict[str, Failure] = {}
        while True:
            sound = [e for e in events if (f := skip.get(e.relation)) is None or e.position < f.position]
            result = await self.fold(sound, announcing=announcing) if sound else Folded(0, 0)
            if isinstance(result, Folded):
                break
            self.judge(result, len(events), events[-1].position)
            skip.update(result)
            self._rows.forget()
        parked = [
            ParkedEvent(e.position, e.relation, f.error)
            for e in events
            if (f := skip.get(e.relation)) is not None and e.position >= f.position
        ]
        self.parked.update(skip)
        return Folded(events[-1].position, len(events), sorted(result.parked + parked), result.messages)

    def judge(self, failed: Mapping[str, Failure], events: int, position: int) -> None:
        """Poison or outage? Raises Paused for the latter."""
        if ORGANISATION in failed:
            raise Paused("event {} about no relation cannot be applied: {}".format(*failed[ORGANISATION]))
        recently = self._recently
        while recently and recently[0] <= position - _RECENT:
            recently.popleft()
        together = len(failed) + len(recently)
        if together >= self._limits.outage_relations and together > self._limits.outage_share * events:
            raise Paused(f"{together} relations fail at once: {next(iter(failed.values())).error}")
        recently.extend([position] * len(failed))
        for at, why in failed.values():
            log.warning("event parked", projection=self._projection.name, position=at, error=why)

    async def _try(self, events: Sequence[Recorded]) -> dict[str, Failure]:
        projection, rows, parked = self._projection, self._rows, self.parked
        failed: dict[str, Failure] = {}
        needs: set[Need] = set()
        todo: list[Recorded] = []
        touched: dict[str, int] = {}
        for n, event in enumerate(events, 1):
            if n % _SLICE == 0:
                await asyncio.sleep(0)
            if event.relation in parked or not projection.takes(event):
                continue
            try:
                needs.update(projection.needs(event))
            except Exception as error:  # noqa: BLE001 the edge of the runner: any error of a projection is its event's
                failed.setdefault(event.relation, Failure(event.position, describe(error)))
                continue
            todo.append(event)
            touched.setdefault(event.relation, event.position)
        if failed:
            return failed
        for relation in touched:
            needs.update(projection.settle_needs(relation))
        await rows.prepare(needs, self._loader)
        anew = await self._histories([e for e in events if e.relation not in parked])
        # Before the others and after them: they may rest on each other's rows that are kept (`Projection.kept`).
        await self._fold_all_again(anew, failed)
        evolve = projection.evolve
        for n, event in enumerate(todo, 1):
            if n % _SLICE == 0:
                await asyncio.sleep(0)
            if event.relation in failed or event.relation in anew:
                continue
            try:
                evolve(rows, event)
            except Exception as error:  # noqa: BLE001 as above
                failed[event.relation] = Failure(event.position, describe(error))
        await self._fold_all_again(anew, failed)
        for relation, again in anew.items():
            touched.setdefault(relation, again.first)
        if not failed:
            await self._spread(touched)
        return failed or self._settle(touched)

    async def _spread(self, touched: Mapping[str, int]) -> None:
        """Loads what `settle` reads beside the relations of the batch."""
        further = self._projection.spread(self._rows, touched.keys())
        while True:
            try:
                needs = next(further, None)
            except Exception as error:  # noqa: BLE001 the edge of the runner; it belongs to no one relation
                raise Paused(f"what a batch reaches cannot be found: {describe(error)}") from None
            if needs is None:
                return
            await self._rows.prepare(needs, self._loader)

    async def _histories(self, events: Sequence[Recorded]) -> dict[str, _Again]:
        """The histories, up to this batch's last event, of the relations of which this projection's rows must be
        folded again: an event that it looks at was withdrawn."""
        last = {e.relation: e.position for e in events}
        gone = withdrawals(events)
        found: dict[str, _Again] = {}
        for relation in dict.fromkeys(e.relation for e in gone.values()):
            history = await self._loader.history(relation, last[relation])
            here = [gone[e.position].position for e in history if e.position in gone and self._projection.takes(e)]
            if here:
                found[relation] = _Again(min(here), history)
        return found

    async def _fold_all_again(self, anew: Mapping[str, _Again], failed: dict[str, Failure]) -> None:
        for relation, again in anew.items():
            error = None if relation in failed else await self._fold_again(relation, again.history)
            if error is not None:
                failed[relation] = Failure(again.first, error)

    async def _fold_again(self, relation: str, history: Sequence[Recorded]) -> str | None:
        """Replaces the rows of a relation by what its history gives; None, or why it cannot be done."""
        projection, rows = self._projection, self._rows
        try:
            needs = {n for e in history if projection.takes(e) for n in projection.needs(e)}
            needs.update(projection.settle_needs(relation))
        except Exception as error:  # noqa: BLE001 as above
            return describe(error)
        for table, whole in projection.owned(relation):
            await rows.empty(table, relation if not whole else None, self._loader)
        await rows.prepare(needs, self._loader)
        try:
            projection.apply(rows, history)
        except Exception as error:  # noqa: BLE001 as above
            return describe(error)
        return None

    def _settle(self, touched: Mapping[str, int]) -> dict[str, Failure]:
        """Settles the batch's relations; when that fails, each by itself, to know which one it is."""
        settle = self._projection.settle
        try:
            settle(self._rows, sorted(touched))
        except Exception as together:  # noqa: BLE001 as above
            failed: dict[str, Failure] = {}
            for relation, position in touched.items():
                try:
                    settle(self._rows, [relation])
                except Exception as error:  # noqa: BLE001 as above
                    failed[relation] = Failure(position, describe(error))
            if not failed:
                raise Paused(f"settle fails for a batch and for none of its relations: {describe(together)}") from None
            return failed
        return {}

    def _messages(self, events: Iterable[Recorded]) -> list[LiveMessage]:
        try:
            return list(chain.from_iterable(self._projection.announce(self._rows, e) for e in events))
        except Exception as error:  # noqa: BLE001 a hint to dashboards must not hold up the book
            log.warning("nothing announced", projection=self._projection.name, error=describe(error))
            return []
