"""Keys of people and of texts, wrapped by a key-encryption key that the database never sees.

In the ledger's tables a key stands only as `0x01 ‖ id of the key-encryption key (8 ASCII bytes) ‖ sealed`. Whoever has
the database, or a dump of it, has ciphertext and locked keys. `KeyWrapper` is the port; `RingWrapper` keeps the
key-encryption keys in this process, any other keeper (`services.pkcs11`) stands behind the same calls, each
for many keys. What a key belongs to is bound in, so that one row's key cannot be put into another row.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from events.errors import KeyMissing, SetupError

# What a key belongs to, and the key: plain where it is to be wrapped, wrapped where it is to be opened.
Named = tuple[bytes, bytes]

KEPT: Final = b"kept"  # what parked and rejected events are sealed under
_FORM: Final = 1
_ID_BYTES: Final = 8
HEAD_BYTES: Final = 1 + _ID_BYTES
NONCE_BYTES: Final = 12
_RANDOM_AT_ONCE: Final = 16_384
_RING: Final = re.compile(r"[0-9a-f]{8}:[0-9a-f]{64}(?:,[0-9a-f]{8}:[0-9a-f]{64})*")


class _Random:
    """The system's random bytes, fetched for many events at once: a call of `os.urandom` costs as much as a seal.

    Every byte is given out once, in one thread. A forked process would give out the same: our services do not fork.
    """

    def __init__(self) -> None:
        self._bytes, self._at = b"", 0

    def take(self, count: int) -> bytes:
        at, end = self._at, self._at + count
        if end > len(self._bytes):
            self._bytes = os.urandom(_RANDOM_AT_ONCE)
            at, end = 0, count
        self._at = end
        return self._bytes[at:end]


random_bytes: Final = _Random().take


def of_event(position: int) -> bytes:
    """What the key of an event's texts is bound to."""
    return b"event:%d" % position


def of_person(ref: str) -> bytes:
    """What a person's key is bound to."""
    return ref.encode()


def head_of(key_id: str) -> bytes:
    """How every key begins that the key-encryption key of this id wraps."""
    return bytes([_FORM]) + key_id.encode()


def key_id_of(wrapped: bytes) -> str | None:
    """The id of the key-encryption key that wrapped it, or None where it is not wrapped (before they were)."""
    if len(wrapped) in (32, 64) or wrapped[:1] != bytes([_FORM]):
        return None
    return wrapped[1:HEAD_BYTES].decode("ascii", "replace")


class KeyWrapper(Protocol):
    """Locks and opens keys, many in one call. Answers in the order of the question."""

    async def primary(self) -> str:
        """The id of the key-encryption key that wraps what is new: 8 characters."""
        ...

    async def wrap(self, keys: Sequence[Named]) -> list[bytes]:
        """Each key under the primary key-encryption key, bound to its name. Raises Unavailable when the keeper is."""
        ...

    async def unwrap(self, keys: Sequence[Named]) -> list[bytes]:
        """The keys again. Raises KeyMissing for a key-encryption key that is not there, cryptography's InvalidTag for
        a key that was tampered with or belongs to another name, Unavailable when the keeper is."""
        ...


@dataclass(frozen=True, slots=True)
class Ring:
    """Key-encryption keys by id: the primary wraps, the others only open what they wrapped before."""

    primary: str
    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def fresh(cls) -> Self:
        key_id = secrets.token_hex(_ID_BYTES // 2)
        return cls(key_id, {key_id: secrets.token_bytes(32)})

    @classmethod
    def read(cls, text: str) -> Self:
        """From `id:key,id:key`, the primary first; id 8 and key 64 hex digits. Raises SetupError without the text."""
        text = "".join(text.split())
        if _RING.fullmatch(text) is None:
            raise SetupError(
                "De sleutelring is onjuist: schrijf id:sleutel,id:sleutel, met de nieuwste eerst; "
                "een id heeft 8 en een sleutel 64 hexadecimale tekens."
            )
        pairs = [pair.split(":") for pair in text.split(",")]
        return cls(pairs[0][0], {key_id: bytes.fromhex(key) for key_id, key in reversed(pairs)})

    def text(self) -> str:
        ids = [self.primary, *(key_id for key_id in self.keys if key_id != self.primary)]
        return ",".join(f"{key_id}:{self.keys[key_id].hex()}" for key_id in ids)

    def with_new(self) -> Ring:
        """A fresh primary; the old ones still open."""
        new = Ring.fresh()
        return Ring(new.primary, {**self.keys, **new.keys})

    def without(self, key_id: str) -> Ring:
        return Ring(self.primary, {k: v for k, v in self.keys.items() if k != key_id})


class RingWrapper:
    """`KeyWrapper` with keys of this process. `read` gives the ring as it is now; it is asked for every call, so that
    a rotation reaches a running service. AES-256-GCM with random nonces: at most 2**32 keys each, says NIST SP
    800-38D; rotate long before."""

    def __init__(self, read: Callable[[], Ring]) -> None:
        self._read = read
        self._ciphers: dict[str, AESGCM] = {}

    def has(self, key_id: str) -> bool:
        return key_id in self._read().keys

    async def primary(self) -> str:
        return self._read().primary

    async def wrap(self, keys: Sequence[Named]) -> list[bytes]:
        ring = self._read()
        head = head_of(ring.primary)
        encrypt = self._cipher(ring, ring.primary).encrypt
        wrapped: list[bytes] = []
        for name, key in keys:
            nonce = random_bytes(NONCE_BYTES)
            wrapped.append(head + nonce + encrypt(nonce, key, name))
        return wrapped

    async def unwrap(self, keys: Sequence[Named]) -> list[bytes]:
        if not keys:
            return []
        ring, opened = self._read(), list[bytes]()
        for name, wrapped in keys:
            key_id = key_id_of(wrapped)
            if key_id is None:
                raise KeyMissing(f"the wrapping of {name.decode()}: intake wraps such keys when it starts")
            nonce = wrapped[HEAD_BYTES : HEAD_BYTES + NONCE_BYTES]
            opened.append(self._cipher(ring, key_id).decrypt(nonce, wrapped[HEAD_BYTES + NONCE_BYTES :], name))
        return opened

    def _cipher(self, ring: Ring, key_id: str) -> AESGCM:
        if key_id not in ring.keys:
            raise KeyMissing(f"key-encryption key {key_id}")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            cipher = self._ciphers[key_id] = AESGCM(ring.keys[key_id])
        return cipher


class Moving:
    """`KeyWrapper` of a book that moves: `new` wraps, and what has an id of the ring opens with the ring, all else with
    the other keeper. `new` is one of these two."""

    def __init__(self, new: KeyWrapper, ring: RingWrapper, other: KeyWrapper) -> None:
        self._new, self._ring, self._other = new, ring, other

    async def primary(self) -> str:
        return await self._new.primary()

    async def wrap(self, keys: Sequence[Named]) -> list[bytes]:
        return await self._new.wrap(keys)

    async def unwrap(self, keys: Sequence[Named]) -> list[bytes]:
        in_ring = [self._ring.has(key_id_of(wrapped) or "") for _, wrapped in keys]
        by_ring = iter(await self._ring.unwrap([k for k, here in zip(keys, in_ring, strict=True) if here]))
        others = iter(await self._other.unwrap([k for k, here in zip(keys, in_ring, strict=True) if not here]))
        return [next(by_ring if here else others) for here in in_ring]
