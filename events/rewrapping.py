"""Rotation: every key in the ledger's schema under the primary key-encryption key.

In small transactions, beside everything else that runs. What is done stays done: broken off and started again it goes
on with what is left. Wrapping touches no event, no hash and no text.
"""

# ruff: noqa: S608 the names in these statements come from `PLACES`, the values never

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from events.keys import KEPT, KeyWrapper, Named, head_of, key_id_of, of_event, of_person
from events.postgres import Connection

AT_ONCE: Final = 2_000
UNWRAPPED: Final = "plain"


@dataclass(frozen=True, slots=True)
class _Place:
    """A table with keys: the column that orders its rows, its type, and what a row's key is bound to."""

    table: str
    id: str
    type: str
    first: Any
    name: Callable[[Any], bytes]


PLACES: Final = (
    _Place("person_key", "ref", "text", "", of_person),
    _Place("event_key", "position", "bigint", 0, of_event),
    _Place("parked", "arrival", "bigint", 0, lambda _: KEPT),
    _Place("rejected", "rejected_id", "bigint", 0, lambda _: KEPT),
)

Progress = Callable[[int], None]


async def wrapped_by(conn: Connection) -> Counter[str]:
    """How many keys each key-encryption key wraps, by id; `plain` for what no key wraps."""
    found: Counter[str] = Counter()
    for place in PLACES:
        rows = await conn.fetch(
            f"SELECT min(key) AS one, count(*) AS n FROM ledger.{place.table} WHERE key IS NOT NULL "
            "GROUP BY CASE WHEN octet_length(key) IN (32, 64) THEN NULL ELSE substring(key FROM 1 FOR 9) END"
        )
        for row in rows:
            found[key_id_of(row["one"]) or UNWRAPPED] += row["n"]
    return found


async def rewrap(conn: Connection, keys: KeyWrapper, progress: Progress = lambda done: None) -> int:
    """Returns how many keys it wrapped anew; what the primary wraps already is left as it is. Idempotent.

    `progress` hears how many so far. Raises KeyMissing when the key-encryption key of some key is not
    there, Unavailable when the keeper is out: what was done is done.
    """
    done = 0
    for place in PLACES:
        at = place.first
        while True:
            primary = await keys.primary()
            rows = await conn.fetch(
                f"SELECT {place.id} AS id, key FROM ledger.{place.table} WHERE {place.id} > $1 AND key IS NOT NULL "
                f"AND NOT (octet_length(key) NOT IN (32, 64) AND substring(key FROM 1 FOR 9) = $2) "
                f"ORDER BY {place.id} LIMIT $3",
                at, head_of(primary), AT_ONCE,
            )  # fmt: skip
            if not rows:
                break
            at = rows[-1]["id"]
            done += await _wrap(conn, keys, place, rows)
            progress(done)
    return done


async def _wrap(conn: Connection, keys: KeyWrapper, place: _Place, rows: list[Any]) -> int:
    names = [place.name(row["id"]) for row in rows]
    old: list[bytes] = [row["key"] for row in rows]
    locked: list[Named] = [(n, key) for n, key in zip(names, old, strict=True) if key_id_of(key) is not None]
    opened = iter(await keys.unwrap(locked))
    plain = [key if key_id_of(key) is None else next(opened) for key in old]
    new = await keys.wrap(list(zip(names, plain, strict=True)))
    # Who was erased meanwhile, or rewrapped by somebody else, has another key by now: left alone.
    status = await conn.execute(
        f"UPDATE ledger.{place.table} t SET key = q.new FROM unnest($1::{place.type}[], $2::bytea[], $3::bytea[]) "
        f"AS q(id, old, new) WHERE t.{place.id} = q.id AND t.key = q.old",
        [row["id"] for row in rows], old, new,
    )  # fmt: skip
    return int(status.rpartition(" ")[2])
