"""What the notary signs of the access log: how many records there are, and the leaf and the time of the last one.

<origin>, of the log and not of the book
<size>
<base64 of the last record's leaf; of an empty log 32 zero bytes>
last <time of the last record, UTC>; not in the note of an empty log, nor in notes of before there was this line

Of records that were pruned only a leaf is left, which whoever has the database can write just as well: the time, which
is signed, says whether theirs was over.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from events.checkpoint import BadCheckpoint, Verifier, opened_text
from events.recorded import iso


@dataclass(frozen=True, slots=True)
class Head:
    """`leaf` is the end of a chain, not the root of a tree: it fixes every record up to `size`. `last_at`: when the
    last of them was written."""

    origin: str
    size: int
    leaf: bytes
    last_at: datetime | None = None

    def text(self) -> str:
        last = "" if self.last_at is None else f"last {iso(self.last_at)}\n"
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.leaf).decode()}\n{last}"


def opened(note: str, verifiers: Sequence[Verifier]) -> Head:
    """The head in a note that one of these signed. Raises BadCheckpoint for any other note."""
    lines = opened_text(note, verifiers).split("\n")
    try:
        origin, size, encoded, *last, end = lines
        leaf = base64.b64decode(encoded, validate=True)
        last_at = datetime.fromisoformat(last[0].removeprefix("last ")) if last else None
    except (ValueError, binascii.Error):
        raise BadCheckpoint("this note is no head of an access log") from None
    if not origin or end or len(leaf) != 32 or not size.isdecimal() or (size != "0" and size[0] == "0"):
        raise BadCheckpoint("this note is no head of an access log")
    if len(last) > 1 or (last_at is not None and (not last[0].startswith("last ") or last_at.tzinfo is None)):
        raise BadCheckpoint("this note is no head of an access log")
    return Head(origin, int(size), leaf, last_at)
