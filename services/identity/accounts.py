"""Accounts of this book itself: for an institution without sign-in elsewhere, and for the first steps."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events.clock import system_now
from events.errors import NotFound, SetupError
from services.identity import attempts, passwords, sessions
from services.identity.profiles import ROLES
from services.identity.tables import account

NAME_FORM: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}")
_DOOR: Final = "account"


async def add(
    conn: AsyncConnection, name: str, *, roles: Sequence[str], teams: Sequence[str] = (),
    department: str | None = None, employee: bytes | None = None,
) -> str:  # fmt: skip
    """Makes an account and returns its password: the only moment at which it is known. `employee` finds the person's
    reference (`events.privacy.lookup_of`). Raises SetupError for a name or role that cannot be, or a name that is
    taken."""
    if not NAME_FORM.fullmatch(name):
        raise SetupError(
            f"'{name}' kan geen naam van een account zijn: 2 tot 64 kleine letters, cijfers, punten, streepjes en @."
        )
    password = passwords.new_password()
    row = {
        "name": name, "ref": f"account-{secrets.token_hex(16)}", "password_hash": passwords.hashed(password),
        "roles": _roles(roles), "teams": sorted(set(teams)), "department": department,
        "employee": employee, "created_at": system_now(),
    }  # fmt: skip
    try:
        await conn.execute(insert(account).values(row))
    except IntegrityError:
        raise SetupError(f"Er is al een account {name}.") from None
    return password


async def listed(conn: AsyncConnection) -> list[dict[str, Any]]:
    """Every account by name: name, roles, teams, department, created_at, disabled_at. Nothing secret."""
    columns = (account.c[n] for n in ("name", "roles", "teams", "department", "created_at", "disabled_at"))
    return [dict(row) for row in (await conn.execute(select(*columns).order_by(account.c.name))).mappings()]


async def change(
    conn: AsyncConnection, name: str, *, roles: Sequence[str] | None, teams: Sequence[str] | None,
    department: str | None,
) -> None:  # fmt: skip
    """Puts these roles, teams and department in place of the account's; None leaves them. Holds from the next call on.
    Raises NotFound, SetupError for an unknown role."""
    told: dict[str, Any] = {"roles": None if roles is None else _roles(roles), "department": department}
    told["teams"] = None if teams is None else sorted(set(teams))
    await _update(conn, name, **{k: v for k, v in told.items() if v is not None})


async def new_password(conn: AsyncConnection, name: str) -> str:
    """Gives the account a new password, opens it again if it was disabled, and ends its sessions. Raises NotFound."""
    password = passwords.new_password()
    await _update(conn, name, password_hash=passwords.hashed(password), disabled_at=None)
    await sessions.end_all_of(conn, f"{_DOOR}:{name}")
    return password


async def disable(conn: AsyncConnection, name: str) -> None:
    """Nobody signs in with it any more; its sessions end at once. Raises NotFound."""
    await _update(conn, name, disabled_at=system_now())
    await sessions.end_all_of(conn, f"{_DOOR}:{name}")


async def sign_in(engine: AsyncEngine, name: str, password: str, address: str) -> sessions.Login | None:
    """Whose name and password these are; None: nobody's, whatever the reason, after the same time.

    Raises Refused (429) when it was tried too often for this account or from this address.
    """
    name = name.strip().lower()[:64]
    await attempts.take(engine, address, name)
    query = select(account.c.password_hash).where(account.c.name == name, account.c.disabled_at.is_(None))
    async with engine.connect() as conn:
        stored: str | None = await conn.scalar(query)
    if not await passwords.matches(stored, password):
        return None
    await attempts.forget(engine, name)
    return sessions.Login(f"{_DOOR}:{name}", account=name)


def _roles(roles: Sequence[str]) -> list[str]:
    unknown = set(roles) - ROLES
    if unknown or not roles:
        raise SetupError(f"Geef minstens één --role: {', '.join(sorted(ROLES))}.")
    return sorted(set(roles))


async def _update(conn: AsyncConnection, name: str, **values: Any) -> None:
    if not values:
        values = {"name": name}
    if (await conn.execute(update(account).where(account.c.name == name).values(values))).rowcount == 0:
        raise NotFound(f"Er is geen account {name}.")
