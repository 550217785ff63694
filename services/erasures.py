"""The list of erasures outside the database: who must never come back, whatever backup is put back.

One JSON object a line: the random reference, what finds the person again (HMAC of kind and id under the lookup key) and
the position of the event. It holds no personal data, is only ever added to, and lies where the database cannot reach
it. Intake writes it, and applies it before it opens a door.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from events.errors import SetupError


class Erasure(msgspec.Struct, frozen=True):
    """Somebody who was erased. `lookup` in hex; None where the book never had more than the reference."""

    ref: str
    kind: str
    lookup: str | None
    position: int


def read_erasures(file: Path) -> list[Erasure]:
    """Everybody on the list; a line that a crash cut off is passed over. Raises SetupError when it is no such list."""
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return []
    try:
        return [msgspec.json.decode(line, type=Erasure) for line in text.split(b"\n")[:-1]]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SetupError(f"{file} is beschadigd. Zet de lijst van wissingen terug uit een kopie.") from error


def add_erasures(file: Path, erasures: Iterable[Erasure]) -> None:
    """Adds those that are not on the list, and waits for the disk. Raises OSError when the disk does not take them."""
    known = {e.ref for e in read_erasures(file)}
    lines = b"".join(msgspec.json.encode(e) + b"\n" for e in erasures if e.ref not in known)
    if not lines:
        return
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        whole = os.pread(descriptor, size, 0).rfind(b"\n") + 1  # what a crash left half written is written over
        os.ftruncate(descriptor, whole)
        if os.pwrite(descriptor, lines, whole) != len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
