"""Family `person`: what becomes of what the book holds about a person. Written by the book's own services only."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from events.fields import About, OccurredOn, Payload, PersonToken, told


class Erased(Payload):
    """All that the book held about this person is gone: the keys are destroyed."""

    subject: ClassVar[About] = "organisation"
    person: Annotated[PersonToken, told("Reference to the person, or the book's token for it", origin="the key table")]
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {"erased.v1": Erased}
