"""What read models of rare facts keep of every relation beside their own rows: name, tier, teams, and who is one.

A projection reads no other projection, so each has these three small tables of its own: `relation`, `assignment` and
`alias` (see `kin`). Queries join on them to say whose row it is, and who may see it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from functools import partial
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Executable,
    Index,
    MetaData,
    Table,
    Text,
    and_,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import Select
from sqlalchemy.sql.selectable import FromClause

from events.recorded import ORGANISATION, Recorded
from projections.kin import ALL, KIN_KINDS, alias_needs, alias_table, fold_alias
from projections.names import name_key
from projections.registers import put_newest, register
from projections.rows import Need, One, Row, Rows
from projections.sight import in_sight
from projections.viewer import Viewer

HEAD_KINDS: Final = KIN_KINDS | {
    "relation.registered", "relation.details_changed", "relation.tier_assigned", "team.relation_assigned",
    "team.relation_unassigned",
}  # fmt: skip

FOLD: Final = {"fold": True}
_DETAILS: Final = ("name", "kind", "region")
_ASSIGNMENTS: Final = ("team.relation_assigned", "team.relation_unassigned")


def text_key(name: str) -> Column[Any]:
    return Column(name, Text, primary_key=True)


def stamp_column() -> Column[Any]:
    return Column("stamp", JSONB(none_as_null=True), info=FOLD)


def head_tables(metadata: MetaData) -> None:
    """Adds the tables `relation`, `assignment` and `alias`."""
    Table(
        "relation",
        metadata,
        text_key("relation"),
        Column("name", Text, comment="null: not registered yet"),
        Column("name_key", Text(collation="C")),
        Column("kind", Text),
        Column("region", Text),
        Column("tier", Text),
        Column("stamps", JSONB, nullable=False, info=FOLD),
        Index("relation_name", "name_key", "relation"),
    )
    Table(
        "assignment",
        metadata,
        text_key("relation"),
        text_key("team"),
        Column("assigned", Boolean, nullable=False),
        stamp_column(),
        Index("assignment_team", "team", "relation", postgresql_where=text("assigned")),
    )
    alias_table(metadata)


def head_needs(event: Recorded) -> list[Need]:
    """What `fold_head` reads; nothing for kinds that are not in HEAD_KINDS."""
    if event.kind not in HEAD_KINDS or event.relation == ORGANISATION:
        return []
    if event.kind in KIN_KINDS:
        return alias_needs(event)
    if event.kind in _ASSIGNMENTS:
        return [One("assignment", (event.relation, event.data["team"]))]
    return [One("relation", (event.relation,))]


def fold_head(rows: Rows, event: Recorded) -> None:
    """Folds a fact of HEAD_KINDS; the same facts give the same rows in whatever order they arrive."""
    if event.kind not in HEAD_KINDS or event.relation == ORGANISATION:
        return
    if event.kind in KIN_KINDS:
        fold_alias(rows, event)
        return
    data, stamp = event.data, event.stamp
    if event.kind in _ASSIGNMENTS:
        row: Row = {
            "relation": event.relation, "team": data["team"], "assigned": event.kind == "team.relation_assigned",
            "stamp": stamp,
        }  # fmt: skip
        put_newest(rows, "assignment", row, event.relation, data["team"])
        return
    blank: Row = {
        "relation": event.relation, "name": None, "name_key": None, "kind": None, "region": None, "tier": None,
        "stamps": {},
    }  # fmt: skip
    relation = dict(rows.get("relation", event.relation) or blank)
    if event.kind == "relation.tier_assigned":
        register(relation, "tier", stamp, tier=data["tier"])
    else:
        for field in _DETAILS:
            if event.kind == "relation.registered" or field in data:
                register(relation, field, stamp, **{field: data.get(field)})
        relation["name_key"] = None if relation["name"] is None else name_key(relation["name"])
    rows.put("relation", relation)


def read_columns(table: FromClause) -> list[ColumnElement[Any]]:
    """The columns that a reader needs: not those that only a fold does."""
    return [c for c in table.columns if getattr(c, "info", None) != FOLD]


async def rows_of(conn: AsyncConnection, query: Executable) -> list[Row]:
    """The rows that a query finds, as dicts; for hundreds of rows, in a fifth of the time of `mappings()`."""
    found = await conn.execute(query)
    names = list(found.keys())
    return [dict(zip(names, row, strict=True)) for row in found]


def of_root(tables: Mapping[str, Table], fact: Table) -> FromClause:
    """`fact` joined with the head (`relation`) of the relation that it belongs to now: the survivor of a merge."""
    alias, relation = tables["alias"], tables["relation"]
    return fact.outerjoin(alias, and_(alias.c.whole == ALL, alias.c.absorbed == fact.c.relation)).join(
        relation, relation.c.relation == func.coalesce(alias.c.root, fact.c.relation)
    )


def _with_one_of(tables: Mapping[str, Table], teams: Collection[str]) -> Select[Any]:
    alias, assignment = tables["alias"].alias("team_alias"), tables["assignment"]
    joined = assignment.outerjoin(alias, and_(alias.c.whole == ALL, alias.c.absorbed == assignment.c.relation))
    return (
        select(func.coalesce(alias.c.root, assignment.c.relation))
        .select_from(joined)
        .where(assignment.c.team.in_(teams), assignment.c.assigned)
    )


def _had_by(tables: Mapping[str, Table], teams: Collection[str]) -> ColumnElement[bool]:
    return tables["relation"].c.relation.in_(_with_one_of(tables, teams))


def scope(
    tables: Mapping[str, Table], viewer: Viewer, *, team: str | None = None, tier: str | None = None
) -> list[ColumnElement[bool]]:
    """Conditions on the head in `of_root`: registered, of this tier and team, and this viewer's to see.

    A relation is a team's when it, or one that it absorbed, is assigned to the team now.
    """
    relation = tables["relation"]
    conditions: list[ColumnElement[bool]] = [relation.c.name.is_not(None)]
    if tier is not None:
        conditions.append(relation.c.tier == tier)
    return [*conditions, *in_sight(viewer, team, partial(_had_by, tables), relation.c.tier)]


def iso_day(on: date | None) -> str | None:
    return None if on is None else on.isoformat()


def shown(row: Row, hidden: int) -> bool:
    """Whether a reader who does not satisfy the restrictions `hidden` sees this row at all."""
    return not row["hidden"] & hidden


async def root_of(conn: AsyncConnection, tables: Mapping[str, Table], relation: str) -> str:
    """The relation that this one belongs to now: the survivor of a merge, else itself."""
    alias = tables["alias"]
    above = await conn.scalar(select(alias.c.root).where(alias.c.whole == ALL, alias.c.absorbed == relation))
    return relation if above is None else above


async def own_relations(
    conn: AsyncConnection, tables: Mapping[str, Table], viewer: Viewer, *, team: str | None = None,
    relation: str | None = None,
) -> list[str] | None:  # fmt: skip
    """The relations, absorbed ones among them, of which rows can be in an answer; None: those of all.

    What `scope` says of the survivor, said of the rows themselves: then an index on their relation finds them.
    """
    alias, head = tables["alias"], tables["relation"]
    asked = [] if team is None else [set(await conn.scalars(_with_one_of(tables, [team])))]
    if not viewer.everything:
        mine = set(await conn.scalars(_with_one_of(tables, viewer.teams)))
        if viewer.tiers:
            mine |= set(await conn.scalars(select(head.c.relation).where(head.c.tier.in_(viewer.tiers))))
        asked.append(mine)
    if relation is not None:
        asked.append({await root_of(conn, tables, relation)})
    if not asked:
        return None
    roots = asked[0].intersection(*asked[1:])
    below = await conn.scalars(select(alias.c.absorbed).where(alias.c.whole == ALL, alias.c.root.in_(roots)))
    return sorted(roots | set(below))
