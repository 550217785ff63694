"""The rules of issue 3's families: given what the book knows, when an event comes, then this is the answer. No I/O."""

from __future__ import annotations

from typing import Any, Final

import pytest

from events.alert_rules import MOST_SNOOZES
from events.book import Accept, Park, Reject
from events.catalog import TYPES
from tests.every_kind import department_of
from tests.judged import DENHAAG, Book
from tests.samples import golden

APPROVED_ON: Final = golden("plan.approved")["data"]["occurred_on"]


class Told(Book):
    """A book that is told golden events, with changes."""

    def judge(self, kind: str, /, *without: str, **changes: Any) -> Accept | Park | Reject:
        event = golden(kind)
        data = {k: v for k, v in {**event["data"], **changes}.items() if k not in without}
        organisation = TYPES[event["type"]].about == "organisation"
        subject = "organisation" if organisation else "gemeentecode:0518"
        return self.send(kind, data, subject, department_of(event))

    def given(self, *kinds: str, **changes: Any) -> Told:
        for kind in kinds:
            answer = self.judge(kind, **changes)
            assert isinstance(answer, Accept), (kind, answer)
        return self

    def refused(self, kind: str, /, *without: str, **changes: Any) -> tuple[str, list[str]]:
        """Code and pointers of a rejection; nothing changed."""
        before = dict(self.things)
        answer = self.judge(kind, *without, **changes)
        assert isinstance(answer, Reject), answer
        assert self.things == before
        return answer.code, [e.pointer for e in answer.errors]

    def waits(self, kind: str, /, *without: str, **changes: Any) -> tuple[str, tuple[str, ...]]:
        """Code of a parking, and the keys that it waits for, without the relation's id."""
        answer = self.judge(kind, *without, **changes)
        assert isinstance(answer, Park), answer
        assert all(e.pointer.startswith("/data/") for e in answer.errors)
        return answer.code, tuple(key.replace(f"{DENHAAG}:", "") for key in answer.waits_for)


@pytest.fixture
def book() -> Told:
    return Told().given("relation.registered")


# --- what names the unknown waits for it


@pytest.mark.parametrize(
    ("kind", "code", "key"),
    [
        ("plan.superseded", "unknown_plan", "plan:2026"),
        ("plan.action_completed", "unknown_plan", "plan:2026"),
        ("plan.action_deferred", "unknown_plan", "plan:2026"),
        ("plan.action_dropped", "unknown_plan", "plan:2026"),
        ("opportunity.offer_submitted", "unknown_opportunity", "opportunity:o-1"),
        ("opportunity.won", "unknown_opportunity", "opportunity:o-1"),
        ("opportunity.lost", "unknown_opportunity", "opportunity:o-1"),
        ("satisfaction.round_closed", "unknown_instrument", "instrument:nps-2026"),
        ("agreement.renewed", "unknown_agreement", "agreement:zk-2026"),
        ("agreement.ended", "unknown_agreement", "agreement:zk-2026"),
        ("programme.started", "unknown_agreement", "agreement:zk-2026"),
        ("programme.progress_reported", "unknown_programme", "programme:pr-1"),
        ("programme.steering_decision_taken", "unknown_programme", "programme:pr-1"),
        ("chain.partner_assigned", "unknown_chain", "chain:ouderen"),
        ("chain.partner_replaced", "unknown_chain", "chain:ouderen"),
        ("chain.phase_guaranteed", "unknown_chain", "chain:ouderen"),
        ("chain.investment_recorded", "unknown_chain", "chain:ouderen"),
        ("chain.return_recorded", "unknown_chain", "chain:ouderen"),
        ("chain.baseline_agreed", "unknown_chain", "chain:ouderen"),
        ("chain.savings_assessed", "unknown_chain", "chain:ouderen"),
        ("chain.sharing_key_agreed", "unknown_chain", "chain:ouderen"),
        ("chain.savings_distributed", "unknown_chain", "chain:ouderen"),
        ("partnership.interest_acknowledged", "unknown_interest", "interest:b-1"),
        ("partnership.performance_acknowledged", "unknown_performance", "performance:pf-1"),
        ("contact.declared_same", "unknown_contact", "held:c-1"),
        ("contact.rescheduled", "unknown_contact", "planned:c-1"),
        ("contact.no_show", "unknown_contact", "planned:c-1"),
        ("schedule.line_resumed", "unknown_line", "line:l-1"),
        ("schedule.line_reassigned", "unknown_line", "line:l-1"),
        ("team.member_joined", "unknown_team", "team:wmo-haaglanden"),
        ("team.member_left", "unknown_team", "team:wmo-haaglanden"),
        ("team.relation_unassigned", "unknown_team", "team:wmo-haaglanden"),
        ("commitment.released", "unknown_commitment", "commitment:k-1"),
        ("loop.opened", "unknown_response", "response:r-1"),
        ("loop.followed_up", "unknown_loop", "loop:7c1d2e3f-4a5b-5c6d-8e7f-0a1b2c3d4e5f"),
        ("loop.escalated", "unknown_loop", "loop:7c1d2e3f-4a5b-5c6d-8e7f-0a1b2c3d4e5f"),
        ("loop.closed", "unknown_loop", "loop:7c1d2e3f-4a5b-5c6d-8e7f-0a1b2c3d4e5f"),
        ("alert.escalated", "unknown_alert", "alert:0b1c2d3e-4f5a-5b6c-8d7e-9f0a1b2c3d4e"),
        ("alert.acknowledged", "unknown_alert", "alert:0b1c2d3e-4f5a-5b6c-8d7e-9f0a1b2c3d4e"),
        ("alert.snoozed", "unknown_alert", "alert:0b1c2d3e-4f5a-5b6c-8d7e-9f0a1b2c3d4e"),
    ],
)
def test_what_names_the_unknown_waits_for_it(book: Told, kind: str, code: str, key: str) -> None:
    found, keys = book.waits(kind)
    assert (found, keys[0]) == (code, key)


@pytest.mark.parametrize(
    "kind",
    [
        "relation.details_changed", "relation.ended", "relation.owner_assigned", "counterpart.moved",
        "counterpart.departed", "contributor.profiled", "note.recorded", "schedule.policy_set",
        "schedule.working_calendar_set", "knowledge.position_measured", "matrix.link_assessed", "plan.drafted",
        "opportunity.tender_announced", "satisfaction.staff_reported", "satisfaction.complaints_reported",
        "satisfaction.outcome_reported", "agreement.signed", "chain.defined", "partnership.interest_recorded",
        "partnership.performance_reported", "employee.left", "person.erased", "retention.applied",
    ],
)  # fmt: skip
def test_what_names_nothing_is_accepted_at_once(book: Told, kind: str) -> None:
    book.given(kind)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("note.recorded", "note"),
        ("agreement.signed", "agreement"),
        ("chain.defined", "chain"),
        ("opportunity.tender_announced", "opportunity"),
        ("partnership.interest_recorded", "interest"),
        ("partnership.performance_reported", "performance"),
        ("schedule.policy_set", "policy_version"),
    ],
)
def test_an_id_is_used_once(book: Told, kind: str, field: str) -> None:
    book.given(kind)
    assert book.refused(kind) == ("id_taken", [f"/data/{field}"])


def test_ids_that_need_something_first_are_used_once_too(book: Told) -> None:
    book.given("agreement.signed", "programme.started", "chain.defined", "chain.savings_assessed")
    assert book.refused("programme.started") == ("id_taken", ["/data/programme"])
    assert book.refused("chain.savings_assessed") == ("id_taken", ["/data/assessment"])


def test_an_id_of_the_institution_says_so(book: Told) -> None:
    book.given("satisfaction.instrument_defined", "satisfaction.round_closed")
    assert book.refused("satisfaction.round_closed") == ("id_taken", ["/data/round"])
    answer = book.judge("satisfaction.round_closed")
    assert isinstance(answer, Reject)
    assert "the institution" in answer.errors[0].detail


# --- relations and people


def test_a_relation_ends_once(book: Told) -> None:
    book.given("relation.ended")
    assert book.refused("relation.ended") == ("rule", ["/data/occurred_on"])
    book.given("note.recorded", "relation.details_changed")


def test_no_reference_stands_in_a_key(book: Told) -> None:
    book.given("counterpart.moved", "counterpart.departed", "relation.owner_assigned", "matrix.link_assessed",
               "contributor.profiled", "employee.left")  # fmt: skip
    assert not any("p-81" in key or "e-12" in key for key in book.things)


def test_who_changes_the_same_thing_conflicts(book: Told) -> None:
    book.given("relation.owner_assigned")  # version 2
    owner = {"employee": "e-14", "occurred_on": "2026-02-01"}
    assert book.reject("relation.owner_assigned", owner, expectedversion=1).code == "conflict"
    book.accept("relation.owner_assigned", owner, expectedversion=2)
    book.accept("relation.tier_assigned", {"tier": "B", "occurred_on": "2026-02-01"}, expectedversion=1)


# --- contacts


def test_contacts_are_declared_the_same_once_all_are_held(book: Told) -> None:
    book.given("contact.held")
    assert book.waits("contact.declared_same") == ("unknown_contact", ("held:c-2",))
    book.given("contact.held", contact="c-2").given("contact.declared_same")


def test_a_planned_contact_is_not_yet_the_same_as_another(book: Told) -> None:
    book.given("contact.planned")
    assert book.waits("contact.declared_same") == ("unknown_contact", ("held:c-1", "held:c-2"))


@pytest.mark.parametrize("late", ["contact.corrected", "contact.declared_same"])
def test_a_retraction_that_came_first_refuses_nothing_that_was_sent_before_it(book: Told, late: str) -> None:
    book.given("contact.held").given("contact.held", contact="c-2")
    book.given("contact.retracted", late)


@pytest.mark.parametrize("kind", ["contact.rescheduled", "contact.cancelled", "contact.no_show"])
def test_a_planned_contact_is_moved_or_called_off_as_often_as_it_happens(book: Told, kind: str) -> None:
    book.given("contact.planned", kind, kind)


# --- schedules and teams


def test_a_line_that_is_set_is_resumed_and_handed_over(book: Told) -> None:
    book.given("schedule.line_set", "schedule.line_resumed", "schedule.line_reassigned")
    assert book.waits("schedule.line_reassigned", line="l-2") == ("unknown_line", ("line:l-2",))


def test_a_team_that_was_formed_is_joined_left_and_let_go_of(book: Told) -> None:
    book.given("team.formed", "team.member_joined", "team.member_left", "team.relation_unassigned")
    assert book.waits("team.member_left", team="jeugd") == ("unknown_team", ("team:jeugd",))


# --- commitments


@pytest.mark.parametrize("first", ["fulfilled", "broken", "released"])
def test_a_commitment_ends_once(book: Told, first: str) -> None:
    book.given("commitment.made", f"commitment.{first}")
    for kind in ("commitment.fulfilled", "commitment.broken", "commitment.released"):
        assert book.refused(kind) == ("rule", ["/data/commitment"])


# --- plans


@pytest.fixture
def answered(book: Told) -> Told:
    """A plan with all ten answers and no action."""
    book.given("plan.drafted")
    for question in range(1, 11):
        book.given("plan.question_answered", question=str(question))
    return book


def test_a_plan_of_which_each_action_was_dropped_waits_for_another(answered: Told) -> None:
    answered.given("plan.action_agreed").given("plan.action_dropped", occurred_on=APPROVED_ON)
    assert answered.waits("plan.approved") == ("not_yet", ("actions:2026", "action_ended:a-1"))
    answered.given("plan.action_agreed", action="a-2").given("plan.approved")


def test_an_action_that_is_done_counts_and_so_does_one_beside_a_dropped_one(answered: Told) -> None:
    answered.given("plan.action_agreed").given("plan.action_completed", occurred_on=APPROVED_ON)
    answered.given("plan.action_agreed", action="a-2")
    answered.given("plan.action_dropped", action="a-2", occurred_on=APPROVED_ON)
    answered.given("plan.approved")


def test_an_action_that_was_changed_and_then_dropped_is_dropped(answered: Told) -> None:
    answered.given("plan.action_agreed", "plan.action_agreed").given("plan.action_dropped", occurred_on=APPROVED_ON)
    assert answered.waits("plan.approved")[0] == "not_yet"


def test_an_action_that_was_dropped_after_the_approval_counted_for_it(answered: Told) -> None:
    answered.given("plan.action_agreed").given("plan.action_dropped", occurred_on="2026-07-01")
    answered.given("plan.approved")


def test_the_actions_of_another_plan_do_not_count(answered: Told) -> None:
    answered.given("plan.action_agreed", plan="2027")
    assert answered.waits("plan.approved") == ("not_yet", ("actions:2026",))
    answered.given("plan.action_agreed").given("plan.action_agreed", plan="2027")  # moved to the other plan
    assert answered.waits("plan.approved")[0] == "not_yet"


def test_a_plan_that_waits_for_answers_and_an_action_says_which_answers(answered: Told) -> None:
    answer = answered.judge("plan.approved", plan="2027")
    assert isinstance(answer, Park)
    assert answer.code == "unknown_plan"
    answered.given("plan.drafted", plan="2027").given("plan.question_answered", plan="2027", question="1")
    answer = answered.judge("plan.approved", plan="2027")
    assert isinstance(answer, Park)
    assert len(answer.waits_for) == 10
    assert answer.errors[0].detail.startswith("question 2, 3, 4, 5, 6, 7, 8, 9, 10 has no answer yet")


def test_an_action_is_completed_or_dropped_once(book: Told) -> None:
    book.given("plan.action_agreed", "plan.action_deferred", "plan.action_deferred", "plan.action_completed")
    for kind in ("plan.action_completed", "plan.action_dropped", "plan.action_deferred"):
        assert book.refused(kind) == ("rule", ["/data/action"])
    book.given("plan.action_agreed", action="a-2").given("plan.action_dropped", action="a-2")


def test_an_action_is_named_with_its_own_plan(book: Told) -> None:
    book.given("plan.action_agreed", "plan.drafted").given("plan.drafted", plan="2027")
    assert book.refused("plan.action_completed", plan="2027") == ("rule", ["/data/plan"])


def test_an_action_that_is_not_agreed_yet_is_waited_for(book: Told) -> None:
    book.given("plan.drafted")
    assert book.waits("plan.action_dropped") == ("unknown_action", ("action:a-1",))


def test_a_plan_waits_for_the_one_in_its_place(book: Told) -> None:
    book.given("plan.drafted")
    assert book.waits("plan.superseded") == ("unknown_plan", ("plan:2027",))
    book.given("plan.drafted", plan="2027").given("plan.superseded")
    assert isinstance(book.judge("plan.superseded", "by"), Accept)


# --- opportunities, agreements, programmes


@pytest.mark.parametrize("first", ["won", "lost"])
def test_an_opportunity_is_decided_once(book: Told, first: str) -> None:
    book.given("opportunity.tender_announced", f"opportunity.{first}")
    for kind in ("opportunity.won", "opportunity.lost"):
        assert book.refused(kind) == ("rule", ["/data/opportunity"])
    book.given("opportunity.offer_submitted")  # sent late


def test_an_agreement_ends_once(book: Told) -> None:
    book.given("agreement.signed", "agreement.ended")
    assert book.refused("agreement.ended") == ("rule", ["/data/agreement"])


def test_a_renewal_leaves_a_coalition_its_length(book: Told) -> None:
    book.given("agreement.signed")  # a coalition from 2026-01-01
    assert book.refused("agreement.renewed", until="2027-01-01") == ("rule", ["/data/until"])
    book.given("agreement.renewed", until="2027-01-02")


def test_a_renewal_ends_after_the_agreement_began(book: Told) -> None:
    book.given("agreement.signed", type="contract")
    assert book.refused("agreement.renewed", until="2026-01-01") == ("rule", ["/data/until"])
    book.given("agreement.renewed", until="2026-01-02")


def test_a_programme_needs_no_agreement_but_waits_for_the_one_it_names(book: Told) -> None:
    assert isinstance(book.judge("programme.started", "agreement"), Accept)
    book.given("programme.progress_reported", "programme.steering_decision_taken")
    assert book.waits("programme.started", programme="pr-2") == ("unknown_agreement", ("agreement:zk-2026",))
    book.given("agreement.signed").given("programme.started", programme="pr-2")


# --- chains


@pytest.mark.parametrize("kind", ["chain.partner_assigned", "chain.partner_replaced", "chain.phase_guaranteed"])
def test_a_phase_is_one_of_the_chain(book: Told, kind: str) -> None:
    book.given("chain.defined", kind)
    answer = book.judge(kind, phase="opname")
    assert isinstance(answer, Reject)
    assert (answer.code, answer.errors[0].pointer) == ("rule", "/data/phase")
    assert "signaleren, wijk, nazorg" in answer.errors[0].detail


def test_a_distribution_waits_for_its_assessment(book: Told) -> None:
    book.given("chain.defined")
    assert book.waits("chain.savings_distributed") == ("not_yet", ("assessment:as-2026",))
    book.given("chain.savings_assessed", "chain.savings_distributed")


def test_a_distribution_sums_to_the_saving(book: Told) -> None:
    book.given("chain.defined", "chain.savings_assessed")
    for cents in (17_999_999, 18_000_001):
        short = [{"organisation": "us", "cents": cents}]
        assert book.refused("chain.savings_distributed", amounts=short) == ("rule", ["/data/amounts"])
    book.given("chain.savings_distributed", amounts=[{"organisation": "us", "cents": 18_000_000}])


def test_nothing_is_distributed_where_quality_was_not_met(book: Told) -> None:
    book.given("chain.defined").given("chain.savings_assessed", quality_met=False)
    assert book.refused("chain.savings_distributed") == ("rule", ["/data/assessment"])


def test_a_saving_is_distributed_once(book: Told) -> None:
    book.given("chain.defined", "chain.savings_assessed", "chain.savings_distributed")
    assert book.refused("chain.savings_distributed") == ("rule", ["/data/assessment"])


def test_a_distribution_names_the_chain_of_its_assessment(book: Told) -> None:
    book.given("chain.defined", "chain.savings_assessed").given("chain.defined", chain="jeugd")
    assert book.refused("chain.savings_distributed", chain="jeugd") == ("rule", ["/data/chain"])


# --- interests and performances


@pytest.mark.parametrize(
    ("holder", "may", "may_not"),
    [("ours", ["them"], ["us"]), ("theirs", ["us"], ["them"]), ("shared", ["us", "them"], [])],
)
def test_nobody_acknowledges_their_own_interest(book: Told, holder: str, may: list[str], may_not: list[str]) -> None:
    book.given("partnership.interest_recorded", holder=holder)
    for by in may:
        book.given("partnership.interest_acknowledged", by=by)
    for by in may_not:
        assert book.refused("partnership.interest_acknowledged", by=by) == ("rule", ["/data/by"])


@pytest.mark.parametrize(("by", "other"), [("us", "them"), ("them", "us")])
def test_nobody_acknowledges_their_own_performance(book: Told, by: str, other: str) -> None:
    book.given("partnership.performance_reported", by=by)
    assert book.refused("partnership.performance_acknowledged", by=by) == ("rule", ["/data/by"])
    book.given("partnership.performance_acknowledged", by=other)


# --- rounds


def test_a_round_waits_for_the_wording_that_it_asked(book: Told) -> None:
    book.given("satisfaction.instrument_defined")
    waits = book.waits("satisfaction.round_closed", wording_version=2)
    assert waits == ("unknown_instrument", ("instrument:nps-2026",))
    book.given("satisfaction.instrument_defined", wording_version=2)
    book.given("satisfaction.round_closed", wording_version=2).given("satisfaction.round_closed", round="r-2")


# --- loops


@pytest.fixture
def scored(book: Told) -> Told:
    return book.given("satisfaction.instrument_defined", "satisfaction.scored")


def test_a_score_opens_no_loop_by_itself(scored: Told) -> None:
    assert not any("loop" in key for key in scored.things)
    assert scored.waits("loop.closed")[0] == "unknown_loop"


def test_a_loop_closes_once_and_stays_closed(scored: Told) -> None:
    scored.given("loop.opened", "loop.followed_up", "loop.escalated", "loop.closed")
    for kind in ("loop.closed", "loop.followed_up", "loop.escalated"):
        assert scored.refused(kind) == ("rule", ["/data/loop"])
    assert scored.refused("loop.opened") == ("id_taken", ["/data/loop"])


def test_a_response_has_one_open_loop(scored: Told) -> None:
    other = "8c1d2e3f-4a5b-5c6d-8e7f-0a1b2c3d4e5f"
    scored.given("loop.opened")
    assert scored.refused("loop.opened", loop=other) == ("rule", ["/data/response"])
    scored.given("loop.closed").given("loop.opened", loop=other)


def test_a_loop_names_the_instrument_of_its_response(scored: Told) -> None:
    scored.given("satisfaction.instrument_defined", instrument="csat-2026")
    assert scored.refused("loop.opened", instrument="csat-2026") == ("rule", ["/data/instrument"])


def test_a_loop_escalates_upwards(scored: Told) -> None:
    scored.given("loop.opened").given("loop.escalated", level=2)
    for level in (1, 2):
        assert scored.refused("loop.escalated", level=level) == ("rule", ["/data/level"])
    scored.given("loop.escalated", level=3)


# --- alerts


def test_an_alert_escalates_upwards_while_it_is_open(book: Told) -> None:
    book.given("schedule.line_set", "alert.raised", "alert.escalated")
    assert book.refused("alert.escalated") == ("rule", ["/data/level"])
    book.given("alert.escalated", level=2).given("alert.resolved")
    assert book.refused("alert.escalated", level=3) == ("rule", ["/data/alert"])
    book.given("alert.reopened", "alert.escalated")


@pytest.mark.parametrize("kind", ["alert.acknowledged", "alert.snoozed"])
def test_an_alert_is_taken_up_or_put_off_while_it_is_open(book: Told, kind: str) -> None:
    book.given("schedule.line_set", "alert.raised", kind, "alert.resolved")
    assert book.refused(kind) == ("rule", ["/data/alert"])
    book.given("alert.reopened", kind)


def test_an_alert_is_put_off_a_bounded_number_of_times_until_it_comes_back(book: Told) -> None:
    book.given("schedule.line_set", "alert.raised").given(*["alert.snoozed"] * MOST_SNOOZES)
    assert book.refused("alert.snoozed") == ("rule", ["/data/alert"])
    book.given("alert.acknowledged", "alert.resolved", "alert.reopened", "alert.snoozed")


def test_an_alert_about_something_else_needs_no_line(book: Told) -> None:
    other = "1b1c2d3e-4f5a-5b6c-8d7e-9f0a1b2c3d4e"
    ending = {"rule": "agreement_ending", "about": "agreement:zk-2026"}
    assert isinstance(book.judge("alert.raised", "line", "policy_version", **ending), Accept)
    answer = book.judge("alert.raised", "line", alert=other, **ending)
    assert isinstance(answer, Reject)
    assert (answer.code, answer.errors[0].pointer) == ("rule", "/data/about")
    assert isinstance(book.judge("alert.raised", "line", alert=other, **{**ending, "rule": "plan_due"}), Accept)
    book.given("alert.resolved", reason="settled")
    third = "2b1c2d3e-4f5a-5b6c-8d7e-9f0a1b2c3d4e"
    assert isinstance(book.judge("alert.raised", "line", alert=third, **ending), Accept)


def test_a_reopened_alert_holds_its_place(book: Told) -> None:
    other = "1b1c2d3e-4f5a-5b6c-8d7e-9f0a1b2c3d4e"
    ending = {"rule": "agreement_ending", "about": "agreement:zk-2026"}
    assert isinstance(book.judge("alert.raised", "line", **ending), Accept)
    book.given("alert.resolved", "alert.reopened")
    assert isinstance(book.judge("alert.raised", "line", alert=other, **ending), Reject)


# --- what ends once may end again when its end was withdrawn


@pytest.mark.parametrize(
    ("before", "end", "again"),
    [
        ((), "relation.ended", "relation.ended"),
        (("agreement.signed",), "agreement.ended", "agreement.ended"),
        (("opportunity.tender_announced",), "opportunity.lost", "opportunity.won"),
        (("plan.action_agreed",), "plan.action_dropped", "plan.action_completed"),
        (("chain.defined", "chain.savings_assessed"), "chain.savings_distributed", "chain.savings_distributed"),
    ],
)
def test_an_end_that_was_withdrawn_may_come_again(book: Told, before: tuple[str, ...], end: str, again: str) -> None:
    book.given(*before)
    ended = str(book.position)
    book.given(end)
    assert book.refused(again)[0] == "rule"
    source = "urn:nld:oin:00000001234567890000:systeem:crm"
    book.accept("correction.withdrawn", {"source": source, "id": ended, "occurred_at": "2026-06-01T09:00:00+02:00"})
    book.given(again)
