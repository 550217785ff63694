"""Queries of the relation view. Lists are pages by keyset; what depends on today is computed for the page's rows only.

A team's viewer sees the relations that the team has now, and no others: for the rest the answers are as if they did not
exist. Personal fields come out as tokens; `events.privacy` opens them at the edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Executable,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    exists,
    func,
    literal_column,
    not_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import FieldError, Invalid
from events.recorded import local_date
from projections.kin import ALL, Kin, added_up
from projections.line_state import DEFAULT_RULES, Rules
from projections.page import Page, check_limit, decode_cursor, encode_cursor
from projections.relation_attention import attention_of
from projections.relation_lines import about
from projections.relation_matrix import matrix_of
from projections.relation_present import alert_of, head_of, local_iso, present, year_before
from projections.relation_questions import attention, not_absorbed, shared_with
from projections.relation_tables import APART, FOLD
from projections.relation_view import PROJECTION, name_key
from projections.rows import MemoryRows, Row
from projections.sight import open_to
from projections.store import Live, live, versioned
from projections.viewer import Viewer, hidden_bits

__all__ = ["attention", "list_relations", "load", "matrix", "schedule", "show", "spent_on"]

MAX_QUERY_CHARS: Final = 100
_SCOPE: Final = "relations"


async def show(
    conn: AsyncConnection, relation: str, now: datetime, viewer: Viewer, rules: Rules = DEFAULT_RULES
) -> dict[str, Any] | None:
    """The JSON of `GET /v1/relations/{id}`; None when there is no such relation for this viewer."""
    build = await live(conn, PROJECTION)
    rows = await load(conn, build, relation, viewer)
    return (
        None
        if rows is None
        else present(rows, relation, now, position=build.position, rules=rules, hidden=hidden_bits(viewer))
    )


async def matrix(
    conn: AsyncConnection, relation: str, now: datetime, viewer: Viewer, rules: Rules = DEFAULT_RULES
) -> dict[str, Any] | None:
    """The relation matrix (see `matrix_of`), or None."""
    build = await live(conn, PROJECTION)
    rows = await load(conn, build, relation, viewer)
    return (
        None
        if rows is None
        else matrix_of(rows, relation, now, rules, position=build.position, hidden=hidden_bits(viewer))
    )


async def spent_on(conn: AsyncConnection, relation: str, now: datetime, viewer: Viewer) -> dict[str, Any] | None:
    """Where attention for one relation went (see `attention_of`), or None."""
    build = await live(conn, PROJECTION)
    rows = await load(conn, build, relation, viewer)
    return None if rows is None else attention_of(rows, relation, now, position=build.position)


async def schedule(
    conn: AsyncConnection, relation: str, now: datetime, viewer: Viewer, rules: Rules = DEFAULT_RULES
) -> list[dict[str, Any]] | None:
    """The schedule lines of a relation with their states, in the order of the line ids, or None."""
    seen = await show(conn, relation, now, viewer, rules)
    return None if seen is None else seen["schedule"]


async def list_relations(
    conn: AsyncConnection,
    *,
    kind: str | None = None,
    tier: str | None = None,
    team: str | None = None,
    q: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
    now: datetime,
    viewer: Viewer,
) -> Page:
    """Relations by name. `q`: a part of the name, whatever its case and accents. Raises Invalid naming the field."""
    build = await live(conn, PROJECTION)
    relation = build.tables["relation"]
    alias = build.tables["alias"]
    has_absorbed = exists().where(alias.c.root == relation.c.relation, alias.c.merged).label("has_absorbed")
    wanted = select(*_read_columns(relation), has_absorbed).where(
        relation.c.name.is_not(None), not_absorbed(build, relation.c.relation)
    )
    if kind is not None:
        wanted = wanted.where(relation.c.kind == kind)
    if tier is not None:
        wanted = wanted.where(relation.c.tier == tier)
    if q is not None:
        if len(q) > MAX_QUERY_CHARS or "\x00" in q:
            raise Invalid("schema", [FieldError("/q", f"at most {MAX_QUERY_CHARS} characters, without NUL")])
        wanted = wanted.where(relation.c.name_key.contains(name_key(q), autoescape=True))
    wanted = wanted.where(*shared_with(build, team, viewer))
    if cursor is not None:
        after = decode_cursor(_SCOPE, cursor, (str, str))
        wanted = wanted.where(tuple_(relation.c.name_key, relation.c.relation) > tuple_(*after))
    wanted = wanted.order_by(relation.c.name_key, relation.c.relation).limit(check_limit(limit) + 1)
    found = [dict(r) for r in (await conn.execute(wanted)).mappings()]
    rows = found[:limit]
    following = encode_cursor(_SCOPE, (rows[-1]["name_key"], rows[-1]["relation"])) if len(found) > limit else None
    return Page(await _with_figures(conn, build, rows, local_date(now), hidden_bits(viewer)), following)


async def _with_figures(
    conn: AsyncConnection, build: Live, rows: Sequence[Row], today: date, hidden: int
) -> list[dict[str, Any]]:
    """The page's items: three queries, whatever its length, two more where some are the survivors of merges, and one
    for a reader who may not see everything."""
    own = [r["relation"] for r in rows]
    kin = await _absorbed_by(conn, build, [r["relation"] for r in rows if r["has_absorbed"]])
    ids = [*own, *kin.rows]
    contact, assignment, alert = (build.tables[name] for name in ("contact", "assignment", "alert"))
    recent = (contact.c.held_on > year_before(today)) & (contact.c.held_on <= today)
    figures = (
        select(
            contact.c.relation,
            func.max(contact.c.held_at).label("last_contact_at"),
            func.count().filter(recent).label("contacts_12m"),
            func.coalesce(func.sum(contact.c.minutes).filter(recent), 0).label("minutes_12m"),
        )
        .where(contact.c.relation.in_(ids), contact.c.counted)
        .group_by(contact.c.relation)
    )
    teams = (
        select(assignment.c.relation, assignment.c.team)
        .where(assignment.c.relation.in_(ids), assignment.c.assigned)
        .order_by(assignment.c.team)
    )
    unresolved = (
        select(alert)
        .where(alert.c.relation.in_(ids), alert.c.state == literal_column("'open'"), open_to(alert.c.hidden, hidden))
        .order_by(alert.c.alert)
    )
    by_relation = {r.relation: r for r in await conn.execute(figures)}
    team_rows = (await conn.execute(teams)).all()
    closed = await _closed_lines(conn, build, ids, hidden)
    alert_rows = [dict(r) for r in (await conn.execute(unresolved)).mappings() if not about(dict(r), closed)]
    items: list[dict[str, Any]] = []
    for row in rows:
        members = [row["relation"], *kin.members.get(row["relation"], ())]
        mine = [by_relation[m] for m in members if m in by_relation]
        items.append(
            {
                **head_of(added_up([row, *(kin.rows[m] for m in members[1:])])),
                "last_contact_at": local_iso(max((f.last_contact_at for f in mine), default=None)),
                "contacts_12m": sum(f.contacts_12m for f in mine),
                "minutes_12m": sum(int(f.minutes_12m) for f in mine),
                "open_alerts": [alert_of(a) for a in alert_rows if a["relation"] in members],
                "teams": sorted({t.team for t in team_rows if t.relation in members}),
            }
        )
    return items


async def _closed_lines(
    conn: AsyncConnection, build: Live, relations: Sequence[str], hidden: int
) -> frozenset[tuple[str, str]]:
    """The lines of these relations that the reader may not see; alerts about those are left out too."""
    if not hidden:
        return frozenset()
    line = build.tables["line"]
    query = select(line.c.relation, line.c.line).where(
        line.c.relation.in_(relations), not_(open_to(line.c.hidden, hidden))
    )
    return frozenset((r.relation, r.line) for r in await conn.execute(query))


@dataclass(frozen=True, slots=True)
class _Absorbed:
    """Of the survivors on a page: whom each absorbed, sorted, and the rows of those."""

    members: Mapping[str, Sequence[str]]
    rows: Mapping[str, Row]


async def _absorbed_by(conn: AsyncConnection, build: Live, survivors: Sequence[str]) -> _Absorbed:
    if not survivors:
        return _Absorbed({}, {})
    alias, relation = build.tables["alias"], build.tables["relation"]
    wanted = (
        select(alias.c.root, *_read_columns(relation))
        .join(relation, relation.c.relation == alias.c.absorbed)
        .where(alias.c.merged, alias.c.root.in_(survivors))
        .order_by(relation.c.relation)
    )
    members: dict[str, list[str]] = {}
    rows: dict[str, Row] = {}
    for found in (await conn.execute(wanted)).mappings():
        members.setdefault(found["root"], []).append(found["relation"])
        rows[found["relation"]] = dict(found)
    return _Absorbed(members, rows)


async def load(conn: AsyncConnection, build: Live, relation: str, viewer: Viewer) -> MemoryRows | None:
    """All rows of one relation, of one moment; None when it is not registered or not this viewer's to see.

    Of merged relations the rows of all members and the merges that say so (see `kin.united`). One query; merged
    relations, which are rare, take a second one. What any member's team has, it has of all of them.
    """
    documents = (await conn.execute(_load_statement(build.version), {"relation": relation})).mappings().one()
    members = [relation]
    if documents["alias"] is not None:
        members = Kin.of(_revived(PROJECTION.metadata.tables["alias"], documents["alias"])).members(relation)
        asked = {"relation": relation, "members": members}
        documents = (await conn.execute(_load_statement(build.version, merged=True), asked)).mappings().one()
    rows = MemoryRows(PROJECTION.metadata)
    for name, document in documents.items():
        if document is not None:
            for row in _revived(PROJECTION.metadata.tables[name], document):
                rows.put(name, row)
    found = rows.get("relation", members[0])
    if found is None or found["name"] is None:
        return None
    teams = {a["team"] for m in members for a in rows.group("assignment", m) if a["assigned"]}
    if not viewer.shares(teams, found["tier"]):
        return None
    return rows


@lru_cache(maxsize=8)
def _load_statement(version: int, *, merged: bool = False) -> Executable:
    """The rows of all tables in one statement: one round trip, one snapshot. JSON, since the tables differ.

    `merged`: of all `members`, and not of `relation` alone.
    """
    tables = versioned(PROJECTION, version)
    mine = bindparam("relation", type_=Text)
    members = bindparam("members", type_=ARRAY(Text))
    response, alias = tables["response"], tables["alias"]

    def of_them(table: Table) -> ColumnElement[bool]:
        if "relation" not in table.c:
            return true()  # what the institution lays down for all
        return table.c.relation == any_(members) if merged else table.c.relation == mine

    asked = select(response.c.instrument).where(of_them(response))
    other = alias.alias("other")
    root = select(other.c.root).where(other.c.whole == ALL, other.c.absorbed == mine, other.c.merged).scalar_subquery()
    line, member, assignment, head = (tables[n] for n in ("line", "member", "assignment", "relation"))
    had = select(assignment.c.team).where(of_them(assignment), assignment.c.assigned)
    owners = union_all(
        select(line.c.owner).where(of_them(line)),
        select(head.c.owner).where(of_them(head)),
        select(member.c.employee).where(member.c.team.in_(had), member.c.role == "lead"),
    )
    special: Mapping[str, ColumnElement[bool]] = {
        "instrument": tables["instrument"].c.instrument.in_(asked),
        "alias": alias.c.merged & (alias.c.root == func.coalesce(root, mine)),
        "institution": true(),
        "member": member.c.present & (member.c.role == "lead") & member.c.team.in_(had),
        "employee": tables["employee"].c.employee.in_(owners),
    }
    return select(
        *(
            _as_document(table, of_them(table) if name not in special else special[name]).label(name)
            for name, table in tables.items()
            if table.info != APART
        )
    )


def _as_document(table: Table, where: ColumnElement[bool]) -> Any:
    rows = select(*_read_columns(table)).where(where).subquery("r")
    return select(cast(func.json_agg(literal_column("r")), Text)).select_from(rows).scalar_subquery()


def _read_columns(table: Table) -> list[Column[Any]]:
    return [c for c in table.columns if c.info != FOLD]


def _revived(table: Table, document: str) -> list[Row]:
    """The rows of a JSON document with the Python types of the columns; the columns that only a fold needs are None."""
    rows: list[Row] = msgspec.json.decode(document, type=list[dict[str, Any]])
    unread = {c.name: None for c in table.columns if c.info == FOLD}
    read: Mapping[str, Any] = {
        c.name: date.fromisoformat if isinstance(c.type, Date) else datetime.fromisoformat
        for c in table.columns
        if isinstance(c.type, Date | DateTime)
    }
    for row in rows:
        row.update(unread)
        for name, parse in read.items():
            if row[name] is not None:
                row[name] = parse(row[name])
    return rows
