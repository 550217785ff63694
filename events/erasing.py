"""Erasing: what an accepted `person.erased` or `retention.applied` does to keys. It touches no entry and no hash.

Two parts. In the transaction that appends the event: the person's key goes, a tombstone stays, the work is noted in
`ledger.erasure`. After it, in small steps beside everything else: the keys of the texts of every event that names the
person, or that is of the family and old enough. Both leave `erased_by`, the position of the event that says why. A
crash between two steps loses nothing, and a step done twice does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple

import orjson
from cryptography.exceptions import InvalidTag

from events.postgres import Connection
from events.privacy import KINDS, Privacy, unseal
from events.recorded import TYPE_PREFIX, decode, local_date

PERSON_ERASED: Final = "person.erased"
RETENTION_APPLIED: Final = "retention.applied"
AT_ONCE: Final = 20_000
DETAIL: Final = "this person was erased from the book; send the event without them"
_WORDS: Final = re.compile(rb"[A-Za-z0-9._:/@-]{1,64}")
_TOMBSTONE: Final = """
INSERT INTO ledger.person_key AS p (ref, kind, lookup, erased_by) VALUES ($1, $2, $3, $4)
ON CONFLICT (ref) DO UPDATE SET key = NULL, sealed_id = NULL, erased_by = excluded.erased_by
 WHERE coalesce(p.erased_by, 0) = 0
"""
_NOTE: Final = """
INSERT INTO ledger.erasure (position, ref, family, before_on) VALUES ($1, $2, $3, $4) ON CONFLICT (position) DO NOTHING
"""
# A reference is 37 characters that stand nowhere else: finding its bytes is finding the event that names it.
_OF_PERSON: Final = """
UPDATE ledger.event_key k SET key = NULL, content_mac = NULL, erased_by = $4
  FROM ledger.entry e WHERE e.position > $1 AND e.position <= $2 AND position($3::bytea IN e.payload) > 0
   AND k.position = e.position AND coalesce(k.erased_by, 0) = 0
"""
_OLD_ENOUGH: Final = """
UPDATE ledger.event_key SET key = NULL, content_mac = NULL, erased_by = $2
 WHERE position = ANY($1::bigint[]) AND erased_by IS NULL
"""
_OF_FAMILY: Final = """
SELECT payload, version FROM ledger.entry WHERE position > $1 AND position <= $2 AND starts_with(type, $3)
 ORDER BY position
"""
_STEP: Final = "UPDATE ledger.erasure SET scanned_to = $2, keys = keys + $3 WHERE position = $1"
# Events of before there was anything to be done for them, or that came back from the stream.
_UNHEEDED: Final = """
SELECT e.position, e.type, e.payload FROM ledger.entry e LEFT JOIN ledger.erasure x USING (position)
 WHERE e.type IN ('nl.relatieboek.person.erased.v1', 'nl.relatieboek.retention.applied.v1')
   AND (x.position IS NULL OR EXISTS (
        SELECT 1 FROM ledger.person_key p WHERE p.ref = x.ref AND coalesce(p.erased_by, 0) = 0))
 ORDER BY e.position
"""


class Work(NamedTuple):
    """What one event asks: everything about a person, or the texts of a family before a day."""

    position: int
    ref: str | None
    family: str | None = None
    before_on: date | None = None


def work_of(kind: str, data: dict[str, Any], position: int, ref: str | None) -> Work | None:
    """What an event of this kind asks to be erased; None for every other kind. `ref`: the person's reference."""
    if kind == PERSON_ERASED:
        return Work(position, ref)
    if kind == RETENTION_APPLIED:
        return Work(position, None, data["family"], date.fromisoformat(data["before_on"]))
    return None


async def begin(conn: Connection, works: Sequence[Work], *, lookup: bytes | None = None, kind: str = "person") -> None:
    """In the transaction that appends the events, or one that holds the head's lock: the people's keys go at once, the
    rest is noted, and every intake hears of it by the head's counter. `lookup` and `kind`: of somebody whom this book
    does not have, so that events that name them are refused all the same. Idempotent."""
    for work in works:
        if work.ref is not None:
            await conn.execute(_TOMBSTONE, work.ref, kind, lookup, work.position)
        await conn.execute(_NOTE, work.position, work.ref, work.family, work.before_on)
    await conn.execute("UPDATE ledger.head SET erasures = erasures + 1")


async def heed(conn: Connection) -> int:
    """Begins what events in the ledger ask and was not begun, or was undone by a backup that was put back: returns how
    many there were."""
    async with conn.transaction():
        await conn.execute("SELECT 1 FROM ledger.head FOR UPDATE")
        rows = await conn.fetch(_UNHEEDED)
        works: list[Work] = []
        for row in rows:
            event = decode(row["payload"], 0)
            work = work_of(event.kind, event.data, event.position, event.data.get("person"))
            if work is not None:
                works.append(work)
        if works:
            await conn.execute(
                "DELETE FROM ledger.erasure WHERE position = ANY($1::bigint[])", [w.position for w in works]
            )
            await begin(conn, works)
        return len(works)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the work: how many keys went, and whether the whole book was looked through."""

    work: Work
    keys: int
    through: bool


async def step(conn: Connection) -> Step | None:
    """The next step of the oldest work that is not done; None when there is none, or another intake is at it.

    Call it in a transaction. The book is looked through up to the event itself: who was erased is named by no later
    one. `done` ends the work.
    """
    row = await conn.fetchrow(
        "SELECT * FROM ledger.erasure WHERE done_at IS NULL ORDER BY position LIMIT 1 FOR UPDATE SKIP LOCKED"
    )
    if row is None:
        return None
    work = Work(row["position"], row["ref"], row["family"], row["before_on"])
    after, last = row["scanned_to"], min(row["scanned_to"] + AT_ONCE, work.position)
    gone = 0
    if after < last:
        if work.ref is not None:
            status = await conn.execute(_OF_PERSON, after, last, work.ref.encode(), work.position)
        else:
            status = await conn.execute(_OLD_ENOUGH, await _old(conn, work, after, last), work.position)
        gone = int(status.rpartition(" ")[2])
        await conn.execute(_STEP, work.position, last, gone)
    return Step(work, gone, last >= work.position)


async def done(conn: Connection, work: Work) -> None:
    """Nothing is left to be done for it."""
    await conn.execute("UPDATE ledger.erasure SET done_at = now() WHERE position = $1", work.position)


async def old_events(conn: Connection, family: str, before_on: date, after: int, last: int) -> list[int]:
    """Positions of the family's events that happened before a day (in Amsterdam) and whose texts can still be read;
    without those that name somebody under a legal hold."""
    work = Work(0, None, family, before_on)
    found = await _old(conn, work, after, last)
    rows = await conn.fetch(
        "SELECT position FROM ledger.event_key WHERE position = ANY($1::bigint[]) AND erased_by IS NULL", found
    )
    return [row["position"] for row in rows]


async def _old(conn: Connection, work: Work, after: int, last: int) -> list[int]:
    assert work.before_on is not None
    held = [row["ref"].encode() for row in await conn.fetch("SELECT ref FROM ledger.hold WHERE released_at IS NULL")]
    found: list[int] = []
    for row in await conn.fetch(_OF_FAMILY, after, last, f"{TYPE_PREFIX}{work.family}."):
        if any(ref in row["payload"] for ref in held):
            continue
        event = decode(row["payload"], row["version"])
        if local_date(event.occurred_at) < work.before_on:
            found.append(event.position)
    return found


def names(privacy: Privacy, raw: bytes, lookups: Container[bytes]) -> bool:
    """Whether an event as it was sent, whatever it is, has the id of one of these people as one of its texts or words.
    Some 2 µs a word: only for what is kept beside the book."""
    return any(privacy.lookup(kind, word) in lookups for word in _words(raw) for kind in KINDS)


def _words(raw: bytes) -> set[str]:
    found = {word.decode() for word in _WORDS.findall(raw)}
    try:
        stack: list[Any] = [orjson.loads(raw)]
    except orjson.JSONDecodeError:
        return found
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, dict):
            stack.extend(value.values())  # pyright: ignore[reportUnknownArgumentType]  JSON
        elif isinstance(value, list):
            stack.extend(value)  # pyright: ignore[reportUnknownArgumentType]
    return found


def opened(key: bytes, sealed: bytes) -> bytes:
    """An event that is kept beside the book, parked or rejected, as it was sent. Raises InvalidTag when neither seal
    fits: it was tampered with."""
    try:
        return unseal(key, sealed, b"rejected")
    except InvalidTag:
        return unseal(key, sealed, b"parked")  # it waited too long, and was kept as it was
