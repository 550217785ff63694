"""Rules a_relation_incomplete and tier_without_schedule: what an A relation lacks, and from when on that is told."""

from __future__ import annotations

from datetime import date
from typing import Any

from projections.workflows.completeness import ITEMS
from tests.workflow_trial import RELATION, Trial, told


def _a() -> Trial:
    trial = Trial()
    trial.register()
    trial.tier("A", on="2026-01-06")
    return trial


def _complete(trial: Trial) -> None:
    trial.line(on="2026-01-07")
    for item in ITEMS:
        data = {"item": item, "valid_until": "2027-01-01", "occurred_on": "2026-01-08"}
        trial.record("knowledge.item_recorded", data, on="2026-01-08")
    trial.record("plan.approved", {"plan": "2026", "occurred_on": "2026-01-09"}, on="2026-01-09")
    trial.instrument()
    trial.score("r-1", 9, on="2026-01-10")


def _column(trial: Trial, name: str) -> Any:
    return trial.rows.tables["relation"][(RELATION,)][name]


def test_without_a_schedule_after_ten_working_days() -> None:
    trial = _a()
    assert trial.tick("2026-01-20") == []
    (raised,) = trial.tick("2026-01-21")
    assert (raised.data["rule"], raised.data["about"]) == ("tier_without_schedule", "schedule")
    assert (raised.data["due_on"], raised.data["overdue_on"], raised.data["evidence"]) == (
        "2026-01-20",
        "2026-01-21",
        [2],
    )
    trial.line(on="2026-01-22")
    assert told(trial.tick()) == [("alert.resolved", "settled")]


def test_a_relation_that_is_no_longer_a_is_let_go() -> None:
    trial = _a()
    trial.tick("2026-01-21")
    trial.tier("B", on="2026-01-22")
    assert told(trial.tick()) == [("alert.resolved", "settled")]
    assert trial.tick("2026-06-01") == []


def test_each_lack_is_told_by_itself_twenty_working_days_later() -> None:
    trial = _a()
    trial.line(on="2026-01-07", our_layer="professional")
    assert trial.tick("2026-02-03") == []
    assert sorted(told(trial.tick("2026-02-04"))) == [
        ("alert.raised", "lack:board_line"), ("alert.raised", "lack:knowledge"), ("alert.raised", "lack:plan"),
        ("alert.raised", "lack:satisfaction"),
    ]  # fmt: skip
    trial.record("plan.approved", {"plan": "2026", "occurred_on": "2026-02-05"}, on="2026-02-05")
    (settled,) = trial.tick()
    assert settled.data["evidence"] == [trial.log[-2].position]
    assert sorted(trial.open()) == [
        f"a_relation_incomplete lack:{what}" for what in ("board_line", "knowledge", "satisfaction")
    ]


def test_a_complete_relation_is_left_alone_until_something_runs_out() -> None:
    trial = _a()
    _complete(trial)
    assert _column(trial, "knowledge_until") == date(2027, 1, 2)
    assert _column(trial, "satisfaction_until") == date(2027, 1, 11)
    assert _column(trial, "board_line_until") == _column(trial, "plan_until") == date.max
    assert trial.tick("2026-12-31") == []
    # Stale from 2 January 2027; the twentieth working day after the 1st is the 29th.
    assert told(trial.tick("2027-01-29")) == [("alert.raised", "plan:2026")]
    raised = trial.tick("2027-01-30")
    assert ("alert.raised", "lack:knowledge") in told(raised)


def test_one_item_of_knowledge_missing_is_a_lack() -> None:
    trial = _a()
    _complete(trial)
    assert _column(trial, "standing")["knowledge"]["missing"] == list(ITEMS)
    fresh = Trial()
    fresh.register()
    for item in ITEMS[1:]:
        data = {"item": item, "valid_until": "2027-01-01", "occurred_on": "2026-01-08"}
        fresh.record("knowledge.item_recorded", data, on="2026-01-08")
    assert _column(fresh, "knowledge_until") is None
    assert _column(fresh, "standing")["knowledge"]["missing"] == [ITEMS[0]]


def test_a_line_that_ended_and_a_plan_past_its_horizon_lack_from_then_on() -> None:
    trial = _a()
    _complete(trial)
    trial.record("schedule.line_ended", {"line": "l-1", "occurred_on": "2026-03-02"}, on="2026-03-02")
    drafted = {"plan": "2026", "template": "ten", "horizon_on": "2026-06-30", "occurred_on": "2026-01-06"}
    trial.record("plan.drafted", drafted, on="2026-03-03")
    assert _column(trial, "board_line_until") == date(2026, 3, 2)
    assert _column(trial, "plan_until") == date(2026, 7, 1)
    trial.record("plan.superseded", {"plan": "2026", "occurred_on": "2026-04-01"}, on="2026-04-01")
    assert _column(trial, "plan_until") == date(2026, 4, 1)


def test_falling_satisfaction_compares_quarters_of_one_wording() -> None:
    trial = _a()
    _complete(trial)
    trial.score("r-2", 9, on="2026-02-10")
    trial.score("r-3", 7, on="2026-04-10")
    assert _column(trial, "falling") is False
    trial.score("r-4", 7, on="2026-04-20")
    assert _column(trial, "falling") is True
    assert _column(trial, "standing")["falling"]["since"] == "2026-04-20"
    assert ("alert.raised", "falling:satisfaction") in told(trial.tick("2026-05-21"))
    trial.score("r-5", 10, on="2026-05-22")
    trial.score("r-6", 10, on="2026-05-22")
    trial.score("r-7", 10, on="2026-05-22")
    assert told(trial.tick()) == [("alert.resolved", "settled")]


def test_a_new_wording_is_no_trend() -> None:
    trial = _a()
    _complete(trial)
    trial.score("r-2", 9, on="2026-02-10")
    trial.instrument(wording_version=2, occurred_on="2026-04-01")
    trial.score("r-3", 7, on="2026-04-10")
    trial.score("r-4", 7, on="2026-04-20")
    assert _column(trial, "falling") is False
