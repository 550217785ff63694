"""Personal fields: encrypted before they are hashed or stored, decrypted only where a person reads (SPEC section 6).

A person's or employee's id becomes a random reference, `ref~<32 hex>`. A text becomes
`enc~e~<position>~<pointer>~<base64>` under the key of its event, or `enc~p~<ref>~<position>~<pointer>~<base64>` under
the key of the person that it describes. AES-256-GCM; the associated data bind type, source, id and JSON pointer, so a
ciphertext cannot be moved to another event or field. The keys themselves lie wrapped in the ledger's schema
(`events.keys`). A token whose key was erased, which the tombstone in the key's row says, reads as "gegevens gewist", or
as "gegevens verloren bij herstel" where it went with a lost database; one whose key is gone without that is an error.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import KeyMissing
from events.keys import KeyWrapper, of_event, of_person, random_bytes
from events.seen import note_persons, note_relations
from events.tables import entry, event_key, person_key

Kind = Literal["person", "employee"]
KINDS: Final[tuple[Kind, ...]] = ("person", "employee")
REF: Final = "ref~"
ENC: Final = "enc~"
ERASED: Final = "gegevens gewist"
LOST: Final = "gegevens verloren bij herstel"
LOST_BY: Final = 0  # the tombstone of a key that nobody erased: it went with a database that was lost (`events.refill`)
_NONCE_BYTES: Final = 12
_SCALAR: Final = frozenset({int, float, bool, type(None)})  # what most values of a document are, beside texts


def new_key() -> bytes:
    """A person's key: 32 random bytes."""
    return random_bytes(32)


def new_event_key() -> bytes:
    """An event's key: 32 random bytes for its texts, 32 for the HMAC of its content."""
    return random_bytes(64)


def new_ref() -> str:
    return REF + random_bytes(16).hex()


def seal(key: bytes, plain: bytes, aad: bytes) -> bytes:
    """Nonce and ciphertext, under the first 32 bytes of the key. A fresh random nonce each time: a key seals
    some dozens of texts at most."""
    nonce = random_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key[:32]).encrypt(nonce, plain, aad)


def unseal(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """Raises cryptography's InvalidTag when key, text or associated data are not the ones it was sealed with."""
    return AESGCM(key[:32]).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], aad)


def content_mac(key: bytes, content: bytes) -> bytes:
    """HMAC of the content as sent, under the second half of the event's key."""
    return hmac.digest(key[32:], content, "sha256")


def aad_of(type_: str, source: str, id_: str, pointer: str) -> bytes:
    return orjson.dumps([type_, source, id_, pointer])  # texts in a list: as RFC 8785 has them


def text_token(key: bytes, position: int, pointer: str, aad: bytes, plain: str, ref: str | None = None) -> str:
    """The token of one text, under the event's key, or under the key of the person `ref`."""
    sealed = base64.urlsafe_b64encode(seal(key, plain.encode(), aad)).decode()
    who = f"p~{ref[len(REF) :]}" if ref is not None else "e"
    return f"{ENC}{who}~{position}~{pointer}~{sealed}"


def _collect(doc: Any, tokens: set[str], relations: set[str], holders: set[int]) -> bool:
    """Every token in a JSON document, and every relation that it is about; whether there is a token in it.

    `holders`: the identities of the objects and lists in which there is one. Most of a document holds none.
    """
    if isinstance(doc, str):
        if not doc.startswith((REF, ENC)):
            return False
        tokens.add(doc)
        return True
    held = False
    if isinstance(doc, (dict, Mapping)):  # most are plain ones, and those are told at once
        for key, value in doc.items():  # pyright: ignore[reportUnknownVariableType]  a JSON document
            if isinstance(value, str):
                if value.startswith((REF, ENC)):
                    tokens.add(value)
                    held = True
                elif key == "relation" or (key == "id" and "identifiers" in doc):  # a relation itself has both
                    relations.add(value)
            elif type(value) not in _SCALAR and _collect(value, tokens, relations, holders):  # pyright: ignore[reportUnknownArgumentType]
                held = True
    elif isinstance(doc, list):
        for value in doc:  # pyright: ignore[reportUnknownVariableType]
            if type(value) not in _SCALAR and _collect(value, tokens, relations, holders):  # pyright: ignore[reportUnknownArgumentType]
                held = True
    if held:
        holders.add(id(doc))  # pyright: ignore[reportUnknownArgumentType]
    return held


def _replace(doc: Any, plain: Mapping[str, str], holders: set[int]) -> Any:
    """A copy with the tokens replaced; what holds none is not copied."""
    if isinstance(doc, str):
        return plain.get(doc, doc)
    if id(doc) not in holders:
        return doc
    if isinstance(doc, Mapping):
        return {k: _replace(v, plain, holders) for k, v in doc.items()}  # pyright: ignore[reportUnknownVariableType]
    return [_replace(v, plain, holders) for v in doc]


def lookup_of(lookup_key: bytes, kind: Kind, id_: str) -> bytes:
    """See `Privacy.lookup`."""
    return hmac.digest(lookup_key, f"{kind}:{id_}".encode(), "sha256")


class Privacy:
    """Reads tokens. Holds the book-wide lookup key that finds a person's reference by id, and what opens keys."""

    def __init__(self, lookup_key: bytes, keys: KeyWrapper) -> None:
        self._lookup_key = lookup_key
        self.keys = keys

    def lookup(self, kind: Kind, id_: str) -> bytes:
        """What finds a person's row without storing the id: HMAC of kind and id."""
        return lookup_of(self._lookup_key, kind, id_)

    async def ref_of(self, conn: AsyncConnection, kind: Kind, id_: str) -> str | None:
        """The reference that stands for this person in events, or None when no event named them."""
        return await conn.scalar(select(person_key.c.ref).where(person_key.c.lookup == self.lookup(kind, id_)))

    async def reveal(self, conn: AsyncConnection, doc: Any, *, erased: str = ERASED, lost: str = LOST) -> Any:
        """The JSON document with every token replaced by what it stands for, or by `erased` or `lost`.

        Two queries at most, however many tokens. Raises KeyMissing for a key that is gone although nobody erased it,
        cryptography's InvalidTag when a ciphertext was tampered with.
        """
        tokens, relations, holders = set[str](), set[str](), set[int]()
        _collect(doc, tokens, relations, holders)
        note_relations(relations)
        if not tokens:
            return doc
        refs = {t for t in tokens if t.startswith(REF)}
        texts = {t: parts for t in tokens - refs if (parts := _parse(t)) is not None}
        named = refs | {p.ref for p in texts.values() if p.ref}
        note_persons(named)
        persons = await self._persons(conn, named)
        events = await self._events(conn, {p.position for p in texts.values()})
        plain: dict[str, str] = {}
        for ref in refs:
            person = persons[ref]
            plain[ref] = person.id if isinstance(person, _Person) else lost if person == LOST_BY else erased
        for token, part in texts.items():
            event = events[part.position]
            person = persons[part.ref] if part.ref else None
            key = event.key if person is None else person.key if isinstance(person, _Person) else person
            if isinstance(key, int):
                plain[token] = lost if key == LOST_BY else erased
                continue
            aad = aad_of(event.type, event.source, event.id, part.pointer)
            plain[token] = unseal(key, part.sealed, aad).decode()
        return _replace(doc, plain, holders)

    async def _persons(self, conn: AsyncConnection, refs: set[str]) -> dict[str, _Person | int]:
        """Id and key of each; for who was erased, or lost, the tombstone."""
        if not refs:
            return {}
        rows = (await conn.execute(select(person_key).where(person_key.c.ref.in_(refs)))).all()
        there = [r for r in rows if r.key is not None]
        keys = await self.keys.unwrap([(of_person(r.ref), r.key) for r in there])
        found: dict[str, _Person | int] = {r.ref: r.erased_by for r in rows if r.erased_by is not None}
        for row, key in zip(there, keys, strict=True):
            found[row.ref] = _Person(unseal(key, row.sealed_id, row.ref.encode()).decode(), key)
        for ref in refs - found.keys():
            raise KeyMissing(ref)
        return found

    async def _events(self, conn: AsyncConnection, positions: set[int]) -> dict[int, _Event]:
        """Of each the key of its texts, the tombstone where it is gone, and what its texts are bound to."""
        if not positions:
            return {}
        k = event_key.c
        query = select(k.position, k.key, k.erased_by, entry.c.type, entry.c.source, entry.c.id).join(
            entry, entry.c.position == k.position
        )
        rows = (await conn.execute(query.where(k.position.in_(positions)))).all()
        there = [r for r in rows if r.key is not None]
        keys = await self.keys.unwrap([(of_event(r.position), r.key) for r in there])
        found = {r.position: _Event(r.erased_by, r.type, r.source, r.id) for r in rows if r.erased_by is not None}
        for r, key in zip(there, keys, strict=True):
            found[r.position] = _Event(key, r.type, r.source, r.id)
        for position in positions - found.keys():
            raise KeyMissing(f"the texts of event {position}")
        return found


class _Person(NamedTuple):
    id: str
    key: bytes


class _Event(NamedTuple):
    key: bytes | int
    type: str
    source: str
    id: str


class _Text:
    __slots__ = ("pointer", "position", "ref", "sealed")

    def __init__(self, ref: str | None, position: int, pointer: str, sealed: bytes) -> None:
        self.ref, self.position, self.pointer, self.sealed = ref, position, pointer, sealed


def _parse(token: str) -> _Text | None:
    """The parts of a text token, or None for a string that merely looks like one."""
    parts = token.split("~")
    try:
        if len(parts) == 5 and parts[1] == "e":
            return _Text(None, int(parts[2]), parts[3], base64.urlsafe_b64decode(parts[4]))
        if len(parts) == 6 and parts[1] == "p":
            return _Text(REF + parts[2], int(parts[3]), parts[4], base64.urlsafe_b64decode(parts[5]))
    except ValueError:
        return None
    return None
