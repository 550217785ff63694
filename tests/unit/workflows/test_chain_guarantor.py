"""Rule chain_phase_without_guarantor."""

from __future__ import annotations

from typing import Any

from tests.workflow_trial import Trial, told


def _defined() -> Trial:
    trial = Trial()
    phases = [{"phase": "thuis", "name": "Thuis"}, {"phase": "revalidatie", "name": "Revalidatie"}]
    trial.record("chain.defined", {"chain": "cva", "name": "CVA", "phases": phases}, on="2026-01-05")
    return trial


def _guaranteed(trial: Trial, phase: str, on: str, **more: Any) -> int:
    data = {"chain": "cva", "phase": phase, "organisation": "us", **more}
    return trial.record("chain.phase_guaranteed", data, on=on)


def test_each_phase_wants_one_within_ten_working_days() -> None:
    trial = _defined()
    _guaranteed(trial, "thuis", "2026-01-06")
    assert trial.tick("2026-01-19") == []
    (raised,) = trial.tick("2026-01-20")
    assert (raised.data["about"], raised.data["evidence"]) == ("phase:cva:revalidatie", [1])
    _guaranteed(trial, "revalidatie", "2026-01-21")
    assert told(trial.tick()) == [("alert.resolved", "settled")]


def test_a_guarantee_runs_out() -> None:
    trial = _defined()
    _guaranteed(trial, "thuis", "2026-01-06")
    until = _guaranteed(trial, "revalidatie", "2026-01-06", until="2026-06-30")
    assert trial.tick("2026-06-30") == []
    (raised,) = trial.tick("2026-07-01")
    assert (raised.data["due_on"], raised.data["evidence"]) == ("2026-06-30", [1, until])


def test_a_guarantor_that_was_replaced_guarantees_no_longer() -> None:
    trial = _defined()
    _guaranteed(trial, "thuis", "2026-01-06")
    _guaranteed(trial, "revalidatie", "2026-01-06")
    replaced = {"chain": "cva", "phase": "thuis", "organisation": "us", "by": "kvk:12345678"}
    trial.record("chain.partner_replaced", replaced, on="2026-05-01")
    assert told(trial.tick("2026-05-02")) == [("alert.raised", "phase:cva:thuis")]
    _guaranteed(trial, "thuis", "2026-05-04", organisation="kvk:12345678")
    assert told(trial.tick()) == [("alert.resolved", "settled")]
