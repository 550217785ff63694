"""Departments and viewers: made known to the book, to NATS and to whoever is to use them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from events import tables
from events.envelope import SOURCE_FORM, is_own
from events.errors import NotFound, SetupError, Unavailable
from services.access import MAX_AGE_S, digest
from services.embedded import credentials as store
from services.embedded.accounts import BOOK, SERVICES, Keys, accounts, inbox_prefix, new_seed, public_key
from services.embedded.credentials import Credentials, NatsEntry, new_token, visible_prefix
from services.embedded.datadir import DataDir
from services.embedded.doors import forget_doors, open_doors, reload_until, tell_intake
from services.embedded.nats import DEPARTMENT_NAME, Nats
from services.intake.departments import OWN_GLOBS, Department
from services.settings import Settings

RESERVED: Final = "relatieboek"
EVERYTHING: Final = "all"
# What api and intake know of departments is at most this old (services.access, services.intake.departments), and a
# reading that began just before the change may end just after it.
ENDED_WITHIN_S: Final = MAX_AGE_S + 0.5
_NO_NATS: Final = "NATS antwoordt niet: start Relatieboek, en voeg de afdeling toe terwijl het draait."
_NOT_ALLOWED: Final = "42501"
# Two at the same moment must not both find a source free.
_ONE_AT_A_TIME: Final = text("LOCK TABLE ledger.department IN SHARE ROW EXCLUSIVE MODE")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A department to be: `sources` are whole CloudEvents sources, `types` globs of `<family>.<event>`.

    `owner` is who answers for it. From `expires_at` on its HTTP token opens nothing; None: never.
    """

    name: str
    sources: Sequence[str]
    types: Sequence[str]
    owner: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """A department's new credentials; the only moment at which they can be shown.

    `nats_config` is what the operator of an external NATS server adds to its configuration, else None.
    """

    name: str
    http_token: str = field(repr=False)
    nats: Mapping[str, str] = field(repr=False)
    nats_config: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {"name": self.name, "http_token": self.http_token, "nats": dict(self.nats)}
        return out | ({"nats_config": dict(self.nats_config)} if self.nats_config else {})


async def add_department(
    settings: Settings, name: str, sources: Sequence[str], types: Sequence[str], *, owner: str | None = None,
    expires_at: datetime | None = None,
) -> Added:  # fmt: skip
    """Registers one department; see `add_departments`."""
    return (await add_departments(settings, [Wanted(name, sources, types, owner, expires_at)]))[0]


async def add_departments(settings: Settings, wanted: Sequence[Wanted]) -> list[Added]:
    """Registers departments with new credentials; a revoked name may be used again, with new ones.

    Who gets such a name, perhaps somebody else, finds nothing on NATS of who had it before: their verdicts are taken
    away first, and while something of theirs waits in the inbox the name is refused. Writes the ledger, then the
    credentials file, then NATS (embedded: reloaded without dropping anyone). Broken off in between, the department is
    registered; `revoke` and add it again. `settings` as of `credentials.complete`.
    Raises SetupError for a bad or taken name or source, and when NATS does not follow.
    """
    for one in wanted:
        _check(one)
    seeds = {one.name: new_seed() for one in wanted}
    tokens = {one.name: new_token(one.name) for one in wanted}
    async with _as_owner(settings) as engine:
        async with engine.begin() as conn:
            await conn.execute(_ONE_AT_A_TIME)
            await _forget_before(conn, settings, wanted)
            for one in wanted:
                await _check_free(conn, one)
                await _insert(conn, one, tokens[one.name], public_key(seeds[one.name]))
        entries = {name: NatsEntry(nkey_seed=seed, inbox_prefix=inbox_prefix(name)) for name, seed in seeds.items()}
        managed, embedded = _managed(settings), _embedded(settings)
        if managed:
            store.update(settings.credentials_path, lambda c: _with(c, tokens, entries))
        try:
            await open_doors(settings, seeds)
        except Unavailable:
            if embedded:
                raise SetupError(_NO_NATS) from None
        if embedded:
            await _reconfigure(settings, engine, seeds)
        await tell_intake(settings)
    return [
        Added(
            one.name, tokens[one.name], {"nkey_seed": seeds[one.name], "inbox_prefix": inbox_prefix(one.name)},
            None if embedded else _snippet(one.name, public_key(seeds[one.name])),
        )
        for one in wanted
    ]  # fmt: skip


async def ensure_departments(settings: Settings, wanted: Sequence[Wanted]) -> list[Added]:
    """Adds those that are not registered, or whose credentials this data directory does not hold."""
    held = store.read(settings.credentials_path) or Credentials()
    missing = [w for w in wanted if w.name not in held.http.departments or w.name not in held.nats.departments]
    if not missing:
        return []
    async with _as_owner(settings) as engine, engine.begin() as conn:
        for one in missing:
            t = tables.department
            await conn.execute(update(t).where(t.c.name == one.name).values(revoked_at=datetime.now(UTC)))
    return await add_departments(settings, missing)


async def renew_token(settings: Settings, name: str, *, expires_at: datetime | None = None) -> str:
    """A new HTTP token for a department, in place of the one before. Its NATS key stays. Raises NotFound."""
    token = new_token(name)
    t = tables.department
    async with _as_owner(settings) as engine, engine.begin() as conn:
        done = await conn.execute(
            update(t).where(t.c.name == name, t.c.revoked_at.is_(None)).values(**_key(name, token, expires_at))
        )
    if done.rowcount == 0:
        raise NotFound(f"Er is geen afdeling {name} met toegang.")
    if _managed(settings):
        store.update(settings.credentials_path, lambda c: c.with_token(name, token))
    await asyncio.sleep(ENDED_WITHIN_S)
    return token


async def revoke_department(settings: Settings, name: str) -> None:
    """Ends a department's access. When this returns it opens nothing any more: no HTTP, no NATS request, no inbox.

    Its events stay. A NATS server that is not this data directory's own still knows its key until its configuration is
    made anew and reloaded; the book takes nothing from it all the same. Raises NotFound.
    """
    t = tables.department
    async with _as_owner(settings) as engine:
        async with engine.begin() as conn:
            done = await conn.execute(
                update(t).where(t.c.name == name, t.c.revoked_at.is_(None)).values(revoked_at=datetime.now(UTC))
            )
        if done.rowcount == 0:
            raise NotFound(f"Er is geen afdeling {name} met toegang.")
        entry = (store.read(settings.credentials_path) or Credentials()).nats.departments.get(name)
        if _managed(settings):
            store.update(settings.credentials_path, lambda c: c.without_department(name))
        if _embedded(settings):
            await _reconfigure(settings, engine, {}, gone=entry.nkey_seed if entry else None)
    await asyncio.sleep(ENDED_WITHIN_S)


@asynccontextmanager
async def _as_owner(settings: Settings) -> AsyncGenerator[AsyncEngine]:
    """Who may publish, the database's owner writes; the services' role reads it. Raises SetupError when it is tried as
    that one."""
    engine = create_async_engine(settings.owner_database_url or settings.database_url, hide_parameters=True)
    try:
        yield engine
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _NOT_ALLOWED:
            raise
        raise SetupError(
            "Alleen de eigenaar van de database mag afdelingen wijzigen: zet RELATIEBOEK_OWNER_DATABASE_URL."
        ) from None
    finally:
        await engine.dispose()


async def ensure_viewers(settings: Settings, engine: AsyncEngine, *, again: bool = False) -> list[str]:
    """A viewer `all` and one for each team that the book knows. Returns the names of the new ones; idempotent.

    `again` also stores the tokens that the credentials file already had: it is what people have, whatever database
    was put back.
    """
    async with engine.begin() as conn:
        known = await conn.scalars(
            select(tables.thing.c.key).where(tables.thing.c.key.startswith("team:", autoescape=True))
        )
        teams = {key.removeprefix("team:") for key in known} - {EVERYTHING}
        names = [EVERYTHING, *sorted(teams)]
        had = store.read(settings.credentials_path) or Credentials()
        new = [name for name in names if name not in had.http.viewers]
        held = store.update(settings.credentials_path, lambda c: _with_viewers(c, names)) if new else had
        for name in names if again else new:
            row = {"team": None if name == EVERYTHING else name, "token_hash": digest(held.http.viewers[name])}
            statement = insert(tables.viewer).values(name=name, created_at=datetime.now(UTC), **row)
            await conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_=row))
    return new


async def department_keys(conn: AsyncConnection) -> dict[str, str]:
    """Public nkeys of the departments that have access, by name."""
    t = tables.department
    rows = await conn.execute(select(t.c.name, t.c.nkey).where(t.c.revoked_at.is_(None), t.c.nkey.is_not(None)))
    return {row.name: row.nkey for row in rows}


def book_keys(credentials: Credentials) -> Keys:
    """Public nkeys of the book's own users."""
    internal = store.internal_of(credentials)
    return Keys(
        public_key(internal.service_seed), public_key(internal.relay_seed), public_key(internal.operations_seed),
        internal.nats_store_key or None,
    )  # fmt: skip


def _check(one: Wanted) -> None:
    if not DEPARTMENT_NAME.fullmatch(one.name) or one.name == RESERVED:
        raise SetupError(
            f"'{one.name}' kan geen naam van een afdeling zijn: 2 tot 31 kleine letters, cijfers en streepjes, "
            f"te beginnen met een letter, en niet '{RESERVED}'."
        )
    if not one.sources or not one.types:
        raise SetupError("Geef minstens één --source en één soort gebeurtenis met --types.")
    for glob in one.types:
        if not Department(one.name, frozenset(), (glob,)).granted:
            raise SetupError(
                f"'{glob}' is geen soort gebeurtenis die een afdeling kan sturen. `relatieboek schema` noemt alle "
                f"soorten; {', '.join(OWN_GLOBS)} stuurt alleen het boek zelf."
            )
    for source in one.sources:
        if SOURCE_FORM.match(source) is None:
            raise SetupError(
                f"'{source}' is geen bron: gebruik urn:nld:oin:<20 cijfers>:systeem:<naam> "
                "of urn:nld:kvk:<8 cijfers>:systeem:<naam>."
            )
        if is_own(source):
            raise SetupError(f"'{source}' is een bron van Relatieboek zelf; geen afdeling kan die hebben.")


async def _forget_before(conn: AsyncConnection, settings: Settings, wanted: Sequence[Wanted]) -> None:
    t = tables.department.c
    had = select(t.name).where(t.name.in_([one.name for one in wanted]), t.revoked_at.is_not(None))
    if names := (await conn.scalars(had.order_by(t.name))).all():
        try:
            await forget_doors(settings, names)
        except Unavailable:
            raise SetupError(
                f"De naam {names[0]} is eerder gebruikt, en wat NATS daarvan heeft, is niet op te ruimen. {_NO_NATS} "
                "Dit kan alleen met de sleutel van operations (RELATIEBOEK_OPERATIONS_NATS_SEED)."
            ) from None


async def _check_free(conn: AsyncConnection, one: Wanted) -> None:
    """A source and an id are unique for ever: who shared a source could take the other's ids before it."""
    t = tables.department.c
    others = select(t.name, t.sources).where(t.revoked_at.is_(None), t.name != one.name)
    for row in await conn.execute(others):
        for source in set(one.sources) & set(row.sources):
            raise SetupError(f"De bron {source} is al van afdeling {row.name}. Elke bron hoort bij één afdeling.")


def _key(name: str, token: str, expires_at: datetime | None) -> dict[str, Any]:
    """What the database keeps of an HTTP token: nothing that opens anything."""
    return {
        "token_hash": digest(token), "token_prefix": visible_prefix(name, token), "expires_at": expires_at,
        "last_used_at": None,
    }  # fmt: skip


async def _insert(conn: AsyncConnection, one: Wanted, token: str, key: str) -> None:
    t = tables.department
    row = {
        "sources": list(one.sources), "types": list(one.types), "nkey": key, "owner": one.owner,
        "created_at": datetime.now(UTC), "revoked_at": None, **_key(one.name, token, one.expires_at),
    }  # fmt: skip
    statement = insert(t).values(name=one.name, **row)
    again = statement.on_conflict_do_update(index_elements=["name"], set_=row, where=t.c.revoked_at.is_not(None))
    if (await conn.execute(again)).rowcount == 0:
        raise SetupError(
            f"Afdeling {one.name} bestaat al. Trek haar eerst in met `relatieboek department revoke {one.name}`."
        )


def _with(credentials: Credentials, tokens: Mapping[str, str], entries: Mapping[str, NatsEntry]) -> Credentials:
    for name, entry in entries.items():
        credentials = credentials.with_department(name, tokens[name], entry)
    return credentials


def _with_viewers(credentials: Credentials, names: Iterable[str]) -> Credentials:
    for name in names:
        if name not in credentials.http.viewers:
            credentials = credentials.with_viewer(name, new_token(name))
    return credentials


def _managed(settings: Settings) -> bool:
    """Whether this data directory's credentials are about the NATS server that these settings name."""
    held = store.read(settings.credentials_path)
    return held is not None and bool(held.nats.url) and held.nats.url == settings.nats_url


def _embedded(settings: Settings) -> bool:
    """Whether that server is this data directory's own."""
    held = store.read(settings.credentials_path)
    return _managed(settings) and held is not None and held.internal is not None and held.internal.nats_port is not None


async def _reconfigure(
    settings: Settings, engine: AsyncEngine, seeds: dict[str, str], *, gone: str | None = None
) -> None:
    held = store.read(settings.credentials_path) or Credentials()
    async with engine.connect() as conn:
        keys = await department_keys(conn)
    where = DataDir.at(settings.data_dir)
    port = int(settings.nats_url.rpartition(":")[2])
    Nats(where.nats, where.log("nats"), port).configure(book_keys(held), keys)
    await reload_until(where.nats, settings.nats_url, seeds, gone=gone)


def _snippet(name: str, key: str) -> dict[str, Any]:
    """The department's account, and the exports to it that the book's own two accounts get."""
    whole = accounts(Keys("", "", ""), {name: key})
    exports = {of: [e for e in whole[of]["exports"] if name in e["accounts"]] for of in (BOOK, SERVICES)}
    return {"accounts": {name: whole[name], **{of: {"exports": found} for of, found in exports.items()}}}
