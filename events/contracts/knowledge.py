"""Family `knowledge`: what we know of a relation."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final

from pydantic import ValidationInfo, field_validator

from events.fields import Day, KnowledgeItem, LongProse, OccurredOn, Payload, told
from events.values import refuse


class ItemRecorded(Payload):
    """One of the thirteen knowledge items is written down, or written anew."""

    item: Annotated[KnowledgeItem, told("Which item: 7 general, 6 on the next three years", origin="fixed list")]
    text: Annotated[LongProse, told("What we know", origin="relation manager")]
    occurred_on: OccurredOn
    valid_until: Annotated[Day, told("Until when it may be relied on", origin="relation manager")]

    @field_validator("valid_until")
    @classmethod
    def _later(cls, valid_until: date, info: ValidationInfo) -> date:
        known = info.data.get("occurred_on")
        if isinstance(known, date) and valid_until < known:
            raise refuse("The item was out of date when it was recorded; give a valid_until not before occurred_on.")
        return valid_until


MODELS: Final[dict[str, type[Payload]]] = {"item_recorded.v1": ItemRecorded}
