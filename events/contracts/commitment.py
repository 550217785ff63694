"""Family `commitment`: promises by us or by them, and how they ended."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from events.fields import Day, Ident, Note, OccurredOn, Payload, told

_TEAM = "the team that deals with the relation"

Commitment = Annotated[Ident, told("Id of the commitment, unique within the relation", origin=_TEAM)]


class Made(Payload):
    """Somebody promised something."""

    commitment: Commitment
    by: Annotated[Literal["us", "them"], told("Who promised", origin=_TEAM)]
    what: Annotated[Note, told("What was promised", origin=_TEAM)]
    due_on: Annotated[Day, told("When it must be done", origin=_TEAM)]
    occurred_on: OccurredOn


class Fulfilled(Payload):
    """The promise was kept."""

    commitment: Commitment
    occurred_on: OccurredOn


class Broken(Payload):
    """The promise was not kept."""

    commitment: Commitment
    occurred_on: OccurredOn


class Released(Payload):
    """The promise no longer binds, by agreement."""

    commitment: Commitment
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {
    "made.v1": Made,
    "fulfilled.v1": Fulfilled,
    "broken.v1": Broken,
    "released.v1": Released,
}
