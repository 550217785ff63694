"""A batch with a withdrawal in one relation and, in another, an alert that rests on a restricted fact of the first."""

from __future__ import annotations

import asyncio

import pytest

from projections.registry import PROJECTIONS
from projections.viewer import TEAM
from tests.given import DELFT, HAAG, Book
from tests.property.test_rows_split import fold_in_batches

ALERT = "7b3f5b0e-7d0a-5c55-9a58-1f3a54f0a001"


@pytest.mark.parametrize("size", [1, 100])
def test_an_alert_is_as_restricted_as_its_facts_however_the_events_are_cut(size: int) -> None:
    book = Book()
    book.register()
    book.register(DELFT, "Gemeente Delft")
    merged = {"survivor": HAAG, "absorbed": DELFT, "reason": "x", "occurred_on": "2026-01-06"}
    book.tell("relation.merged", merged, absorbed=DELFT)
    line = {
        "line": "l-1", "our_layer": "board", "their_layer": "board", "starts_on": "2026-01-01", "owner": "r",
        "cadence": {"mode": "rolling", "every": "P1M"}, "grace_working_days": 0, "occurred_on": "2026-01-06",
    }  # fmt: skip
    told = book.tell("schedule.line_set", line, DELFT, visibility="team")
    gone = book.tell("relation.owner_assigned", {"employee": "r", "occurred_on": "2026-01-07"}, DELFT)
    raised = {
        "alert": ALERT, "rule": "contact_overdue", "rule_version": 1, "about": f"{DELFT}:l-1", "due_on": "2026-02-02",
        "overdue_on": "2026-02-03", "last_ok_on": "2026-02-02", "level": 0, "evidence": [told.position],
        "silent": False, "occurred_on": "2026-02-03",
    }  # fmt: skip
    book.tell("alert.raised", raised, HAAG)
    taken_back = {"source": gone.source, "id": gone.id, "occurred_at": "2026-02-04T10:00:00+01:00"}
    book.tell("correction.withdrawn", taken_back, DELFT)
    stored = asyncio.run(fold_in_batches(PROJECTIONS["contact_alerts"], book.events, [size], 1_000, 1))
    assert stored.tables["alert"][HAAG, ALERT]["hidden"] == TEAM
