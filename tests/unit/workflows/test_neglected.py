"""Rule a_relation_neglected: the judgement; the survey over the table is in the integration tests."""

from __future__ import annotations

from datetime import date

import pytest

from projections.workflows.facts import Entry
from projections.workflows.neglected import Attention, Judged, is_neglected, usual
from projections.workflows.thresholds import Thresholds

TERMS = Thresholds()
B = [Attention(n, 60 * n) for n in (1, 2, 4, 6, 9)]
A_SINCE = Entry([], date(2026, 1, 6), 2, date(2026, 1, 6), {"tier": "A"})


def test_the_usual_is_the_median_of_enough_others() -> None:
    assert usual(B, TERMS) == (4, 240)
    assert usual(B[:4], TERMS) is None
    assert usual([], Thresholds(neglected_min_others=1)) is None


@pytest.mark.parametrize(
    ("contacts", "minutes", "neglected"), [(4, 240, False), (3, 400, True), (6, 239, True), (5, 300, False)]
)
def test_fewer_contacts_or_fewer_minutes(contacts: int, minutes: int, neglected: bool) -> None:
    judged = Judged("r", A_SINCE, Attention(contacts, minutes))
    assert is_neglected(judged, usual(B, TERMS), date(2026, 6, 1), TERMS) is neglected


def test_not_in_its_first_three_months_nor_without_others() -> None:
    judged = Judged("r", A_SINCE, Attention(0, 0))
    assert not is_neglected(judged, usual(B, TERMS), date(2026, 4, 5), TERMS)
    assert is_neglected(judged, usual(B, TERMS), date(2026, 4, 6), TERMS)
    assert not is_neglected(judged, None, date(2026, 6, 1), TERMS)
