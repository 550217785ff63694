"""A relation that ended owes no contact: questions 1 and 2, schedule, matrix and coverage, what relations ask of us."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from events.recorded import ORGANISATION
from projections import contact_alerts, partnership_view
from projections.layer_contacts import layer_contacts
from projections.overdue_queries import overdue_lines
from projections.partnership_queries import contributors
from projections.relation_queries import matrix, show
from projections.viewer import EVERYTHING
from tests.given import DELFT, HAAG, Book
from tests.read_models import PROJECTIONS, record

_READ: Final = (*PROJECTIONS, contact_alerts.PROJECTION, partnership_view.PROJECTION)
THE_DAY_BEFORE: Final = datetime(2026, 6, 29, 21, 59, 59, tzinfo=UTC)
FROM_THEN_ON: Final = datetime(2026, 6, 29, 22, tzinfo=UTC)
POLICY: Final = "policy:A:professional:professional:2026-01-01"


@pytest.fixture
def book() -> Book:
    """A relation with a line of its own, overdue, and one that the policy asks for: it ends on 30 June."""
    book = Book()
    book.register()
    book.tell("relation.tier_assigned", {"tier": "A", "arguments": [], "occurred_on": "2026-01-06"})
    cadence: dict[str, Any] = {"mode": "rolling", "every": "P3M"}
    asked = {"our_layer": "professional", "their_layer": "professional", "cadence": cadence, "grace_working_days": 5}
    policy = {"tier": "A", "policy_version": 1, "lines": [asked], "effective_on": "2026-01-01"}
    book.tell("schedule.policy_set", {**policy, "occurred_on": "2026-01-01"}, ORGANISATION)
    line = {
        "line": "l-1", "our_layer": "board", "their_layer": "board", "cadence": cadence, "starts_on": "2026-01-01",
        "grace_working_days": 5, "owner": "ref~1", "occurred_on": "2026-01-06",
    }  # fmt: skip
    book.tell("schedule.line_set", line)
    book.held("c-1", "2026-02-03T10:00:00+01:00")
    book.tell("relation.ended", {"occurred_on": "2026-06-30"})
    return book


async def answers(engine: AsyncEngine, book: Book, now: datetime) -> dict[str, Any]:
    """What readers hear of lines at that moment."""
    await record(engine, book.events, _READ)
    async with engine.connect() as conn:
        late = (await overdue_lines(conn, now, viewer=EVERYTHING)).items
        layers = (await layer_contacts(conn, now, viewer=EVERYTHING)).items
        grid, seen = await matrix(conn, HAAG, now, EVERYTHING), await show(conn, HAAG, now, EVERYTHING)
        asked = (await contributors(conn, now, EVERYTHING))["asked"]
    assert grid is not None
    assert seen is not None
    return {
        "late": sorted(one["line"] for one in late),
        "layers": [(one["line"], one["state"]) for one in layers],
        "gaps": [(one["our_layer"], one["state"]) for one in grid["cells"]],
        "states": {one["line"]: one["state"] for one in seen["schedule"]},
        "next": seen["next_due_on"],
        "required": seen["coverage"]["required"],
        "policy": seen["coverage"]["policy"] is not None,
        "asked": [(one["tier"], one["our_layer"], one["lines"]) for one in asked],
    }


OWED: Final[dict[str, Any]] = {
    "late": ["l-1", POLICY],
    "layers": [("l-1", "covered"), (POLICY, "gap")],
    "gaps": [("board", "late"), ("professional", "gap")],
    "states": {"l-1": "overdue", POLICY: "overdue"},
    "next": "2026-04-07",
    "required": 2,
    "policy": True,
    "asked": [("A", "board", 1)],
}
OVER: Final[dict[str, Any]] = {
    "late": [],
    "layers": [(None, "extra")],
    "gaps": [("board", "extra")],
    "states": {"l-1": "ended", POLICY: "ended"},
    "next": None,
    "required": 0,
    "policy": False,
    "asked": [],
}


async def test_from_the_day_of_its_end_it_owes_nothing(engine: AsyncEngine, book: Book) -> None:
    assert await answers(engine, book, THE_DAY_BEFORE) == OWED
    assert await answers(engine, book, FROM_THEN_ON) == OVER


async def test_of_merged_relations_the_end_of_the_survivor_counts(engine: AsyncEngine, book: Book) -> None:
    book.register(DELFT, "Gemeente Delft")
    merged = {"survivor": DELFT, "absorbed": HAAG, "reason": "enc~x", "occurred_on": "2026-06-30"}
    book.tell("relation.merged", merged, DELFT, absorbed=HAAG)
    found = await answers(engine, book, FROM_THEN_ON)
    # The survivor has no tier, so no policy asks anything of it.
    assert (found["late"], found["states"], found["required"]) == (["l-1"], {"l-1": "overdue"}, 1)
    assert found["asked"] == [(None, "board", 1)]
    book.tell("relation.ended", {"occurred_on": "2026-06-30"}, DELFT)
    found = await answers(engine, book, FROM_THEN_ON)
    assert (found["late"], found["states"], found["required"], found["asked"]) == ([], {"l-1": "ended"}, 0, [])
