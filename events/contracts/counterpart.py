"""Family `counterpart`: the persons at a relation that we deal with."""

from __future__ import annotations

from typing import Annotated, Final

from events.fields import DecisionRole, Layer, Maybe, OccurredOn, Payload, PersonName, PersonRef, told

_CRM = "the CRM of the publishing department"


class Added(Payload):
    """A person at the relation becomes a counterpart of ours."""

    person: Annotated[PersonRef, told("Reference to the person, unique in the institution", origin=_CRM)]
    name: Annotated[Maybe[PersonName], told("The person's name", origin=_CRM)] = None
    function: Annotated[Maybe[PersonName], told("The person's function at the relation", origin=_CRM)] = None
    layer: Annotated[Layer, told("The person's layer at the relation", origin=_CRM)]
    decision_role: Annotated[DecisionRole, told("The person's part in decisions about us", origin="relation manager")]
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {"added.v1": Added}
