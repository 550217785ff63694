"""The access log in PostgreSQL: appended by whoever holds its one lock, never changed, checked from its first record.

The services' role may add and read records, nothing else. Positions are dense, and each record's hash holds the one
before it, so writers take turns: a lock of the transaction, which dies with its connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from events.postgres import Connection, connect
from services.access_log.record import GENESIS, Prepared, Record, chained, leaf_of, prepare, prepared

_LOCK: Final = 7_231_007
AT_ONCE: Final = 2_000

# A statement of its own: what it sees is what was there when the lock came, not when it was asked for.
_BEGIN: Final = f"BEGIN; SELECT pg_advisory_xact_lock({_LOCK})"
_LAST: Final = """
SELECT position, leaf FROM (
    (SELECT position, leaf FROM access.record ORDER BY position DESC LIMIT 1)
    UNION ALL (SELECT last, leaf FROM access.pruned ORDER BY last DESC LIMIT 1)) q
 ORDER BY position DESC LIMIT 1
"""
# `about` comes as text: an array of arrays must be rectangular, and these are not.
_INSERT: Final = """
INSERT INTO access.record (position, at, actor, about, entry, leaf)
SELECT p, at, actor, about::uuid[], entry, leaf
  FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::bytea[], $6::bytea[])
       AS q(p, at, actor, about, entry, leaf)
"""
_RUN: Final = (
    "SELECT position, at, actor, about, entry, leaf FROM access.record WHERE position > $1 ORDER BY position LIMIT $2"
)
_STUBS: Final = "SELECT first, last, leaf, records, from_at, to_at, pruned_at FROM access.pruned ORDER BY last"


async def session(url: str, *, wait_s: float) -> Connection:
    """A connection for appending: a commit waits for the disk, a wait for another's lock ends after `wait_s`."""
    return await connect(url, {"synchronous_commit": "on", "lock_timeout": f"{max(1, round(wait_s * 1000))}ms"})


async def append(conn: Connection, records: Sequence[Prepared]) -> int:
    """Makes the records durable, in this order, all or none; the position of the last one.

    Raises asyncpg's errors when it cannot; the connection is then to be closed.
    """
    await conn.execute(_BEGIN)
    last = await conn.fetchrow(_LAST)
    position, leaf = (last["position"], bytes(last["leaf"])) if last is not None else (0, GENESIS)
    leaves = chained(position, leaf, (r.entry for r in records))
    await conn.execute(
        _INSERT,
        list(range(position + 1, position + 1 + len(records))),
        [r.at for r in records],
        [r.actor for r in records],
        ["{" + ",".join(r.about) + "}" for r in records],
        [r.entry for r in records],
        leaves,
    )
    await conn.execute("COMMIT")
    return position + len(records)


async def prune(conn: Connection) -> int:
    """Removes whole months that are older than `access.kept` says, as far as the notary signed; how many records. What
    is left of them is a line in `access.pruned`."""
    return await conn.fetchval("SELECT access.prune()")


async def log(url: str, record: Record, *, within_s: float) -> None:
    """One record, durable when this returns: for who reads the database without the API. Raises as `append` does."""
    conn = await session(url, wait_s=within_s)
    try:
        await append(conn, [prepare(record)])
    finally:
        await conn.close(timeout=within_s)


@dataclass(slots=True)
class Followed:
    """The log as it was read so far: its last position and leaf, and when that record was written; None of one that
    was pruned."""

    position: int = 0
    leaf: bytes = GENESIS
    last_at: datetime | None = None


@dataclass(slots=True)
class Found:
    """`records`: how many are there and were checked. `pruned`: how many are gone, as they may after their time."""

    last: int = 0
    records: int = 0
    pruned: int = 0
    differences: list[str] = field(default_factory=list[str])

    @property
    def agree(self) -> bool:
        return not self.differences

    def differ(self, what: str) -> None:
        """Only the first hundred are told: where much is wrong, more lines help nobody."""
        if len(self.differences) < 100:
            self.differences.append(what)


async def stubs(conn: Connection) -> list[Any]:
    """What is left of records that were pruned: runs of positions, oldest first, with the leaf of each run's last."""
    rows: list[Any] = await conn.fetch(_STUBS)
    return rows


async def next_run(conn: Connection, after: int) -> list[Any]:
    """Rows after a position, in order, at most `AT_ONCE`."""
    rows: list[Any] = await conn.fetch(_RUN, after, AT_ONCE)
    return rows


def follow(rows: Sequence[Any], at: Followed, found: Found) -> None:
    """Follows the chain over a run of rows; names every position that was altered, left out, put in or moved."""
    for row in rows:
        position, leaf = row["position"], bytes(row["leaf"])
        if position != at.position + 1:
            missing = f"{at.position + 1}" if position == at.position + 2 else f"{at.position + 1} to {position - 1}"
            found.differ(f"record {missing}: not there")
            # Without the one before it, a record can be held against its own bytes no more.
            at.position, at.leaf, at.last_at = position, leaf, row["at"]
            found.records += 1
            continue
        entry = bytes(row["entry"])
        if leaf_of(position, at.leaf, entry) != leaf:
            found.differ(f"record {position}: altered, moved or put in")
        elif not _found_by(row, entry):
            found.differ(f"record {position}: the columns by which it is found say something else than the record")
        at.position, at.leaf, at.last_at = position, leaf, row["at"]
        found.records += 1


def start(rows: Sequence[Any], found: Found) -> Followed:
    """Where the chain of what is still there begins, from the stubs; they must join on."""
    at = Followed()
    for row in rows:
        if row["first"] != at.position + 1 or row["records"] != row["last"] - at.position:
            found.differ(f"pruned records {row['first']} to {row['last']}: do not join on {at.position}")
        found.pruned += row["records"]
        at = Followed(row["last"], bytes(row["leaf"]))
    return at


def ends_of(rows: Sequence[Any]) -> dict[int, bytes]:
    """The leaf at the end of each pruned run, by its position; of an empty log at 0."""
    return {0: GENESIS, **{row["last"]: bytes(row["leaf"]) for row in rows}}


def _found_by(row: Any, entry: bytes) -> bool:
    try:
        said = prepared(entry)
    except (ValueError, KeyError, TypeError):
        return False
    return (said.at, said.actor, said.about) == (row["at"], row["actor"], tuple(key.hex for key in row["about"]))
