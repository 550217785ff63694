"""Who saw this: the access log as people read it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import AMSTERDAM
from projections.page import Page, check_limit, decode_cursor, encode_cursor
from services.access_log.record import EVERYBODY, key_of
from services.access_log.tables import record

_SCOPE: Final = "accesses"
_KIN: Final = text("""
WITH RECURSIVE kin(relation) AS (
    SELECT CAST(:relation AS text) UNION SELECT c.relation FROM ledger.chain c JOIN kin k ON c.absorbed_by = k.relation)
SELECT relation FROM kin
""")


async def kin_of(conn: AsyncConnection, relation: str) -> list[str]:
    """This relation and all that it absorbed: who looked at those, looked at what is its own now."""
    return list(await conn.scalars(_KIN, {"relation": relation}))


async def accesses(
    conn: AsyncConnection, *, about: Collection[str] | None = None, actor: str | None = None, from_: date | None = None,
    to: date | None = None, cursor: str | None = None, limit: int = 50,
) -> Page:  # fmt: skip
    """Records, the newest first. `about`: relations (UUIDs) and persons (references), one of which it must be about;
    `from_`, `to`: days in Amsterdam, both included.

    Of a record about more than can be listed nobody can say whom it was not about: it is in every such list, with
    `certain` false. Raises Invalid naming `/cursor` or `/limit`.
    """
    query = select(record.c.position, record.c.entry).order_by(record.c.position.desc())
    if about is not None:
        query = query.where(record.c.about.overlap([UUID(hex=key) for key in (*map(key_of, about), EVERYBODY)]))
    if actor is not None:
        query = query.where(record.c.actor == actor)
    if from_ is not None:
        query = query.where(record.c.at >= datetime.combine(from_, time.min, AMSTERDAM))
    if to is not None:
        query = query.where(record.c.at < datetime.combine(to + timedelta(days=1), time.min, AMSTERDAM))
    if cursor is not None:
        query = query.where(record.c.position < decode_cursor(_SCOPE, cursor, [int])[0])
    rows = (await conn.execute(query.limit(check_limit(limit) + 1))).all()
    items = [shown(row.position, row.entry, about) for row in rows[:limit]]
    return Page(items, encode_cursor(_SCOPE, [rows[limit - 1].position]) if len(rows) > limit else None)


def shown(position: int, entry: bytes, about: Collection[str] | None = None) -> dict[str, Any]:
    """One record, flat. Of relations and persons only how many: the others on a page are not what was asked."""
    said = orjson.loads(entry)
    what, who, result, origin = (said.get(part, {}) for part in ("what", "who", "result", "from"))
    listed: set[str] = {*what.get("relations", ()), *what.get("persons", ())}
    return {
        "position": position,
        "at": said["at"],
        "actor": who["name"],
        "kind": who["kind"],
        "roles": who.get("roles", []),
        "acting_for": said.get("for", {}),
        "event": said["event"],
        "action": said["action"],
        "operation": what["operation"],
        "route": what.get("route"),
        "team": what.get("team"),
        "alert": what.get("alert"),
        "filters": what.get("filters", []),
        "relations": len(what.get("relations", ())),
        "persons": len(what.get("persons", ())),
        "objects": what.get("objects", []),
        "certain": about is None or not listed.isdisjoint(about),
        "outcome": result["outcome"],
        "status": result.get("status"),
        "items": result.get("items"),
        "address": origin.get("address"),
        "client": origin.get("client"),
    }
