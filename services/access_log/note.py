"""What the notary signs of the access log: how many records there are, and the leaf of the last one.

<origin>, of the log and not of the book
<size>
<base64 of the last record's leaf; of an empty log 32 zero bytes>
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from events.checkpoint import BadCheckpoint, Verifier, opened_text


@dataclass(frozen=True, slots=True)
class Head:
    """`leaf` is the end of a chain, not the root of a tree: it fixes every record up to `size`."""

    origin: str
    size: int
    leaf: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.leaf).decode()}\n"


def opened(note: str, verifiers: Sequence[Verifier]) -> Head:
    """The head in a note that one of these signed. Raises BadCheckpoint for any other note."""
    lines = opened_text(note, verifiers).split("\n")
    try:
        origin, size, encoded, end = lines
        leaf = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise BadCheckpoint("this note is no head of an access log") from None
    if not origin or end or len(leaf) != 32 or not size.isdecimal() or (size != "0" and size[0] == "0"):
        raise BadCheckpoint("this note is no head of an access log")
    return Head(origin, int(size), leaf)
