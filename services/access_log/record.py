"""One record of the access log: the fields of NEN 7513, as the bytes that are chained and stored. Pure.

What it never holds: what somebody searched for, what was shown, a name or an id as a department sent it. Relations are
UUIDs, persons the random references that stand for them in the book.

    leaf = SHA-256(0x00 ‖ position, 8 bytes, big-endian ‖ leaf of the record before, 32 bytes ‖ the record's bytes)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson

from events.identity import is_uuid
from events.privacy import REF

# What happened: a page of data, a search (with a filter), data taken along (CSV, an export), a live stream, something
# done, a session, a command that reads the database itself.
Event = Literal["page", "search", "export", "stream", "act", "session", "command"]
# NEN 7513 and DICOM: create, read, update, delete, execute.
Action = Literal["C", "R", "U", "D", "E"]
Outcome = Literal["granted", "denied", "failed"]

GENESIS: Final = bytes(32)
# More than this on one page is not listed; the record then counts as one about everybody.
MOST_PERSONS: Final = 1_000
MOST_RELATIONS: Final = 1_000
MOST_OBJECTS: Final = 1_000
EVERYBODY: Final = "0" * 32


@dataclass(frozen=True, slots=True)
class Record:
    """`at`: the system's clock. `acting_for`: on whose behalf, as far as known. `items`: of a list. `everybody`: what
    was read may be about anyone. `objects`: what else it was about, by the book's own numbers and names, as
    `rejected:17` and `department:zorg`."""

    at: datetime
    event: Event
    action: Action
    kind: Literal["person", "system", "command_line"]
    actor: str
    operation: str
    outcome: Outcome
    route: str = ""
    roles: tuple[str, ...] = ()
    acting_for: Mapping[str, str] = field(default_factory=dict[str, str])
    team: str | None = None
    alert: str | None = None
    filters: tuple[str, ...] = ()
    relations: frozenset[str] = frozenset()
    persons: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()
    everybody: bool = False
    status: int | None = None
    items: int | None = None
    address: str | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A record as it goes into the table: `entry` is what is hashed, the rest is taken from it to search by.

    `about`: relations and persons, each 32 hex digits (making a UUID of each cost more than all else together).
    """

    at: datetime
    actor: str
    about: tuple[str, ...]
    entry: bytes


def prepare(record: Record) -> Prepared:
    """The record's bytes (JSON, keys in order, what is empty left out) and what it is found by."""
    # Whoever asks for all zeros asks for nobody, and is not to stand in everybody's list for it.
    relations = sorted(r for r in record.relations if is_uuid(r) and key_of(r) != EVERYBODY)
    persons = sorted(p for p in record.persons if p.startswith(REF) and key_of(p) != EVERYBODY)
    more = record.everybody or len(relations) > MOST_RELATIONS or len(persons) > MOST_PERSONS
    said: dict[str, Any] = {
        "v": 1,
        "at": _iso(record.at),
        "event": record.event,
        "action": record.action,
        "who": {"kind": record.kind, "name": record.actor, "roles": sorted(record.roles)},
        "for": dict(record.acting_for),
        "what": {
            "operation": record.operation, "route": record.route, "team": record.team, "alert": record.alert,
            "filters": sorted(record.filters), "relations": relations[:MOST_RELATIONS],
            "persons": persons[:MOST_PERSONS], "objects": sorted(record.objects)[:MOST_OBJECTS], "more": more,
        },
        "from": {"address": record.address, "client": record.client},
        "result": {"outcome": record.outcome, "status": record.status, "items": record.items},
    }  # fmt: skip
    entry = orjson.dumps(_without_empty(said), option=orjson.OPT_SORT_KEYS)
    about = _about(relations[:MOST_RELATIONS], persons[:MOST_PERSONS], more=more)
    return Prepared(record.at, record.actor, about, entry)


def prepared(entry: bytes) -> Prepared:
    """What the bytes of a record say that it is to be found by. Raises ValueError or KeyError for other bytes."""
    said = orjson.loads(entry)
    what = said["what"]
    about = _about(what.get("relations", ()), what.get("persons", ()), more=what.get("more", False))
    return Prepared(datetime.fromisoformat(said["at"]), said["who"]["name"], about, entry)


def key_of(relation_or_person: str) -> str:
    """What a relation (UUID) or a person (`ref~…`) is found by: 32 hex digits."""
    return relation_or_person.removeprefix(REF).replace("-", "").lower()


def _about(relations: Iterable[str], persons: Iterable[str], *, more: bool) -> tuple[str, ...]:
    return (*map(key_of, relations), *map(key_of, persons), *((EVERYBODY,) if more else ()))


def leaf_of(position: int, before: bytes, entry: bytes) -> bytes:
    """The 32 bytes that stand for this record and, through `before`, for all records that came before it."""
    return hashlib.sha256(b"\x00" + position.to_bytes(8, "big") + before + entry).digest()


def chained(position: int, leaf: bytes, entries: Iterable[bytes]) -> list[bytes]:
    """The leaves of records that follow on the one at `position` with this leaf."""
    leaves: list[bytes] = []
    for number, entry in enumerate(entries, position + 1):
        leaf = leaf_of(number, leaf, entry)
        leaves.append(leaf)
    return leaves


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _without_empty(said: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in said.items():
        if isinstance(value, dict):
            value = _without_empty(value)  # pyright: ignore[reportUnknownArgumentType]  a JSON document
        if value or (value == 0 and value is not False):
            kept[key] = value
    return kept
