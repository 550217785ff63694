"""Who reads: every query takes a Viewer and shows no more than that viewer may see (SPEC section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Viewer:
    """A reader. `everything`: no restriction. Else `team`: what that team may see now; None sees nothing."""

    name: str
    everything: bool = False
    team: str | None = None


EVERYTHING: Final = Viewer(name="all", everything=True)

# One bit per restriction, so that the narrowest of several facts is their OR: who reads must satisfy each of them.
TEAM: Final = 1
DEPARTMENT: Final = 2
NAMED: Final = 4

_BITS: Final = {"organisation": 0, "team": TEAM, "department": DEPARTMENT, "named": NAMED}


def restriction(visibility: str) -> int:
    """The restriction bits of an event's `visibility`."""
    return _BITS[visibility]


def visibility_of(bits: int) -> str:
    """The name of the narrowest restriction in `bits`."""
    if bits & NAMED:
        return "named"
    if bits & DEPARTMENT:
        return "department"
    return "team" if bits & TEAM else "organisation"


def hidden_bits(viewer: Viewer) -> int:
    """The restrictions that this viewer does not satisfy, for a relation that it may see at all.

    A team's viewer sees what is for the organisation and, since it sees a relation only while the team has it, what is
    for the relation's teams. Departments and named employees are not known of a team's viewer.
    """
    return 0 if viewer.everything else DEPARTMENT | NAMED
