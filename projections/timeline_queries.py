"""Queries of the team timeline: pages, newest first, and what came after a position (for live readers).

A team sees the whole timeline of each relation that it has now; of merged relations that of all members, whichever of
them it was assigned to. An entry of an absorbed relation stays that relation's, under its own name, and names the
`survivor` beside it. Who is not entitled to a restricted fact gets a held
contact as "vertrouwelijk contact" with its date only, and no other restricted fact at all. Filters on what such a
contact was about (department, layer, topic) do not find it, and a cursor holds no time: neither tells more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import NotFound
from events.recorded import AMSTERDAM, TYPE_PREFIX, local_date
from projections.page import Page, bad_cursor, check_limit, decode_cursor, encode_cursor
from projections.sight import NO_RELATION, in_sight
from projections.store import Live, live
from projections.team_timeline import PROJECTION
from projections.timeline_select import (
    Asked,
    Filters,
    matching,
    members_of,
    newest_of,
    shared_by,
    take,
    tier_of,
    with_context,
)
from projections.timeline_titles import RESTRICTED, Language, title, told
from projections.viewer import Viewer, hidden_bits, visibility_of

_SCOPE: Final = "timeline"


async def team_page(
    conn: AsyncConnection,
    team: str,
    viewer: Viewer,
    *,
    cursor: str | None = None,
    limit: int = 50,
    department: str | None = None,
    family: str | None = None,
    layer: str | None = None,
    topic: str | None = None,
    from_: date | None = None,
    to: date | None = None,
    language: Language = "nl",
) -> Page:
    """A page of the team's timeline: occurred, then position, descending.

    Raises NotFound when there is no such team or the viewer is of another one, Invalid naming the field that is wrong.
    """
    check_limit(limit)
    build = await live(conn, PROJECTION)
    await _see_team(conn, build, team, viewer)
    filters = Filters(department, family, layer, topic, from_, to)
    shared = shared_by(build, [team])
    asked = Asked(build, viewer, filters, await _before(conn, Asked(build, viewer), shared, cursor))
    return _page(await newest_of(conn, asked, shared, limit + 1), viewer, limit, language)


async def relation_page(
    conn: AsyncConnection,
    relation: str,
    viewer: Viewer,
    *,
    cursor: str | None = None,
    limit: int = 50,
    department: str | None = None,
    family: str | None = None,
    layer: str | None = None,
    topic: str | None = None,
    from_: date | None = None,
    to: date | None = None,
    language: Language = "nl",
) -> Page:
    """A page of one relation's timeline, as `team_page`. Raises NotFound when the viewer does not see it now."""
    check_limit(limit)
    build = await live(conn, PROJECTION)
    if not await _sees_relation(conn, build, relation, viewer):
        raise NotFound(NO_RELATION)
    filters = Filters(department, family, layer, topic, from_, to)
    members = members_of(build, relation)
    asked = Asked(build, viewer, filters, await _before(conn, Asked(build, viewer), members, cursor))
    return _page(await take(conn, asked, members, limit + 1, limit + 1), viewer, limit, language)


async def after_position(
    conn: AsyncConnection,
    team: str,
    viewer: Viewer,
    position: int,
    *,
    limit: int = 500,
    language: Language = "nl",
) -> list[dict[str, Any]]:
    """The entries of the team's timeline that the book recorded after `position`, ascending by position.

    For live readers: ask again with the last position until nothing comes. Raises NotFound as `team_page`.
    """
    check_limit(limit)
    build = await live(conn, PROJECTION)
    await _see_team(conn, build, team, viewer)
    entry = build.tables["entry"]
    asked = Asked(build, viewer)
    shared = shared_by(build, [team]).subquery("shared")
    joined = entry.join(shared, shared.c.relation == entry.c.relation)
    wanted = with_context(asked, joined).where(entry.c.position > position, *matching(asked, entry))
    rows = (await conn.execute(wanted.order_by(entry.c.position).limit(limit))).all()
    return [_as_json(row, viewer, language) for row in rows]


async def _see_team(conn: AsyncConnection, build: Live, team: str, viewer: Viewer) -> None:
    known = build.tables["team"]
    allowed = viewer.is_of(team)
    if not allowed or await conn.scalar(select(known.c.team).where(known.c.team == team)) is None:
        raise NotFound("No such team, or not yours.")


async def sees_relation(conn: AsyncConnection, relation: str, viewer: Viewer) -> bool:
    """Whether the relation has a timeline and the viewer sees it now."""
    return await _sees_relation(conn, await live(conn, PROJECTION), relation, viewer)


async def _sees_relation(conn: AsyncConnection, build: Live, relation: str, viewer: Viewer) -> bool:
    known = build.tables["relation"]
    wanted = select(known.c.relation).where(known.c.relation == relation)

    def had_by(teams: Collection[str]) -> ColumnElement[bool]:
        return known.c.relation.in_(shared_by(build, teams))

    wanted = wanted.where(*in_sight(viewer, None, had_by, tier_of(build, relation)))
    return await conn.scalar(wanted) is not None


async def readable(conn: AsyncConnection, viewer: Viewer, positions: Collection[int]) -> frozenset[int]:
    """Those of these positions whose entries the viewer may read: what is told later of a contact is as restricted as
    all that is told of it. Whether the relation is in sight is not asked."""
    build = await live(conn, PROJECTION)
    entry = build.tables["entry"]
    wanted = with_context(Asked(build, viewer), entry).where(entry.c.position.in_(positions))
    rows = (await conn.execute(wanted)).all()
    return frozenset(row.position for row in rows if not row.effective & hidden_bits(viewer, row.employees or ()))


async def _before(
    conn: AsyncConnection, asked: Asked, among: Select[tuple[str]], cursor: str | None
) -> tuple[datetime, int] | None:
    """Where the page before ended. The cursor holds the position only, since an occurred time may be confidential; for
    the same reason it must be that of an entry of these relations that the viewer sees."""
    if cursor is None:
        return None
    (position,) = decode_cursor(_SCOPE, cursor, (int,))
    entry = asked.build.tables["entry"]
    shared = among.subquery("shared")
    query = (
        select(entry.c.occurred_at)
        .select_from(entry.join(shared, shared.c.relation == entry.c.relation))
        .where(entry.c.position == position, *matching(asked, entry))
    )
    occurred_at = await conn.scalar(query)
    if occurred_at is None:
        bad_cursor()
    return occurred_at, position


def _page(rows: Sequence[Row[Any]], viewer: Viewer, limit: int, language: Language) -> Page:
    following = encode_cursor(_SCOPE, (rows[limit - 1].position,)) if len(rows) > limit else None
    return Page([_as_json(row, viewer, language) for row in rows[:limit]], following)


def _as_json(row: Row[Any], viewer: Viewer, language: Language) -> dict[str, Any]:
    """A timeline entry of INTERFACE section 4. `occurred_at` is in Amsterdam, `recorded_at` in UTC."""
    common = {
        "position": row.position,
        "relation": row.relation,
        "relation_name": row.relation_name,
        "type": row.type,
        "visibility": visibility_of(row.effective),
        **({} if row.survivor is None else {"survivor": row.survivor}),
    }
    if row.effective & hidden_bits(viewer, row.employees or ()):
        return {
            **common,
            "department": None, "occurred_at": local_date(row.occurred_at).isoformat(), "recorded_at": None,
            "title": RESTRICTED[language], "detail": None, "corrects": None, "corrected_by": None,
            "retracted_by": None, "same_as": None,
        }  # fmt: skip
    kind = row.type[len(TYPE_PREFIX) : row.type.rindex(".v")]
    held = row.role == "held"
    return {
        **common,
        "department": row.department,
        "occurred_at": row.occurred_at.astimezone(AMSTERDAM).isoformat(),
        "recorded_at": row.recorded_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "title": title(kind, row.detail, language),
        "detail": told(kind, row.detail),
        "corrects": _corrects(row),
        "corrected_by": row.corrected if held else None,
        "retracted_by": row.withdrawn or (row.retracted if held or row.role == "corrected" else None),
        "same_as": row.same_as,
    }


def _corrects(row: Row[Any]) -> int | None:
    if row.withdraws is not None:
        return row.withdraws
    if row.role in {"corrected", "retracted"}:
        return row.held or row.planned
    return row.planned if row.role == "off" else None
