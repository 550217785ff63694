"""Family `correction`: a publisher takes back an event of its own."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from pydantic import Field

from events.fields import EVENT_ID_FORM, SOURCE_FORM, About, Maybe, Note, OccurredAt, Payload, told

_OWN = "the publishing department's system"


class Withdrawn(Payload):
    """An event that the same publisher sent should not have been sent; it shows as withdrawn. Give its subject."""

    subject: ClassVar[About] = "either"
    source: Annotated[str, Field(pattern=SOURCE_FORM), told("Source of the event withdrawn", origin=_OWN)]
    id: Annotated[str, Field(pattern=EVENT_ID_FORM), told("Id of the event withdrawn", origin=_OWN)]
    reason: Annotated[Maybe[Note], told("Why", origin="who found the mistake")] = None
    occurred_at: OccurredAt


MODELS: Final[dict[str, type[Payload]]] = {"withdrawn.v1": Withdrawn}
