"""The notary: reads the whole book, and signs what it says at a moment, if nothing that it signed before was changed.

It believes no column of the database: it follows every chain and the tree from the first entry, keeps their ends in
memory, and holds them against its own earlier checkpoints, which it keeps in a file that the database cannot reach.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from events.audit import Book, next_rows
from events.checkpoint import Checkpoint, Signer, Verifier, opened
from events.errors import Diverged
from events.postgres import Connection
from events.reconcile import Report

log = structlog.get_logger(__name__)

_KEEP: Final = "INSERT INTO ledger.checkpoint (size, note) VALUES ($1, $2) ON CONFLICT (size) DO NOTHING"
_END: Final = "\n\x1e\n"  # between notes in the file: a record separator, which no note has


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint and the note that carries it."""

    checkpoint: Checkpoint
    note: str


class Notary:
    """Signs for one book. `file` is where its notes go, the newest last; `tell` makes a note known outside.

    Not for two tasks at once, and not for two processes: the second would sign the same, but the file is one's own.
    """

    def __init__(self, signer: Signer, origin: str, file: Path, tell: Callable[[str], Awaitable[None]]) -> None:
        self._signer, self._origin, self._file, self._tell = signer, origin, file, tell
        self._book = Book.empty()
        self._before: list[Signed] | None = None  # what is signed already and not yet held against the book
        self._last: Signed | None = None
        self._diverged: Diverged | None = None

    async def sign(self, conn: Connection) -> Signed:
        """The checkpoint of the book as it is now; the last one again when nothing came since.

        Durable in the file before it is told. Raises Diverged, for good, when the book is not what it was: it names
        the first position that is wrong, or the checkpoint that does not hold any more.
        """
        if self._diverged is not None:
            raise self._diverged
        try:
            return await self._sign(conn)
        except Diverged as error:
            self._diverged = error
            raise

    async def _sign(self, conn: Connection) -> Signed:
        if self._before is None:
            self._before = await asyncio.to_thread(read_notes, self._file, [self._signer.verifier])
            for signed in self._before:  # a crash may have come between the file and the table
                await conn.execute(_KEEP, signed.checkpoint.size, signed.note)
        head: int = await conn.fetchval("SELECT position FROM ledger.head")
        await self._follow(conn, head)
        last = self._last
        if last is not None and last.checkpoint.size == self._book.tree.size:
            return last
        checkpoint = self._book.checkpoint(self._origin)
        signed = Signed(checkpoint, self._signer.sign(checkpoint))
        await asyncio.to_thread(add_note, self._file, signed.note)
        self._last = signed
        await conn.execute(_KEEP, checkpoint.size, signed.note)
        await self._tell(signed.note)
        log.info("checkpoint signed", size=checkpoint.size)
        return signed

    async def _follow(self, conn: Connection, head: int) -> None:
        """Reads on to the head, and stops on the way at each size that was signed before."""
        waiting = self._before or []
        if head < max([self._book.tree.size, *(s.checkpoint.size for s in waiting)]):
            raise Diverged("the ledger is shorter than a checkpoint of it that was signed", head)
        at = self._book.tree.size
        self._hold(at, waiting)
        while at < head:
            upto = waiting[0].checkpoint.size if waiting else head
            rows = await next_rows(conn, at, upto)
            report = Report()
            if not rows:
                raise Diverged(f"the ledger has no entry after position {at}, its head says {head}", at + 1)
            self._book.read(rows, report)
            if report.differences:
                raise Diverged(report.differences[0], at + 1)
            at = rows[-1]["position"]
            self._hold(at, waiting)
            await asyncio.sleep(0)

    def _hold(self, at: int, waiting: list[Signed]) -> None:
        """Holds the book, as far as it was read, against what was signed of this size."""
        while waiting and waiting[0].checkpoint.size == at:
            signed = waiting.pop(0)
            if self._book.checkpoint(self._origin) != signed.checkpoint:
                raise Diverged(f"the first {at} entries are not those that were signed", at)
            self._last = signed


def read_notes(file: Path, verifiers: Sequence[Verifier]) -> list[Signed]:
    """The notes in a notary's file by size; one that a crash left half written at the end is passed over.

    Raises BadCheckpoint when a note was altered or is another's.
    """
    try:
        text = file.read_text()
    except FileNotFoundError:
        return []
    notes = text.split(_END)[:-1]
    found = {s.checkpoint.size: s for s in (Signed(opened(note, verifiers), note) for note in notes)}
    return [found[size] for size in sorted(found)]


def add_note(file: Path, note: str) -> None:
    """Adds a note and waits for the disk."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, (note + _END).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
