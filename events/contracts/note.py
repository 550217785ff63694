"""Family `note`: what somebody wrote down about a relation. A note is never a contact."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from events.fields import Ident, Label, LongProse, OccurredAt, Payload, told

_CRM = "the CRM of the publishing department"


class Recorded(Payload):
    """Somebody wrote something down: a call that was missed, news from the paper, an idea."""

    note: Annotated[Ident, told("Id of the note, unique within the relation", origin=_CRM)]
    text: Annotated[LongProse, told("What was noted, without anything about a patient", origin=_CRM)]
    topics: Annotated[
        tuple[Label, ...], Field(max_length=20), told("What it is about, as tags or case numbers", origin=_CRM)
    ] = ()
    occurred_at: OccurredAt


MODELS: Final[dict[str, type[Payload]]] = {"recorded.v1": Recorded}
