"""Questions over all relations that the relation view answers: 2 (gaps on the layers) and 6 (where attention went)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Text,
    and_,
    case,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from events import ledger
from events.recorded import local_date
from projections.attention_sums import spent_by_all
from projections.kin import ALL
from projections.layers import layers_in
from projections.page import Page, check_limit, decode_cursor, encode_cursor
from projections.relation_present import year_before
from projections.relation_view import PROJECTION
from projections.sight import in_sight
from projections.store import Live, live
from projections.viewer import EVERYTHING, Viewer

_GAPS: Final = "gaps"


async def gaps(
    conn: AsyncConnection,
    now: datetime,
    *,
    tier: str | None = None,
    team: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
    viewer: Viewer = EVERYTHING,
) -> Page:
    """Lines that ask for contact today and had none that qualifies in twelve months, by relation name and line.

    An item: relation, relation_name, kind, tier, line, our_layer, their_layer, cadence, starts_on, last_on, owner,
    evidence (the position of what set the line). Who does have contact with whom is in the matrix of a relation. Raises
    Invalid naming `/cursor` or `/limit`.
    """
    build = await live(conn, PROJECTION)
    relation, line, contact = (build.tables[name] for name in ("relation", "line", "contact"))
    today = local_date(now)
    alias, other = build.tables["alias"], build.tables["alias"].alias("other")
    # The contacts of all members count for the lines of each; nearly every relation is its only member.
    root = func.coalesce(alias.c.root, line.c.relation)
    members = union_all(
        select(root.label("member")).correlate(line, alias),
        select(other.c.absorbed).where(other.c.merged, other.c.root == root).correlate(line, alias),
    ).lateral("members")
    newest = (
        select(contact.c.held_on)
        .where(
            contact.c.relation == members.c.member,
            contact.c.counted,
            contact.c.held_on <= today,
            contact.c.pairs.bitwise_and(line.c.pair) != 0,
            or_(line.c.channels.is_(None), line.c.channels.contains(func.to_jsonb(contact.c.channel))),
        )
        .order_by(contact.c.held_on.desc())
        .limit(1)
        .correlate(line, members)
        .scalar_subquery()
    )
    of_all = select(func.max(newest)).select_from(members).correlate(line, alias).scalar_subquery()
    # The fold keeps the day of the line's own relation. A contact after today, and merges, want a look at contacts.
    since = year_before(today)
    survivors = select(other.c.root).where(other.c.merged)
    alone = and_(
        alias.c.absorbed.is_(None), line.c.relation.not_in(survivors), func.coalesce(line.c.last_on, since) <= today
    )
    last = select(case((alone, line.c.last_on), else_=of_all).label("held_on")).correlate(line, alias).lateral("last")
    wanted = (
        select(
            relation.c.relation, relation.c.name, relation.c.name_key, relation.c.kind, relation.c.tier,
            line.c.line, line.c.our_layer, line.c.their_layer, line.c.cadence, line.c.starts_on, line.c.owner,
            last.c.held_on, line.c.facts["set"][0].label("stamp"),
        )
        .select_from(line)
        .outerjoin(alias, _absorbed(alias, line.c.relation))
        .join(relation, relation.c.relation == root)
        .outerjoin(last, true())
        .where(
            relation.c.name.is_not(None),
            line.c.our_layer.is_not(None),
            or_(line.c.last_on.is_(None), line.c.last_on <= since, line.c.last_on > today),
            line.c.starts_on <= today,
            or_(line.c.ended_on.is_(None), line.c.ended_on > today),
            not_(_paused(line.c.pauses, today.isoformat())),
            or_(last.c.held_on.is_(None), last.c.held_on <= since),
            *([] if tier is None else [relation.c.tier == tier]),
            *shared_with(build, team, viewer),
        )
        .order_by(relation.c.name_key, relation.c.relation, line.c.line)
        .limit(check_limit(limit) + 1)
    )  # fmt: skip
    if cursor is not None:
        after = decode_cursor(_GAPS, cursor, (str, str, str))
        wanted = wanted.where(tuple_(relation.c.name_key, relation.c.relation, line.c.line) > tuple_(*after))
    found = (await conn.execute(wanted)).all()
    set_by = [(r.stamp[2], r.stamp[3]) for r in found[:limit]]  # its source and id: see `Recorded.stamp`
    positions = await ledger.positions_of(conn, set_by)
    items = [
        {
            "relation": r.relation, "relation_name": r.name, "kind": r.kind, "tier": r.tier, "line": r.line,
            "our_layer": r.our_layer, "their_layer": r.their_layer, "cadence": r.cadence,
            "starts_on": r.starts_on.isoformat(), "last_on": r.held_on and r.held_on.isoformat(), "owner": r.owner,
            "evidence": [positions[by]] if by in positions else [],
        }
        for r, by in zip(found, set_by, strict=False)
    ]  # fmt: skip
    more = len(found) > limit
    end = found[limit - 1] if more else None
    return Page(items, None if end is None else encode_cursor(_GAPS, (end.name_key, end.relation, end.line)))


async def attention(conn: AsyncConnection, now: datetime, *, viewer: Viewer = EVERYTHING) -> list[dict[str, Any]]:
    """Where attention went in the last twelve months, an item a tier (relations without one last, `tier` None).

    {tier, since, until, relations, contacts, minutes, by_kind, by_channel, by_relation_kind, by_layer}: each part is a
    list of {<name>, contacts, minutes}. `kind` is the activity. `layer` is ours: a contact with people of two layers
    counts for both, so those may add up to more than the whole. Never per employee.
    """
    build = await live(conn, PROJECTION)
    relation, contact = build.tables["relation"], build.tables["contact"]
    today = local_date(now)
    since = year_before(today)
    alias = build.tables["alias"]
    seen = and_(
        relation.c.name.is_not(None), not_absorbed(build, relation.c.relation), *shared_with(build, None, viewer)
    )
    counts = select(relation.c.tier, func.count()).where(seen).group_by(relation.c.tier)
    parts = (relation.c.tier, relation.c.kind, contact.c.activity, contact.c.channel, contact.c.our_layers)
    recent = and_(contact.c.counted, contact.c.held_on > since, contact.c.held_on <= today)
    if viewer.everything:
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
    tiers: dict[str | None, _Tally] = {tier: _Tally(n) for tier, n in (await conn.execute(counts)).all()}
    for (tier, kind, activity, channel, layers), contacts, minutes in spent:
        tally = tiers[tier]
        for part, names in (
            ("total", ("",)), ("kind", (activity,)), ("channel", (channel,)), ("relation_kind", (kind,)),
            ("layer", layers_in(layers)),
        ):  # fmt: skip
            for name in names:
                tally.add(part, name, contacts, int(minutes))
    ordered = sorted(tiers.items(), key=lambda t: (t[0] is None, t[0] or ""))
    return [
        {"tier": tier, "since": since.isoformat(), "until": today.isoformat(), **tally.as_json()}
        for tier, tally in ordered
    ]


class _Tally:
    def __init__(self, relations: int) -> None:
        self.relations = relations
        self.parts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))

    def add(self, part: str, name: str, contacts: int, minutes: int) -> None:
        cell = self.parts[part][name]
        cell[0] += contacts
        cell[1] += minutes

    def as_json(self) -> dict[str, Any]:
        contacts, minutes = self.parts["total"][""]
        by = {
            f"by_{part}": [
                {part: name, "contacts": c, "minutes": m} for name, (c, m) in sorted(self.parts[part].items())
            ]
            for part in ("kind", "channel", "relation_kind", "layer")
        }
        return {"relations": self.relations, "contacts": contacts, "minutes": minutes, **by}


def _paused(pauses: ColumnElement[Any], today: str) -> ColumnElement[bool]:
    """ISO dates compare as texts."""
    pause = func.jsonb_array_elements(pauses).table_valued("value", name="pause")
    start: ColumnElement[Any] = literal_column("pause.value ->> 0", Text)
    until: ColumnElement[Any] = literal_column("pause.value ->> 1", Text)
    return exists(select(1).select_from(pause).where(start <= today, or_(until.is_(None), until > today)))


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
