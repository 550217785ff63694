"""One history in which every kind of event occurs, in an order in which the book accepts each: the golden events."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from tests.samples import with_data

RELATION = "gemeentecode:0518"
ABSORBED = "5b6c7d8e-9f0a-4b1c-8d2e-3f4a5b6c7d8e"
_BY_THE_BOOK = ("alert", "loop", "person", "retention")


def department_of(event: dict[str, Any]) -> str:
    """Who sends it: the book's own services, or the department `crm`."""
    return "relatieboek" if event["type"].split(".")[2] in _BY_THE_BOOK else "crm"


def every_kind() -> list[dict[str, Any]]:
    """CloudEvents as sent, each kind at least once, ids unique; nearly all about the relation `RELATION`. Copies."""
    return json.loads(_history())


@cache
def _history() -> str:
    told: list[dict[str, Any]] = []

    def tell(kind: str, /, *without: str, subject: str = RELATION, **changes: Any) -> None:
        event = with_data(kind, *without, **changes)
        del event["expectedversion"]
        if event["subject"] != "organisation":
            event["subject"] = subject
        if any(before["id"] == event["id"] for before in told):
            event["id"] += f"-{len(told)}"
        told.append(event)

    for kind in ("team.formed", "team.member_joined", "contributor.profiled", "schedule.policy_set",
                 "schedule.working_calendar_set", "satisfaction.instrument_defined",
                 "relation.registered"):  # fmt: skip
        tell(kind)
    tell("relation.registered", "parent", subject=ABSORBED, name="Gemeente Wassenaar", identifiers=[])
    for kind in ("relation.identifier_linked", "relation.tier_assigned", "relation.details_changed",
                 "relation.owner_assigned", "team.relation_assigned", "counterpart.added", "counterpart.moved",
                 "matrix.link_assessed", "contact.planned", "contact.rescheduled", "contact.cancelled",
                 "contact.no_show", "contact.held"):  # fmt: skip
        tell(kind)
    tell("contact.held", contact="c-2")
    for kind in ("contact.declared_same", "contact.corrected", "contact.retracted", "note.recorded",
                 "correction.withdrawn", "schedule.line_set", "schedule.line_paused", "schedule.line_resumed",
                 "schedule.line_reassigned", "alert.raised", "alert.acknowledged", "alert.snoozed",
                 "alert.escalated", "alert.resolved", "alert.reopened", "schedule.line_ended",
                 "knowledge.item_recorded", "knowledge.position_measured", "plan.drafted"):  # fmt: skip
        tell(kind)
    for question in range(1, 11):
        tell("plan.question_answered", question=str(question))
    tell("plan.action_agreed")
    tell("plan.action_agreed", action="a-2")
    tell("plan.approved")
    tell("plan.action_deferred")
    tell("plan.action_completed")
    tell("plan.action_dropped", action="a-2")
    tell("plan.drafted", plan="2027")
    tell("plan.superseded")
    for kind in ("opportunity.tender_announced", "opportunity.offer_submitted", "opportunity.won"):
        tell(kind)
    tell("opportunity.tender_announced", opportunity="o-2")
    tell("opportunity.lost", opportunity="o-2")
    for kind in ("satisfaction.scored", "satisfaction.round_closed", "satisfaction.staff_reported",
                 "satisfaction.complaints_reported", "satisfaction.outcome_reported", "loop.opened", "loop.escalated",
                 "loop.followed_up", "loop.closed", "agreement.signed", "programme.started",
                 "programme.progress_reported", "programme.steering_decision_taken", "agreement.renewed",
                 "agreement.ended", "chain.defined", "chain.partner_assigned", "chain.partner_replaced",
                 "chain.phase_guaranteed", "chain.investment_recorded", "chain.return_recorded",
                 "chain.baseline_agreed", "chain.sharing_key_agreed", "chain.savings_assessed",
                 "chain.savings_distributed", "partnership.interest_recorded", "partnership.interest_acknowledged",
                 "partnership.performance_reported", "partnership.performance_acknowledged"):  # fmt: skip
        tell(kind)
    for commitment, end in (("k-1", "fulfilled"), ("k-2", "broken"), ("k-3", "released")):
        tell("commitment.made", commitment=commitment)
        tell(f"commitment.{end}", commitment=commitment)
    for kind in ("relation.merged", "relation.unmerged", "counterpart.departed", "team.relation_unassigned",
                 "team.member_left", "employee.left", "relation.ended", "person.erased",
                 "retention.applied"):  # fmt: skip
        tell(kind)
    return json.dumps(told)
