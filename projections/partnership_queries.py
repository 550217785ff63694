"""Queries of the partnership view: one relation's, every promise (question 5), opportunities, contributors."""

from __future__ import annotations

from datetime import date, datetime
from operator import itemgetter
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, func, literal, literal_column, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import local_date
from projections.heads import of_root, own_relations, read_columns, scope, shown
from projections.loading import load_united
from projections.page import Page, bad_cursor, check_limit, decode_cursor, encode_cursor
from projections.partnership_present import commitment_json, contributors_of, opportunity_json, present_partnership
from projections.partnership_view import PROJECTION
from projections.rows import Row, Rows
from projections.sight import open_to
from projections.store import live
from projections.viewer import EVERYTHING, Viewer, hidden_bits

By = Literal["us", "them"]
CommitmentState = Literal["open", "fulfilled", "broken", "released", "all"]

_PROMISES: Final = "commitments"
_OPPORTUNITIES: Final = "opportunities"
_NEVER: Final = date(9999, 12, 31)


async def partnership(conn: AsyncConnection, relation: str, now: datetime, viewer: Viewer) -> dict[str, Any] | None:
    """What `present_partnership` gives, and `position`; None: no such relation for this viewer."""
    build = await live(conn, PROJECTION)
    loaded = await load_united(conn, PROJECTION, build, relation, viewer)
    if loaded is None:
        return None
    seen = present_partnership(loaded.rows, loaded.relation, now, hidden=hidden_bits(viewer))
    return None if seen is None else {**seen, "absorbed": loaded.members[1:], "position": build.position}


async def commitments(
    conn: AsyncConnection, now: datetime, *, by: By | None = None, late: bool | None = None,
    state: CommitmentState = "open", relation: str | None = None, tier: str | None = None, team: str | None = None,
    cursor: str | None = None, limit: int = 100, viewer: Viewer,
) -> Page:  # fmt: skip
    """Question 5: what we and they promised, the first due first.

    An item: relation, relation_name, tier and the fields of `commitment_json`. `late`: only those that are open after
    their due date (False: only those that are not). Raises Invalid naming `/cursor` or `/limit`.
    """
    build = await live(conn, PROJECTION)
    commitment, head = build.tables["commitment"], build.tables["relation"]
    today = local_date(now)
    own = await own_relations(conn, build.tables, viewer, team=team, relation=relation)
    overdue = (commitment.c.state == "open") & (commitment.c.due_on < today)
    wanted = (
        select(
            *read_columns(commitment), head.c.relation.label("root"), head.c.name.label("relation_name"), head.c.tier
        )
        .select_from(of_root(build.tables, commitment))
        .where(
            commitment.c.by.is_not(None),
            open_to(commitment.c.hidden, hidden_bits(viewer)),
            # What this viewer and team may see is said by `own` already, and found by an index there.
            *scope(build.tables, viewer if own is None else EVERYTHING, tier=tier),
            *_in_state(commitment.c.state, state),
            *([] if by is None else [commitment.c.by == by]),
            *([] if late is None else [overdue if late else ~overdue]),
            *([] if own is None else [commitment.c.relation.in_(own)]),
        )
    )
    if cursor is not None:
        on, of, id_ = decode_cursor(_PROMISES, cursor, (str, str, str))
        after = tuple_(literal(_day(on)), literal(of), literal(id_))
        wanted = wanted.where(tuple_(commitment.c.due_on, commitment.c.relation, commitment.c.commitment) > after)
    # By relation there are few: then the index on due dates must not tempt the planner to walk through everybody's.
    first = commitment.c.due_on if own is None else func.coalesce(commitment.c.due_on, _NEVER)
    order = (first, commitment.c.relation, commitment.c.commitment)
    found = (await conn.execute(wanted.order_by(*order).limit(check_limit(limit) + 1))).mappings().all()
    items = [
        {
            "relation": r["root"], "relation_name": r["relation_name"], "tier": r["tier"],
            **commitment_json(dict(r), today),
        }
        for r in found[:limit]
    ]  # fmt: skip
    end = found[limit - 1] if len(found) > limit else None
    key = None if end is None else (end["due_on"].isoformat(), end["relation"], end["commitment"])
    return Page(items, None if key is None else encode_cursor(_PROMISES, key))


def _in_state(column: ColumnElement[str], state: CommitmentState) -> list[ColumnElement[bool]]:
    if state == "open":
        # Said in the statement itself, so that every plan of it may use the index on what is open.
        return [column == literal_column("'open'")]
    return [] if state == "all" else [column == state]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        bad_cursor(error)


async def opportunities(
    conn: AsyncConnection, relation: str, *, cursor: str | None = None, limit: int = 10, viewer: Viewer
) -> tuple[Page, str, int] | None:
    """A relation's opportunities, the one decided or announced last first, the relation's UUID and the position read.

    An item: `opportunity_json`, and `own`, `decided` (day and position of the deciding fact, None while open): as of
    those the relation's state then can be had from the ledger. None: no such relation for this viewer.
    """
    build = await live(conn, PROJECTION)
    loaded = await load_united(conn, PROJECTION, build, relation, viewer)
    if loaded is None:
        return None
    page = opportunities_of(loaded.rows, loaded.relation, cursor=cursor, limit=limit, hidden=hidden_bits(viewer))
    return page, loaded.relation, build.position


def opportunities_of(rows: Rows, relation: str, *, cursor: str | None = None, limit: int = 10, hidden: int) -> Page:
    """The page of `opportunities` of these rows. Raises Invalid naming `/cursor` or `/limit`."""
    keyed = ranked_opportunities(rows, relation, hidden)
    keys = list(keyed)
    if cursor is not None:
        after = tuple(decode_cursor(_OPPORTUNITIES, cursor, (str, str, str)))
        keys = [k for k in keys if k < after]
    page = keys[: check_limit(limit)]
    items: list[dict[str, Any]] = []
    for row in (keyed[k] for k in page):
        decided = None if row["decided_on"] is None else (row["decided_on"], row["decided_position"])
        items.append({**opportunity_json(row), "own": row["relation"], "decided": decided})
    return Page(items, encode_cursor(_OPPORTUNITIES, page[-1]) if len(keys) > limit else None)


def ranked_opportunities(rows: Rows, relation: str, hidden: int) -> dict[tuple[str, str, str], Row]:
    """The opportunities that may be seen, by what orders them, the one decided or announced last first."""
    seen = [r for r in rows.group("opportunity", relation) if r["title"] is not None and shown(r, hidden)]
    keyed = {((r["decided_on"] or r["announced_on"]).isoformat(), r["relation"], r["opportunity"]): r for r in seen}
    return dict(sorted(keyed.items(), key=itemgetter(0), reverse=True))


async def contributors(conn: AsyncConnection, now: datetime, viewer: Viewer) -> dict[str, Any]:
    """What `contributors_of` gives: of the whole institution who contributes, of the relations that this viewer sees
    what they ask for today."""
    build = await live(conn, PROJECTION)
    contributor, ask, head, ended = (build.tables[name] for name in ("contributor", "ask", "relation", "ended"))
    today = local_date(now)
    people = (
        select(contributor.c.profile, contributor.c.stage, func.count())
        .where(contributor.c.present == 1, contributor.c.profile.is_not(None))
        .group_by(contributor.c.profile, contributor.c.stage)
    )
    asked = (
        select(head.c.tier, ask.c.our_layer, func.count(), func.sum(ask.c.contacts_per_year))
        .select_from(of_root(build.tables, ask).outerjoin(ended, ended.c.relation == head.c.relation))
        .where(
            or_(ended.c.ended_on.is_(None), ended.c.ended_on > today),
            ask.c.our_layer.is_not(None),
            ask.c.starts_on <= today,
            or_(ask.c.ended_on.is_(None), ask.c.ended_on > today),
            *scope(build.tables, viewer),
        )
        .group_by(head.c.tier, ask.c.our_layer)
    )
    profiles = [(r[0], r[1], r[2]) for r in await conn.execute(people)]
    asks = [(r[0], r[1], r[2], float(r[3])) for r in await conn.execute(asked)]
    return contributors_of(profiles, asks)
