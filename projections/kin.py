"""Which relations are one: merges and unmerges, folded by every read model that lists or shows relations.

Streams and rows stay per original relation for ever. A merge says that one relation was absorbed by another; who reads
the survivor sees the rows of all its members together (`UnionRows`), and an absorbed relation stands in no list. The
book takes merges one by one and refuses what does not fit (no cycle, absorbed once, an unmerge only of what is merged),
so there is one row for each relation that was ever absorbed, and of one day's facts the last one of the book stands.

`root` says at once to whom a relation belongs at the end of a chain of merges: queries join on it and never recurse.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Boolean, Column, Date, Index, MetaData, Table, Text, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import Recorded, iso, local_date
from projections.rows import Group, Need, Row, Rows

KIN_KINDS: Final = frozenset({"relation.merged", "relation.unmerged"})
ALL: Final = "all"
# What is counted per relation, in the rows of any read model that has it.
_COUNTERS: Final = ("contacts_total", "minutes_total")


def alias_table(metadata: MetaData) -> Table:
    """The table `alias` of a read model: a row for each relation that was ever absorbed, a few thousand at most.

    The constant `whole` makes all of them one group, so that a fold has them together.
    """
    return Table(
        "alias",
        metadata,
        Column("whole", Text, primary_key=True, comment="the constant 'all'"),
        Column("absorbed", Text, primary_key=True),
        Column("survivor", Text, nullable=False, comment="of the fact that stands"),
        Column("merged", Boolean, nullable=False, comment="false: unmerged again"),
        Column("root", Text, comment="the survivor at the end of the chain; null: not absorbed now"),
        Column("occurred_on", Date, nullable=False),
        Column("stamp", JSONB, nullable=False, comment="occurred, then position: the greater stands"),
        Index("alias_root", "root", postgresql_where=text("merged")),
    )


def alias_needs(event: Recorded) -> list[Need]:
    """What `fold_alias` reads of this event; nothing for other kinds."""
    return [Group("alias", ALL)] if event.kind in KIN_KINDS else []


def fold_alias(rows: Rows, event: Recorded) -> None:
    """Notes a merge or unmerge (`event.relation` is the survivor); nothing for other kinds."""
    if event.kind not in KIN_KINDS or event.absorbed is None:
        return
    stamp = [iso(event.occurred_at), f"{event.position:020d}"]
    known = {row["absorbed"]: row for row in rows.group("alias", ALL)}
    mine = known.get(event.absorbed)
    if mine is not None and mine["stamp"] >= stamp:
        return
    known[event.absorbed] = {
        "whole": ALL, "absorbed": event.absorbed, "survivor": event.relation, "root": None,
        "merged": event.kind == "relation.merged", "occurred_on": local_date(event.occurred_at), "stamp": stamp,
    }  # fmt: skip
    kin = Kin.of(known.values())
    for absorbed, row in known.items():
        root = kin.root(absorbed) if kin.absorbed(absorbed) else None
        if root != row["root"] or absorbed == event.absorbed:
            rows.put("alias", {**row, "root": root})


class Kin:
    """Who belongs to whom, as the alias rows say. Pure; a relation that was never merged is its own root and member."""

    def __init__(self, parents: Mapping[str, str]) -> None:
        """`parents`: absorbed → survivor. Must hold no cycle (see `of`)."""
        self._parents = parents
        self._children: dict[str, list[str]] = defaultdict(list)
        for absorbed, survivor in parents.items():
            self._children[survivor].append(absorbed)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Kin:
        """From rows of `alias`, in any order.

        The book lets no cycle come about, but a look at an earlier day may leave out the unmerge between two merges:
        then the merge that occurred first stands, and the one that would close the circle does not.
        """
        parents: dict[str, str] = {}
        for row in sorted((r for r in rows if r["merged"]), key=lambda r: r["stamp"] or []):
            absorbed, above = row["absorbed"], row["survivor"]
            while above is not None and above != absorbed:
                above = parents.get(above)
            if above is None:
                parents[absorbed] = row["survivor"]
        return cls(parents)

    def __bool__(self) -> bool:
        """Whether anything is merged at all."""
        return bool(self._parents)

    def absorbed(self, relation: str) -> bool:
        """Whether the relation is absorbed by another one now."""
        return relation in self._parents

    def root(self, relation: str) -> str:
        """The survivor at the end of the chain; the relation itself when it is not absorbed."""
        while (above := self._parents.get(relation)) is not None:
            relation = above
        return relation

    def members(self, relation: str) -> list[str]:
        """The root of `relation` first, then everything absorbed under it at any depth, sorted."""
        root = self.root(relation)
        found: list[str] = []
        todo = [root]
        while todo:
            below = self._children.get(todo.pop(), ())
            found.extend(below)
            todo.extend(below)
        return [root, *sorted(found)]


async def load_kin(conn: AsyncConnection, tables: Mapping[str, Table]) -> Kin:
    """The kin of a build (`Live.tables`): one query, a row for each relation that is absorbed now."""
    alias = tables["alias"]
    wanted = select(alias.c.absorbed, alias.c.survivor).where(alias.c.root.is_not(None))
    return Kin({r.absorbed: r.survivor for r in await conn.execute(wanted)})


class UnionRows:
    """The rows of all members as if they were the root's: `Rows` for reading.

    `group(table, root)` gives the members' rows together, the root's first; each row keeps the `relation` that it was
    recorded under. `get("relation", root)` is the root's own row with the members' counters added up and their
    identifiers beside its own; any other `get(table, root, …)` is the first member's row that there is.
    """

    def __init__(self, rows: Rows, members: Sequence[str]) -> None:
        """`members` as from `Kin.members`: root first."""
        self._rows = rows
        self._members = members

    def get(self, table: str, *key: Any) -> Row | None:
        if not key or key[0] != self._members[0]:
            return self._rows.get(table, *key)
        found = [row for m in self._members if (row := self._rows.get(table, m, *key[1:])) is not None]
        if not found:
            return None
        if table != "relation" or found[0]["relation"] != key[0]:
            return found[0]
        return added_up(found)

    def group(self, table: str, value: Any) -> Sequence[Row]:
        if value != self._members[0]:
            return self._rows.group(table, value)
        return [row for m in self._members for row in self._rows.group(table, m)]

    def put(self, table: str, row: Row) -> None:
        raise TypeError("a union of rows is for reading")

    def delete(self, table: str, *key: Any) -> None:
        raise TypeError("a union of rows is for reading")


def added_up(found: Sequence[Row]) -> Row:
    """The row of a relation with the counters and identifiers of its members in it; the root's row comes first."""
    row = dict(found[0])
    for name in _COUNTERS:
        if name in row:
            row[name] = sum(r[name] for r in found)
    if "identifiers" in row:
        links: list[Mapping[str, Any]] = []
        for link in (link for r in found for link in r["identifiers"]):
            if link not in links:
                links.append(link)
        row["identifiers"] = sorted(links, key=lambda i: (i["scheme"], i["value"], i.get("department", "")))
    return row


def united(rows: Rows, relation: str) -> tuple[Rows, list[str]]:
    """The rows as the root of `relation` is to be read, and its members (root first), by the alias rows among them."""
    members = Kin.of(rows.group("alias", ALL)).members(relation)
    return (rows if len(members) == 1 else UnionRows(rows, members)), members
