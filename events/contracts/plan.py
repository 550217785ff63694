"""Family `plan`: the relation plan, the answers to ten questions and the actions agreed."""

from __future__ import annotations

from typing import Annotated, Final

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

_TEAM = "the team that writes the plan"

Plan = Annotated[Ident, told("Id of the plan, unique within the relation, for instance its year", origin=_TEAM)]


class QuestionAnswered(Payload):
    """A question of the plan is answered, or answered anew."""

    plan: Plan
    question: Annotated[QuestionKey, told("The question, '1' to '10' or a key of one's own, as text", origin=_TEAM)]
    answer: Annotated[LongProse, told("The answer", origin=_TEAM)]
    occurred_on: OccurredOn


class ActionAgreed(Payload):
    """An action is agreed in the plan."""

    plan: Plan
    action: Annotated[Ident, told("Id of the action, unique within the relation", origin=_TEAM)]
    what: Annotated[Note, told("What will be done", origin=_TEAM)]
    owner: Annotated[EmployeeRef, told("Reference to the colleague who sees to it", origin=_TEAM)]
    due_on: Annotated[Day, told("When it must be done", origin=_TEAM)]
    marketing: Annotated[Maybe[Flag], told("Whether it is a marketing action; no when left out", origin=_TEAM)] = None
    occurred_on: OccurredOn


class Approved(Payload):
    """The plan is approved: all ten questions are answered and there is an action."""

    plan: Plan
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {
    "question_answered.v1": QuestionAnswered,
    "action_agreed.v1": ActionAgreed,
    "approved.v1": Approved,
}
