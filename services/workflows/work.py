"""What the service workflows does at a tick: duties whose instant has come, merged relations, the daily survey."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime
from time import monotonic
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import local_date
from projections.store import Live
from projections.workflows.queries import MergedGroups, duties_to_check, neglected_relations
from projections.workflows.reconcile import transition
from projections.workflows.terms_now import terms_now
from projections.workflows.thresholds import Terms
from services.ticking.ticker import Portion, Work

BATCH: Final = 500
MOST_BATCHES: Final = 20
# Until a survey asks for nothing it is made again: once what it asked for is in the read model.
SURVEY_AGAIN_S: Final = 5.0


def workflow_work(terms: Terms, batch: int = BATCH, *, survey_again_s: float = SURVEY_AGAIN_S) -> Work:
    """Every rule of the rulebook under an institution's terms, its own working days among them.

    Each duty gets at most one event a tick.

    What is remembered between ticks only spares looks: which merged groups were quiet, and the day that was surveyed.
    A restart looks again, and wants nothing that the book holds already.
    """
    merged = MergedGroups()
    surveyed: date | None = None
    not_before_s = 0.0

    async def work(conn: AsyncConnection, build: Live, now: datetime) -> AsyncIterator[Portion]:
        nonlocal surveyed, not_before_s
        here = await terms_now(conn, build.tables, terms)
        after: tuple[datetime, str, str, str] | None = None
        for _ in range(MOST_BATCHES):
            found = await duties_to_check(conn, build.tables, now, after, batch)
            events = (transition(c.duty, c.basis, now, here) for c in found)
            yield Portion(len(found), [e for e in events if e is not None])
            if len(found) < batch:
                break
            after = found[-1].key
        yield Portion(*await merged.judge(conn, build.tables, now, here))
        if surveyed != local_date(now) and monotonic() >= not_before_s:
            portion = Portion(*await neglected_relations(conn, build.tables, now, here))
            if portion.transitions:
                not_before_s = monotonic() + survey_again_s
            else:
                surveyed = local_date(now)
            yield portion

    return work
