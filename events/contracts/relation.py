"""Family `relation`: which organisation it is, how important, and what became of it."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from events.contracts.tier import known_tier
from events.fields import (
    Closed,
    Day,
    EmployeeRef,
    Evidence,
    Identifier,
    Label,
    Maybe,
    Name,
    Note,
    OccurredOn,
    Payload,
    RelationKind,
    RelationRef,
    Tier,
    told,
)
from events.identity import is_uuid
from events.values import refuse

_CRM = "the CRM of the publishing department"


class Registered(Payload):
    """An organisation becomes a relation. Send it once, when the department first deals with the organisation."""

    name: Annotated[Name, told("Name of the organisation", origin="public register, else " + _CRM)]
    kind: Annotated[RelationKind, told("Kind of relation; never a client or patient", origin=_CRM)]
    region: Annotated[Maybe[Label], told("Region in which it works", origin=_CRM)] = None
    parent: Annotated[
        Maybe[RelationRef], told("The relation that it is part of: a UUID or <scheme>:<value>", origin=_CRM)
    ] = None
    identifiers: Annotated[
        tuple[Identifier, ...], Field(max_length=20), told("Its codes; linked all or none", origin="public registers")
    ] = ()
    occurred_on: OccurredOn


class IdentifierLinked(Identifier, Payload):
    """One more identifier of a known relation, for instance the department's own number."""

    occurred_on: OccurredOn


class Argument(Closed):
    """Why a relation has its tier: a criterion, and what shows that it is met."""

    criterion: Annotated[Label, told("What was weighed, for instance revenue_share", origin="the tier policy")]
    evidence: Annotated[Evidence, told("What shows it, about the organisation", origin="figures of the institution")]


class TierAssigned(Payload):
    """The relation gets a tier. Tier A is strategic and rests on at least one demonstrable argument."""

    tier: Annotated[Tier, told("The tier", origin="decision of the relation manager or board")]
    arguments: Annotated[
        tuple[Argument, ...],
        Field(max_length=20, validate_default=True),
        told("What the tier rests on; at least one for tier A", origin="the tier policy"),
    ] = ()
    review_on: Annotated[Maybe[Day], told("When the tier is looked at again", origin="the tier policy")] = None
    occurred_on: OccurredOn

    _known = field_validator("tier")(known_tier)

    @field_validator("arguments")
    @classmethod
    def _argued(cls, arguments: tuple[Argument, ...], info: ValidationInfo) -> tuple[Argument, ...]:
        if info.data.get("tier") == "A" and not arguments:
            raise refuse("Tier A needs at least one argument; add {criterion, evidence}.")
        return arguments


class DetailsChanged(Payload):
    """The organisation has another name, kind, region or parent. What is left out stays as it was."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 2})

    name: Annotated[Maybe[Name], told("Its name from now on", origin="public register, else " + _CRM)] = None
    kind: Annotated[Maybe[RelationKind], told("Its kind from now on; never a client or patient", origin=_CRM)] = None
    region: Annotated[Maybe[Label], told("Region in which it works from now on", origin=_CRM)] = None
    parent: Annotated[
        Maybe[RelationRef], told("The relation that it is part of from now on: a UUID or <scheme>:<value>", origin=_CRM)
    ] = None
    occurred_on: OccurredOn

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.model_fields_set == {"occurred_on"}:
            raise refuse("Nothing changes; give at least one of name, kind, region and parent.")
        return self


class _Merge(Payload):
    survivor: Annotated[
        RelationRef, told("The relation that stays, the subject: a UUID or <scheme>:<value>", origin=_CRM)
    ]
    absorbed: Annotated[
        RelationRef, told("The relation that goes on in it: a UUID or <scheme>:<value>", origin="public register")
    ]
    reason: Annotated[Maybe[Note], told("Why", origin="who decided it")] = None
    occurred_on: OccurredOn

    @field_validator("absorbed")
    @classmethod
    def _another(cls, absorbed: str, info: ValidationInfo) -> str:
        survivor = info.data.get("survivor")
        if isinstance(survivor, str) and _same_name(survivor, absorbed):
            raise refuse("A relation cannot absorb itself; name two relations.")
        return absorbed


def _same_name(one: str, other: str) -> bool:
    return one == other or (is_uuid(one) and one.lower() == other.lower())


class Merged(_Merge):
    """Two relations are one from now on, for instance after a municipal reorganisation. Their histories stay."""


class Unmerged(_Merge):
    """A merge is undone: the absorbed relation stands by itself again."""


class RelationEnded(Payload):
    """We no longer deal with the organisation, or it no longer exists."""

    reason: Annotated[Maybe[Note], told("Why", origin="who decided it")] = None
    occurred_on: OccurredOn


class OwnerAssigned(Payload):
    """A colleague becomes the owner of the relation, in place of the one before."""

    employee: Annotated[
        EmployeeRef, told("Reference to the colleague, unique in the institution", origin="the manager")
    ]
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {
    "registered.v1": Registered,
    "identifier_linked.v1": IdentifierLinked,
    "tier_assigned.v1": TierAssigned,
    "details_changed.v1": DetailsChanged,
    "merged.v1": Merged,
    "unmerged.v1": Unmerged,
    "ended.v1": RelationEnded,
    "owner_assigned.v1": OwnerAssigned,
}
