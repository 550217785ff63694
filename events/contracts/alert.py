"""Family `alert`: something that needs a person. Written by the book's own services only."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from events.fields import (
    TOPIC_FORM,
    Day,
    EmployeeToken,
    Flag,
    Ident,
    Maybe,
    Note,
    OccurredAt,
    OccurredOn,
    Payload,
    Slug,
    Uuid,
    told,
)
from events.values import Whole, refuse

_RULES = "the alert service"
_LAST_POSITION: Final = 2**53 - 1  # what JSON carries without loss everywhere

Alert = Annotated[Uuid, told("Id of the alert, made of rule, relation, line and due date", origin=_RULES)]
Position = Annotated[int, Whole(1, _LAST_POSITION)]
EvidenceField = Annotated[
    tuple[Position, ...],
    Field(max_length=20),
    told("The events that caused it", unit="positions in the book", origin=_RULES),
]
Silent = Annotated[Flag, told("Whether nobody is notified", origin=_RULES)]


class Raised(Payload):
    """Something needs a person: a line of the contact schedule is overdue, or another rule found something."""

    alert: Alert
    rule: Annotated[Slug, told("Name of the rule", origin=_RULES)]
    rule_version: Annotated[int, Whole(1, 10_000), told("Version of the rule", unit="version number", origin=_RULES)]
    line: Annotated[Maybe[Ident], told("The schedule line that it is about", origin="the contact schedule")] = None
    about: Annotated[
        Maybe[Annotated[str, Field(pattern=TOPIC_FORM)]],
        told("What it is about where it is no line, for instance agreement:zk-2026", origin=_RULES),
    ] = None
    policy_version: Annotated[
        Maybe[Annotated[int, Whole(1, 10_000)]],
        told("Version of the schedule policy that it was computed with", unit="version number", origin="the policy"),
    ] = None
    due_on: Annotated[Day, told("When what was asked for was due", origin=_RULES)]
    overdue_on: Annotated[Day, told("First day on which it was overdue", origin=_RULES)]
    last_ok_on: Annotated[Day, told("Last day on which it was in time", origin=_RULES)]
    owner: Annotated[
        Maybe[EmployeeToken], told("The colleague who sees to the line, as reference or token", origin="the schedule")
    ] = None
    evidence: EvidenceField
    level: Annotated[int, Whole(0, 9), told("Step of the escalation, 0 first", unit="steps", origin=_RULES)]
    silent: Silent
    occurred_on: OccurredOn

    @model_validator(mode="after")
    def _about_one_thing(self) -> Self:
        if self.line is None and self.about is None:
            raise refuse("Say what the alert is about: give line for a schedule line, about for all else.", "line")
        if self.line is not None and self.about is not None:
            raise refuse("The alert is about a line or about something else, not both; leave about out.", "about")
        return self


class Resolved(Payload):
    """What the alert was about is over."""

    alert: Alert
    reason: Annotated[
        Literal[
            "contact_held",
            "late_evidence",
            "recomputed",
            "line_ended",
            "merged",
            "rule_changed",
            "manual",
            "settled",
        ],
        told("What ended it", origin=_RULES),
    ]
    evidence: EvidenceField
    occurred_on: OccurredOn


class Reopened(Payload):
    """A resolved alert holds again, for the same due date."""

    alert: Alert
    evidence: EvidenceField
    silent: Silent
    occurred_on: OccurredOn


class Acknowledged(Payload):
    """Somebody took the alert up."""

    alert: Alert
    occurred_at: OccurredAt


class Snoozed(Payload):
    """Somebody put the alert off for a while."""

    alert: Alert
    occurred_at: OccurredAt
    until: Annotated[Day, told("First day on which it shows again, at most a year ahead", origin="who put it off")]
    reason: Annotated[Maybe[Note], told("Why", origin="who put it off")] = None

    @field_validator("until")
    @classmethod
    def _later(cls, until: date, info: ValidationInfo) -> date:
        at = info.data.get("occurred_at")
        if isinstance(at, datetime) and not at.date() < until <= at.date() + timedelta(days=366):
            raise refuse("An alert is put off to a later day, at most a year ahead; give an until in that time.")
        return until


class Escalated(Payload):
    """Nobody took the alert up in time: the next one is asked."""

    alert: Alert
    level: Annotated[int, Whole(1, 3), told("Step of the escalation, 1 first", unit="steps", origin=_RULES)]
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {
    "raised.v1": Raised,
    "resolved.v1": Resolved,
    "reopened.v1": Reopened,
    "acknowledged.v1": Acknowledged,
    "snoozed.v1": Snoozed,
    "escalated.v1": Escalated,
}
