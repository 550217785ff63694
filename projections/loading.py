"""All rows of one relation, in one round trip and of one moment: what the pure functions of reading work on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    Executable,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.heads import FOLD, read_columns
from projections.kin import ALL, united
from projections.rows import MemoryRows, Projection, Row, Rows
from projections.store import Live, versioned
from projections.viewer import Viewer


class Loaded(NamedTuple):
    """`rows` of a relation and of all that it absorbed, as if they were those of `relation`, the survivor.

    `whole` holds the same rows as they are, each under its own relation.
    """

    rows: Rows
    relation: str
    members: list[str]
    whole: MemoryRows


async def load_united(
    conn: AsyncConnection, projection: Projection, build: Live, relation: str, viewer: Viewer,
    *, whole: tuple[str, ...] = (),
) -> Loaded | None:  # fmt: skip
    """All rows of a relation. None when it is not registered or not this viewer's to see.

    `whole` names tables without a column `relation` (what is defined for the whole institution) to load as well.
    """
    statement = _statement(projection, build.version, (*whole, "alias"))
    documents = (await conn.execute(statement, {"relation": relation})).mappings().one()
    found = MemoryRows(projection.metadata)
    for name, document in documents.items():
        if document is not None:
            for row in _revived(projection.metadata.tables[name], document):
                found.put(name, row)
    rows, members = united(found, relation)
    head = rows.get("relation", members[0])
    if head is None or head["name"] is None:
        return None
    teams = {a["team"] for a in rows.group("assignment", members[0]) if a["assigned"]}
    if not viewer.shares(teams, head["tier"]):
        return None
    return Loaded(rows, members[0], members, found)


@lru_cache(maxsize=32)
def _statement(projection: Projection, version: int, whole: tuple[str, ...]) -> Executable:
    tables = versioned(projection, version)
    alias = tables["alias"]
    mine = bindparam("relation", type_=Text)
    above = select(alias.c.root).where(alias.c.whole == ALL, alias.c.absorbed == mine).scalar_subquery()
    me = select(func.coalesce(above, mine).label("root")).cte("me")
    below = select(alias.c.absorbed).join(me, alias.c.root == me.c.root)
    members = union_all(select(me.c.root.label("relation")), below).cte("members")
    return select(
        *(
            _as_document(
                table, [table.c.relation.in_(select(members.c.relation))] if "relation" in table.c else []
            ).label(name)
            for name, table in tables.items()
            if "relation" in table.c or name in whole
        )
    )


def _as_document(table: Table, where: list[ColumnElement[bool]]) -> Any:
    rows = select(*read_columns(table)).where(*where).subquery("r")
    return select(cast(func.json_agg(literal_column("r")), Text)).select_from(rows).scalar_subquery()


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
