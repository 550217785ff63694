"""Family `counterpart`: the persons at a relation that we deal with."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import ConfigDict, model_validator

from events.fields import DecisionRole, Layer, Maybe, OccurredOn, Payload, PersonName, PersonRef, told
from events.values import refuse

_CRM = "the CRM of the publishing department"


Person = Annotated[PersonRef, told("Reference to the person, unique in the institution", origin=_CRM)]


class Added(Payload):
    """A person at the relation becomes a counterpart of ours."""

    person: Person
    name: Annotated[Maybe[PersonName], told("The person's name", origin=_CRM)] = None
    function: Annotated[Maybe[PersonName], told("The person's function at the relation", origin=_CRM)] = None
    layer: Annotated[Layer, told("The person's layer at the relation", origin=_CRM)]
    decision_role: Annotated[DecisionRole, told("The person's part in decisions about us", origin="relation manager")]
    occurred_on: OccurredOn


class Moved(Payload):
    """A counterpart has another function, layer, role or name. What is left out stays as it was."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 3})

    person: Person
    name: Annotated[Maybe[PersonName], told("The person's name from now on", origin=_CRM)] = None
    function: Annotated[Maybe[PersonName], told("The person's function from now on", origin=_CRM)] = None
    layer: Annotated[Maybe[Layer], told("The person's layer from now on", origin=_CRM)] = None
    decision_role: Annotated[
        Maybe[DecisionRole], told("The person's part in decisions about us from now on", origin="relation manager")
    ] = None
    occurred_on: OccurredOn

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.model_fields_set <= {"person", "occurred_on"}:
            raise refuse("Nothing changes; give at least one of name, function, layer and decision_role.")
        return self


class Departed(Payload):
    """A counterpart leaves the relation."""

    person: Person
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {"added.v1": Added, "moved.v1": Moved, "departed.v1": Departed}
