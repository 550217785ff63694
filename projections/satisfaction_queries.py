"""Queries of the satisfaction view: one relation's figures, loops and rounds (question 7), and our own staff."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.loading import load_united
from projections.rows import Row, Rows
from projections.satisfaction_present import present_satisfaction, rounds_of, staff_of
from projections.satisfaction_view import PROJECTION
from projections.store import live
from projections.viewer import Viewer, hidden_bits


async def satisfaction(conn: AsyncConnection, relation: str, now: datetime, viewer: Viewer) -> dict[str, Any] | None:
    """What `present_satisfaction` gives, with `rounds` and `position`; None when there is no such relation for this
    viewer. A relation that was absorbed answers as its survivor."""
    build = await live(conn, PROJECTION)
    loaded = await load_united(conn, PROJECTION, build, relation, viewer, whole=("instrument", "survey_round"))
    if loaded is None:
        return None
    rows, root = loaded.rows, loaded.relation
    closed = loaded.whole.tables["survey_round"].values()
    seen = with_rounds(rows, root, closed, now, hidden=hidden_bits(viewer))
    return None if seen is None else {**seen, "absorbed": loaded.members[1:], "position": build.position}


def with_rounds(
    rows: Rows, relation: str, rounds: Iterable[Row], now: datetime, *, hidden: int
) -> dict[str, Any] | None:
    """What `present_satisfaction` gives, and `rounds`: of all that were closed those that this relation answered."""
    seen = present_satisfaction(rows, relation, now, hidden=hidden)
    if seen is None:
        return None
    responses = rows.group("response", relation)
    instruments = {name: rows.group("instrument", name) for name in {r["instrument"] for r in responses}}
    return {**seen, "rounds": rounds_of(rounds, responses, instruments)}


async def staff_satisfaction(conn: AsyncConnection) -> list[dict[str, Any]]:
    """How content our own units are (`staff_of`): totals, about no relation and no one employee."""
    build = await live(conn, PROJECTION)
    return staff_of([dict(r) for r in (await conn.execute(select(build.tables["staff"]))).mappings()])
