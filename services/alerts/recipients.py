"""Who gets a mail reads it as a viewer: it says no more than what that person would see in the lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.tables import person_key
from projections.viewer import BOARD_TIERS, READING, Viewer, as_far_as
from services.alerts.digests import BOARD
from services.identity.profiles import viewer_with
from services.identity.tables import account

_BOARD: Final = Viewer(BOARD, tiers=BOARD_TIERS)


async def viewer_of(conn: AsyncConnection, tables: Mapping[str, Table], recipient: str) -> Viewer:
    """`recipient`: an employee's reference, or the constant for the board. `tables`: of the contact alerts.

    Who has accounts here sees what the first of those that reads sees; one without, who signs in elsewhere, what the
    teams see that the book has them in now: of their department and role it knows nothing.
    """
    if recipient == BOARD:
        return _BOARD
    columns = (account.c[name] for name in ("name", "ref", "roles", "teams", "department"))
    query = (
        select(*columns)
        .join_from(account, person_key, person_key.c.lookup == account.c.employee)
        .where(person_key.c.ref == recipient, account.c.disabled_at.is_(None))
        .order_by(account.c.name)
    )
    found = (await conn.execute(query)).all()
    known = [viewer_with(one.name, one.ref, one.roles, one.teams, one.department, recipient) for one in found]
    if known:
        return next((as_far_as(one, one.roles & READING) for one in known if one.roles & READING), Viewer(recipient))
    member = tables["member"]
    teams = await conn.scalars(select(member.c.team).where(member.c.employee == recipient, member.c.present))
    return Viewer(recipient, teams=frozenset(teams), employee=recipient)
