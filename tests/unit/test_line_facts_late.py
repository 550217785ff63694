"""What a line's evidence and its family are when facts come doubled, or of a member of a merge there is nothing yet."""

from __future__ import annotations

import asyncio

import pytest

from projections import contact_alerts
from projections.rows import fold
from tests.given import DELFT, HAAG, ORGANISATION, Book
from tests.property.test_rows_split import fold_in_batches
from tests.samples import golden

LINE = {
    "line": "l-1", "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
    "grace_working_days": 5, "starts_on": "2026-01-01", "their_person": "p-1", "occurred_on": "2026-01-06",
}  # fmt: skip


@pytest.mark.parametrize("turn", [1, -1], ids=["in order", "the other way round"])
def test_of_two_facts_for_one_day_the_last_is_the_one_that_says_it(turn: int) -> None:
    book = Book()
    book.register()
    book.tell("schedule.line_set", LINE)
    left = {"person": "p-1", "occurred_on": "2026-02-01"}
    for time in ("2026-02-01T09:00:00+01:00", "2026-02-02T09:00:00+01:00")[::turn]:
        book.tell("counterpart.departed", left, time=time)
    last = max(book.events, key=lambda e: e.time or "" if e.kind == "counterpart.departed" else "")
    row = fold(contact_alerts.PROJECTION, book.events).tables["line"][HAAG, "l-1"]
    assert row["positions"]["vacant"] == last.position


def test_a_change_of_policy_settles_a_family_of_which_one_member_has_no_row() -> None:
    """As when that member's registration is parked."""
    book = Book()
    book.register()
    policy = {**golden("schedule.policy_set")["data"], "effective_on": "2026-02-01"}
    book.tell("schedule.policy_set", policy, ORGANISATION)
    merged = {"survivor": HAAG, "absorbed": DELFT, "reason": "herindeling", "occurred_on": "2026-01-01"}
    book.tell("relation.merged", merged, absorbed=DELFT)
    stored = asyncio.run(fold_in_batches(contact_alerts.PROJECTION, book.events, [10], 1_000, 0))
    assert stored.tables == fold(contact_alerts.PROJECTION, book.events).tables
