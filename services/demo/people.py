"""Who signs in at the demo: one account for each role, with passwords made on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from events.privacy import lookup_of
from projections.viewer import Role
from services.demo.institution import BOARD_MEMBER, TEAMS, employee
from services.embedded import credentials as store
from services.embedded.credentials import Credentials
from services.identity import accounts
from services.settings import Settings

_TEAM: Final = TEAMS[0]


@dataclass(frozen=True, slots=True)
class Person:
    """`employee`: the number under which departments know them."""

    name: str
    role: Role
    team: str | None = None
    employee: str | None = None


PEOPLE: Final = (
    Person("teamleider", "team_lead", _TEAM.team, employee(_TEAM, "senior_management")),
    Person("relatiebeheerder", "relation_manager", _TEAM.team, employee(_TEAM, "tactical_management")),
    Person("bestuur", "board", employee=BOARD_MEMBER),
    Person("operaties", "operations"),
    Person("auditor", "auditor"),
    Person("privacy", "privacy_officer"),
    Person("beheer", "administrator"),
)


async def ensure_people(settings: Settings, engine: AsyncEngine) -> None:
    """Makes the accounts whose passwords this data directory does not hold. Broken off, it goes on; idempotent."""
    held = store.read(settings.credentials_path) or Credentials()
    for person in PEOPLE:
        if person.name in held.http.accounts:
            continue
        known = None if person.employee is None else lookup_of(settings.lookup_key_bytes, "employee", person.employee)
        async with engine.begin() as conn:
            if any(account["name"] == person.name for account in await accounts.listed(conn)):
                password = await accounts.new_password(conn, person.name)
            else:
                teams = [] if person.team is None else [person.team]
                password = await accounts.add(conn, person.name, roles=[person.role], teams=teams, employee=known)
        name = person.name
        store.update(settings.credentials_path, lambda c, n=name, p=password: c.with_account(n, p))
