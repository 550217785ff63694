"""Who reads: every query takes a Viewer and shows no more than that viewer may see (SPEC section 6).

A fact's restrictions are bits of one number, so that the narrowest of several facts is their OR, and a reader sees what
has none of the bits of `hidden_bits`. `department` takes one bit that says so and 24 of 48 more that say which: every
department has as many, so no two departments' bits hide in each other's, and what two of them restricted is open to
neither alone. The choice follows from a hash of the name; two of 1,000 departments share one with a chance of 1 to 60
million.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal, get_args

from events.recorded import Recorded

Role = Literal[
    "relation_manager", "team_lead", "board", "operations", "auditor", "privacy_officer", "administrator",
]  # fmt: skip

# Who may read relations and what needs a person about them.
READING: Final[frozenset[Role]] = frozenset({"relation_manager", "team_lead", "board", "auditor"})
# Of which tiers the board sees the relations, whoever has them.
BOARD_TIERS: Final = frozenset({"A"})


@dataclass(frozen=True, slots=True)
class Viewer:
    """A reader. `everything`: no restriction. Else the relations that one of `teams` has now, and those of `tiers`.

    `roles` say which operations are open at all (services/api/permits.py). `department` and `employee` (the reference
    that stands for this person in events) open facts that are restricted to those. `ref` is what events call the
    reader; without one, as with a token of credentials.json, that is the name.
    """

    name: str
    everything: bool = False
    teams: frozenset[str] = frozenset()
    roles: frozenset[Role] = frozenset()
    department: str | None = None
    employee: str | None = None
    tiers: frozenset[str] = frozenset()
    ref: str | None = None

    def is_of(self, team: str) -> bool:
        """Whether what this team has is this viewer's to see."""
        return self.everything or team in self.teams

    def shares(self, teams: Collection[str | None], tier: str | None) -> bool:
        """Whether a relation of this tier that these teams have now is this viewer's to see."""
        return self.everything or not self.teams.isdisjoint(teams) or tier in self.tiers


EVERYTHING: Final = Viewer(name="all", everything=True, roles=frozenset(get_args(Role)))


def as_far_as(viewer: Viewer, roles: frozenset[Role]) -> Viewer:
    """The viewer with only these roles, of those that read relations: an auditor sees every relation, the board those
    of BOARD_TIERS too."""
    return replace(
        viewer,
        roles=roles,
        everything=viewer.everything or "auditor" in roles,
        tiers=viewer.tiers | (BOARD_TIERS if "board" in roles else frozenset()),
    )


def rows_of_agreements(viewer: Viewer) -> Viewer:
    """Whose relations are in question 8 and among the parties of an agreement: who sees those of a tier whoever has
    them (the board) sees coalitions and programmes of every relation. Restrictions stay those of `viewer`."""
    return EVERYTHING if viewer.tiers else viewer


def of_team(team: str) -> Viewer:
    """Who reads with a team's token: what that team may see."""
    return Viewer(team, teams=frozenset({team}), roles=frozenset({"relation_manager"}))


TEAM: Final = 1
DEPARTMENT: Final = 2
NAMED: Final = 4
_FIRST_OF_NAMES: Final = 8
_NAME_BITS: Final = 48
_NAMES: Final = ((1 << _NAME_BITS) - 1) << _FIRST_OF_NAMES
_ALL: Final = TEAM | DEPARTMENT | NAMED | _NAMES


def restriction(event: Recorded) -> int:
    """The restriction bits of an event; of none they fit a signed 64-bit integer."""
    match event.visibility:
        case "department":
            return _of_department(event.department)
        case "named":
            return NAMED
        case "team":
            return TEAM
        case _:
            return 0


def visibility_of(bits: int) -> str:
    """The name of the narrowest restriction in `bits`."""
    if bits & NAMED:
        return "named"
    if bits & DEPARTMENT:
        return "department"
    return "team" if bits & TEAM else "organisation"


def narrowest(restricted: Iterable[int]) -> int:
    """How restricted what follows from all of several facts is."""
    found = 0
    for bits in restricted:
        found |= bits
    return found


def telling(restricted: Mapping[int, int]) -> set[int]:
    """Of facts by position, with their restriction bits: the last ones that together are as restricted, to every
    reader, as all of them are. Four at most: one for `team`, one for `named`, and two of two departments, since what
    two departments restricted is open to none.
    """
    found: set[int] = set()
    before = 0
    for position in sorted(restricted, reverse=True):
        after = _to_readers(before | restricted[position])
        if after != before:
            found.add(position)
            before = after
    return found


def _to_readers(bits: int) -> int:
    """All bits that change nothing any more about who may see it: more name bits than one department has are open to
    no department."""
    return bits | _NAMES if (bits & _NAMES).bit_count() > _NAME_BITS // 2 else bits


def hidden_bits(viewer: Viewer, named: Collection[str] = ()) -> int:
    """The restrictions that this viewer does not satisfy, for a relation that it may see at all.

    Who sees a relation because a team has it satisfies `team`. Who sees relations of a tier, whoever has them, does
    not, not even for a team of their own: what is for a team is then for those who read as its members. `named` are
    the employees of the contact that a fact is about; of any other fact there are none.
    """
    if viewer.everything:
        return 0
    satisfied = 0 if viewer.tiers else TEAM
    if viewer.department is not None:
        satisfied |= _of_department(viewer.department)
    if viewer.employee is not None and viewer.employee in named:
        satisfied |= NAMED
    return _ALL & ~satisfied


@lru_cache(maxsize=4_096)
def _of_department(name: str) -> int:
    hashed = hashlib.shake_256(name.encode()).digest(4 * _NAME_BITS)
    order = sorted(range(_NAME_BITS), key=lambda i: (hashed[4 * i : 4 * i + 4], i))
    return DEPARTMENT | sum(1 << (_FIRST_OF_NAMES + i) for i in order[: _NAME_BITS // 2])
