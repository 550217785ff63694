"""Rule low_score: a low score opens a loop, due in 2 working days, closed by a follow-up."""

from __future__ import annotations

from typing import Any

import pytest

from projections.workflows.low_score import loop_id
from tests.workflow_trial import OTHER, RELATION, Trial, told


def _asked(**instrument: Any) -> Trial:
    trial = Trial()
    trial.register()
    trial.instrument(**instrument)
    return trial


def test_it_opens_once_and_names_response_instrument_and_evidence() -> None:
    trial = _asked()
    scored = trial.score("r-1", 4, on="2026-02-06")

    (opened,) = trial.tick()

    # A Friday: two working days later is Tuesday.
    assert opened.data == {
        "loop": loop_id(RELATION, "r-1"), "response": "r-1", "instrument": "nps-2026", "due_on": "2026-02-10",
        "evidence": [scored], "silent": False, "occurred_on": "2026-02-06",
    }  # fmt: skip
    assert opened.kind == "loop.opened"
    assert trial.tick("2026-02-10") == []


@pytest.mark.parametrize(("score", "low"), [(0, True), (6, True), (7, False), (10, False)])
def test_low_is_the_band_of_that_name(score: float, low: bool) -> None:
    trial = _asked()
    trial.score("r-1", score, on="2026-02-06")
    assert [e.kind for e in trial.tick()] == (["loop.opened"] if low else [])


@pytest.mark.parametrize(
    ("low_is_best", "score", "low"), [(False, 1, True), (False, 5, False), (True, 1, False), (True, 5, True)]
)
def test_without_that_name_it_is_the_worst_band(low_is_best: bool, score: float, low: bool) -> None:
    bands = [{"name": "few", "from": 1, "to": 2}, {"name": "many", "from": 3, "to": 5}]
    trial = _asked(scale_min=1, scale_max=5, bands=bands, low_is_best=low_is_best)
    trial.score("r-1", score, on="2026-02-06")
    assert bool(trial.tick()) is low


def test_the_wording_that_was_asked_says_what_low_is() -> None:
    trial = _asked()
    bands = [{"name": "low", "from": 0, "to": 3}, {"name": "high", "from": 4, "to": 10}]
    trial.instrument(bands=bands, wording_version=2, occurred_on="2026-03-01")
    trial.score("r-1", 5, on="2026-02-27")
    trial.score("r-2", 5, on="2026-03-02")
    assert told(trial.tick()) == [("loop.opened", "r-1")]


def test_a_follow_up_closes_it_with_that_as_evidence() -> None:
    trial = _asked()
    trial.score("r-1", 4, on="2026-02-06")
    trial.tick()
    loop = loop_id(RELATION, "r-1")
    done = trial.record(
        "loop.followed_up", {"loop": loop, "evidence": [], "occurred_at": "2026-02-09T10:00:00+01:00"}, on="2026-02-09"
    )
    (closed,) = trial.tick()
    assert closed.data == {"loop": loop, "reason": "followed_up", "evidence": [done], "occurred_on": "2026-02-09"}
    assert trial.tick("2026-06-01") == []


def test_the_end_of_the_relation_closes_it_and_says_so() -> None:
    trial = _asked()
    trial.score("r-1", 4, on="2026-02-06")
    trial.tick()
    ended = trial.record("relation.ended", {"occurred_on": "2026-02-09"}, on="2026-02-09")
    (closed,) = trial.tick()
    assert (closed.kind, closed.data["reason"], closed.data["evidence"]) == ("loop.closed", "relation_ended", [ended])
    assert trial.tick("2026-06-01") == []


def test_a_contact_with_the_topic_closes_it_a_retraction_does_not_reopen_it() -> None:
    trial = _asked()
    trial.score("r-1", 4, on="2026-02-06")
    trial.tick()
    trial.held("c-1", "2026-02-09")
    assert trial.tick() == []
    trial.held("c-2", "2026-02-09", topics=("opvolging",))
    assert told(trial.tick()) == [("loop.closed", "followed_up")]
    trial.record("contact.retracted", {"contact": "c-2", "occurred_at": "2026-02-10T10:00:00+01:00"}, on="2026-02-10")
    assert trial.tick("2026-02-20") == []


def test_a_contact_before_the_score_follows_nothing_up() -> None:
    trial = _asked()
    trial.held("c-1", "2026-02-05", topics=("opvolging",))
    trial.score("r-1", 4, on="2026-02-06")
    assert told(trial.tick()) == [("loop.opened", "r-1")]
    corrected = {"contact": "c-1", "changes": {"occurred_at": "2026-02-06T10:00:00+01:00"}}
    trial.record("contact.corrected", {**corrected, "occurred_at": "2026-02-07T10:00:00+01:00"}, on="2026-02-07")
    assert told(trial.tick()) == [("loop.closed", "followed_up")]


def test_a_score_followed_up_before_the_tick_opens_nothing() -> None:
    trial = _asked()
    trial.score("r-1", 4, on="2026-02-06")
    trial.held("c-1", "2026-02-06", topics=("opvolging",))
    assert trial.tick("2026-03-01") == []


def test_late_it_climbs_once_a_step() -> None:
    trial = _asked()
    trial.score("r-1", 4, on="2026-02-06")
    trial.tier("A", on="2026-02-06")
    trial.line(on="2026-02-06")
    trial.tick()
    assert trial.tick("2026-02-11") == []
    assert told(trial.tick("2026-02-12")) == [("loop.escalated", "1")]
    assert told(trial.tick("2026-02-17")) == [("loop.escalated", "2")]


def test_closed_by_a_person_it_stays_closed() -> None:
    trial = _asked()
    trial.score("r-1", 4, on="2026-02-06")
    trial.tick()
    closed: dict[str, Any] = {"loop": loop_id(RELATION, "r-1"), "reason": "manual", "evidence": []}
    trial.record("loop.closed", closed, on="2026-02-09")
    assert trial.tick("2026-06-01") == []


def test_an_import_opens_silently_and_what_is_old_opens_nothing() -> None:
    trial = _asked()
    trial.score("r-1", 4, on="2026-02-06", recorded="2026-03-20")
    trial.score("r-2", 4, on="2026-02-06", recorded="2026-06-20")
    (opened,) = trial.tick()
    assert (opened.data["response"], opened.data["silent"]) == ("r-1", True)


def test_an_anonymous_score_keeps_no_respondent() -> None:
    trial = _asked()
    trial.score("r-1", 4, on="2026-02-06", anonymous=True, relation=OTHER)
    trial.score("r-2", 4, on="2026-02-06", respondent="ref~p1", relation=OTHER)
    kept = {r["id"]: r["entries"]["scored"][4] for r in trial.rows.group("fact", OTHER) if r["fact"] == "response"}
    assert "respondent" not in kept["r-1"]
    assert kept["r-2"]["respondent"] == "ref~p1"
