"""What an open alert was about is withdrawn, the line or the tier whose policy asked for it: then it resolves."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from events.recorded import ORGANISATION
from projections.contact_alerts import PROJECTION
from projections.rows import fold
from tests.alert_trial import RELATION, Trial

_LINES: list[dict[str, Any]] = [
    {
        "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
        "grace_working_days": 5,
    }
]  # fmt: skip


@pytest.fixture
def trial() -> Trial:
    return Trial()


def withdraw(trial: Trial, position: int) -> int:
    """The book goes on with the withdrawal of what it holds at this position; its own position."""
    told = trial.log[position - 1]
    data = {"source": told.source, "id": told.id, "occurred_at": "2026-06-02T10:00:00+02:00"}
    at = trial.record("correction.withdrawn", data, on="2026-06-02")
    trial.log[-1] = replace(trial.log[-1], withdraws=position)
    trial.take(trial.log, trial.now)
    return at


def test_a_line_that_is_withdrawn_leaves_no_alert(trial: Trial) -> None:
    line = trial.line()
    trial.tick("2026-06-01")
    assert trial.open() == ["2026-04-01"]
    at = withdraw(trial, line)
    (resolved,) = trial.tick("2026-06-03")
    assert (resolved.kind, resolved.data["reason"], resolved.data["evidence"]) == ("alert.resolved", "recomputed", [at])
    assert (trial.open(), trial.tick("2027-06-03")) == ([], [])


def test_a_line_that_is_set_again_after_that_is_a_line_as_any(trial: Trial) -> None:
    withdraw(trial, trial.line())
    trial.line(on="2026-06-04", starts_on="2026-06-04")
    assert trial.tick("2026-06-05") == []
    trial.tick("2026-10-01")
    assert trial.open() == ["2026-09-04"]


def test_a_withdrawn_tier_leaves_no_alert_of_its_policy(trial: Trial) -> None:
    policy = {
        "tier": "A", "policy_version": 1, "lines": _LINES, "effective_on": "2026-01-01", "occurred_on": "2026-01-01",
        "escalation_working_days": [5, 10],
    }  # fmt: skip
    trial.record("schedule.policy_set", policy, relation=ORGANISATION)
    tier = trial.record("relation.tier_assigned", {"tier": "A", "arguments": [], "occurred_on": "2026-01-02"})
    trial.tick("2026-06-01")
    assert trial.open() == ["2026-04-02"]
    at = withdraw(trial, tier)
    (resolved,) = trial.tick("2026-06-03")
    assert (resolved.kind, resolved.data["reason"], resolved.data["evidence"]) == ("alert.resolved", "recomputed", [at])
    assert (trial.open(), trial.tick("2027-06-03")) == ([], [])


def test_its_row_is_there_without_terms_and_waits_for_nothing(trial: Trial) -> None:
    withdraw(trial, trial.line())
    row = fold(PROJECTION, trial.log).tables["line"][RELATION, "l-1"]
    assert (row["our_layer"], row["open"], row["check_at"]) == (None, None, None)
