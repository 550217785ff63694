"""From a judged submission to the event as it is stored: encrypted, numbered, hashed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import orjson

from events.canonical import canonical
from events.catalog import Submission
from events.fields import Mark
from events.keys import of_person
from events.marked import people_in, replaced
from events.privacy import KINDS, REF, Kind, Privacy, aad_of, new_key, new_ref, seal, text_token
from events.proof import entry_hash
from events.recorded import instant
from events.schemas import exact


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


class NotLookedUp(Exception):
    """An event names somebody who is not in memory."""


class People:
    """References and keys of the people that events name. A reference, once made, stands for ever.

    References made in a transaction are `fresh` until it commits; a failed transaction forgets them. `erased` are the
    lookups of those who were erased: an event that names one of them is refused. Who is not in memory has to be looked
    up first, of many events at once (`missing`, `found`); most batches name nobody who is not, so they ask nothing.
    """

    def __init__(self, privacy: Privacy, most: int = 100_000) -> None:
        self._privacy = privacy
        self._most = most
        self._known: dict[bytes, Person] = {}
        self._lookups: dict[tuple[Kind, str], bytes] = {}
        self._nobody: set[bytes] = set()  # looked up in this transaction, and nowhere
        self.fresh: dict[bytes, _New] = {}
        self.erased: set[bytes] = set()

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
        """The lookups of everybody that these submissions name and that are not in memory; who is not `found` after
        that is new."""
        if len(self._known) > self._most:
            self._known.clear()
        wanted: set[bytes] = set()
        for sub in submissions:
            for value, kind in people_in(sub.event_type.model, sub.data):
                lookup = self._lookup(kind, value)
                if lookup not in self._known:
                    wanted.add(lookup)
        self._nobody |= wanted
        return list(wanted)

    def now_erased(self, lookups: Iterable[bytes]) -> None:
        """Everybody who is erased; the others are looked up again, since what is known of them may be of before."""
        self.erased = set(lookups)
        self._known.clear()

    def erase(self, ref: str, known_by: bytes | None) -> None:
        """In the transaction that erases this person: whatever comes later in it may not name them. `known_by`: their
        lookup in the ledger; in memory they may not be."""
        if known_by is not None:
            self.erased.add(known_by)
        for lookup in [k for k, p in self._known.items() if p.ref == ref]:
            del self._known[lookup]
            self.erased.add(lookup)
        self.erased.update(k for k, n in self.fresh.items() if n.person.ref == ref)

    def names_erased(self, sub: Submission) -> list[str]:
        """JSON pointers of the fields that name somebody who was erased."""
        if not self.erased:
            return []
        found: list[str] = []

        def note(mark: Mark, value: str, pointer: str) -> str:
            kind: Kind | None = "person" if mark.kind == "person" else "employee" if mark.kind == "employee" else None
            if kind is not None and not value.startswith(REF) and self._lookup(kind, value) in self.erased:
                found.append(pointer)
            return value

        if any(self._lookup(kind, id_) in self.erased for id_, kind in people_in(sub.event_type.model, sub.data)):
            replaced(sub.event_type.model, sub.data, note)
        if sub.actor is not None and any(self._lookup(kind, sub.actor) in self.erased for kind in KINDS):
            found.append("/actor")  # it is stored as it is
        return found

    def found(self, lookup: bytes, ref: str, key: bytes) -> None:
        self._known[bytes(lookup)] = Person(ref, key)

    def of(self, kind: Kind, id_: str) -> Person:
        """The person's reference and key; makes both for somebody new. Raises NotLookedUp: who is it, see `missing`."""
        lookup = self._lookup(kind, id_)
        known = self._known.get(lookup)
        if known is not None:
            return known
        new = self.fresh.get(lookup)
        if new is None:
            if lookup not in self._nobody:
                raise NotLookedUp
            new = self.fresh[lookup] = _New(kind, id_, Person(new_ref(), new_key()))
        return new.person

    async def write(self, conn: Any, statement: str) -> None:
        if not self.fresh:
            return
        people = self.fresh.values()
        keys = await self._privacy.keys.wrap([(of_person(n.person.ref), n.person.key) for n in people])
        rows = [
            (n.person.ref, n.kind, lookup, key, seal(n.person.key, n.id.encode(), n.person.ref.encode()))
            for (lookup, n), key in zip(self.fresh.items(), keys, strict=True)
        ]
        await conn.execute(statement, *map(list, zip(*rows, strict=True)))

    def keep(self, fresh: Mapping[bytes, Any]) -> None:
        for lookup, new in fresh.items():
            self._known[lookup] = new.person
        self.forget()

    def forget(self) -> None:
        self.fresh = {}
        self._nobody.clear()


# Attributes that many events do not have.
_OPTIONAL: Final = ("time", "dataschema", "actor", "correlationid", "causationid", "expectedversion")


def content_of(sub: Submission) -> bytes:
    """What makes two events the same: RFC 8785 of type, subject, time, actor, visibility, expectedversion, data."""
    content: dict[str, Any] = {"type": sub.type, "subject": sub.subject, "data": sub.data}
    if sub.time is not None:
        content["time"] = sub.time
    if sub.actor is not None:
        content["actor"] = sub.actor
    if sub.visibility is not None:
        content["visibility"] = sub.visibility
    if sub.expectedversion is not None:
        content["expectedversion"] = sub.expectedversion
    return _form(sub, content)


def _form(sub: Submission, document: dict[str, Any]) -> bytes:
    """The canonical form of a document that holds nothing but the payload, or tokens in its place, and attributes."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS) if exact(sub.event_type.model) else canonical(document)


def _sealed(sub: Submission, position: int, key: bytes, people: People) -> dict[str, Any]:
    """A copy of the payload with every marked field replaced by its token."""

    def token(mark: Mark, value: str, pointer: str) -> str:
        if mark.kind == "person" or mark.kind == "employee":
            return value if value.startswith(REF) else people.of(mark.kind, value).ref
        aad = aad_of(sub.type, sub.source, sub.id, pointer)
        if mark.kind != "person_text":
            return text_token(key, position, pointer, aad, value)
        owner = people.of("person", sub.data["person"])
        return text_token(owner.key, position, pointer, aad, value, owner.ref)

    return replaced(sub.event_type.model, sub.data, token)


def record(
    sub: Submission, *, department: str, relation: str, position: int, version: int, prev: bytes, now: datetime,
    recorded: str, key: bytes, mac: bytes, people: People, made: Mapping[str, str],
) -> Stored:  # fmt: skip
    """The entry for an accepted submission at a position. `prev` is the relation's leaf hash before it,
    `recorded` the text of `now`, `made` the extension attributes that the book adds (`Accept.attributes`)."""
    attributes: dict[str, Any] = {
        "specversion": "1.0", "id": sub.id, "source": sub.source, "type": sub.type, "subject": sub.subject,
        "datacontenttype": "application/json", "visibility": sub.visibility or "organisation",
        "recordedtime": recorded, "department": department, "relation": relation, **made,
    }  # fmt: skip
    for name in _OPTIONAL:
        value = getattr(sub, name)
        if value is not None:
            attributes[name] = value
    data = _form(sub, _sealed(sub, position, key, people))  # written once: hashed and stored are the same bytes
    leaf = entry_hash(attributes, data, position, version, prev)
    if sub.traceparent is not None:
        attributes["traceparent"] = sub.traceparent
    attributes["sequence"] = f"{position:020d}"
    attributes["data"] = orjson.Fragment(data)
    own = sub.data.get("occurred_at") or sub.data.get("occurred_on")
    occurred = instant(own) if own else (datetime.fromisoformat(sub.time).astimezone(UTC) if sub.time else now)
    return Stored(
        position, relation, version, sub.source, sub.id, sub.type, department, orjson.dumps(attributes), prev, leaf,
        key, mac, occurred,
    )  # fmt: skip
