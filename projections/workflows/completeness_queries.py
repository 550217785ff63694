"""Question 4: which A relations lack a schedule, a board line, an approved plan, fresh knowledge or satisfaction.

The answer is in columns that the fold keeps; only dates are compared here. What was merged into a relation counts for
it: those few are judged from their facts together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, exists, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import local_date
from projections.kin import Kin, load_kin
from projections.page import Page, check_limit, decode_cursor, encode_cursor
from projections.rows import Row
from projections.sight import in_sight
from projections.store import live
from projections.viewer import Viewer, hidden_bits
from projections.workflows.completeness import PARTS, summary
from projections.workflows.facts import Known
from projections.workflows.projection import PROJECTION
from projections.workflows.queries import rows_of
from projections.workflows.thresholds import Thresholds

Tables = Mapping[str, Table]
Query = Any  # a Select of many columns

_SCOPE: Final = "incomplete"
_DEFAULTS: Final = Thresholds()


async def incomplete_relations(
    conn: AsyncConnection,
    now: datetime,
    *,
    relation: str | None = None,
    tier: str = "A",
    team: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
    viewer: Viewer,
    thresholds: Thresholds = _DEFAULTS,
) -> Page:
    """The relations of a tier that lack something at `now`, by name; an item a relation.

    {relation, relation_name, tier, owner, lacks: [{what, since, missing, evidence}], satisfaction_falling}. `what`: one
    of PARTS. `since`: the first day without, None when there never was any. `missing`: which items of knowledge.
    `evidence`: positions. What follows from a fact that the viewer may not see is left out, as its alert is. Raises
    Invalid for a bad cursor or limit.
    """
    check_limit(limit)
    tables = (await live(conn, PROJECTION)).tables
    kin, today = await load_kin(conn, tables), local_date(now)
    query, head = _asked(tables, today, kin, tier, team, viewer), tables["relation"]
    if relation is not None:
        query = query.where(head.c.relation == kin.root(relation))
    key = (head.c.name_key, head.c.relation)
    after = None if cursor is None else decode_cursor(_SCOPE, cursor, (str, str))
    items: list[dict[str, Any]] = []
    while True:
        page = query if after is None else query.where(tuple_(*key) > tuple_(*after))
        rows: list[Row] = [dict(r) for r in (await conn.execute(page.order_by(*key).limit(limit + 1))).mappings()]
        await _unite(conn, tables, kin, rows, thresholds)
        for row in rows:
            if len(items) == limit:
                last: Sequence[Any] = after or ()
                return Page(items, encode_cursor(_SCOPE, [str(part) for part in last]))
            item = _item(row, today, hidden_bits(viewer))
            if item is not None:
                items.append(item)
            after = [row["name_key"], row["relation"]]
        if len(rows) <= limit:
            return Page(items)


def _asked(tables: Tables, today: date, kin: Kin, tier: str, team: str | None, viewer: Viewer) -> Query:
    """The relations that lack something by their own columns, and survivors, which the columns do not tell of."""
    relation, alias, assignment = tables["relation"], tables["alias"], tables["assignment"]
    until = [relation.c[f"{name}_until"] for name in PARTS]
    lacking = [*(column.is_(None) for column in until), *(column <= today for column in until)]
    absorbed = exists().where(alias.c.absorbed == relation.c.relation, alias.c.root.is_not(None))
    survives = relation.c.relation.in_(select(alias.c.root).where(alias.c.root.is_not(None)))
    query: Query = select(relation).where(
        relation.c.name.is_not(None), relation.c.tier == tier,
        or_(relation.c.ended_on.is_(None), relation.c.ended_on > today),
        or_(*lacking, survives) if kin else or_(*lacking),
    )  # fmt: skip
    if kin:
        query = query.where(~absorbed)

    def had_by(teams: Collection[str]) -> ColumnElement[bool]:
        shares = select(assignment.c.relation).where(assignment.c.team.in_(teams), assignment.c.assigned)
        own = relation.c.relation.in_(shares)
        member = exists().where(alias.c.root == relation.c.relation, alias.c.absorbed.in_(shares))
        return or_(own, member) if kin else own

    return query.where(*in_sight(viewer, team, had_by, relation.c.tier))


async def _unite(conn: AsyncConnection, tables: Tables, kin: Kin, rows: list[Row], thresholds: Thresholds) -> None:
    """Judges survivors among these rows by the facts of all their members."""
    for row in rows:
        members = kin.members(row["relation"])
        if len(members) > 1:
            known = Known.of(row["relation"], await rows_of(conn, tables["fact"], members))
            row.update(summary(known, thresholds))


def _item(row: Row, today: date, hidden: int) -> dict[str, Any] | None:
    standing: Mapping[str, Mapping[str, Any]] = row["standing"]
    lacks: list[dict[str, Any]] = []
    for name in PARTS:
        until: date | None = row[f"{name}_until"]
        why: Mapping[str, Any] = standing.get(name, {})
        if (until is None or until <= today) and not why.get("hidden", 0) & hidden:
            since = None if until is None else str(until)
            missing, evidence = why.get("missing", []), why.get("evidence", [])
            lacks.append({"what": name, "since": since, "missing": missing, "evidence": evidence})
    if not lacks:
        return None
    falling = standing.get("falling")
    if falling is not None:
        falling = None if falling["hidden"] & hidden else {k: v for k, v in falling.items() if k != "hidden"}
    return {
        "relation": row["relation"],
        "relation_name": row["name"],
        "tier": row["tier"],
        "owner": row["owner"],
        "lacks": lacks,
        "satisfaction_falling": falling,
    }
