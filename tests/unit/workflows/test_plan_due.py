"""Rule plan_due: the review of an approved plan, and its actions."""

from __future__ import annotations

from typing import Any

from tests.workflow_trial import Trial, told


def _approved(trial: Trial, plan: str = "2026", *, on: str = "2026-01-20") -> int:
    return trial.record("plan.approved", {"plan": plan, "occurred_on": on}, on=on)


def _agreed(trial: Trial, **changes: Any) -> int:
    data = {"plan": "2026", "action": "a-1", "owner": "ref~e2", "due_on": "2026-04-01", **changes}
    return trial.record("plan.action_agreed", data, on="2026-01-10")


def test_review_is_due_a_year_after_approval_or_at_the_horizon() -> None:
    trial = Trial()
    _approved(trial)
    assert trial.tick("2027-01-20") == []
    assert told(trial.tick("2027-01-21")) == [("alert.raised", "plan:2026")]

    trial = Trial()
    drafted = {"plan": "2026", "template": "ten", "horizon_on": "2026-12-31", "occurred_on": "2026-01-02"}
    trial.record("plan.drafted", drafted)
    _approved(trial)
    (raised,) = trial.tick("2027-01-01")
    assert raised.data["due_on"] == "2026-12-31"


def test_the_next_plan_settles_it() -> None:
    trial = Trial()
    _approved(trial)
    trial.tick("2027-01-21")
    _approved(trial, "2027", on="2027-02-01")
    assert told(trial.tick()) == [("alert.resolved", "settled")]


def test_an_action_is_late_and_its_own_owner_is_asked() -> None:
    trial = Trial()
    agreed = _agreed(trial)
    (raised,) = trial.tick("2026-04-02")
    assert (raised.data["about"], raised.data["owner"], raised.data["evidence"]) == ("action:a-1", "ref~e2", [agreed])
    trial.record("plan.action_completed", {"plan": "2026", "action": "a-1"}, on="2026-04-03")
    assert told(trial.tick()) == [("alert.resolved", "settled")]


def test_deferring_moves_it_dropping_ends_it() -> None:
    trial = Trial()
    _agreed(trial)
    trial.tick("2026-04-02")
    deferred = {"plan": "2026", "action": "a-1", "due_on": "2026-05-01"}
    trial.record("plan.action_deferred", deferred, on="2026-04-03")
    assert told(trial.tick()) == [("alert.resolved", "settled")]
    assert told(trial.tick("2026-05-02")) == [("alert.raised", "action:a-1")]
    trial.record("plan.action_deferred", {**deferred, "due_on": "2026-04-15"}, on="2026-05-03")
    assert told(trial.tick()) == [("alert.resolved", "recomputed"), ("alert.raised", "action:a-1")]
    trial.record("plan.action_dropped", {"plan": "2026", "action": "a-1"}, on="2026-05-04")
    assert told(trial.tick()) == [("alert.resolved", "settled")]


def test_actions_of_a_superseded_plan_are_let_go() -> None:
    trial = Trial()
    _agreed(trial)
    _approved(trial)
    trial.record("plan.superseded", {"plan": "2026"}, on="2026-03-01")
    assert trial.tick("2026-04-02") == []
