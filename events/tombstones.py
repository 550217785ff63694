"""Whether every key that is gone was destroyed by an event of the book.

A tombstone that nothing in the book answers for reads "gegevens gewist", and would hide what somebody with the database
took away.

Tombstone 0 (the key went with a lost database) has only its own word for it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from events.erasing import PERSON_ERASED, Work, work_of
from events.postgres import Connection
from events.reconcile import Report
from events.recorded import TYPE_PREFIX, decode

_TOLD: Final = 100
_AT_ONCE: Final = 2_000
_PEOPLE: Final = """
SELECT p.ref, p.erased_by FROM ledger.person_key p LEFT JOIN ledger.entry e ON e.position = p.erased_by
 WHERE p.erased_by > 0 AND NOT coalesce(e.type = $1 AND position(convert_to(p.ref, 'UTF8') IN e.payload) > 0, false)
 ORDER BY p.erased_by, p.ref LIMIT $2
"""
# Who is on the list outside the database and was never in this book has a tombstone too, of another one's position.
_NAMED: Final = "SELECT position FROM ledger.entry WHERE position($1::bytea IN payload) > 0 ORDER BY position LIMIT 1"
_TEXTS: Final = """
SELECT k.position, k.erased_by, e.type, e.payload, x.payload AS by FROM ledger.event_key k
  JOIN ledger.entry e USING (position) LEFT JOIN ledger.entry x ON x.position = k.erased_by
 WHERE k.erased_by > 0 ORDER BY k.position
"""
_GONE: Final = """
SELECT e.position FROM ledger.entry e LEFT JOIN ledger.event_key k USING (position)
 WHERE k.key IS NULL AND k.erased_by IS NULL AND position('enc~e~'::bytea IN e.payload) > 0 ORDER BY 1 LIMIT $1
"""
_PEOPLE_GONE: Final = "SELECT count(*) FROM ledger.person_key WHERE key IS NULL AND erased_by IS NULL"


async def check_tombstones(conn: Connection, report: Report) -> None:
    """Adds to the report what was destroyed without an event that did it; positions, never a person."""
    for row in await conn.fetch(_PEOPLE, f"{TYPE_PREFIX}{PERSON_ERASED}.v1", _TOLD):
        named = await conn.fetchval(_NAMED, row["ref"].encode())
        if named is not None:
            by = row["erased_by"]
            report.differ(
                f"keys: a person that position {named} names is erased by position {by}, which did not do that"
            )
    works: dict[int, Work | None] = {}
    async with conn.transaction(readonly=True):
        async for row in conn.cursor(_TEXTS, prefetch=_AT_ONCE):
            by = row["erased_by"]
            if by not in works:
                works[by] = _work(row["by"])
            if not _takes(works[by], row):
                report.differ(
                    f"keys: the texts of position {row['position']} are erased by {by}, which did not do that"
                )
    for row in await conn.fetch(_GONE, _TOLD):
        report.differ(f"keys: the key of the texts of position {row['position']} is gone, and nobody erased it")
    people = await conn.fetchval(_PEOPLE_GONE)
    if people:
        report.differ(f"keys: those of {people} persons are gone, and nobody erased them")


def _work(payload: bytes | None) -> Work | None:
    """What the event at a tombstone's position asks to be erased; None: nothing, or there is none."""
    if payload is None:
        return None
    try:
        event = decode(payload, 0)
        return work_of(event.kind, event.data, event.position, event.data.get("person"))
    except (msgspec.MsgspecError, KeyError, ValueError):
        return None


def _takes(work: Work | None, row: Any) -> bool:
    if work is None:
        return False
    if work.ref is not None:
        return work.ref.encode() in row["payload"]
    return str(row["type"]).startswith(f"{TYPE_PREFIX}{work.family}.")
