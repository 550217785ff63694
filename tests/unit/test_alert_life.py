"""What alerts live through beside contacts: escalation, putting off, vacancy, policies, calendars and merges."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from uuid import UUID

from events.recorded import ORGANISATION
from projections.alert_rule import Transition, alert_id
from projections.rows import Row
from tests.alert_trial import RELATION, Trial

ABSORBED = str(UUID(int=2))
ALERT = alert_id(RELATION, "l-1", "2026-05-04")
LAYERS = {"our_layer": "board", "their_layer": "board"}


def told(transitions: list[Transition]) -> list[tuple[str, str]]:
    """What happened: the verb, with the level, the reason or the due date."""
    named = ("level", "reason", "due_on")
    return [
        (t.kind.removeprefix("alert."), str(next((t.data[n] for n in named if t.data.get(n)), ""))) for t in transitions
    ]


def example(tier: str | None = "A") -> Trial:
    """Every three months, last contact on 3 February: last_ok_on 11 May, overdue on 12 May 2026."""
    trial = Trial()
    if tier is not None:
        trial.record("relation.tier_assigned", {"tier": tier, "occurred_on": "2026-01-06"}, on="2026-01-06")
    trial.line()
    trial.held("c-1", "2026-02-03")
    return trial


def snooze(trial: Trial, until: str, on: str) -> None:
    at = f"{on}T09:00:00+02:00"
    trial.record("alert.snoozed", {"alert": ALERT, "until": until, "occurred_at": at}, on=on)


def policy(version: int, effective_on: str, every: str | None, *, on: str | None = None, **more: Any) -> dict[str, Any]:
    lines = [] if every is None else [
        {**LAYERS, "cadence": {"mode": "rolling", "every": every}, "grace_working_days": 5}
    ]  # fmt: skip
    return {
        "tier": "A", "policy_version": version, "lines": lines, "effective_on": effective_on,
        "occurred_on": on or effective_on, **more,
    }  # fmt: skip


def lay_down(trial: Trial, kind: str, data: dict[str, Any], on: str) -> None:
    trial.record(f"schedule.{kind}", data, on=on, relation=ORGANISATION)


def merge(trial: Trial, on: str, *, verb: str = "merged") -> int:
    data = {"survivor": RELATION, "absorbed": ABSORBED, "occurred_on": on}
    return trial.record(f"relation.{verb}", data, on=on, absorbed=ABSORBED)


def lines(trial: Trial) -> dict[tuple[str, str], Row]:
    return {key[:2]: row for key, row in trial.rows.tables["line"].items()}


class TestEscalation:
    def test_the_team_lead_after_five_working_days_the_board_after_ten(self) -> None:
        trial = example()
        # After 11 May: 12 13 15 18 19 May (the 14th is Ascension), then 20 21 22 26 27 May (25 is Whit Monday).
        assert told(trial.tick("2026-05-18")) == [("raised", "2026-05-04")]
        assert told(trial.tick("2026-05-19T00:00:00+02:00")) == [("escalated", "1")]
        assert trial.tick("2026-05-26") == []
        assert told(trial.tick("2026-05-27T00:00:00+02:00")) == [("escalated", "2")]
        assert trial.tick("2026-12-31") == []
        (row,) = trial.alerts()
        assert (row["state"], row["level"]) == ("open", 2)

    def test_the_board_hears_of_a_relations_only(self) -> None:
        trial = example("B")
        trial.tick("2026-12-31")
        (row,) = trial.alerts()
        assert row["level"] == 1

    def test_a_relation_that_becomes_a_goes_on_to_the_board(self) -> None:
        trial = example("B")
        trial.tick("2026-12-31")
        trial.record("relation.tier_assigned", {"tier": "A", "occurred_on": "2027-01-04"}, on="2027-01-04")
        assert told(trial.tick()) == [("escalated", "2")]

    def test_late_knowledge_goes_to_the_level_of_today_in_one_step(self) -> None:
        trial = example()
        trial.now = trial.now.replace(year=2026, month=7, day=1)
        assert told(trial.tick()) == [("raised", "2026-05-04"), ("escalated", "2")]

    def test_a_pause_halts_it(self) -> None:
        trial = example()
        trial.tick("2026-05-12")
        trial.paused("2026-05-13", "2026-06-01", on="2026-05-13")
        assert trial.tick("2026-06-03") == []
        # 12 May and 1 to 4 June.
        assert told(trial.tick("2026-06-04")) == [("escalated", "1")]

    def test_so_does_putting_it_off_and_its_end_wakes_it(self) -> None:
        trial = example()
        trial.tick("2026-05-12")
        snooze(trial, "2026-06-01", "2026-05-13")
        assert trial.tick("2026-06-03") == []
        assert told(trial.tick("2026-06-04")) == [("escalated", "1")]

    def test_a_second_putting_off_counts_its_days_once(self) -> None:
        trial = example()
        trial.tick("2026-05-12")
        snooze(trial, "2026-06-01", "2026-05-13")
        snooze(trial, "2026-05-15", "2026-05-14")
        # 12 May, then 15 18 19 20 May.
        assert trial.tick("2026-05-19") == []
        assert told(trial.tick("2026-05-20")) == [("escalated", "1")]

    def test_a_contact_ends_it_and_a_retraction_begins_it_anew(self) -> None:
        trial = example()
        trial.tick("2026-05-19")
        trial.held("c-2", "2026-05-20")
        assert told(trial.tick()) == [("resolved", "contact_held")]
        assert trial.alerts()[0]["level"] == 1
        trial.retracted("c-2", "2026-05-20")
        assert told(trial.tick()) == [("reopened", ""), ("escalated", "1")]
        assert len({event.id for event in trial.log}) == len(trial.log)


class TestVacancy:
    def named(self) -> Trial:
        trial = example()
        person: dict[str, Any] = {"person": "ref~p1", "layer": "board", "occurred_on": "2026-01-06"}
        trial.record("counterpart.added", person, on="2026-02-03")
        trial.line(their_person="ref~p1", on="2026-02-04")
        return trial

    def test_a_line_whose_person_left_is_a_gap_and_its_alert_ends(self) -> None:
        trial = self.named()
        trial.tick("2026-05-12")
        left = trial.record("counterpart.departed", {"person": "ref~p1", "occurred_on": "2026-05-13"}, on="2026-05-13")
        (resolved,) = trial.tick()
        assert (resolved.data["reason"], resolved.data["evidence"]) == ("recomputed", [left])
        assert trial.tick("2026-12-31") == []

    def test_who_leaves_later_is_there_until_then(self) -> None:
        trial = self.named()
        trial.record("counterpart.departed", {"person": "ref~p1", "occurred_on": "2026-06-01"}, on="2026-03-01")
        assert told(trial.tick("2026-05-12")) == [("raised", "2026-05-04")]
        assert told(trial.tick("2026-06-01"))[-1] == ("resolved", "recomputed")

    def test_so_is_one_whose_person_moved_to_another_layer(self) -> None:
        trial = self.named()
        moved = {"person": "ref~p1", "layer": "professional", "occurred_on": "2026-05-01"}
        trial.record("counterpart.moved", moved, on="2026-05-01")
        assert trial.tick("2026-12-31") == []

    def test_another_function_is_no_vacancy(self) -> None:
        trial = self.named()
        moved = {"person": "ref~p1", "function": "enc~x", "occurred_on": "2026-05-01"}
        trial.record("counterpart.moved", moved, on="2026-05-01")
        assert told(trial.tick("2026-05-12")) == [("raised", "2026-05-04")]

    def test_another_person_fills_it(self) -> None:
        trial = self.named()
        trial.record("counterpart.departed", {"person": "ref~p1", "occurred_on": "2026-03-01"}, on="2026-03-01")
        trial.line(their_person="ref~p2", on="2026-04-01")
        assert told(trial.tick("2026-05-12")) == [("raised", "2026-05-04")]


class TestPolicy:
    def test_it_is_a_line_of_every_relation_of_the_tier(self) -> None:
        trial = Trial()
        trial.record("relation.tier_assigned", {"tier": "A", "occurred_on": "2026-01-06"}, on="2026-01-06")
        lay_down(trial, "policy_set", policy(3, "2026-01-01", "P3M"), "2026-01-07")
        # From 6 January, the later of the two: due Monday 6 April is Easter, so the 7th; grace 8 9 10 13 14 April.
        assert trial.tick("2026-04-14") == []
        (raised,) = trial.tick("2026-04-15")
        assert raised.data["about"] == "policy:A:board:board:2026-01-01"
        assert (raised.data["policy_version"], raised.data["due_on"]) == (3, "2026-04-07")
        trial.held("c-1", "2026-04-16")
        assert told(trial.tick()) == [("resolved", "contact_held")]

    def test_a_line_of_their_own_stands_instead(self) -> None:
        trial = example()
        lay_down(trial, "policy_set", policy(1, "2026-01-01", "P1M"), "2026-01-07")
        (raised,) = trial.tick("2026-05-12")
        assert (raised.data["line"], raised.data["policy_version"]) == ("l-1", 1)

    def test_its_own_steps_hold_for_its_relations(self) -> None:
        trial = example()
        lay_down(trial, "policy_set", policy(1, "2026-01-01", None, escalation_working_days=[1, 2, 3]), "2026-01-07")
        found = [told(trial.tick(day)) for day in ("2026-05-12", "2026-05-13", "2026-05-15")]
        assert found == [[("raised", "2026-05-04"), ("escalated", "1")], [("escalated", "2")], [("escalated", "3")]]

    def test_an_alert_keeps_the_steps_of_its_policy(self) -> None:
        trial = example()
        lay_down(trial, "policy_set", policy(1, "2026-01-01", None), "2026-01-07")
        trial.tick("2026-05-12")
        stricter = policy(2, "2026-05-13", None, escalation_working_days=[1])
        lay_down(trial, "policy_set", stricter, "2026-05-13")
        assert trial.tick("2026-05-18") == []
        assert told(trial.tick("2026-05-19")) == [("escalated", "1")]

    def test_a_stricter_policy_makes_nothing_late_at_once(self) -> None:
        trial = Trial()
        trial.record("relation.tier_assigned", {"tier": "A", "occurred_on": "2026-01-01"}, on="2026-01-06")
        lay_down(trial, "policy_set", policy(1, "2026-01-01", "P1Y"), "2026-01-07")
        trial.held("c-1", "2026-02-03")
        lay_down(trial, "policy_set", policy(2, "2026-06-01", "P1M"), "2026-05-01")
        # Counted from 1 June: due 1 July, grace until 8 July.
        assert trial.tick("2026-07-08") == []
        (raised,) = trial.tick("2026-07-09")
        assert (raised.data["due_on"], raised.data["policy_version"]) == ("2026-07-01", 2)

    def test_a_policy_said_again_begins_nothing_anew(self) -> None:
        trial = Trial()
        trial.record("relation.tier_assigned", {"tier": "A", "occurred_on": "2026-01-01"}, on="2026-01-06")
        lay_down(trial, "policy_set", policy(1, "2026-01-01", "P3M"), "2026-01-07")
        trial.tick("2026-04-10")
        lay_down(trial, "policy_set", policy(2, "2026-05-01", "P3M"), "2026-05-01")
        assert told(trial.tick("2026-05-01")) == [("escalated", "2")]
        assert len(trial.open()) == 1

    def test_another_tier_ends_it(self) -> None:
        trial = Trial()
        trial.record("relation.tier_assigned", {"tier": "A", "occurred_on": "2026-01-01"}, on="2026-01-06")
        lay_down(trial, "policy_set", policy(1, "2026-01-01", "P3M"), "2026-01-07")
        trial.tick("2026-04-10")
        trial.record("relation.tier_assigned", {"tier": "B", "occurred_on": "2026-04-11"}, on="2026-04-11")
        assert told(trial.tick()) == [("resolved", "line_ended")]
        assert trial.tick("2026-12-31") == []


class TestRelationEnded:
    def test_its_end_is_the_evidence_where_that_ended_the_line(self) -> None:
        for line_ends, first in (("2026-05-13", True), ("2026-05-14", True), ("2026-05-15", False)):
            trial = example()
            trial.tick("2026-05-12")
            ends = [trial.ended(line_ends, on="2026-05-12")]
            ends.append(trial.record("relation.ended", {"occurred_on": "2026-05-14"}, on="2026-05-12"))
            (resolved,) = trial.tick("2026-05-14")
            assert (resolved.data["reason"], resolved.data["evidence"]) == ("line_ended", [ends[0 if first else 1]])


class TestWorkingCalendar:
    def test_a_closed_day_moves_what_was_raised_and_what_will_be(self) -> None:
        trial = example()
        closed = {"closed_on": ["2026-05-12"], "open_on": [], "occurred_on": "2026-01-07"}
        lay_down(trial, "working_calendar_set", {**closed, "closed_on": ["2026-05-05"]}, "2026-03-01")
        # Due 4 May; grace 6 7 8 11 12 May.
        assert trial.tick("2026-05-12") == []
        assert told(trial.tick("2026-05-13")) == [("raised", "2026-05-04")]

    def test_the_newest_stands_whole(self) -> None:
        trial = example()
        for n, days in enumerate((["2026-05-05"], [])):
            on = f"2026-03-0{n + 1}"
            data = {"closed_on": days, "open_on": [], "occurred_on": on}
            lay_down(trial, "working_calendar_set", data, on)
        assert told(trial.tick("2026-05-12")) == [("raised", "2026-05-04")]

    def test_a_holiday_on_which_we_work(self) -> None:
        trial = example()
        trial.tick("2026-05-12")
        data = {"closed_on": [], "open_on": ["2026-05-14"], "occurred_on": "2026-05-12"}
        lay_down(trial, "working_calendar_set", data, "2026-05-12")
        # 12 13 14 15 18 May.
        assert told(trial.tick("2026-05-18")) == [("escalated", "1")]


class TestMerge:
    def two(self) -> Trial:
        """The absorbed relation has a line of its own, overdue since 12 May; the survivor has none."""
        trial = Trial()
        data: dict[str, Any] = {
            "line": "l-1", **LAYERS, "cadence": {"mode": "rolling", "every": "P3M"}, "starts_on": "2026-01-01",
            "grace_working_days": 5, "owner": "ref~e12", "occurred_on": "2026-01-06",
        }  # fmt: skip
        trial.record("relation.registered", {"name": "S", "occurred_on": "2026-01-01"}, on="2026-01-06")
        trial.record("schedule.line_set", data, on="2026-01-06", relation=ABSORBED)
        self.meet(trial, "c-1", "2026-02-03", ABSORBED)
        return trial

    def meet(self, trial: Trial, contact: str, on: str, relation: str) -> int:
        side = [{"layer": "board"}]
        data = {
            "contact": contact, "occurred_at": f"{on}T10:00:00+01:00", "duration_min": 60, "channel": "meeting",
            "activity": "conversation", "topics": [], "ours": side, "theirs": side,
        }  # fmt: skip
        return trial.record("contact.held", data, on=on, relation=relation)

    def test_an_alert_goes_on_under_the_survivor_silently(self) -> None:
        trial = self.two()
        trial.tick("2026-05-12")
        merge(trial, "2026-05-13")
        resolved, raised = trial.tick()
        assert (resolved.relation, resolved.data["reason"]) == (ABSORBED, "merged")
        assert (raised.relation, raised.data["about"]) == (RELATION, f"{ABSORBED}:l-1")
        assert (raised.data["due_on"], raised.data["silent"]) == ("2026-05-04", True)
        assert trial.tick() == []

    def test_contacts_of_either_count_for_both(self) -> None:
        trial = self.two()
        merge(trial, "2026-03-01")
        self.meet(trial, "c-9", "2026-05-06", RELATION)
        assert trial.tick("2026-08-13") == []
        assert [t.relation for t in trial.tick("2026-08-14")] == [RELATION]
        self.meet(trial, "c-2", "2026-08-14", ABSORBED)
        assert told(trial.tick()) == [("resolved", "contact_held")]
        assert trial.tick("2026-11-30")[0].data["due_on"] == "2026-11-16"

    def test_an_unmerge_restores(self) -> None:
        trial = self.two()
        trial.tick("2026-05-12")
        merge(trial, "2026-05-13")
        trial.tick()
        merge(trial, "2026-05-14", verb="unmerged")
        resolved, reopened = trial.tick()
        assert (resolved.relation, resolved.data["reason"]) == (RELATION, "recomputed")
        assert (reopened.relation, reopened.kind) == (ABSORBED, "alert.reopened")
        merge(trial, "2026-05-15")
        assert told(trial.tick()) == [("resolved", "merged"), ("reopened", "")]
        assert len({event.id for event in trial.log}) == len(trial.log)

    def test_lines_for_the_same_layers_wait_for_a_person(self) -> None:
        trial = self.two()
        trial.line(cadence={"mode": "rolling", "every": "P1Y"}, on="2026-01-06")
        trial.tick("2026-05-12")
        merge(trial, "2026-05-13")
        assert told(trial.tick()) == [("resolved", "merged")]
        assert lines(trial)[ABSORBED, "l-1"]["conflict"]
        assert not lines(trial)[RELATION, "l-1"]["conflict"]
        assert trial.tick("2026-12-31") == []

    def test_once_one_is_ended_the_other_goes_on(self) -> None:
        trial = self.two()
        trial.line(cadence={"mode": "rolling", "every": "P1Y"}, on="2026-01-06")
        merge(trial, "2026-05-13")
        trial.tick()
        trial.ended("2026-05-20")
        assert trial.tick()[0].data["about"] == f"{ABSORBED}:l-1"

    def test_a_chain_of_four(self) -> None:
        trial = self.two()
        trial.tick("2026-05-12")
        chain = [ABSORBED, str(UUID(int=3)), str(UUID(int=4)), RELATION]
        for below, above in pairwise(chain):
            data = {"survivor": above, "absorbed": below, "occurred_on": "2026-05-13"}
            trial.record("relation.merged", data, on="2026-05-13", relation=above, absorbed=below)
        resolved, raised = trial.tick()
        assert (resolved.relation, raised.relation) == (ABSORBED, RELATION)
        self.meet(trial, "c-2", "2026-05-14", chain[1])
        assert told(trial.tick()) == [("resolved", "contact_held")]
