"""Family `knowledge`: what we know of a relation."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final

from pydantic import ValidationInfo, field_validator

from events.fields import Cents, Day, KnowledgeItem, LongProse, OccurredOn, Payload, Percentage, told
from events.values import FIRST_YEAR, LAST_YEAR, Whole, refuse


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


_FINANCE = "the financial administration"


class PositionMeasured(Payload):
    """What the relation brings us in a year, and which part that is of what it spends on such care."""

    year: Annotated[int, Whole(FIRST_YEAR, LAST_YEAR), told("The calendar year", unit="calendar year", origin=_FINANCE)]
    revenue_cents: Annotated[Cents, told("Our revenue from the relation", unit="euro cents", origin=_FINANCE)]
    share_pct: Annotated[
        Percentage, told("Our part of what the relation spends on such care", unit="percent", origin=_FINANCE)
    ]
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {
    "item_recorded.v1": ItemRecorded,
    "position_measured.v1": PositionMeasured,
}
