"""Family `relation`: which organisation it is, how important, and what became of it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, ValidationInfo, field_validator

from events.fields import (
    Closed,
    Day,
    Evidence,
    Identifier,
    Label,
    Maybe,
    Name,
    OccurredOn,
    Payload,
    RelationKind,
    RelationRef,
    Tier,
    told,
)
from events.values import refuse

DEFAULT_TIERS: Final = frozenset({"A", "B"})

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

    @field_validator("tier")
    @classmethod
    def _known(cls, tier: str, info: ValidationInfo) -> str:
        tiers: frozenset[str] = info.context or DEFAULT_TIERS
        if tier not in tiers:
            raise refuse(f"This is no tier of this institution; use one of {', '.join(sorted(tiers))}.")
        return tier

    @field_validator("arguments")
    @classmethod
    def _argued(cls, arguments: tuple[Argument, ...], info: ValidationInfo) -> tuple[Argument, ...]:
        if info.data.get("tier") == "A" and not arguments:
            raise refuse("Tier A needs at least one argument; add {criterion, evidence}.")
        return arguments


MODELS: Final[dict[str, type[Payload]]] = {
    "registered.v1": Registered,
    "identifier_linked.v1": IdentifierLinked,
    "tier_assigned.v1": TierAssigned,
}
