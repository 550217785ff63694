"""Alerts are raised, resolved and opened again as SPEC section 5 says: facts in, time passing, events out."""

from __future__ import annotations

from typing import Any

import pytest

from events.contracts.alert import MODELS
from projections.alert_rule import Transition, alert_id
from tests.alert_trial import RELATION, Trial, at

MONTHLY = {"mode": "quota", "times": 1, "per": "month"}


def turns(transitions: list[Transition]) -> list[Transition]:
    """Those that open or close an alert: escalations left out."""
    return [t for t in transitions if t.kind != "alert.escalated"]


def kinds(transitions: list[Transition]) -> list[tuple[str, str]]:
    """What happened, escalations apart: the verb, with the reason of a resolution or the due date's alert."""
    return [
        (t.kind.removeprefix("alert."), str(t.data.get("reason") or t.data.get("due_on") or ""))
        for t in turns(transitions)
    ]


@pytest.fixture
def trial() -> Trial:
    """The example of SPEC section 5: every three months, last contact on 3 February, overdue on 12 May."""
    trial = Trial()
    trial.line()
    trial.held("c-1", "2026-02-03")
    return trial


@pytest.fixture
def overdue(trial: Trial) -> Trial:
    assert kinds(trial.tick("2026-05-12T00:00:00+02:00")) == [("raised", "2026-05-04")]
    return trial


def test_nothing_is_raised_before_midnight_in_amsterdam(trial: Trial) -> None:
    assert trial.tick("2026-05-11T23:59:59+02:00") == []
    assert trial.rows.tables["line"][RELATION, "l-1"]["check_at"] == at("2026-05-12T00:00:00+02:00")


def test_what_an_alert_says(trial: Trial) -> None:
    (raised,) = trial.tick("2026-05-12T00:00:00+02:00")

    assert raised.kind == "alert.raised"
    assert raised.relation == RELATION
    assert raised.expected_version == 2
    assert raised.data == {
        "alert": alert_id(RELATION, "l-1", "2026-05-04"), "rule": "contact_overdue", "rule_version": 1, "line": "l-1",
        "due_on": "2026-05-04", "overdue_on": "2026-05-12", "last_ok_on": "2026-05-11", "owner": "ref~e12",
        "evidence": [1, 2], "level": 0, "silent": False, "occurred_on": "2026-05-12",
    }  # fmt: skip


def test_the_alert_id_is_the_published_one() -> None:
    # uuid5(NAMESPACE_URL, "urn:relatieboek:alert:contact_overdue:<relation>:<line>:<due_on>"): never to change.
    assert alert_id(RELATION, "l-1", "2026-05-04") == "40059df2-e5f7-5382-bfa0-710c75107549"


def test_every_event_fits_its_contract(overdue: Trial) -> None:
    overdue.held("c-2", "2026-05-13")
    overdue.tick()
    overdue.retracted("c-2", "2026-05-14")
    overdue.tick()

    sent = [event for event in overdue.log if event.family == "alert"]
    assert [event.kind for event in sent] == ["alert.raised", "alert.resolved", "alert.reopened"]
    for event in sent:
        data: dict[str, Any] = {**event.data}
        if data.pop("owner", None) is not None:
            data["owner"] = "ref~" + "0" * 32
        MODELS[f"{event.kind.removeprefix('alert.')}.v1"].model_validate(data)


def test_a_second_tick_adds_nothing(overdue: Trial) -> None:
    assert kinds(overdue.tick("2026-08-01")) == []
    assert overdue.tick() == []
    assert overdue.open() == ["2026-05-04"]


def test_a_contact_resolves(overdue: Trial) -> None:
    position = overdue.held("c-2", "2026-05-13")

    (resolved,) = overdue.tick()

    assert resolved.data["reason"] == "contact_held"
    assert resolved.data["evidence"] == [position]
    (alert,) = overdue.alerts()
    assert (alert["state"], alert["resolution"], alert["resolved_at"]) == ("resolved", "contact_held", at("2026-05-13"))


def test_late_evidence_resolves_as_in_time(overdue: Trial) -> None:
    overdue.held("c-2", "2026-05-11", on="2026-05-20")
    assert kinds(overdue.tick()) == [("resolved", "late_evidence")]


def test_late_evidence_that_leaves_the_line_overdue_raises_a_new_alert_silently() -> None:
    trial = Trial()
    trial.line(cadence={"mode": "rolling", "every": "P1M"})
    trial.held("c-1", "2026-02-03")
    assert kinds(trial.tick("2026-06-01")) == [("raised", "2026-03-03")]

    trial.held("c-2", "2026-03-04", on="2026-06-02")

    resolved, raised = turns(trial.tick())
    assert resolved.data["reason"] == "late_evidence"
    assert (raised.data["due_on"], raised.data["silent"]) == ("2026-04-07", True)


def test_a_later_contact_that_leaves_the_line_overdue_recomputes() -> None:
    trial = Trial()
    trial.line(cadence={"mode": "rolling", "every": "P1M"})
    trial.held("c-1", "2026-02-03")
    trial.tick("2026-06-01")

    trial.held("c-2", "2026-04-10", on="2026-06-02")

    assert kinds(trial.tick()) == [("resolved", "recomputed"), ("raised", "2026-05-11")]


def test_a_contact_that_does_not_qualify_changes_nothing(overdue: Trial) -> None:
    overdue.held("c-2", "2026-05-13", theirs=[{"layer": "professional"}])
    assert overdue.tick() == []


def test_a_channel_that_the_line_does_not_accept() -> None:
    trial = Trial()
    trial.line(channels=["meeting", "video"])
    trial.held("c-1", "2026-02-03")
    trial.held("c-2", "2026-04-01", channel="email")
    assert kinds(trial.tick("2026-05-12")) == [("raised", "2026-05-04")]


def test_one_contact_counts_for_every_line_that_it_qualifies_for(trial: Trial) -> None:
    trial.line("l-2", their_layer="professional", on="2026-02-01")
    trial.held("c-2", "2026-04-01", theirs=[{"layer": "board"}, {"layer": "professional"}])
    assert trial.tick("2026-06-30") == []
    assert len(trial.tick("2026-07-09")) == 2


def test_a_retraction_opens_the_same_alert_again(overdue: Trial) -> None:
    overdue.held("c-2", "2026-05-13")
    overdue.tick()
    position = overdue.retracted("c-2", "2026-05-20")

    (reopened,) = turns(overdue.tick())

    assert reopened.kind == "alert.reopened"
    assert reopened.data["alert"] == alert_id(RELATION, "l-1", "2026-05-04")
    assert reopened.data["silent"]
    assert position in reopened.data["evidence"]
    (alert,) = overdue.alerts()
    assert (alert["state"], alert["resolution"], alert["resolved_at"]) == ("open", None, None)


def test_raised_resolved_and_reopened_again_and_again_are_all_different_events(overdue: Trial) -> None:
    for n in range(2, 6):
        overdue.held(f"c-{n}", "2026-05-13", on="2026-05-20")
        assert kinds(overdue.tick()) == [("resolved", "contact_held")]
        overdue.retracted(f"c-{n}", "2026-05-20")
        assert kinds(overdue.tick()) == [("reopened", "")]
    ids = [event.id for event in overdue.log]
    assert len(ids) == len(set(ids))
    assert len(overdue.alerts()) == 1


def test_the_same_decision_taken_twice_is_the_same_event(trial: Trial) -> None:
    trial.now = at("2026-05-12")
    first = trial.due()
    trial.now = at("2026-05-14")
    second = trial.due()
    assert [t.event_id for t in first] == [t.event_id for t in second]


def test_a_retraction_of_the_last_contact_raises_what_was_due_before_silently(trial: Trial) -> None:
    trial.held("c-0", "2026-01-09", on="2026-02-04")
    trial.retracted("c-1", "2026-05-01")
    (raised,) = turns(trial.tick())
    assert (raised.data["due_on"], raised.data["silent"]) == ("2026-04-09", True)


def test_a_correction_of_the_date_recomputes(overdue: Trial) -> None:
    overdue.corrected("c-1", "2026-05-15", occurred_at="2026-01-09T10:00:00+01:00")
    assert kinds(overdue.tick()) == [("resolved", "recomputed"), ("raised", "2026-04-09")]
    assert overdue.alerts()[1]["silent"]


def test_a_correction_of_the_layers_takes_the_contact_away(trial: Trial) -> None:
    trial.corrected("c-1", "2026-02-10", theirs=[{"layer": "professional"}])
    # Nothing qualifies: counted from the start, 1 January + P3M is 1 April.
    assert kinds(trial.tick("2026-05-12")) == [("raised", "2026-04-01")]


def test_corrections_count_by_when_they_were_made_not_by_when_they_came(trial: Trial) -> None:
    trial.corrected("c-1", "2026-02-12", occurred_at="2026-02-09T10:00:00+01:00")
    changes = {"occurred_at": "2026-02-06T10:00:00+01:00"}
    earlier = {"contact": "c-1", "changes": changes, "occurred_at": "2026-02-11T10:00:00+01:00"}
    trial.record("contact.corrected", earlier, on="2026-02-13")
    # 9 February stands: 9 May is a Saturday, so due Monday 11 May; grace 12 13 15 18 19 May.
    assert trial.tick("2026-05-19") == []
    assert kinds(trial.tick("2026-05-20")) == [("raised", "2026-05-11")]


def test_a_meeting_planned_in_time_holds_the_alert_back_until_its_end(trial: Trial) -> None:
    trial.planned("c-2", "2026-05-11T20:00:00+02:00", "2026-05-12T11:00:00+02:00", on="2026-05-01")
    assert trial.tick("2026-05-12T10:59:59+02:00") == []
    assert kinds(trial.tick("2026-05-12T11:00:00+02:00")) == [("raised", "2026-05-04")]


@pytest.mark.parametrize("how", ["contact.cancelled", "contact.no_show"])
def test_a_meeting_that_is_called_off_does_not(trial: Trial, how: str) -> None:
    trial.planned("c-2", "2026-05-11T20:00:00+02:00", "2026-05-12T11:00:00+02:00", on="2026-05-01")
    trial.record(how, {"contact": "c-2", "occurred_at": "2026-05-10T09:00:00+02:00"}, on="2026-05-10")
    assert kinds(trial.tick("2026-05-12T00:00:00+02:00")) == [("raised", "2026-05-04")]


def test_a_planned_meeting_that_is_held_counts_as_a_contact(trial: Trial) -> None:
    trial.planned("c-2", "2026-05-06T10:00:00+02:00", "2026-05-06T11:00:00+02:00", on="2026-05-01")
    trial.held("c-2", "2026-05-06T10:00:00+02:00")
    assert trial.tick("2026-08-13") == []
    assert kinds(trial.tick("2026-08-14")) == [("raised", "2026-08-06")]


def test_a_meeting_moved_to_after_the_last_day_does_not_help(trial: Trial) -> None:
    trial.planned("c-2", "2026-05-11T20:00:00+02:00", "2026-05-12T11:00:00+02:00", on="2026-05-01")
    moved = {"contact": "c-2", "starts_at": "2026-05-13T10:00:00+02:00", "ends_at": "2026-05-13T11:00:00+02:00"}
    trial.record("contact.rescheduled", {**moved, "occurred_at": "2026-05-08T10:00:00+02:00"}, on="2026-05-08")
    assert kinds(trial.tick("2026-05-12T00:00:00+02:00")) == [("raised", "2026-05-04")]


def test_a_pause_moves_the_due_date_and_resolves(overdue: Trial) -> None:
    overdue.paused("2026-03-01", "2026-06-01", on="2026-05-13")
    assert kinds(overdue.tick()) == [("resolved", "recomputed")]
    assert overdue.tick("2026-08-06") == []
    assert kinds(overdue.tick("2026-08-07")) == [("raised", "2026-07-30")]
    assert not overdue.alerts()[1]["silent"]


def test_a_pause_after_the_last_day_leaves_the_alert_open(overdue: Trial) -> None:
    overdue.paused("2026-05-18", "2026-06-01", on="2026-05-18")
    assert kinds(overdue.tick("2026-07-01")) == []
    assert overdue.open() == ["2026-05-04"]


def test_nothing_is_raised_during_a_pause(trial: Trial) -> None:
    trial.paused("2026-05-12", "2026-06-01", on="2026-05-01")
    assert trial.tick("2026-05-31") == []
    assert kinds(trial.tick("2026-06-01T00:00:00+02:00")) == [("raised", "2026-05-04")]


def test_a_resumption_ends_the_pause(trial: Trial) -> None:
    trial.paused("2026-03-02", "2026-06-01", on="2026-03-02")
    trial.record("schedule.line_resumed", {"line": "l-1", "occurred_on": "2026-03-09"}, on="2026-03-09")
    # Five working days, 2 to 6 March, on top of 4 May: 11 May; grace 12 13 15 18 19 May.
    assert trial.tick("2026-05-19") == []
    assert kinds(trial.tick("2026-05-20")) == [("raised", "2026-05-11")]


def test_the_end_of_a_line_resolves_and_nothing_follows(overdue: Trial) -> None:
    position = overdue.ended("2026-05-15")
    (resolved,) = overdue.tick()
    assert (resolved.data["reason"], resolved.data["evidence"]) == ("line_ended", [position])
    assert overdue.tick("2027-01-01") == []


def test_a_line_set_again_after_its_end_lives(trial: Trial) -> None:
    trial.ended("2026-03-01")
    trial.line(on="2026-03-10")
    assert kinds(trial.tick("2026-05-12")) == [("raised", "2026-05-04")]


def test_a_line_set_that_was_made_before_the_end_does_not_revive_it(trial: Trial) -> None:
    trial.ended("2026-03-01")
    trial.record(
        "schedule.line_set",
        {**trial.log[0].data, "grace_working_days": 2, "occurred_on": "2026-02-20"},
        on="2026-03-10",
    )
    assert trial.tick("2026-12-31") == []


def test_another_cadence_recomputes(overdue: Trial) -> None:
    overdue.line(cadence={"mode": "rolling", "every": "P1Y"}, on="2026-05-20")
    assert kinds(overdue.tick()) == [("resolved", "recomputed")]


def test_an_import_of_history_notifies_nobody() -> None:
    trial = Trial()
    trial.line(on="2026-06-30", starts_on="2025-01-01", occurred_on="2025-01-01")
    trial.held("c-1", "2026-02-03", on="2026-06-30")
    (raised,) = turns(trial.tick())
    assert (raised.data["overdue_on"], raised.data["silent"]) == ("2026-05-12", True)


def test_resolved_by_a_person_holds_for_that_due_date(overdue: Trial) -> None:
    alert = alert_id(RELATION, "l-1", "2026-05-04")
    data: dict[str, Any] = {"alert": alert, "reason": "manual", "evidence": [], "occurred_on": "2026-05-13"}
    overdue.record("alert.resolved", data, on="2026-05-13")
    assert overdue.tick("2026-07-01") == []

    overdue.held("c-2", "2026-07-01")
    assert kinds(overdue.tick("2026-10-09")) == [("raised", "2026-10-01")]


def test_snooze_and_acknowledgement_are_shown_and_end_with_the_alert(overdue: Trial) -> None:
    alert = alert_id(RELATION, "l-1", "2026-05-04")
    when = "2026-05-13T09:00:00+02:00"
    overdue.record("alert.acknowledged", {"alert": alert, "occurred_at": when}, on="2026-05-13")
    overdue.record("alert.snoozed", {"alert": alert, "until": "2026-05-20", "occurred_at": when}, on="2026-05-13")
    (row,) = overdue.alerts()
    assert row["acknowledged_at"] == at(when)
    assert str(row["snoozed_until"]) == "2026-05-20"

    overdue.held("c-2", "2026-05-14")
    overdue.tick()
    (row,) = overdue.alerts()
    assert row["state"] == "resolved"
    assert (row["acknowledged_at"], str(row["snoozed_until"])) == (at(when), "2026-05-20")

    overdue.retracted("c-2", "2026-05-20")
    overdue.tick()
    (row,) = overdue.alerts()
    assert (row["state"], row["acknowledged_at"], row["snoozed_until"]) == ("open", None, None)


def test_a_missed_month_is_replaced_by_the_next_missed_one() -> None:
    trial = Trial()
    trial.line(cadence=MONTHLY)
    assert trial.tick("2026-01-31") == []
    assert kinds(trial.tick("2026-02-01")) == [("raised", "2026-01-19")]
    assert kinds(trial.tick("2026-02-28")) == []
    assert kinds(trial.tick("2026-03-01")) == [("resolved", "recomputed"), ("raised", "2026-02-16")]
    assert [row["silent"] for row in trial.alerts()] == [False, False]


def test_late_evidence_for_a_missed_month() -> None:
    trial = Trial()
    trial.line(cadence=MONTHLY)
    trial.tick("2026-02-01")
    trial.held("c-1", "2026-01-30", on="2026-02-05")
    assert kinds(trial.tick()) == [("resolved", "late_evidence")]
    assert kinds(trial.tick("2026-03-01")) == [("raised", "2026-02-16")]


def test_the_next_contact_after_a_missed_month() -> None:
    trial = Trial()
    trial.line(cadence=MONTHLY)
    trial.tick("2026-02-01")
    trial.held("c-1", "2026-02-04")
    assert kinds(trial.tick()) == [("resolved", "contact_held")]
    # It is February's contact too.
    assert trial.tick("2026-03-31") == []
    assert kinds(trial.tick("2026-04-01")) == [("raised", "2026-03-17")]


def test_evidence_that_is_not_enough_leaves_a_missed_quarter_open() -> None:
    trial = Trial()
    trial.line(cadence={"mode": "quota", "times": 3, "per": "quarter"})
    trial.held("c-1", "2026-02-03")
    assert kinds(trial.tick("2026-04-01")) == [("raised", "2026-03-17")]
    trial.held("c-2", "2026-03-20", on="2026-04-02")
    assert trial.tick() == []
    trial.held("c-3", "2026-03-30", on="2026-04-03")
    assert kinds(trial.tick()) == [("resolved", "late_evidence")]


def test_evidence_is_bounded_and_keeps_the_line_and_the_cause() -> None:
    trial = Trial()
    first = trial.line(cadence={"mode": "quota", "times": 100, "per": "year"}, starts_on="2026-01-01")
    last = [trial.held(f"c-{n}", "2026-03-02") for n in range(40)][-1]
    (raised,) = trial.tick("2027-01-01")
    assert len(raised.data["evidence"]) <= 20
    assert raised.data["evidence"][0] == first
    assert raised.data["evidence"][-1] == last


def test_facts_of_a_line_that_is_not_set_yet_wait_for_it() -> None:
    trial = Trial()
    trial.paused("2026-03-01", "2026-06-01", on="2026-03-01")
    assert trial.tick("2026-03-02") == []
    trial.held("c-1", "2026-02-03", on="2026-03-02")
    trial.line(on="2026-03-03", occurred_on="2026-01-06")
    assert kinds(trial.tick("2026-08-07")) == [("raised", "2026-07-30")]


def test_name_tier_owner_and_teams_are_registers_by_when_they_occurred(trial: Trial) -> None:
    for tier, on in (("A", "2026-03-02"), ("B", "2026-02-02")):
        trial.record("relation.tier_assigned", {"tier": tier, "occurred_on": on}, on="2026-03-03")
    for kind, on in (("team.relation_unassigned", "2026-03-02"), ("team.relation_assigned", "2026-02-02")):
        trial.record(kind, {"team": "t", "occurred_on": on}, on="2026-03-03")
    trial.record("relation.registered", {"name": "Gemeente X", "kind": "municipality", "occurred_on": "2026-01-01"})

    row = trial.rows.tables["relation"][RELATION,]
    assert (row["name"], row["tier"], row["version"]) == ("Gemeente X", "A", len(trial.log))
    assert not trial.rows.tables["assignment"][RELATION, "t"]["assigned"]
