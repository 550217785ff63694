"""The check of the whole access log: every record against its hash, every hash against the one before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from events.postgres import Connection
from services.access_log.note import Head
from services.access_log.store import Found, ends_of, follow, next_run, start, stubs

Progress = Callable[[int, int], None]


async def verify(
    conn: Connection, kept: Sequence[Head], progress: Progress = lambda done, total: None, *,
    kept_since: datetime | None = None,
) -> Found:  # fmt: skip
    """Follows the chain from its first record, or from what is left of pruned ones, and holds it against signed heads.

    Memory is one run of records. The result names every position that was altered, left out, put in or moved; where
    every hash was made to fit again, the two signed heads between which it was rewritten. `kept_since`: records of then
    or later may not have been pruned; by what was signed, when they were written.
    """
    # One view of the log: what is pruned meanwhile is still there for us.
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        return await _verify(conn, kept, progress, kept_since)


async def _verify(
    conn: Connection, kept: Sequence[Head], progress: Progress, kept_since: datetime | None
) -> Found:  # fmt: skip
    found = Found()
    rows = await stubs(conn)
    at = start(rows, found)
    ends = ends_of(rows)
    found.last = await conn.fetchval("SELECT coalesce(max(position), $1) FROM access.record", at.position)
    waiting = sorted(kept, key=lambda head: head.size)
    agreed = 0
    if kept:
        for row in rows:
            if all(head.size != row["last"] for head in kept):
                found.differ(f"pruned records {row['first']} to {row['last']}: nothing that was signed ends there")
    for head in waiting:
        if head.size in ends:  # of what was pruned, only the end of each run is left to be held against what was signed
            agreed = _hold(head, ends[head.size], agreed, found)
    young = [h for h in waiting if kept_since and h.last_at and h.size <= at.position and h.last_at >= kept_since]
    for head in young[-1:]:
        found.differ(f"pruned records up to {head.size}: those of {head.last_at:%Y-%m-%d} are to be kept longer")
    waiting = [h for h in waiting if h.size > at.position]
    while run := await next_run(conn, at.position):
        for row in run:
            while waiting and waiting[0].size < row["position"]:
                agreed = _hold(waiting.pop(0), at.leaf, agreed, found)
            follow([row], at, found)
        progress(at.position, found.last)
    for head in waiting:
        if head.size == at.position:
            agreed = _hold(head, at.leaf, agreed, found)
        else:
            found.differ(
                f"signed head of {head.size} records: the log ends at {at.position}; records after it are gone"
            )
    return found


def _hold(head: Head, leaf: bytes, agreed: int, found: Found) -> int:
    """The size up to which the log agrees with what was signed."""
    if head.leaf == leaf:
        return head.size
    found.differ(f"signed head of {head.size} records: records after {agreed} up to {head.size} are not those signed")
    return agreed
