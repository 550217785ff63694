"""Family `employee`: colleagues who leave."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from events.fields import About, Day, EmployeeRef, OccurredOn, Payload, told

_HR = "the HR system"


class Left(Payload):
    """A colleague leaves the institution: what the colleague saw to goes to others."""

    subject: ClassVar[About] = "organisation"
    employee: Annotated[EmployeeRef, told("Reference to the colleague, unique in the institution", origin=_HR)]
    on: Annotated[Day, told("The day on which the colleague leaves; from then on others see to it", origin=_HR)]
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {"left.v1": Left}
