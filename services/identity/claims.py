"""What the claims of a token say of a person, in the words of this book."""

from __future__ import annotations

import hmac
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from events.errors import SetupError
from events.privacy import lookup_of
from services.identity.profiles import ROLES
from services.settings import Settings

_MAX_TEXT: Final = 100


class NotSignedIn(Exception):
    """The provider did not say who this is, or not in a way that can be believed. The reason is for the log."""


@dataclass(frozen=True, slots=True)
class Said:
    """What claims say of a person, in the words of this book."""

    name: str
    ref: str
    roles: Sequence[str]
    teams: Sequence[str]
    department: str | None
    employee: bytes | None


@dataclass(frozen=True, slots=True)
class Claims:
    """Which claim says what, and which roles and teams its values mean. Without a table values mean themselves."""

    name: str
    roles: str
    teams: str
    department: str
    employee: str
    role_of: Mapping[str, Sequence[str]] | None
    team_of: Mapping[str, Sequence[str]] | None

    @classmethod
    def of(cls, settings: Settings) -> Claims:
        """Raises SetupError for a table that cannot be read or names a role that there is not."""
        table = _table(settings.oidc_mapping)
        roles: dict[str, list[str]] | None = table.get("roles")
        unknown = {role for meant in (roles or {}).values() for role in meant} - ROLES
        if unknown:
            raise SetupError(f"{settings.oidc_mapping}: onbekende rol {', '.join(sorted(unknown))}")
        return cls(
            settings.oidc_name_claim, settings.oidc_roles_claim, settings.oidc_teams_claim,
            settings.oidc_department_claim, settings.oidc_employee_claim, roles,
            None if settings.oidc_mapping is None else table.get("teams", {}),
        )  # fmt: skip

    def read(self, claims: Mapping[str, Any], lookup_key: bytes) -> Said:
        """Raises NotSignedIn without a subject. What is no text is left out."""
        sub, issuer = claims.get("sub"), claims.get("iss")
        if not isinstance(sub, str) or not sub:
            raise NotSignedIn("sub")
        ref = hmac.digest(lookup_key, f"oidc:{issuer}|{sub}".encode(), "sha256")[:16].hex()
        employee = _text(claims, self.employee)
        return Said(
            _text(claims, self.name) or sub[:_MAX_TEXT], f"person-{ref}",
            _meant(_texts(claims, self.roles), self.role_of), _meant(_texts(claims, self.teams), self.team_of),
            _text(claims, self.department), None if employee is None else lookup_of(lookup_key, "employee", employee),
        )  # fmt: skip


def _table(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SetupError(f"{path} is niet te lezen als TOML.") from error
    for part in ("roles", "teams"):
        for meant in found.setdefault(part, {}).values():
            if not isinstance(meant, list):
                raise SetupError(f"{path}: onder [{part}] hoort bij elke waarde een lijst.")
    return found


def _meant(values: Sequence[str], table: Mapping[str, Sequence[str]] | None) -> list[str]:
    return sorted(set(values) if table is None else {one for value in values for one in table.get(value, ())})


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """What stands at a claim, or deeper, as `realm_access.roles`."""
    found: Any = claims
    for name in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]
    return found  # pyright: ignore[reportUnknownVariableType]


def _text(claims: Mapping[str, Any], path: str) -> str | None:
    found = _at(claims, path)
    return found if isinstance(found, str) and 0 < len(found) <= _MAX_TEXT else None


def _texts(claims: Mapping[str, Any], path: str) -> list[str]:
    found = _at(claims, path)
    listed = cast("list[Any]", found) if isinstance(found, list) else [found]
    return [one for one in listed if isinstance(one, str) and 0 < len(one) <= _MAX_TEXT]
