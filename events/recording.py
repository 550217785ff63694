"""From a judged submission to the event as it is stored: encrypted, numbered, hashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
import orjson

from events.canonical import canonical
from events.catalog import Submission, personal_paths
from events.fields import Payload
from events.privacy import REF, Kind, Privacy, aad_of, new_key, new_ref, seal, text_token
from events.proof import leaf_hash
from events.recorded import instant


class Stored(msgspec.Struct, frozen=True):
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
            for value, kind in _people_in(sub):
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


_Place = tuple[Any, str, str]  # the object that holds a text, its key there, the text's JSON pointer


def _marked(doc: Any, path: tuple[str, ...], pointer: str = "/data") -> list[_Place]:
    """Where texts stand at the path of a marked field; `*` after a name stands for each item of that list."""
    name, rest = path[0], path[1:]
    value = doc.get(name)
    if value is None:
        return []
    if not rest:
        return [(doc, name, f"{pointer}/{name}")] if isinstance(value, str) else []
    if rest[0] != "*":
        return _marked(value, rest, f"{pointer}/{name}")
    return [place for n, item in enumerate(value) for place in _marked(item, rest[1:], f"{pointer}/{name}/{n}")]


@cache
def _people_paths(model: type[Payload]) -> tuple[tuple[tuple[str, ...], Kind], ...]:
    return tuple((path, mark.kind) for path, mark in personal_paths(model) if mark.kind in ("person", "employee"))


def _people_in(sub: Submission) -> list[tuple[str, Kind]]:
    data = sub.data
    return [
        (value, kind)
        for path, kind in _people_paths(sub.event_type.model)
        for holder, name, _ in _marked(data, path)
        if not (value := holder[name]).startswith(REF)
    ]


def content_of(sub: Submission) -> bytes:
    """What makes two events the same: RFC 8785 of type, subject, time, actor, visibility, expectedversion, data."""
    content: dict[str, Any] = {"type": sub.type, "subject": sub.subject, "data": sub.data}
    for name in ("time", "actor", "visibility", "expectedversion"):
        value = getattr(sub, name)
        if value is not None:
            content[name] = value
    return canonical(content)


def _sealed(sub: Submission, position: int, key: bytes, people: People) -> dict[str, Any]:
    """A copy of the payload with every marked field replaced by its token."""
    data: dict[str, Any] = orjson.loads(orjson.dumps(sub.data))
    for path, mark in personal_paths(sub.event_type.model):
        for holder, name, pointer in _marked(data, path):
            value: str = holder[name]
            if mark.kind in ("person", "employee"):
                token = value if value.startswith(REF) else people.of(mark.kind, value).ref
            else:
                aad = aad_of(sub.type, sub.source, sub.id, pointer)
                owner = people.of("person", sub.data["person"]) if mark.kind == "person_text" else None
                used, ref = (owner.key, owner.ref) if owner else (key, None)
                token = text_token(used, position, pointer, aad, value, ref)
            holder[name] = token
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
