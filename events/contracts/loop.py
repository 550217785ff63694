"""Family `loop`: closing the loop after a bad score. Written by the book's own services only."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from events.contracts.alert import EvidenceField, Silent
from events.fields import Day, EmployeeToken, Ident, Maybe, Note, OccurredAt, OccurredOn, Payload, Uuid, told
from events.values import Whole

_RULES = "the workflow service"

Loop = Annotated[Uuid, told("Id of the loop, made of rule, relation and response", origin=_RULES)]


class Opened(Payload):
    """A bad score asks for a follow-up."""

    loop: Loop
    response: Annotated[Ident, told("The response with the bad score", origin="the survey tool")]
    instrument: Annotated[Ident, told("The instrument of that response", origin="the survey tool")]
    due_on: Annotated[Day, told("When somebody must have followed it up", origin=_RULES)]
    evidence: EvidenceField
    silent: Silent
    owner: Annotated[
        Maybe[EmployeeToken], told("The colleague who sees to it, as reference or token", origin="the relation's owner")
    ] = None
    occurred_on: OccurredOn


class FollowedUp(Payload):
    """Somebody followed the score up."""

    loop: Loop
    evidence: EvidenceField
    note: Annotated[Maybe[Note], told("What came of it", origin="who followed it up")] = None
    occurred_at: OccurredAt


class Escalated(Payload):
    """Nobody followed it up in time: the next one is asked."""

    loop: Loop
    level: Annotated[int, Whole(1, 3), told("Step of the escalation", unit="steps", origin=_RULES)]
    occurred_on: OccurredOn


class LoopClosed(Payload):
    """The loop is closed."""

    loop: Loop
    reason: Annotated[
        Literal["followed_up", "withdrawn", "relation_ended", "manual"], told("What closed it", origin=_RULES)
    ]
    evidence: EvidenceField
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {
    "opened.v1": Opened,
    "followed_up.v1": FollowedUp,
    "escalated.v1": Escalated,
    "closed.v1": LoopClosed,
}
