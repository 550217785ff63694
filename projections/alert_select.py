"""Parts of the queries on contact alerts: whose they are, who sees them, and what a merge brings together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Table,
    case,
    func,
    literal,
    null,
    select,
)  # fmt: skip
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.alert_line import united_bucket
from projections.institution import Institution
from projections.rows import Row
from projections.sight import in_sight
from projections.viewer import Viewer
from projections.working_calendar import WorkingCalendar

Tables = Mapping[str, Table]
Today = date | ColumnElement[date]
Query = Any  # a Select of labelled columns: their number makes its type a different one in each place


def labelled(*tables: Table) -> list[Any]:
    """The columns under names that tell their table."""
    return [c.label(f"{t.name}__{c.name}") for t in tables for c in t.c]


def part(found: RowMapping, table: Table) -> Row:
    """One table's row of what `labelled` selected."""
    return {name: found[label] for name, label in _labels(table)}


@lru_cache(maxsize=64)
def _labels(table: Table) -> list[tuple[str, str]]:
    """Columns with their labels: worked out once, since a page of lines reads thousands of them."""
    return [(c.name, f"{table.name}__{c.name}") for c in table.c]


def bucket_part(found: RowMapping, bucket: Table) -> Row | None:
    row = part(found, bucket)
    return None if row["relation"] is None else row


async def load_institution(conn: AsyncConnection, tables: Tables, base: WorkingCalendar) -> Institution:
    """Calendar and policies as they are laid down now; `base` has the public holidays."""
    rows = (await conn.execute(select(tables["institution"]))).mappings()
    return Institution.of([dict(r) for r in rows], base)


def owner_of(tables: Tables, first: Sequence[Any], home: FromClause, today: Today) -> Any:
    """Whose something is: the first of `first` who has not left, else the relation's owner, else the lead of the team
    that it was assigned to first. NULL: nobody's (SPEC section 5). `home` is the relation's row (the survivor's)."""
    here = [_present(tables, column, today) for column in (*first, home.c.owner)]
    return func.coalesce(*here, team_lead_of(tables, home, today))


def visible(
    query: Query, tables: Tables, home: FromClause, viewer: Viewer, team: str | None, tier: str | None,
    relation: str | None = None,
) -> Query:  # fmt: skip
    """Narrowed to relations of a tier and a team, or to one, and to those that the viewer sees.

    A team that has an absorbed relation has its survivor.
    """
    assignment, of = tables["assignment"], tables["relation"].alias("assigned_to")

    def had_by(teams: Collection[str]) -> ColumnElement[bool]:
        shares = select(of.c.root).join_from(assignment, of, of.c.relation == assignment.c.relation)
        return home.c.relation.in_(shares.where(assignment.c.team.in_(teams), assignment.c.assigned))

    query = query.where(*in_sight(viewer, team, had_by, home.c.tier))
    if relation is not None:
        query = query.where(home.c.relation == select(of.c.root).where(of.c.relation == relation).scalar_subquery())
    return query if tier is None else query.where(home.c.tier == tier)


async def united(conn: AsyncConnection, tables: Tables, found: Sequence[tuple[Row, Row | None]]) -> list[Row | None]:
    """The buckets of these lines, with those of all relations that are one with theirs by a merge."""
    relation, bucket = tables["relation"], tables["bucket"]
    roots = {line["root"] for line, _ in found}
    if not roots:
        return []
    absorbed = select(relation.c.root, relation.c.relation).where(
        relation.c.root.in_(roots), relation.c.root != relation.c.relation
    )
    members: dict[str, list[str]] = defaultdict(list)
    for row in await conn.execute(absorbed):
        members[row.root].append(row.relation)
    if not members:
        return [known for _, known in found]
    everyone = [*members, *(m for ms in members.values() for m in ms)]
    loaded: dict[tuple[str, int], Row] = {}
    for row in (await conn.execute(select(bucket).where(bucket.c.relation.in_(everyone)))).mappings():
        loaded[row["relation"], row["pair"]] = dict(row)
    return [_with_kin(line, known, members, loaded) for line, known in found]


def _with_kin(
    line: Row, known: Row | None, members: Mapping[str, Iterable[str]], loaded: Mapping[tuple[str, int], Row]
) -> Row | None:
    root = line["root"]
    if root not in members or line["pair"] is None:
        return known
    return united_bucket(loaded.get((m, line["pair"])) for m in (root, *members[root]))


def _present(tables: Tables, who: Any, today: Today) -> Any:
    employee = tables["employee"]
    left = select(literal(1)).where(employee.c.employee == who, employee.c.left_on <= today).correlate_except(employee)
    return case((left.exists(), null()), else_=who)


def team_lead_of(tables: Tables, home: FromClause, today: Today) -> Any:
    """The lead of the team that the relation was assigned to first; NULL without one."""
    assignment, member, employee = tables["assignment"], tables["member"], tables["employee"]
    of = tables["relation"].alias("lead_of")
    first = (
        select(assignment.c.team)
        .join_from(assignment, of, of.c.relation == assignment.c.relation)
        .where(of.c.root == home.c.relation, assignment.c.assigned)
        .order_by(assignment.c.stamp, assignment.c.team)
        .limit(1)
        .correlate(home)
        .scalar_subquery()
    )
    gone = select(employee.c.employee).where(employee.c.left_on <= today)
    return (
        select(member.c.employee)
        .where(member.c.team == first, member.c.role == "lead", member.c.present, member.c.employee.not_in(gone))
        .order_by(member.c.stamp, member.c.employee)
        .limit(1)
        .correlate(home)
        .scalar_subquery()
    )
