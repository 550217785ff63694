"""The notary: reads the whole book, and signs what it says at a moment, if nothing that it signed before was changed.

It believes no column of the database: it follows every chain and the tree from the first entry, keeps their ends in
memory, and holds them against its own earlier checkpoints, which it keeps in a file that the database cannot reach.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from events.audit import Book, next_rows
from events.checkpoint import BadCheckpoint, Checkpoint, Signer, Verifier, opened
from events.errors import Diverged
from events.postgres import Connection
from events.reconcile import Report

log = structlog.get_logger(__name__)

_KEEP: Final = "INSERT INTO ledger.checkpoint (size, note) VALUES ($1, $2) ON CONFLICT (size) DO NOTHING"
_END: Final = b"\x1e\n"  # after each note in the file: a record separator, which no note has
_LONGEST: Final = 64 * 1024  # bytes in which a note must end
# Making the map of heads anew costs 10 ms and more: of earlier checkpoints only so many are held against it as well,
# the others against the tree's root, which covers the very same entries.
_NEWEST: Final = 50


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint and the note that carries it."""

    checkpoint: Checkpoint
    note: str


class Shorter(Diverged):
    """The ledger ends before what was signed. It may be whole again: intake refills it from the stream at its start."""


class Notary:
    """Signs for one book. `file` is where its notes go, the newest last; `tell` makes a note known outside.

    Not for two tasks at once, and not for two processes: the second would sign the same, but the file is one's own.
    """

    def __init__(self, signer: Signer, origin: str, file: Path, tell: Callable[[str], Awaitable[None]]) -> None:
        self._signer, self._origin, self._file, self._tell = signer, origin, file, tell
        self._book = Book.empty()
        self._before: list[Signed] | None = None  # what is signed already and not yet held against the book
        self._with_heads: set[int] = set()
        self._last: Signed | None = None
        self._diverged: Diverged | None = None

    async def sign(self, conn: Connection) -> Signed:
        """The checkpoint of the book as it is now; the last one again when nothing came since.

        Durable in the file before it is told. Raises Diverged, for good, when the book is not what it was: it names
        the first position that is wrong, or the checkpoint that does not hold any more. Raises Shorter, a Diverged for
        as long as it lasts, when the ledger ends before what was signed.
        """
        if self._diverged is not None:
            raise self._diverged
        try:
            return await self._sign(conn)
        except Shorter:
            # What comes in the place of what is gone is believed no more than the rest: all is read again.
            self._book, self._before, self._last = Book.empty(), None, None
            raise
        except Diverged as error:
            self._diverged = error
            raise

    async def _sign(self, conn: Connection) -> Signed:
        if self._before is None:
            self._before = await asyncio.to_thread(read_notes, self._file, [self._signer.verifier])
            self._with_heads = {s.checkpoint.size for s in self._before[-_NEWEST:]}
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
            raise Shorter("the ledger is shorter than a checkpoint of it that was signed", head)
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
            if not self._book.agrees(signed.checkpoint, heads=at in self._with_heads):
                raise Diverged(f"the first {at} entries are not those that were signed", at)
            self._last = signed


def read_notes(file: Path, verifiers: Sequence[Verifier]) -> list[Signed]:
    """The notes in a notary's file by size; one that a crash left half written at the end is passed over.

    Raises BadCheckpoint when a note was altered or is another's.
    """
    found = {s.checkpoint.size: s for s in (Signed(opened(note, verifiers), note) for note in note_texts(file))}
    return [found[size] for size in sorted(found)]


def note_texts(file: Path) -> list[str]:
    """The whole notes in a file of notes, in the order in which they were added."""
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return []
    return [note.decode(errors="replace") for note in text.split(_END)[:-1]]


def add_note(file: Path, note: str) -> None:
    """Adds a note behind the last whole one, and waits for the disk.

    Raises OSError when the disk takes it not or not wholly; what it took then is written over by the next one.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        start = max(0, size - _LONGEST)
        tail = os.pread(descriptor, _LONGEST, start)
        at = start + tail.rfind(_END) + len(_END) if _END in tail else 0
        if at == 0 and size > _LONGEST:
            raise BadCheckpoint(f"{file} is no file of checkpoints")
        os.ftruncate(descriptor, at)
        whole = note.encode() + _END
        if os.pwrite(descriptor, whole, at) != len(whole):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
