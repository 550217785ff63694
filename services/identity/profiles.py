"""What is said of a person, wherever it is kept, made into a Viewer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, get_args

from projections.viewer import Role, Viewer

_ROLES: Final[Mapping[str, Role]] = {role: role for role in get_args(Role)}
ROLES: Final = frozenset(_ROLES)


def viewer_with(
    name: str, ref: str, roles: Iterable[str], teams: Iterable[str], department: str | None, employee: str | None
) -> Viewer:
    """A person who signed in. `employee` is the reference that stands for them in events; unknown roles are none."""
    known = frozenset(_ROLES[role] for role in roles if role in _ROLES)
    return Viewer(name, teams=frozenset(teams), roles=known, department=department, employee=employee, ref=ref)
