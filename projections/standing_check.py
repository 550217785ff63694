"""The standing check: one relation folded again from the ledger, and compared with the live rows (decision 10).

Rows of a relation depend on its own events and on those about no relation. What a merge does to another relation's
rows is in the survivor's events: only when something differs are all merges read too, and the fold repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events import ledger
from events.recorded import ORGANISATION, Recorded, decode
from events.tables import entry
from projections.rows import Projection, Row, RowKey, fold
from projections.store import live
from projections.tables import parked

RELATION: Final = "relation"  # the column by which a row belongs to a relation
_MERGES: Final = ("nl.relatieboek.relation.merged.v1", "nl.relatieboek.relation.unmerged.v1")


@dataclass(frozen=True, slots=True)
class Checked:
    """A relation's rows in the live build against a fold from the ledger, both at `position`.

    `drift` names tables and how many of their rows differ; empty is good.
    """

    relation: str
    position: int
    events: int
    rows: int
    drift: Mapping[str, int]


async def check_random(engine: AsyncEngine, projection: Projection, fraction: float) -> Checked | None:
    """Checks the relation of the entry at `fraction` (0 to 1) of the ledger: busy relations come up more often.

    None when there is nothing to check, or when the relation has parked events. Reads in one snapshot.
    """
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="REPEATABLE READ")
        last = (await ledger.head(conn)).position
        here = sa.select(entry.c.relation).where(entry.c.position >= max(1, int(fraction * last)))
        relation = await conn.scalar(here.order_by(entry.c.position).limit(1))
        return None if relation is None else await check_relation(conn, projection, relation)


async def check_relation(conn: AsyncConnection, projection: Projection, relation: str) -> Checked | None:
    """Checks one relation, on a connection in REPEATABLE READ. Raises NotYetThere without a live build."""
    build = await live(conn, projection)
    out = await conn.scalar(
        sa.select(sa.func.count()).where(
            parked.c.name == projection.name, parked.c.version == build.version, parked.c.relation == relation
        )
    )
    if out:
        return None
    events = await ledger.read_relation(conn, ORGANISATION)
    if relation != ORGANISATION:
        events += await ledger.read_relation(conn, relation)
    actual = {name: await _rows(conn, t, relation) for name, t in build.tables.items() if RELATION in t.c}
    drift = _drift(projection, _upto(events, build.position), relation, actual)
    if drift:
        merges = await conn.execute(sa.select(entry.c.payload, entry.c.version).where(entry.c.type.in_(_MERGES)))
        known = {e.position for e in events}
        merged = [decode(r.payload, r.version) for r in merges]
        events += [e for e in merged if e.position not in known]
        for kin in sorted(_kin(relation, merged) - {relation}):
            known = {e.position for e in events}
            events += [e for e in await ledger.read_relation(conn, kin) if e.position not in known]
        drift = _drift(projection, _upto(events, build.position), relation, actual)
    return Checked(relation, build.position, len(events), sum(len(r) for r in actual.values()), drift)


def _kin(relation: str, merges: list[Recorded]) -> set[str]:
    """The relations that were ever merged with this one, at whatever remove."""
    found = {relation}
    while True:
        wider = set(found)
        for event in merges:
            if event.absorbed is not None and {event.relation, event.absorbed} & found:
                wider |= {event.relation, event.absorbed}
        if wider == found:
            return found
        found = wider


def _upto(events: list[Recorded], position: int) -> list[Recorded]:
    return sorted((e for e in events if e.position <= position), key=lambda e: e.position)


async def _rows(conn: AsyncConnection, table: sa.Table, relation: str) -> dict[RowKey, Row]:
    key = [c.name for c in table.primary_key.columns]
    found = await conn.execute(sa.select(table).where(table.c[RELATION] == relation))
    return {tuple(r[k] for k in key): dict(r) for r in found.mappings()}


def _drift(
    projection: Projection, events: list[Recorded], relation: str, actual: Mapping[str, Mapping[RowKey, Row]]
) -> dict[str, int]:
    folded = fold(projection, events)
    drift: dict[str, int] = {}
    for name, rows in actual.items():
        table = projection.metadata.tables[name]
        expected = {k: r for k, r in folded.tables[name].items() if r[RELATION] == relation}
        wrong = sum(
            1 for k in expected.keys() | rows.keys()
            if (e := expected.get(k)) is None or (a := rows.get(k)) is None or not _same(table, e, a)
        )  # fmt: skip
        if wrong:
            drift[name] = wrong
    return drift


def _same(table: sa.Table, expected: Row, actual: Row) -> bool:
    return all(_plain(table.c[c], value) == _plain(table.c[c], actual[c]) for c, value in expected.items())


def _plain(column: sa.Column[Any], value: Any) -> Any:
    """JSON as it comes back from the database: lists for tuples, text for dates."""
    if isinstance(column.type, sa.JSON):
        return None if value is None else orjson.loads(orjson.dumps(value))
    return [*value] if isinstance(column.type, sa.ARRAY) and value is not None else value
