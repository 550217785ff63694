"""From a judged submission to the event as it is stored: encrypted, numbered, hashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import orjson

from events.canonical import canonical
from events.catalog import Submission, personal_paths
from events.privacy import REF, Kind, Privacy, aad_of, new_key, new_ref, seal, text_token
from events.proof import leaf_hash
from events.recorded import instant


@dataclass(frozen=True, slots=True)
class Stored:
    """One new entry of the ledger, and the message that goes into the stream."""

    position: int
    relation: str
    version: int
    source: str
    id: str
    type: str
    department: str
    payload: bytes
    prev: bytes
    leaf: bytes
    key: bytes
    content_mac: bytes
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Person:
    ref: str
    key: bytes


@dataclass(frozen=True, slots=True)
class _New:
    kind: Kind
    id: str
    person: Person


class People:
    """References and keys of the people that events name. A reference, once made, stands for ever.

    References made in a transaction are `fresh` until it commits; a failed transaction forgets them.
    """

    def __init__(self, privacy: Privacy, most: int = 100_000) -> None:
        self._privacy = privacy
        self._most = most
        self._known: dict[bytes, Person] = {}
        self._lookups: dict[tuple[Kind, str], bytes] = {}
        self.fresh: dict[bytes, _New] = {}

    def _lookup(self, kind: Kind, id_: str) -> bytes:
        found = self._lookups.get((kind, id_))
        if found is None:
            if len(self._lookups) >= self._most:
                self._lookups.clear()
            found = self._lookups[(kind, id_)] = self._privacy.lookup(kind, id_)
        return found

    def pseudonym(self, id_: str) -> str:
        """A stable name for a key of `decide`, which is stored in the clear."""
        return self._lookup("person", id_).hex()[:32]

    def missing(self, submissions: Sequence[Submission]) -> list[bytes]:
        """The lookups of everybody that these submissions name and that are not in memory."""
        if len(self._known) > self._most:
            self._known.clear()
        wanted: set[bytes] = set()
        for sub in submissions:
            for _, value, kind in _people_in(sub):
                lookup = self._lookup(kind, value)
                if lookup not in self._known:
                    wanted.add(lookup)
        return list(wanted)

    def found(self, lookup: bytes, ref: str, key: bytes) -> None:
        self._known[bytes(lookup)] = Person(ref, key)

    def of(self, kind: Kind, id_: str) -> Person:
        """The person's reference and key; makes both for somebody new."""
        lookup = self._lookup(kind, id_)
        known = self._known.get(lookup)
        if known is not None:
            return known
        new = self.fresh.get(lookup)
        if new is None:
            new = self.fresh[lookup] = _New(kind, id_, Person(new_ref(), new_key()))
        return new.person

    async def write(self, conn: Any, statement: str) -> None:
        if not self.fresh:
            return
        rows = [
            (n.person.ref, n.kind, lookup, n.person.key, seal(n.person.key, n.id.encode(), n.person.ref.encode()))
            for lookup, n in self.fresh.items()
        ]
        await conn.execute(statement, *map(list, zip(*rows, strict=True)))

    def keep(self, fresh: Mapping[bytes, Any]) -> None:
        for lookup, new in fresh.items():
            self._known[lookup] = new.person
        self.fresh = {}

    def forget(self) -> None:
        self.fresh = {}


def _walk(doc: Any, path: tuple[str, ...], at: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], str]]:
    """Every string at a path of a marked field ('*' stands for each item of a list)."""
    if not path:
        return [(at, doc)] if isinstance(doc, str) else []
    step, rest = path[0], path[1:]
    if step == "*":
        items = cast("list[Any]", doc) if isinstance(doc, list) else []
        return [hit for i, item in enumerate(items) for hit in _walk(item, rest, (*at, i))]
    if not isinstance(doc, dict) or step not in doc:
        return []
    return _walk(doc[step], rest, (*at, step))


def _people_in(sub: Submission) -> list[tuple[tuple[str | int, ...], str, Kind]]:
    return [
        (at, value, mark.kind)
        for path, mark in personal_paths(sub.event_type.model)
        if mark.kind in ("person", "employee")
        for at, value in _walk(sub.data, path)
        if not value.startswith(REF)
    ]


def content_of(sub: Submission) -> bytes:
    """What makes two events the same: RFC 8785 of type, subject, time, actor, visibility, expectedversion, data."""
    names = ("type", "subject", "time", "actor", "visibility", "expectedversion")
    content = {n: v for n in names if (v := getattr(sub, n)) is not None}
    return canonical({**content, "data": sub.data})


def _sealed(sub: Submission, position: int, key: bytes, people: People) -> dict[str, Any]:
    """The payload with every marked field replaced by its token; what is not marked is shared, not copied."""
    data: dict[str, Any] = orjson.loads(orjson.dumps(sub.data))
    for path, mark in personal_paths(sub.event_type.model):
        for at, value in _walk(data, path):
            parent: Any = data
            for step in at[:-1]:
                parent = parent[step]
            if mark.kind in ("person", "employee"):
                token = value if value.startswith(REF) else people.of(mark.kind, value).ref
            else:
                pointer = "/data/" + "/".join(map(str, at))
                aad = aad_of(sub.type, sub.source, sub.id, pointer)
                owner = people.of("person", sub.data["person"]) if mark.kind == "person_text" else None
                used, ref = (owner.key, owner.ref) if owner else (key, None)
                token = text_token(used, position, pointer, aad, value, ref)
            parent[at[-1]] = token
    return data


def record(
    sub: Submission, *, department: str, relation: str, position: int, version: int, prev: bytes, now: datetime,
    recorded: str, key: bytes, mac: bytes, people: People,
) -> Stored:  # fmt: skip
    """The entry for an accepted submission at a position. `prev` is the relation's leaf hash before it,
    `recorded` the text of `now`."""
    attributes: dict[str, Any] = {"specversion": "1.0"}
    for name in ("id", "source", "type", "subject", "time", "dataschema", "actor", "correlationid", "causationid",
                 "expectedversion", "traceparent"):  # fmt: skip
        value = getattr(sub, name)
        if value is not None:
            attributes[name] = value
    event = {
        **attributes,
        "datacontenttype": "application/json",
        "visibility": sub.visibility or "organisation",
        "sequence": f"{position:020d}",
        "recordedtime": recorded,
        "department": department,
        "relation": relation,
        "data": _sealed(sub, position, key, people),
    }
    leaf = leaf_hash(event, position, version, prev)
    own = sub.data.get("occurred_at") or sub.data.get("occurred_on")
    occurred = instant(own) if own else (datetime.fromisoformat(sub.time).astimezone(UTC) if sub.time else now)
    return Stored(
        position, relation, version, sub.source, sub.id, sub.type, department, orjson.dumps(event), prev, leaf, key,
        mac, occurred,
    )  # fmt: skip
