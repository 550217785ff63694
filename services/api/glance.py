"""What a relation manager or board member wants at a glance, for the page: one short list for each kind of thing that
needs them. Each list is the first page of the query that answers it over HTTP, for whom that operation is open.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from projections.agreement_queries import programmes
from projections.alert_queries import list_alerts
from projections.chain_queries import pockets
from projections.layer_contacts import layer_contacts
from projections.page import Page
from projections.partnership_queries import commitments
from projections.viewer import Viewer
from projections.workflows.completeness_queries import incomplete_relations
from projections.workflows.loop_queries import list_loops
from services.api.parts import Parts
from services.api.permits import permitted
from services.rules import thresholds_of

SHOWN: Final = 8
_PROGRAMMES: Final = 100
_WORST_FIRST: Final = {"red": 0, "amber": 1, "green": 2}

_Ask = Callable[[AsyncConnection, Parts, Viewer, datetime], Awaitable[Page]]


async def glance(conn: AsyncConnection, parts: Parts, viewer: Viewer, now: datetime) -> dict[str, Any]:
    """{loops, programmes, ending, incomplete, gaps, promises, money}: each {items, more}, items as over HTTP.

    Programmes that run today, the worst first, with `bars` (`_bar`); the other lists in the order of their queries.
    What no role of the viewer allows is empty. Personal values are tokens still.
    """
    lists: dict[str, Any] = {}
    for name, (operation, ask) in _LISTS.items():
        reader = permitted(viewer, operation)
        page = Page([]) if reader is None else await ask(conn, parts, reader, now)
        lists[name] = {"items": page.items[:SHOWN], "more": page.next is not None or len(page.items) > SHOWN}
    return lists


async def _loops(conn: AsyncConnection, parts: Parts, viewer: Viewer, now: datetime) -> Page:
    return await list_loops(conn, now, state="open", limit=SHOWN, viewer=viewer, calendar=parts.calendar)


async def _programmes(conn: AsyncConnection, parts: Parts, viewer: Viewer, now: datetime) -> Page:
    running = await programmes(conn, now, state="running", limit=_PROGRAMMES, viewer=viewer)
    worst = sorted(running.items, key=lambda one: _WORST_FIRST.get(one["rag"], 3))
    return Page([{**one, "bars": [_bar(each) for each in one["indicators"]]} for one in worst], running.next)


async def _ending(conn: AsyncConnection, parts: Parts, viewer: Viewer, now: datetime) -> Page:
    return await list_alerts(
        conn, state="open", rule="agreement_ending", limit=SHOWN, now=now, viewer=viewer, calendar=parts.calendar,
        silent_after=parts.settings.silent_working_days,
    )  # fmt: skip


async def _incomplete(conn: AsyncConnection, parts: Parts, viewer: Viewer, now: datetime) -> Page:
    return await incomplete_relations(
        conn, now, limit=SHOWN, viewer=viewer, thresholds=thresholds_of(parts.settings)
    )  # fmt: skip


async def _gaps(conn: AsyncConnection, parts: Parts, viewer: Viewer, now: datetime) -> Page:
    return await layer_contacts(conn, now, state="open", limit=SHOWN, viewer=viewer)


async def _promises(conn: AsyncConnection, parts: Parts, viewer: Viewer, now: datetime) -> Page:
    return await commitments(conn, now, late=True, limit=SHOWN, viewer=viewer)


async def _money(conn: AsyncConnection, parts: Parts, viewer: Viewer, now: datetime) -> Page:
    return await pockets(conn, limit=SHOWN, viewer=viewer)


_LISTS: Final[Mapping[str, tuple[str, _Ask]]] = {
    "loops": ("listLoops", _loops),
    "programmes": ("answerQuestion8", _programmes),
    "ending": ("listAlerts", _ending),
    "incomplete": ("answerQuestion4", _incomplete),
    "gaps": ("answerQuestion2", _gaps),
    "promises": ("answerQuestion5", _promises),
    "money": ("answerQuestion9", _money),
}


def _bar(indicator: dict[str, Any]) -> dict[str, Any]:
    """An indicator with `done_pct`: how much of the way from baseline to target is gone, 0 to 100; None: no way."""
    way = indicator["target"] - indicator["baseline"]
    gone = None if way == 0 else round(100 * (indicator["actual"] - indicator["baseline"]) / way)
    return {**indicator, "done_pct": None if gone is None else min(100, max(0, gone))}
