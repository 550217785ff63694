"""Family `matrix`: how well each of us knows each of them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from events.fields import EmployeeRef, Maybe, Note, OccurredOn, Payload, PersonRef, told

_TEAM = "the team that deals with the relation"


class LinkAssessed(Payload):
    """The link between one of us and one of them is judged, or judged anew."""

    ours: Annotated[EmployeeRef, told("Reference to the colleague", origin=_TEAM)]
    theirs: Annotated[PersonRef, told("Reference to the person at the relation", origin=_TEAM)]
    coverage: Annotated[Literal["none", "thin", "adequate", "strong"], told("How good the link is", origin=_TEAM)]
    basis: Annotated[Maybe[Note], told("What that rests on", origin=_TEAM)] = None
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {"link_assessed.v1": LinkAssessed}
