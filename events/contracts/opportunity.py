"""Family `opportunity`: assignments to be won at a relation, from tender to decision."""

from __future__ import annotations

from typing import Annotated, Final

from events.fields import Cents, Day, Ident, Maybe, Note, OccurredOn, Payload, told

_SALES = "the CRM or tender system of the publishing department"

Opportunity = Annotated[Ident, told("Id of the opportunity, unique within the relation", origin=_SALES)]
_VALUE = told("What it is worth over its whole term", unit="euro cents", origin=_SALES)


class TenderAnnounced(Payload):
    """The relation announces a tender, or another assignment that can be won."""

    opportunity: Opportunity
    title: Annotated[Note, told("What is asked for", origin=_SALES)]
    value_cents: Annotated[Maybe[Cents], _VALUE] = None
    closes_on: Annotated[Maybe[Day], told("Last day on which an offer may be sent", origin="the tender")] = None
    occurred_on: OccurredOn


class OfferSubmitted(Payload):
    """We sent an offer."""

    opportunity: Opportunity
    value_cents: Annotated[Maybe[Cents], _VALUE] = None
    occurred_on: OccurredOn


class Won(Payload):
    """The assignment is ours."""

    opportunity: Opportunity
    value_cents: Annotated[Maybe[Cents], _VALUE] = None
    occurred_on: OccurredOn


class Lost(Payload):
    """The assignment went to another, or was withdrawn."""

    opportunity: Opportunity
    reason: Annotated[Maybe[Note], told("Why", origin="the relation, or who recorded it")] = None
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {
    "tender_announced.v1": TenderAnnounced,
    "offer_submitted.v1": OfferSubmitted,
    "won.v1": Won,
    "lost.v1": Lost,
}
