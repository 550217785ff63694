"""A signed checkpoint: size and roots of the book at one moment, as a C2SP signed note (Ed25519).

<origin>
<size>
<base64 of the tree's root>
heads <base64 of the root of the map of heads>
<empty line>
— <name> <base64 of key hash ‖ signature>
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from events.errors import RelatieboekError

_ED25519: Final = b"\x01"
_DASH: Final = "— "


class BadCheckpoint(RelatieboekError):
    """A note that is no checkpoint, or that nobody known signed. The text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`size`: how many entries. `root`: of the tree over them. `heads`: root of the map of heads."""

    origin: str
    size: int
    root: bytes
    heads: bytes

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\nheads {_b64(self.heads)}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key and the name that it signs under; as text `<name>+<key hash>+<base64 of 0x01 ‖ key>`."""

    name: str
    key: bytes

    @property
    def key_hash(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_hash.hex()}+{_b64(_ED25519 + self.key)}"

    @classmethod
    def read(cls, text: str) -> Verifier:
        """Raises BadCheckpoint when the text is no key of ours."""
        try:
            name, key_hash, encoded = text.strip().split("+", 2)
            key = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise BadCheckpoint("this is no verifier key: <name>+<hash>+<base64>") from None
        found = cls(name, key[1:])
        if key[:1] != _ED25519 or len(key) != 33 or found.key_hash.hex() != key_hash:
            raise BadCheckpoint("this is no Ed25519 verifier key, or its hash does not fit")
        return found


class Signer:
    """Signs under a name with an Ed25519 key of 32 bytes. The name has no space and no plus."""

    def __init__(self, name: str, seed: bytes) -> None:
        if not name or any(c.isspace() or c == "+" for c in name):
            raise ValueError("a signer's name has no space and no plus")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.verifier = Verifier(name, public)

    def sign(self, checkpoint: Checkpoint) -> str:
        """The signed note."""
        return self.sign_text(checkpoint.text())

    def sign_text(self, text: str) -> str:
        """The signed note of a text that ends in a line's end and has no empty line."""
        signature = _b64(self.verifier.key_hash + self._key.sign(text.encode()))
        return f"{text}\n{_DASH}{self.verifier.name} {signature}\n"


def opened(note: str, verifiers: Sequence[Verifier]) -> Checkpoint:
    """The checkpoint in a note that one of these signed. Raises BadCheckpoint for any other note."""
    lines = opened_text(note, verifiers).split("\n")
    try:
        origin, size, root, heads = lines[0], lines[1], _hash(lines[2]), _hash(lines[3].removeprefix("heads "))
    except (IndexError, ValueError):
        raise BadCheckpoint("this note is no checkpoint") from None
    if not origin or not size.isdecimal() or (size != "0" and size[0] == "0") or not lines[3].startswith("heads "):
        raise BadCheckpoint("this note is no checkpoint")
    return Checkpoint(origin, int(size), root, heads)


def opened_text(note: str, verifiers: Sequence[Verifier]) -> str:
    """The text of a note that one of these signed. Signatures of others are passed over, as the standard says.

    Raises BadCheckpoint when it is no note, when nobody known signed it, or when a known one's signature is wrong.
    """
    text, blank, signatures = note.partition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise BadCheckpoint("a note ends in an empty line and signatures")
    text += "\n"
    signed = [_signed(line, text, verifiers) for line in signatures[:-1].split("\n")]
    if not any(signed):
        raise BadCheckpoint("nobody whose key is known signed this note")
    return text


def _signed(line: str, text: str, verifiers: Sequence[Verifier]) -> bool:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    try:
        signature = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise BadCheckpoint("a signature line has another form") from None
    if not line.startswith(_DASH) or len(signature) < 5:
        raise BadCheckpoint("a signature line has another form")
    for verifier in verifiers:
        if verifier.name == name and verifier.key_hash == signature[:4]:
            try:
                Ed25519PublicKey.from_public_bytes(verifier.key).verify(signature[4:], text.encode())
            except InvalidSignature:
                raise BadCheckpoint(f"the signature of {name} is wrong: the note was altered") from None
            return True
    return False


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _hash(text: str) -> bytes:
    value = base64.b64decode(text, validate=True)
    if len(value) != 32:
        raise ValueError("not 32 bytes")
    return value
