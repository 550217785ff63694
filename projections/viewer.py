"""Who reads: every query takes a Viewer and shows no more than that viewer may see (SPEC section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Role = Literal[
    "relation_manager", "team_lead", "board", "operations", "auditor", "privacy_officer", "administrator",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Viewer:
    """A reader. `everything`: no restriction. Else the relations that one of `teams` has now; without teams none.

    `roles` say which operations are open at all (services/permits.py). `department` and `employee` (the reference that
    stands for this person in events) open facts that are restricted to those.
    """

    name: str
    everything: bool = False
    teams: frozenset[str] = frozenset()
    roles: frozenset[Role] = frozenset()
    department: str | None = None
    employee: str | None = None

    def is_of(self, team: str) -> bool:
        """Whether what this team has is this viewer's to see."""
        return self.everything or team in self.teams

    def within(self, team: str | None) -> list[frozenset[str]]:
        """Sets of teams: a relation is in the answer when of each set one has it. `team`: asked for beside who asks."""
        asked = [] if team is None else [frozenset({team})]
        return asked if self.everything else [*asked, self.teams]


EVERYTHING: Final = Viewer(name="all", everything=True, roles=frozenset(get_args(Role)))


def of_team(team: str) -> Viewer:
    """Who reads with a team's token: what that team may see."""
    return Viewer(team, teams=frozenset({team}), roles=frozenset({"relation_manager"}))


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
