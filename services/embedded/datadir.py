"""The data directory: its layout, its version, who holds it now, and what a killed holder left running.

<data-dir>/version            layout version of this directory
           lock               held while an `up` runs; says which
           running.json       processes of that `up`
           credentials.json   see services.embedded.credentials
           postgres/  nats/   data of the two engines
           logs/              one file per process, and one old one
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from events.errors import SetupError
from services.embedded.processes import Known, end
from services.reasons import why

VERSION: Final = 1
NEEDED_BYTES: Final = 200 * 1024 * 1024
_LOG_BYTES: Final = 20 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DataDir:
    """Paths under one data directory (absolute)."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> DataDir:
        return cls(path.expanduser().resolve())

    @property
    def credentials(self) -> Path:
        return self.path / "credentials.json"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def nats(self) -> Path:
        return self.path / "nats"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, name: str) -> Path:
        """Where a process writes its lines. A file that grew large is set aside, replacing the one before."""
        path = self.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path

    def record(self, processes: Sequence[Known]) -> None:
        """Writes down what runs, in the order in which it is to end; the next holder ends what is left of it."""
        write_atomically(self.path / "running.json", json.dumps([p.as_json() for p in processes]), mode=0o600)

    def left_over(self) -> list[Known]:
        """What the last holder wrote down."""
        try:
            return [Known(**p) for p in json.loads((self.path / "running.json").read_bytes())]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except (ValueError, TypeError):
            # Written atomically by us, so someone else's; the engines' own pid files are checked anyway.
            return []


def write_atomically(path: Path, text: str, *, mode: int) -> None:
    """Replaces a file as a whole: a reader, or a crash, sees the old text or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def held(path: Path, address: str) -> Generator[DataDir]:
    """Holds the data directory: made if absent, checked, locked; left-over processes of a killed holder are ended.

    `address` is told to whoever wants the directory meanwhile. Raises SetupError when it cannot be used, and why.
    """
    where = DataDir.at(path)
    with explained(where.path):
        where.path.mkdir(parents=True, exist_ok=True)
        where.logs.mkdir(exist_ok=True)
        lock = os.open(where.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(lock, where.path)
            _check_space(where.path)
            _check_version(where)
            end(where.left_over())
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()} {address}\n".encode(), 0)
            yield where
        finally:
            os.close(lock)


def holder(path: Path) -> str | None:
    """The address of the `up` that holds this directory, or None when none does."""
    try:
        lock = os.open(DataDir.at(path).path / "lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _told(lock)[1]
    finally:
        os.close(lock)
    return None


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Turns what a disk refuses into one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SetupError(f"De schijf van {path} is vol. Maak ruimte vrij en start opnieuw.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT):
            raise SetupError(
                f"In {path} kan niet worden geschreven ({why(error)}). Kies een andere met --data-dir."
            ) from error
        raise


def _told(lock: int) -> tuple[str, str]:
    pid, _, address = os.pread(lock, 500, 0).decode(errors="replace").strip().partition(" ")
    return pid or "?", address or "?"


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid, address = _told(lock)
        raise SetupError(
            f"Relatieboek draait al met {path}: {address} (proces {pid}). Stop het daar met Ctrl-C, "
            "of kies een andere map en andere poorten (--data-dir, --port, --nats-port)."
        ) from None


def _check_space(path: Path) -> None:
    free = shutil.disk_usage(path).free
    if free < NEEDED_BYTES:
        raise SetupError(
            f"Op de schijf van {path} is nog {free // 2**20} MB vrij; er is {NEEDED_BYTES // 2**20} MB nodig. "
            "Maak ruimte vrij, of kies een andere map met --data-dir."
        )


def _check_version(where: DataDir) -> None:
    file = where.path / "version"
    try:
        text = file.read_text().strip()
    except FileNotFoundError:
        if where.postgres.exists():
            raise SetupError(
                f"{where.path} heeft gegevens maar geen bestand 'version': de map is onvolledig. "
                "Zet hem terug uit een kopie, of kies een andere map met --data-dir."
            ) from None
        write_atomically(file, f"{VERSION}\n", mode=0o644)
        return
    if not text.isdecimal():
        raise SetupError(f"{file} is niet te lezen. Zet de map terug uit een kopie, of kies een andere met --data-dir.")
    if int(text) > VERSION:
        raise SetupError(
            f"{where.path} is van een nieuwere versie van Relatieboek (indeling {text}, deze kent {VERSION}). "
            "Gebruik die nieuwere versie, of kies een andere map met --data-dir."
        )
