"""The notary of the access log: follows its chain from the first record, and signs where it ends.

As with the book: it believes no column, and holds the log against each head that it signed before, which it keeps in a
file that the database cannot reach. It is also who prunes: only up to a record that it signed, and only what is old.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from events.checkpoint import Signer
from events.errors import Diverged
from events.postgres import Connection
from services.access_log.note import Head, opened
from services.access_log.store import Followed, Found, ends_of, follow, next_run, prune, start, stubs
from services.notary.signing import add_note, note_texts

log = structlog.get_logger(__name__)

_KEEP: Final = "INSERT INTO access.checkpoint (size, note) VALUES ($1, $2) ON CONFLICT (size) DO NOTHING"


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A head of the log and the note that carries it."""

    head: Head
    note: str


class AccessNotary:
    """Signs for one log. `file` is where its notes go, the newest last. Not for two tasks at once."""

    def __init__(self, signer: Signer, origin: str, file: Path) -> None:
        self._signer, self._origin, self._file = signer, origin, file
        self._at: Followed | None = None
        self._before: list[Head] = []
        self._last: SignedHead | None = None
        self._diverged: Diverged | None = None

    async def sign(self, conn: Connection) -> SignedHead:
        """The head of the log as it is now; the last one again when nothing came since.

        Durable in the file before it is in the database. Raises Diverged, for good, when the log is not what it was.
        """
        if self._diverged is not None:
            raise self._diverged
        try:
            return await self._sign(conn)
        except Diverged as error:
            self._diverged = error
            raise

    async def prune(self, conn: Connection) -> int:
        """Removes whole months that are older than the log is to be kept; how many records."""
        gone = await prune(conn)
        if gone:
            log.info("access log pruned", records=gone)
        return gone

    async def _sign(self, conn: Connection) -> SignedHead:
        at = self._at or await self._begin(conn)
        found = Found()
        while run := await next_run(conn, at.position):
            for row in run:
                follow([row], at, found)
                self._hold(at, found)
            if found.differences:
                raise Diverged(f"the access log was changed: {found.differences[0]}", at.position)
            await asyncio.sleep(0)
        if self._before:
            raise Diverged("the access log is shorter than a head of it that was signed", at.position)
        if self._last is not None and self._last.head.size == at.position:
            return self._last
        head = Head(self._origin, at.position, at.leaf, at.last_at)
        signed = SignedHead(head, self._signer.sign_text(head.text()))
        await asyncio.to_thread(add_note, self._file, signed.note)
        self._last = signed
        await conn.execute(_KEEP, head.size, signed.note)
        log.info("access log signed", size=head.size)
        return signed

    async def _begin(self, conn: Connection) -> Followed:
        """Where the log begins, held against what was signed of what is pruned by now."""
        texts = await asyncio.to_thread(note_texts, self._file)
        notes = {head.size: SignedHead(head, text) for text in texts
                 for head in [opened(text, [self._signer.verifier])]}  # fmt: skip
        found, rows = Found(), await stubs(conn)
        at, ends = start(rows, found), ends_of(rows)
        self._before = []
        for size in sorted(notes):
            await conn.execute(_KEEP, size, notes[size].note)  # a crash may have come between the file and the table
            if size > at.position:
                self._before.append(notes[size].head)
            elif size in ends and ends[size] != notes[size].head.leaf:
                found.differ(f"what is left of the first {size} records is not what was signed")
            self._last = notes[size]
        if found.differences:
            raise Diverged(f"the access log was changed: {found.differences[0]}", at.position)
        self._at = at
        return at

    def _hold(self, at: Followed, found: Found) -> None:
        """Holds the log, as far as it was read, against what was signed of this size."""
        while self._before and self._before[0].size <= at.position:
            head = self._before.pop(0)
            if head.size != at.position or head.leaf != at.leaf:
                found.differ(f"the first {head.size} records are not those that were signed")
