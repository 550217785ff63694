"""After a change of rules or thresholds the new build tells the differences, silently (SPEC section 5)."""

from __future__ import annotations

from typing import Any

from projections.workflows.reconcile import ident
from projections.workflows.rulebook import RULES
from tests.workflow_trial import OTHER, RELATION, Trial, told


def _signed(trial: Trial, agreement: str, until: str, relation: str = RELATION) -> int:
    data: dict[str, Any] = {"agreement": agreement, "type": "contract", "until": until, "occurred_on": "2026-01-10"}
    return trial.record("agreement.signed", data, on="2026-01-10", relation=relation)


def test_what_a_new_threshold_asks_for_besides_is_raised_silently() -> None:
    trial = Trial(agreement_notice_months=3)
    _signed(trial, "near", "2026-05-01")
    _signed(trial, "far", "2026-07-15")
    assert told(trial.tick("2026-02-10")) == [("alert.raised", "agreement:near")]
    trial.tick("2026-03-02")
    trial.switch("2026-03-02", agreement_notice_months=6)
    events = trial.tick()
    assert [(e.data["about"], e.data["silent"]) for e in events if e.kind == "alert.raised"] == [
        ("agreement:far", True)
    ]  # fmt: skip
    # It climbs from that day on, not at once.
    far = next(e.data["alert"] for e in events if e.kind == "alert.raised")
    assert not [e for e in events if e.kind == "alert.escalated" and e.data["alert"] == far]
    # What becomes due from here on is told as ever.
    trial.tick("2026-05-01")
    _signed(trial, "later", "2026-11-15")
    (raised,) = [e for e in trial.tick("2026-05-15") if e.kind == "alert.raised"]
    assert (raised.data["about"], raised.data["silent"]) == ("agreement:later", False)


def test_a_fact_that_came_after_the_switch_is_told() -> None:
    trial = Trial()
    trial.switch("2026-03-02")
    trial.register()
    trial.register("Gemeente Delft", relation=OTHER)
    data = {"commitment": "k-1", "by": "us", "due_on": "2026-03-03", "occurred_on": "2026-03-02"}
    trial.record("commitment.made", data, on="2026-03-02", relation=OTHER)
    (raised,) = trial.tick("2026-03-04")
    assert raised.data["silent"] is False


def test_an_alert_of_an_older_version_of_a_rule_resolves_as_rule_changed() -> None:
    trial = Trial(agreement_notice_months=1)
    signed = _signed(trial, "near", "2026-05-01")
    # As a version before this one raised it, when it asked earlier.
    raised: dict[str, Any] = {
        "alert": ident(RULES["agreement_ending"], RELATION, "agreement:near", "2026-05-01"),
        "rule": "agreement_ending", "rule_version": 0, "about": "agreement:near", "due_on": "2026-05-01",
        "overdue_on": "2026-01-20", "last_ok_on": "2026-01-19", "level": 0, "evidence": [signed], "silent": False,
        "occurred_on": "2026-01-20",
    }  # fmt: skip
    trial.record("alert.raised", raised, on="2026-01-20")
    trial.switch("2026-03-02", agreement_notice_months=1)
    assert told(trial.tick()) == [("alert.resolved", "rule_changed")]
    # The same due date is the same alert, once the rule as it is now asks for it: that is no difference of rules.
    (again,) = trial.tick("2026-04-01")
    assert (again.kind, again.data["alert"], again.data["silent"]) == ("alert.reopened", raised["alert"], False)
