"""Puts a backup back: every file's digest first, then the rows, then the whole hash chain, before the book may open.

In a data directory the database is made beside the old one and put in its place at the very end; on a server elsewhere
everything is one transaction. Killed or refused half-way, what was there is there still.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from events.audit import verify
from events.checkpoint import BadCheckpoint, Checkpoint, Signer
from events.clock import system_now
from events.errors import SetupError
from events.keys import Ring
from events.postgres import Connection
from events.rewrapping import UNWRAPPED, wrapped_by
from services.backup import Manifest, Progress, check_files, fingerprint, read_manifest
from services.embedded import credentials as store
from services.embedded.credentials import Credentials, complete, internal_of
from services.embedded.datadir import DataDir, explained, held, holder, sync_directory, write_atomically
from services.embedded.postgres import Postgres
from services.erasures import add_erasures, read_erasures
from services.keys import ring_of, token_of
from services.migrate import migrate, upgrade
from services.notary.signing import read_notes
from services.settings import Settings
from services.supervise import Supervisor

_WITHOUT_LIMIT_S: Final = 7 * 86_400.0
_ADDRESS: Final = "relatieboek restore"
_SCHEMAS: Final = """
SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
"""


@dataclass(frozen=True, slots=True)
class Restored:
    """`before`: where the database that was there is kept, if one was. `checkpoints`: how many it was held against."""

    manifest: Manifest
    checkpoints: int
    before: Path | None


@asynccontextmanager
async def database(settings: Settings) -> AsyncGenerator[str]:
    """The owner's address of the book's database; that of a data directory is started when it does not run."""
    if settings.database_url:
        yield settings.owner_database_url or settings.database_url
        return
    if holder(settings.data_dir) is not None:
        yield complete(settings).owner_database_url
        return
    if not DataDir.at(settings.data_dir).postgres.exists():
        raise SetupError(
            f"In {settings.data_dir} staat geen boek. Wijs de map aan met --data-dir, of zet DATABASE_URL."
        )
    internal = internal_of(store.read(settings.credentials_path) or Credentials())
    with held(settings.data_dir, _ADDRESS) as where:
        async with Supervisor(where, lambda _: None) as supervisor:
            postgres = Postgres(where.postgres, where.log("postgres"), internal.superuser_password)
            await supervisor.start(postgres)
            yield postgres.url()


async def restore(
    settings: Settings, source: Path, *, keys: Path | None, force: bool,
    progress: Progress = lambda what, done, total: None,
) -> Restored:  # fmt: skip
    """Puts the backup in `source` in an empty data directory, or in the empty database that `settings` names.

    `force` puts it in the place of a book that is there: of a data directory the database alone, which is kept under
    another name; keys, stream and checkpoints stay. Who was erased by then is added to the list that is there: nobody
    comes off it. Raises SetupError, with everything as it was, for what a person must mend.
    """
    manifest = read_manifest(source)
    check_files(source, manifest, progress)
    if settings.database_url:
        if keys is not None:
            raise SetupError("--keys hoort bij een datamap. De sleutels van een eigen server geeft u in de omgeving.")
        _check_key(settings.lookup_key_bytes, manifest)
        signed = _signed(source, manifest, settings, None)
        url = settings.owner_database_url or settings.database_url
        await _fill(
            url, source, manifest, signed, progress, replace=force, new_stream=False,
            keys=await _opening(settings, ring_of(settings)), erasures=settings.erasures_path,
        )  # fmt: skip
        await migrate(url, settings.service_password.get_secret_value() if settings.service_password else None)
        return Restored(manifest, len(signed), None)
    return await _into_directory(settings, source, manifest, keys, force, progress)


async def _into_directory(
    settings: Settings, source: Path, manifest: Manifest, keys: Path | None, force: bool, progress: Progress
) -> Restored:
    where = DataDir.at(settings.data_dir)
    used = [p for p in (where.postgres, where.nats, where.credentials) if p.exists()]
    if used and not force:
        raise SetupError(
            f"{where.path} is niet leeg ({', '.join(p.name for p in used)}). Kies een nieuwe map met --data-dir, of "
            "vervang met --force de database die er staat; sleutels, stream en controlepunten daar blijven."
        )
    own = _keys(where, manifest, keys)
    internal = internal_of(own)
    _check_key(bytes.fromhex(internal.lookup_key), manifest)
    signed = _signed(source, manifest, settings, bytes.fromhex(internal.notary_key))
    with held(where.path, _ADDRESS), explained(where.path):
        fresh = where.path / "postgres.restored"
        shutil.rmtree(fresh, ignore_errors=True)  # of one that was killed
        async with Supervisor(where, lambda _: None) as supervisor:
            postgres = Postgres(fresh, where.log("postgres"), internal.superuser_password)
            await supervisor.start(postgres)
            new_stream = not where.nats.exists() and not settings.nats_url
            ring = ring_of(settings) or (Ring.read(internal.key_ring) if internal.key_ring else None)
            await _fill(
                postgres.url(), source, manifest, signed, progress, replace=False, new_stream=new_stream,
                keys=await _opening(settings, ring), erasures=settings.erasures_path,
            )  # fmt: skip
            await migrate(postgres.url(), internal.service_password)
        if manifest.checkpoints is not None and not settings.checkpoints_path.exists():
            notes = (source / manifest.checkpoints.name).read_bytes().decode()
            write_atomically(settings.checkpoints_path, notes, mode=0o644)
        before, until = None, f"before-{system_now():%Y%m%dT%H%M%SZ}"
        if where.postgres.exists():
            before = where.path / f"postgres.{until}"
            where.postgres.rename(before)
        heads = settings.access_checkpoints_path
        if heads.exists():
            # What was read since the backup is logged in the database that is set aside; so is what was signed of that.
            heads.rename(heads.with_name(f"{heads.name}.{until}"))
        fresh.rename(where.postgres)
        sync_directory(where.path)
        store.update(where.credentials, lambda _: own)
    return Restored(manifest, len(signed), before)


def _keys(where: DataDir, manifest: Manifest, keys: Path | None) -> Credentials:
    """Those of the directory where it has any, with what the file's ring opens besides; else those of the file.

    Raises SetupError when there are none, or those of two books.
    """
    there = store.read(where.credentials)
    if there is not None and there.internal is None:
        there = None
    if keys is None:
        if there is None:
            raise SetupError(
                "Zonder sleutels kan niemand bij de gegevens. Geef met --keys het bestand dat `relatieboek backup "
                "--keys` schreef, of uw kopie van credentials.json."
            )
        return there
    try:
        given = Credentials.model_validate_json(keys.read_bytes())
    except ValidationError as error:
        raise SetupError(f"{keys} is geen sleutelbestand van Relatieboek, of is beschadigd.") from error
    if there is None or given.internal is None or not given.internal.key_ring:
        return there or given
    own, old = internal_of(there), given.internal
    if own.lookup_key != old.lookup_key:
        raise SetupError(f"{keys} hoort bij een ander boek dan {where.credentials}.")
    ring, older = Ring.read(own.key_ring), Ring.read(old.key_ring)
    both = Ring(ring.primary, {**older.keys, **ring.keys})  # keys were rotated since: the older ones still open
    return there.model_copy(update={"internal": own.model_copy(update={"key_ring": both.text()})})


def _check_key(lookup_key: bytes, manifest: Manifest) -> None:
    if fingerprint(lookup_key) != manifest.lookup_key:
        raise SetupError("Deze sleutels horen bij een ander boek dan deze reservekopie. Gebruik die van toen.")


def _signed(source: Path, manifest: Manifest, settings: Settings, notary_key: bytes | None) -> list[Checkpoint]:
    """What the notary had signed, if its key is at hand to check that it did."""
    if notary_key is None and settings.notary_key is not None:
        notary_key = bytes.fromhex(settings.notary_key.get_secret_value())
    if notary_key is None or manifest.checkpoints is None:
        return []
    try:
        notes = read_notes(source / manifest.checkpoints.name, [Signer(settings.notary_name, notary_key).verifier])
    except BadCheckpoint as error:
        raise SetupError(f"De controlepunten in {source} zijn niet van deze notaris: {error}.") from error
    return [n.checkpoint for n in notes]


async def _fill(
    owner_url: str, source: Path, manifest: Manifest, signed: list[Checkpoint], progress: Progress, *, replace: bool,
    new_stream: bool, keys: set[str] | None, erasures: Path,
) -> None:  # fmt: skip
    """Everything in one transaction: the tables of the backup's version, its rows, and the check of the whole book; at
    the end of it the list of who was erased, so that no book of then is there without it."""
    engine = create_async_engine(owner_url, hide_parameters=True)
    try:
        async with engine.begin() as conn:
            await _clear(conn, replace=replace)
            await conn.run_sync(upgrade, manifest.schema)
            raw: Connection = (await conn.get_raw_connection()).driver_connection
            await raw.execute(f"TRUNCATE {', '.join(t.table for t in manifest.tables)}")
            await _copy_in(raw, source, manifest, progress)
            for name, last in manifest.sequences.items():
                await raw.execute("SELECT setval($1::regclass, $2)", name, last)
            if new_stream:  # it is made of the ledger when intake starts
                await raw.execute("UPDATE ledger.head SET stream_created = NULL")
            await _check_keys(raw, keys)
            await _check(raw, manifest, signed, lambda done, total: progress("controle", done, total))
            if manifest.erasures is not None:
                with explained(erasures.parent):
                    erasures.parent.mkdir(parents=True, exist_ok=True)
                    add_erasures(erasures, read_erasures(source / manifest.erasures.name))
    finally:
        await engine.dispose()


async def _clear(conn: AsyncConnection, *, replace: bool) -> None:
    query = (
        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')"
    )
    schemas = list(await conn.scalars(text(query)))
    if schemas and not replace:
        raise SetupError(
            "De database is niet leeg. Maak een lege database, of vervang met --force alles wat in deze staat."
        )
    for schema in schemas:
        quoted = conn.dialect.identifier_preparer.quote(schema)
        await conn.exec_driver_sql(f"DROP SCHEMA {quoted} CASCADE")
    await conn.exec_driver_sql("DROP TABLE IF EXISTS schema_version")


async def _copy_in(raw: Connection, source: Path, manifest: Manifest, progress: Progress) -> None:
    total, done = sum(t.file.bytes for t in manifest.tables), 0
    for table in manifest.tables:
        progress(table.table, done, total)
        schema, _, name = table.table.rpartition(".")
        said: str = await raw.copy_to_table(
            name.strip('"'), source=source / table.file.name, columns=[c.strip('"') for c in table.columns],
            schema_name=schema.strip('"') or "public", format="binary", timeout=_WITHOUT_LIMIT_S,
        )  # fmt: skip
        if int(said.rpartition(" ")[2]) != table.rows:
            raise SetupError(f"Van {table.table} kwamen niet alle {table.rows} rijen terug. Meld dit.")
        done += table.file.bytes


async def _opening(settings: Settings, ring: Ring | None) -> set[str] | None:
    """The ids of the keys that open; None with neither ring nor token at hand."""
    token = token_of(settings)
    if ring is None and token is None:
        return None
    return {*(ring.keys if ring else ()), *(await token.ids() if token else ())}


async def _check_keys(raw: Connection, keys: set[str] | None) -> None:
    """Every key in the backup can be opened. Without a keeper at hand intake says so when it starts."""
    if keys is None:
        return
    missing = (await wrapped_by(raw)).keys() - keys - {UNWRAPPED}
    if missing:
        raise SetupError(
            f"De sleutelring mist {', '.join(sorted(missing))}, waarmee deze reservekopie is versleuteld. "
            "Geef met --keys het sleutelbestand van toen, of zet in het token terug wat er toen in stond."
        )


async def _check(
    raw: Connection, manifest: Manifest, signed: list[Checkpoint], progress: Callable[[int, int], None]
) -> None:
    report: Any = await verify(raw, signed, progress)
    leaf = await raw.fetchval("SELECT leaf FROM ledger.entry WHERE position = $1", manifest.position)
    if report.head != manifest.position or (None if leaf is None else bytes(leaf).hex()) != manifest.leaf:
        report.differ(f"it ends at {report.head}, and not at {manifest.position} as its manifest says")
    if not report.agree:
        raise SetupError(
            f"De reservekopie is geen heel boek: {report.differences[0]}. Er is niets teruggezet; gebruik een andere."
        )
