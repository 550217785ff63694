"""What may be asked of a timeline: shared by relations and teams."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from events.recorded import local_date
from services.api.asking import Layer, Paging, moment


def _day(value: object) -> object:
    """A date; a date-time counts as the day that it falls on in Amsterdam."""
    at = moment(value)
    return local_date(at) if isinstance(at, datetime) else at


Day = Annotated[date, BeforeValidator(_day)]


class TimelineAsked(Paging):
    department: str | None = Field(None, max_length=31, description="only facts from this department")
    family: str | None = Field(None, max_length=40, description="only this family of events, as in `contact`")
    layer: Layer | None = Field(None, description="only contacts with this layer, on either side")
    topic: str | None = Field(None, max_length=100, description="only contacts about this topic")
    from_: Day | None = Field(None, alias="from", description="occurred on or after this date; a date-time is its day")
    to: Day | None = Field(None, description="occurred on or before this date")


def filters(asked: TimelineAsked) -> dict[str, Any]:
    """The keyword arguments of the timeline's queries."""
    return {
        "cursor": asked.cursor, "limit": asked.limit, "department": asked.department, "family": asked.family,
        "layer": asked.layer, "topic": asked.topic, "from_": asked.from_, "to": asked.to,
    }  # fmt: skip
