"""Rule programme_off_course: progress that is stale, and red without a steering decision."""

from __future__ import annotations

from tests.workflow_trial import Trial, told


def _started() -> Trial:
    trial = Trial()
    data = {"programme": "p-1", "name": "Thuis", "starts_on": "2026-01-01", "ends_on": "2026-12-31"}
    trial.record("programme.started", data, on="2026-01-02")
    return trial


def _report(trial: Trial, rag: str, on: str, indicator: str = "wait") -> int:
    data = {"programme": "p-1", "indicator": indicator, "target": 10, "actual": 9, "rag": rag, "occurred_on": on}
    return trial.record("programme.progress_reported", data, on=on)


def _decide(trial: Trial, on: str) -> int:
    return trial.record("programme.steering_decision_taken", {"programme": "p-1", "due_on": "2026-09-01"}, on=on)


def test_stale_after_three_months_without_a_report() -> None:
    trial = _started()
    assert trial.tick("2026-04-01") == []
    assert told(trial.tick("2026-04-02")) == [("alert.raised", "progress:p-1")]
    _report(trial, "green", "2026-04-03")
    assert told(trial.tick()) == [("alert.resolved", "settled")]
    assert trial.tick("2026-07-03") == []
    assert told(trial.tick("2026-07-04")) == [("alert.raised", "progress:p-1")]


def test_not_after_its_last_day() -> None:
    trial = _started()
    _report(trial, "green", "2026-11-15")
    assert trial.tick("2027-06-01") == []
    late = _started()
    late.tick("2026-04-02")
    assert told(late.tick("2027-01-01"))[-1] == ("alert.resolved", "settled")


def test_red_without_a_decision_in_ten_working_days() -> None:
    trial = _started()
    red = _report(trial, "red", "2026-03-02")
    assert trial.tick("2026-03-16") == []
    (raised,) = trial.tick("2026-03-17")
    assert (raised.data["about"], raised.data["due_on"], raised.data["evidence"]) == ("red:p-1", "2026-03-16", [1, red])
    # Red again is the same redness; a decision ends it.
    _report(trial, "red", "2026-03-18")
    assert trial.tick() == []
    _decide(trial, "2026-03-19")
    assert told(trial.tick()) == [("alert.resolved", "settled")]


def test_red_again_after_the_decision_is_the_same_redness() -> None:
    trial = _started()
    _report(trial, "red", "2026-03-02")
    _decide(trial, "2026-03-03")
    _report(trial, "red", "2026-03-30")
    assert trial.tick("2026-04-15") == []
    # Once it was not red in between, it turned red anew: then the old decision is no answer.
    _report(trial, "amber", "2026-04-20")
    _report(trial, "red", "2026-05-01")
    (raised,) = trial.tick("2026-05-20")
    assert (raised.data["about"], raised.data["due_on"]) == ("red:p-1", "2026-05-18")


def test_a_decision_on_the_day_itself_counts_one_before_does_not() -> None:
    same = _started()
    _report(same, "red", "2026-03-02")
    _decide(same, "2026-03-02")
    assert same.tick("2026-03-20") == []
    before = _started()
    _decide(before, "2026-03-01")
    _report(before, "red", "2026-03-02")
    assert told(before.tick("2026-03-20")) == [("alert.raised", "red:p-1")]


def test_another_indicator_that_turns_red_later_wants_a_decision_of_its_own() -> None:
    trial = _started()
    _report(trial, "red", "2026-03-02")
    _decide(trial, "2026-03-03")
    other = _report(trial, "red", "2026-03-30", "falls")
    (raised,) = trial.tick("2026-04-15")
    assert raised.data["evidence"] == [1, other]


def test_green_again_settles_it_another_indicator_does_not() -> None:
    trial = _started()
    _report(trial, "red", "2026-03-02")
    _report(trial, "green", "2026-03-03", "falls")
    assert told(trial.tick("2026-03-17")) == [("alert.raised", "red:p-1")]
    _report(trial, "amber", "2026-03-18")
    assert told(trial.tick()) == [("alert.resolved", "settled")]
