"""One relation's rows of any read model as they were at D, as known at K: the projection's own fold over the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from heapq import merge
from operator import attrgetter
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from events import ledger
from events.clock import book_now
from events.in_force import with_withdrawals
from events.recorded import ORGANISATION, Recorded
from projections.past import Bounds, KnownAt, read_past
from projections.rows import MemoryRows, Projection, Rows
from projections.viewer import Viewer


class Then(NamedTuple):
    """`rows` of the relation and of all that are one with it by the merges in sight, and of what holds for all
    relations. `now`: the end of D; without D K; without both the book's now. `position` of the last fact in sight.
    """

    rows: MemoryRows
    now: datetime
    position: int


async def rows_then(
    conn: AsyncConnection,
    relation: str,
    looks: Sequence[Bounds],
    projection: Projection,
    *,
    viewer: Viewer,
) -> list[Then | None]:
    """What the projection would have had at each of these pairs of D and K; None where nothing was known.

    The ledger is read and decoded once for all of them. Raises NotFound when the viewer's team has the relation not
    now.
    """
    if relation == ORGANISATION:
        return [None for _ in looks]
    past = await read_past(conn, relation)
    seen: list[list[Recorded]] = []
    for bounds in looks:
        members = frozenset(past.seen_by(viewer, bounds))
        seen.append([e for e in bounds.within(past.events) if e.relation in members])
    # The merges in sight come with the survivors' own entries: who is one with whom follows from the fold.
    histories = [
        [*merge(own, bounds.within(past.shared), key=attrgetter("position"))]
        for own, bounds in zip(seen, looks, strict=True)
    ]
    found: list[Then | None] = []
    for own, bounds, rows in zip(seen, looks, _fold_each(projection, histories), strict=True):
        if not own:
            found.append(None)
            continue
        now = bounds.occurred or await _known_instant(conn, bounds.known_at, own)
        found.append(Then(rows, now, own[-1].position))
    return found


def _fold_each(projection: Projection, histories: Sequence[Sequence[Recorded]]) -> Iterator[MemoryRows]:
    """The projection's rows of each history. What all begin with is folded once: two states of one relation share
    most of it, and the fold is most of the work."""
    all_steps = [list(with_withdrawals(history)) for history in histories]
    first, *others = all_steps
    shared = min(map(len, all_steps))
    for steps in others:
        both = zip(first[:shared], steps, strict=False)
        shared = next((n for n, (a, b) in enumerate(both) if a[0] is not b[0] or a[1] is not b[1]), shared)
    base = MemoryRows(projection.metadata)
    _apply(projection, base, first[:shared])
    for steps in all_steps:
        rows = MemoryRows(projection.metadata)
        rows.tables = {name: dict(table) for name, table in base.tables.items()}
        _apply(projection, rows, steps[shared:])
        projection.settle(rows, sorted({event.relation for event, _ in steps if projection.takes(event)}))
        yield rows


def _apply(projection: Projection, rows: Rows, steps: Iterable[tuple[Recorded, Recorded | None]]) -> None:
    for event, withdrawal in steps:
        if not projection.takes(event):
            continue
        if withdrawal is None:
            projection.evolve(rows, event)
        else:
            projection.evolve_withdrawn(rows, event, withdrawal)


async def _known_instant(conn: AsyncConnection, known_at: KnownAt, own: Sequence[Recorded]) -> datetime:
    if isinstance(known_at, datetime):
        return known_at
    if known_at is None:
        return await book_now(conn)
    at = await ledger.read(conn, known_at - 1, 1)
    # A position that the book has not reached yet: all that is known is now.
    return at[0].recorded_at if at else max(own[-1].recorded_at, await book_now(conn))
