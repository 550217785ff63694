"""A backup of the book: all that cannot be made again, in one directory, consistent while the book runs.

One REPEATABLE READ transaction copies every table but those of the read models, which are folded anew from the entries.
No secret that opens the data goes in (`services.restore` says what is needed to put it back): keys are kept apart.

<directory>/manifest.json      versions, where the book stood, and the SHA-256 of every other file; written last
            tables/*.copy      one file per table: PostgreSQL's COPY in binary form
            checkpoints        what the notary had signed by then
            erasures           the list of who was erased by then
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from events.clock import system_now
from events.errors import SetupError
from events.postgres import Connection, connect
from projections.registry import PROJECTIONS
from services.embedded.datadir import explained, sync_directory, write_atomically

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_WITHOUT_LIMIT_S: Final = 7 * 86_400.0
# The builds of read models, and what says which one is live.
_READ_MODELS: Final = re.compile(rf"projection|(?:{'|'.join(map(re.escape, PROJECTIONS))})_v\d+")
_REVISION: Final = "public.schema_version"

_TABLES: Final = """
SELECT n.nspname AS schema, c.relname AS name, pg_total_relation_size(c.oid) AS size,
       ARRAY(SELECT quote_ident(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
                AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum) AS columns,
       ARRAY(SELECT f.confrelid::regclass::text FROM pg_constraint f
              WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid <> c.oid) AS needs,
       c.oid::regclass::text AS regclass
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 ORDER BY 1, 2
"""
_SEQUENCES: Final = """
SELECT schemaname AS schema, quote_ident(schemaname) || '.' || quote_ident(sequencename) AS name, last_value
  FROM pg_sequences WHERE last_value IS NOT NULL
"""

# What is being copied, and how many of about how many bytes are done.
Progress = Callable[[str, int, int], None]


class File(msgspec.Struct, frozen=True):
    """A file of the backup, named relative to its directory."""

    name: str
    bytes: int
    sha256: str


class TableFile(msgspec.Struct, frozen=True):
    """A table's rows. `table` and `columns` are quoted as SQL wants them."""

    table: str
    columns: tuple[str, ...]
    rows: int
    file: File


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`tables` in an order in which they can be filled: what others refer to comes first.

    `lookup_key` tells whether a lookup key is the one that belongs to this book, and nothing about that key.
    """

    format: int
    made_at: datetime
    relatieboek: str
    schema: str
    postgres: str
    institution: str
    lookup_key: str
    position: int
    leaf: str | None
    recorded_at: datetime | None
    stream_created: str | None
    tables: tuple[TableFile, ...]
    sequences: dict[str, int]
    checkpoints: File | None
    erasures: File | None = None  # backups of before have none


def fingerprint(lookup_key: bytes) -> str:
    """Tells keys apart: a hash of a random key of 32 bytes gives nothing away."""
    return hashlib.sha256(b"relatieboek lookup key\x00" + lookup_key).hexdigest()


async def backup(
    owner_url: str, *, lookup_key: bytes, institution: str, checkpoints: Path, erasures: Path, out: Path,
    progress: Progress = lambda what, done, total: None,
) -> Manifest:  # fmt: skip
    """Writes a backup into `out`, which must be new or empty, and returns what it wrote.

    Every file is on disk, and then the manifest: a directory without one is no backup. Raises SetupError when `out`
    cannot be used, and asyncpg's errors when PostgreSQL is out or `owner_url` may not read everything.
    """
    with explained(out):
        _make(out)
        # Before the snapshot, so that the ledger in it is at least as long as what was signed.
        signed = _copy(checkpoints, out / "checkpoints")
        erased = _copy(erasures, out / "erasures")  # who is erased from here on is so in the snapshot itself
        conn = await connect(owner_url)
        try:
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                manifest = await _write(conn, out, progress, fingerprint(lookup_key), institution, signed, erased)
        finally:
            await conn.close()
        sync_directory(out / "tables")
        write_atomically(out / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)).decode(), mode=0o600)
    return manifest


def _make(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SetupError(f"{out} is niet leeg. Geef een nieuwe of lege map voor de reservekopie.")
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    (out / "tables").mkdir(mode=0o700)


def _copy(source: Path, target: Path) -> File | None:
    if not source.exists():
        return None
    shutil.copyfile(source, target)
    target.chmod(0o600)
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    return File(target.name, target.stat().st_size, digest)


async def _write(
    conn: Connection, out: Path, progress: Progress, lookup_key: str, institution: str, signed: File | None,
    erased: File | None,
) -> Manifest:  # fmt: skip
    head = await conn.fetchrow("SELECT position, recorded_at, stream_created FROM ledger.head")  # takes the snapshot
    leaf = await conn.fetchval("SELECT leaf FROM ledger.entry WHERE position = $1", head["position"])
    found = [t for t in await conn.fetch(_TABLES) if not _READ_MODELS.fullmatch(t["schema"])]
    tables = _in_order([t for t in found if t["regclass"] not in (_REVISION, "schema_version")])
    total = sum(t["size"] for t in tables)
    written: list[TableFile] = []
    done = 0
    for table in tables:

        def tell(size: int, done: int = done, what: str = table["regclass"]) -> None:
            progress(what, min(done + size, total), total)

        written.append(await _table(conn, table, out, tell))
        done += table["size"]
    sequences = [s for s in await conn.fetch(_SEQUENCES) if not _READ_MODELS.fullmatch(s["schema"])]
    return Manifest(
        format=FORMAT, made_at=system_now(), relatieboek=version("relatieboek"),
        schema=await conn.fetchval("SELECT version_num FROM schema_version"),
        postgres=await conn.fetchval("SHOW server_version"), institution=institution, lookup_key=lookup_key,
        position=head["position"], leaf=None if leaf is None else bytes(leaf).hex(),
        recorded_at=head["recorded_at"] and head["recorded_at"].astimezone(UTC),
        stream_created=head["stream_created"], tables=tuple(written),
        sequences={s["name"]: s["last_value"] for s in sequences}, checkpoints=signed, erasures=erased,
    )  # fmt: skip


def _in_order(tables: Sequence[Any]) -> list[Any]:
    """A table after those that it refers to; tables that refer to each other in a ring do not occur."""
    left, order = {t["regclass"]: t for t in tables}, list[Any]()
    while left:
        free = [name for name, t in left.items() if not any(need in left for need in t["needs"])]
        if not free:
            raise SetupError(f"Tabellen verwijzen in een kring naar elkaar: {', '.join(left)}. Meld dit.")
        order += [left.pop(name) for name in free]
    return order


async def _table(conn: Connection, table: Any, out: Path, tell: Callable[[int], None]) -> TableFile:
    name = f"tables/{table['schema']}.{table['name']}.copy"
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(out / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=1 << 20) as file:

        async def take(data: bytes) -> None:
            nonlocal size
            file.write(data)
            digest.update(data)
            size += len(data)
            tell(size)

        query = f"SELECT {', '.join(table['columns'])} FROM {table['regclass']}"  # noqa: S608  names from the catalogue
        said: str = await conn.copy_from_query(query, output=take, format="binary", timeout=_WITHOUT_LIMIT_S)
        file.flush()
        os.fsync(file.fileno())
    rows = int(said.rpartition(" ")[2])
    return TableFile(table["regclass"], tuple(table["columns"]), rows, File(name, size, digest.hexdigest()))


def read_manifest(source: Path) -> Manifest:
    """What a backup says of itself. Raises SetupError when it is none, or of a newer version."""
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        raise SetupError(
            f"{source} is geen (hele) reservekopie: {MANIFEST} ontbreekt. Geef de map die `relatieboek backup` schreef."
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"{source / MANIFEST} is beschadigd. Gebruik een andere reservekopie.") from error
    if manifest.format > FORMAT:
        raise SetupError(f"{source} is gemaakt door een nieuwere versie van Relatieboek. Gebruik die versie.")
    return manifest


def check_files(source: Path, manifest: Manifest, progress: Progress = lambda what, done, total: None) -> None:
    """Reads every file of a backup. Raises SetupError that names the first one that is gone or was altered."""
    files = [t.file for t in manifest.tables] + [f for f in (manifest.checkpoints, manifest.erasures) if f is not None]
    total, done = sum(f.bytes for f in files), 0
    for wanted in files:
        digest = hashlib.sha256()
        try:
            with (source / wanted.name).open("rb") as file:
                while data := file.read(1 << 20):
                    digest.update(data)
                    done += len(data)
                    progress(wanted.name, done, total)
        except FileNotFoundError:
            raise SetupError(f"{source / wanted.name} ontbreekt. Gebruik een andere reservekopie.") from None
        if digest.hexdigest() != wanted.sha256:
            raise SetupError(f"{source / wanted.name} is beschadigd of veranderd. Gebruik een andere reservekopie.")
