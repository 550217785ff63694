"""Sessions: what a browser has instead of a password. The cookie holds 256 random bits, the database their SHA-256.

A session ends when it was not used for IDLE, when it is LIFETIME old, at sign-out, when the account is disabled or gets
a new password, and when the viewer's token that it began with is replaced. Every sign-in makes a new one and ends the
one that the browser had.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events import tables
from events.clock import system_now
from projections.viewer import EVERYTHING, Viewer, of_team
from services.identity.profiles import viewer_with
from services.identity.tables import account, session

IDLE: Final = timedelta(hours=1)
LIFETIME: Final = timedelta(hours=12)
_TOUCH: Final = timedelta(minutes=1)
_MAX_ID_CHARS: Final = 100


@dataclass(frozen=True, slots=True)
class Login:
    """Who signed in, and how: exactly one of `account`, `viewer` (with `token_hash`) and `profile`."""

    owner: str
    account: str | None = None
    viewer: str | None = None
    token_hash: bytes | None = None
    profile: dict[str, Any] | None = None
    employee: bytes | None = None


def of_viewer(viewer: Viewer, token: str) -> Login:
    """Signed in with this viewer's token; over when the viewer gets another one."""
    return Login(f"viewer:{viewer.name}", viewer=viewer.name, token_hash=hashlib.sha256(token.encode()).digest())


async def begin(engine: AsyncEngine, login: Login, *, instead_of: str = "") -> str:
    """A new session; returns the cookie's value, which is nowhere else. Ends `instead_of` and what has expired."""
    id_, now = secrets.token_urlsafe(32), system_now()
    row = {
        "id_hash": _hash(id_), "owner": login.owner, "account": login.account, "viewer": login.viewer,
        "token_hash": login.token_hash, "profile": login.profile, "employee": login.employee, "began_at": now,
        "seen_at": now,
    }  # fmt: skip
    async with engine.begin() as conn:
        gone = or_(session.c.id_hash == _hash(instead_of), session.c.began_at <= now - LIFETIME)
        await conn.execute(delete(session).where(gone))
        await conn.execute(insert(session).values(row))
    return id_


async def viewer_of(engine: AsyncEngine, id_: str, *, touch: bool = True) -> Viewer | None:
    """Whose session this is, as they are now; None: nobody's, or over. `touch`: this counts as use."""
    if not id_ or len(id_) > _MAX_ID_CHARS:
        return None
    now, hashed = system_now(), _hash(id_)
    person, token = tables.person_key, tables.viewer
    query = (
        select(
            session.c.seen_at, session.c.viewer, session.c.profile, token.c.team, account.c.name, account.c.ref,
            account.c.roles, account.c.teams, account.c.department, person.c.ref.label("employee"),
        )
        .select_from(session)
        .outerjoin(account, and_(account.c.name == session.c.account, account.c.disabled_at.is_(None)))
        .outerjoin(token, and_(token.c.name == session.c.viewer, token.c.token_hash == session.c.token_hash))
        .outerjoin(
            person,
            and_(
                person.c.lookup == func.coalesce(account.c.employee, session.c.employee), person.c.erased_by.is_(None)
            ),
        )
        .where(session.c.id_hash == hashed, session.c.seen_at > now - IDLE, session.c.began_at > now - LIFETIME)
        .where(or_(account.c.name.is_not(None), token.c.name.is_not(None), session.c.profile.is_not(None)))
    )  # fmt: skip
    async with engine.connect() as conn:
        row: Any = (await conn.execute(query)).one_or_none()
        if row is None:
            return None
        if touch and row.seen_at <= now - _TOUCH:
            await _touch(conn, hashed, now)
    return _viewer(row)


async def end(engine: AsyncEngine, id_: str, *, everywhere: bool = False) -> None:
    """Ends this session, or all of whoever has it."""
    mine = session.c.id_hash == _hash(id_)
    if everywhere:
        mine = session.c.owner == select(session.c.owner).where(mine).scalar_subquery()
    async with engine.begin() as conn:
        await conn.execute(delete(session).where(mine))


async def end_all_of(conn: AsyncConnection, owner: str) -> None:
    await conn.execute(delete(session).where(session.c.owner == owner))


def csrf_of(id_: str) -> str:
    """What a form or a call of this session must say beside the cookie: a page elsewhere cannot know it."""
    return hmac.digest(id_.encode(), b"csrf", "sha256").hex()


def is_csrf(id_: str, said: str) -> bool:
    return hmac.compare_digest(csrf_of(id_).encode(), said.encode())


async def _touch(conn: AsyncConnection, hashed: bytes, now: datetime) -> None:
    await conn.execute(update(session).where(session.c.id_hash == hashed).values(seen_at=now))
    await conn.commit()


def _viewer(row: Any) -> Viewer:
    if row.name is not None:
        return viewer_with(row.name, row.ref, row.roles, row.teams, row.department, row.employee)
    if row.profile is not None:
        said = row.profile
        return viewer_with(said["name"], said["ref"], said["roles"], said["teams"], said["department"], row.employee)
    return replace(EVERYTHING if row.team is None else of_team(row.team), name=row.viewer)


def _hash(id_: str) -> bytes:
    return hashlib.sha256(id_.encode()).digest()
