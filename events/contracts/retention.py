"""Family `retention`: texts that are no longer kept readable. Written by the book's own services only."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Self

from pydantic import model_validator

from events.fields import About, Day, OccurredOn, Payload, Slug, told
from events.values import refuse


class Applied(Payload):
    """The texts of a family's events before a day can no longer be read: their keys are destroyed. What happened, when
    and with which organisation stays."""

    subject: ClassVar[About] = "organisation"
    family: Annotated[Slug, told("The family of events, such as `contact`", origin="the setting of the periods")]
    before_on: Annotated[
        Day, told("The first day whose events keep their texts, local to Europe/Amsterdam", origin="the period")
    ]
    occurred_on: OccurredOn

    @model_validator(mode="after")
    def _not_ahead(self) -> Self:
        if self.before_on > self.occurred_on:
            raise refuse("Texts of days to come cannot be old enough; give a day up to occurred_on.", "before_on")
        return self


MODELS: Final[dict[str, type[Payload]]] = {"applied.v1": Applied}
