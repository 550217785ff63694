"""Rule agreement_ending: within six months of its last day, and not renewed."""

from __future__ import annotations

import pytest

from tests.workflow_trial import Trial, told


def _signed(trial: Trial, until: str) -> int:
    data = {"agreement": "zk-1", "type": "contract", "from": "2026-01-01", "until": until, "occurred_on": "2026-01-02"}
    return trial.record("agreement.signed", data, on="2026-01-02")


@pytest.mark.parametrize(
    ("until", "first"), [("2027-12-31", "2027-06-30"), ("2027-08-31", "2027-02-28"), ("2027-06-15", "2026-12-15")]
)
def test_from_six_months_before(until: str, first: str) -> None:
    trial = Trial()
    signed = _signed(trial, until)
    (raised,) = trial.tick(first)
    assert raised.data["overdue_on"] == first
    assert (raised.data["about"], raised.data["due_on"], raised.data["evidence"]) == ("agreement:zk-1", until, [signed])


def test_not_a_day_earlier() -> None:
    trial = Trial()
    _signed(trial, "2027-12-31")
    assert trial.tick("2027-06-29") == []


def test_renewal_and_end_settle_it_running_out_does_not() -> None:
    trial = Trial()
    _signed(trial, "2027-12-31")
    trial.tick("2027-06-30")
    assert told(trial.tick("2028-02-01")) == [("alert.escalated", "1")]
    trial.record("agreement.renewed", {"agreement": "zk-1", "until": "2029-12-31"}, on="2028-02-02")
    assert told(trial.tick()) == [("alert.resolved", "settled")]
    assert told(trial.tick("2029-06-30")) == [("alert.raised", "agreement:zk-1")]
    trial.record("agreement.ended", {"agreement": "zk-1"}, on="2029-07-01")
    assert told(trial.tick()) == [("alert.resolved", "settled")]
