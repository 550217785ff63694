"""Who `us`, a UUID or `<scheme>:<value>` in an agreement or a chain is: looked up at reading, many at once.

Facts keep the name that the department gave; two names of one organisation, or those of merged ones, are one here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.identity import is_uuid
from events.ledger import resolve
from events.tables import thing
from projections.heads import scope
from projections.kin import load_kin
from projections.viewer import Viewer

US: Final = "us"


@dataclass(frozen=True, slots=True)
class Parties:
    """`ids`: name as given → UUID of the relation it belongs to now. `names`: UUID → name, of those that the reader may
    see only."""

    ids: Mapping[str, str]
    names: Mapping[str, str]

    def key(self, party: str) -> str:
        """One key for all names of an organisation: `us`, a UUID, or the name as given where the book knows none."""
        return self.ids.get(party, party)

    def name(self, party: str) -> str | None:
        return self.names.get(self.key(party))

    def told(self, party: str) -> dict[str, Any]:
        return {"organisation": self.key(party), "name": self.name(party)}


async def parties(conn: AsyncConnection, tables: Mapping[str, Table], named: Iterable[str], viewer: Viewer) -> Parties:
    """Looks up everyone in `named` in one build's heads (see `heads.head_tables`) and the ledger's identifiers."""
    wanted = {p for p in named if p != US}
    ids = {p: p.lower() for p in wanted if is_uuid(p)}
    codes = sorted(wanted - ids.keys())
    if codes:
        relation = thing.c.value["relation"].astext
        query = select(thing.c.key, relation).where(thing.c.key.in_([f"identifier:{c}" for c in codes]))
        for key, found in await conn.execute(query):
            ids[key.removeprefix("identifier:")] = found
        for code in (c for c in codes if c not in ids and c.startswith("local:")):
            known = await resolve(conn, code)
            if known is not None:
                ids[code] = known
    if not ids:
        return Parties({}, {})
    kin = await load_kin(conn, tables)
    ids = {party: kin.root(found) for party, found in ids.items()}
    head = tables["relation"]
    query = select(head.c.relation, head.c.name).where(
        head.c.relation.in_(sorted(set(ids.values()))), *scope(tables, viewer)
    )
    names: dict[str, str] = {r.relation: r.name for r in await conn.execute(query)}
    return Parties(ids, names)
