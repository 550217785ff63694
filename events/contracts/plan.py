"""Family `plan`: the relation plan, the answers to ten questions and the actions agreed."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final

from pydantic import ValidationInfo, field_validator

from events.fields import (
    Day,
    EmployeeRef,
    Flag,
    Ident,
    LongProse,
    Maybe,
    Note,
    OccurredOn,
    Payload,
    QuestionKey,
    told,
)
from events.values import refuse

_TEAM = "the team that writes the plan"

Plan = Annotated[Ident, told("Id of the plan, unique within the relation, for instance its year", origin=_TEAM)]

Action = Annotated[Ident, told("Id of the action, unique within the relation", origin=_TEAM)]
Reason = Annotated[Maybe[Note], told("Why", origin="who decided it")]


class Drafted(Payload):
    """A plan is begun, or begun again with another template or horizon."""

    plan: Plan
    template: Annotated[Ident, told("Name of the template, for instance ten-questions", origin=_TEAM)]
    occurred_on: OccurredOn
    horizon_on: Annotated[Day, told("Until when the plan looks ahead", origin=_TEAM)]

    @field_validator("horizon_on")
    @classmethod
    def _ahead(cls, horizon_on: date, info: ValidationInfo) -> date:
        drafted = info.data.get("occurred_on")
        if isinstance(drafted, date) and horizon_on <= drafted:
            raise refuse("The plan looks back; give a horizon_on after occurred_on.")
        return horizon_on


class QuestionAnswered(Payload):
    """A question of the plan is answered, or answered anew."""

    plan: Plan
    question: Annotated[QuestionKey, told("The question, '1' to '10' or a key of one's own, as text", origin=_TEAM)]
    answer: Annotated[LongProse, told("The answer", origin=_TEAM)]
    occurred_on: OccurredOn


class ActionAgreed(Payload):
    """An action is agreed in the plan."""

    plan: Plan
    action: Action
    what: Annotated[Note, told("What will be done", origin=_TEAM)]
    owner: Annotated[EmployeeRef, told("Reference to the colleague who sees to it", origin=_TEAM)]
    due_on: Annotated[Day, told("When it must be done", origin=_TEAM)]
    marketing: Annotated[Maybe[Flag], told("Whether it is a marketing action; no when left out", origin=_TEAM)] = None
    occurred_on: OccurredOn


class Approved(Payload):
    """The plan is approved: all ten questions are answered and there is an action."""

    plan: Plan
    occurred_on: OccurredOn


class Superseded(Payload):
    """The plan no longer holds; another may have come in its place."""

    plan: Plan
    by: Annotated[Maybe[Ident], told("The plan of the same relation that came in its place", origin=_TEAM)] = None
    occurred_on: OccurredOn

    @field_validator("by")
    @classmethod
    def _another(cls, by: str, info: ValidationInfo) -> str:
        if info.data.get("plan") == by:
            raise refuse("A plan cannot take its own place; name another plan, or leave by out.")
        return by


class ActionCompleted(Payload):
    """An action of the plan is done."""

    plan: Plan
    action: Action
    occurred_on: OccurredOn


class ActionDeferred(Payload):
    """An action of the plan gets another due date."""

    plan: Plan
    action: Action
    due_on: Annotated[Day, told("When it must now be done", origin=_TEAM)]
    reason: Reason = None
    occurred_on: OccurredOn


class ActionDropped(Payload):
    """An action of the plan will not be done."""

    plan: Plan
    action: Action
    reason: Reason = None
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {
    "drafted.v1": Drafted,
    "question_answered.v1": QuestionAnswered,
    "action_agreed.v1": ActionAgreed,
    "approved.v1": Approved,
    "superseded.v1": Superseded,
    "action_completed.v1": ActionCompleted,
    "action_deferred.v1": ActionDeferred,
    "action_dropped.v1": ActionDropped,
}
