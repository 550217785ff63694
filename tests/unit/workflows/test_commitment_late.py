"""Rule commitment_late: a promise, by us or by them, of which the due date has passed."""

from __future__ import annotations

from events.recorded import local_date
from tests.workflow_trial import RELATION, Trial, told


def _made(trial: Trial, due_on: str, *, on: str = "2026-01-10", commitment: str = "k-1") -> int:
    return trial.record(
        "commitment.made", {"commitment": commitment, "by": "them", "due_on": due_on, "occurred_on": on}, on=on
    )


def test_it_is_late_the_day_after_and_explains_itself() -> None:
    trial = Trial()
    trial.register()
    made = _made(trial, "2026-04-01")

    assert trial.tick("2026-04-01") == []
    (raised,) = trial.tick("2026-04-02")

    assert raised.kind == "alert.raised"
    assert raised.expected_version == 2
    assert {k: v for k, v in raised.data.items() if k != "alert"} == {
        "rule": "commitment_late", "rule_version": 1, "about": "commitment:k-1", "due_on": "2026-04-01",
        "last_ok_on": "2026-04-01", "overdue_on": "2026-04-02", "level": 0, "evidence": [made], "silent": False,
        "occurred_on": "2026-04-02",
    }  # fmt: skip
    assert local_date(trial.now).isoformat() == "2026-04-02"


def test_how_it_ends_settles_it_with_that_as_evidence() -> None:
    for how in ("fulfilled", "broken", "released"):
        trial = Trial()
        _made(trial, "2026-04-01")
        trial.tick("2026-04-02")
        ended = trial.record(f"commitment.{how}", {"commitment": "k-1", "occurred_on": "2026-04-03"}, on="2026-04-03")
        (resolved,) = trial.tick()
        assert (resolved.kind, resolved.data["reason"], resolved.data["evidence"]) == (
            "alert.resolved",
            "settled",
            [ended],
        )
        assert trial.tick("2027-01-01") == []


def test_kept_in_time_it_raises_nothing() -> None:
    trial = Trial()
    _made(trial, "2026-04-01")
    trial.record("commitment.fulfilled", {"commitment": "k-1", "occurred_on": "2026-03-31"}, on="2026-03-31")
    assert trial.tick("2026-06-01") == []
    assert trial.rows.tables["duty"] == {}


def test_an_import_of_the_past_is_raised_silently_and_climbs_from_that_day() -> None:
    trial = Trial()
    trial.now = trial.now.replace(year=2027)
    _made(trial, "2026-04-01", on="2026-01-10")
    (raised,) = trial.tick()
    assert raised.data["silent"] is True
    # Raised on New Year's Day; the fifth working day after it: 4, 5, 6, 7 and 8 January.
    assert trial.tick("2027-01-07") == []
    (climbed,) = trial.tick("2027-01-08")
    assert climbed.data == {"alert": raised.data["alert"], "level": 1, "occurred_on": "2027-01-08"}
    assert trial.tick("2027-06-01") == []


def test_learned_a_day_late_it_climbs_from_the_day_on_which_it_was_learned() -> None:
    trial = Trial()
    _made(trial, "2026-04-01", on="2026-04-03")
    (raised,) = trial.tick()
    assert raised.data["silent"] is True
    # The fifth working day after the 3rd: 7, 8, 9, 10 and 13 April, the 6th is Easter Monday.
    assert trial.tick("2026-04-10") == []
    assert told(trial.tick("2026-04-13")) == [("alert.escalated", "1")]
    assert trial.tick("2026-06-01") == []


def test_the_owner_of_the_relation_is_asked_then_the_lead_then_for_tier_a_the_board() -> None:
    trial = Trial(incomplete_grace_working_days=260, schedule_working_days=260)
    trial.register()
    trial.record("relation.owner_assigned", {"employee": "ref~e1", "occurred_on": "2026-01-05"})
    trial.tier("A", on="2026-01-06")
    _made(trial, "2026-04-01")
    (raised,) = trial.tick("2026-04-02")
    assert raised.data["owner"] == "ref~e1"
    # 3 April is Good Friday (a working day), 6 April Easter Monday: the fifth working day after the 2nd is the 10th.
    assert trial.tick("2026-04-09") == []
    assert told(trial.tick("2026-04-10")) == [("alert.escalated", "1")]
    assert told(trial.tick("2026-04-17")) == [("alert.escalated", "2")]
    assert trial.tick("2026-05-20") == []


def test_the_board_is_not_asked_about_others() -> None:
    trial = Trial()
    trial.tier("B", on="2026-01-06")
    _made(trial, "2026-04-01")
    trial.tick("2026-04-02")
    assert told(trial.tick("2026-05-20")) == [("alert.escalated", "1")]


def test_put_off_it_does_not_climb_until_then() -> None:
    trial = Trial()
    _made(trial, "2026-04-01")
    (raised,) = trial.tick("2026-04-02")
    snoozed = {"alert": raised.data["alert"], "until": "2026-05-04", "occurred_at": "2026-04-03T10:00:00+02:00"}
    trial.record("alert.snoozed", snoozed, on="2026-04-03")
    assert trial.tick("2026-05-03") == []
    assert told(trial.tick("2026-05-04")) == [("alert.escalated", "1")]


def test_resolved_by_a_person_it_stays_so_for_this_due_date() -> None:
    trial = Trial()
    _made(trial, "2026-04-01")
    (raised,) = trial.tick("2026-04-02")
    trial.record("alert.resolved", {"alert": raised.data["alert"], "reason": "manual", "evidence": []}, on="2026-04-03")
    assert trial.tick("2026-06-01") == []


def test_nothing_is_asked_of_a_relation_that_ended() -> None:
    trial = Trial()
    _made(trial, "2026-04-01")
    trial.tick("2026-04-02")
    trial.record("relation.ended", {"occurred_on": "2026-04-03"}, on="2026-04-03")
    assert told(trial.tick()) == [("alert.resolved", "settled")]
    assert trial.open(RELATION) == {}


def test_the_end_of_a_relation_counts_from_its_day_on_and_is_the_evidence() -> None:
    trial = Trial()
    _made(trial, "2026-04-01")
    _made(trial, "2026-04-30", commitment="k-2")
    ended = trial.record("relation.ended", {"occurred_on": "2026-04-10"}, on="2026-03-30")
    assert told(trial.tick("2026-04-02")) == [("alert.raised", "commitment:k-1")]
    assert trial.tick("2026-04-09") == []
    (resolved,) = trial.tick("2026-04-10")
    assert (resolved.data["reason"], resolved.data["evidence"]) == ("settled", [ended])
    assert trial.tick("2027-01-01") == []
