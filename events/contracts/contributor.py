"""Family `contributor`: what a colleague is good at in dealing with relations."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from events.fields import About, EmployeeRef, OccurredOn, Payload, told

_HR = "the HR system"


class Profiled(Payload):
    """A colleague gets a commercial profile, or another one."""

    subject: ClassVar[About] = "organisation"
    employee: Annotated[EmployeeRef, told("Reference to the colleague, unique in the institution", origin=_HR)]
    profile: Annotated[
        Literal["klantenbinder", "relatiemanager", "marktontwikkelaar", "innovator"],
        told("The commercial profile", origin="the colleague and the manager"),
    ]
    stage: Annotated[
        Literal["awareness", "tactical", "professionals"],
        told("How far the colleague is in commercial work", origin="the colleague and the manager"),
    ]
    occurred_on: OccurredOn


MODELS: Final[dict[str, type[Payload]]] = {"profiled.v1": Profiled}
