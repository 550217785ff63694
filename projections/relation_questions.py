"""The question over all relations that the relation view answers: 6 (where attention went)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    and_,
    exists,
    func,
    not_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import local_date
from projections.attention_sums import SPENT, spent_by_all, sums_are_kept
from projections.kin import ALL
from projections.relation_attention import Tally
from projections.relation_present import year_before
from projections.relation_view import PROJECTION
from projections.sight import in_sight
from projections.store import Live, live
from projections.viewer import Viewer


async def attention(
    conn: AsyncConnection,
    now: datetime,
    *,
    tier: str | None = None,
    team: str | None = None,
    kind: str | None = None,
    viewer: Viewer,
) -> list[dict[str, Any]]:
    """Where attention went in the last twelve months, an item a tier (relations without one last, `tier` None).

    {tier, since, until, position, relations, contacts, minutes, by_kind, by_channel, by_relation_kind, by_layer}: each
    part is a list of {<name>, contacts, minutes}. `kind` is the activity. `layer` is ours: a contact with people of two
    layers counts for both, so those may add up to more than the whole. Never per employee. `position`: the sums hold
    every event of the book up to it. `tier` and `team` narrow to relations of that tier, and to those that the team has
    now; `kind` to contacts of that activity.
    """
    build = await live(conn, PROJECTION)
    relation, contact = build.tables["relation"], build.tables["contact"]
    today = local_date(now)
    since = year_before(today)
    alias = build.tables["alias"]
    seen = and_(
        relation.c.name.is_not(None), not_absorbed(build, relation.c.relation), *shared_with(build, team, viewer)
    )
    if tier is not None:
        seen = and_(seen, relation.c.tier == tier)
    counts = select(relation.c.tier, func.count()).where(seen).group_by(relation.c.tier)
    parts = (relation.c.tier, relation.c.kind, contact.c.activity, contact.c.channel, contact.c.our_layers)
    recent = and_(contact.c.counted, contact.c.held_on > since, contact.c.held_on <= today)
    if viewer.everything and team is None and await sums_are_kept(conn, build.tables[SPENT]):
        spent = await spent_by_all(conn, build.tables, since, today)
    else:
        of_members = (
            select(*parts, func.count(), func.sum(contact.c.minutes))
            .select_from(contact)
            .outerjoin(alias, _absorbed(alias, contact.c.relation))
            .join(relation, relation.c.relation == func.coalesce(alias.c.root, contact.c.relation))
            .where(recent, seen)
            .group_by(*parts)
        )
        spent = [(r[:5], r[5], r[6]) for r in (await conn.execute(of_members)).all()]
    relations = {row[0]: row[1] for row in await conn.execute(counts)}
    tiers: dict[str | None, Tally] = {of: Tally() for of in relations}
    for (of, relation_kind, activity, channel, layers), contacts, minutes in spent:
        if tier in (None, of) and kind in (None, activity):
            tiers[of].add(
                contacts, int(minutes), kind=activity, channel=channel, relation_kind=relation_kind, our_layers=layers
            )
    ordered = sorted(tiers.items(), key=lambda t: (t[0] is None, t[0] or ""))
    return [
        {
            "tier": of, "since": since.isoformat(), "until": today.isoformat(), "position": build.position,
            "relations": relations[of], **tally.as_json(),
        }
        for of, tally in ordered
    ]  # fmt: skip


def shared_with(build: Live, team: str | None, viewer: Viewer) -> list[ColumnElement[bool]]:
    """The relation is the team's now, and the viewer sees it.

    A team that has an absorbed relation has its survivor, and with it all its members.
    """
    assignment, relation = build.tables["assignment"], build.tables["relation"]
    alias = build.tables["alias"].alias("kin")

    def had_by(teams: Collection[str]) -> ColumnElement[bool]:
        return relation.c.relation.in_(
            select(func.coalesce(alias.c.root, assignment.c.relation))
            .select_from(assignment.outerjoin(alias, _absorbed(alias, assignment.c.relation)))
            .where(assignment.c.team.in_(teams), assignment.c.assigned)
        )

    return in_sight(viewer, team, had_by, relation.c.tier)


def not_absorbed(build: Live, relation: ColumnElement[str]) -> ColumnElement[bool]:
    """An absorbed relation stands in no list: it is shown as part of its survivor."""
    absorbed = build.tables["alias"].alias("absorbed")
    return not_(exists().where(_absorbed(absorbed, relation)))


def _absorbed(alias: FromClause, relation: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(alias.c.whole == ALL, alias.c.absorbed == relation, alias.c.merged)
