"""Brings a database to this version, as its owner: tables by Alembic, and the one role that the services use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from events.errors import SetupError

if TYPE_CHECKING:
    from alembic.config import Config

SERVICE_ROLE = "relatieboek_service"
MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"

# Who may publish is the owner's to say: what a version before this granted is taken back.
TAKEN_BACK = f"REVOKE INSERT, UPDATE, DELETE ON ledger.department FROM {SERVICE_ROLE}"

# The services may add entries and read them; only what decide needs to know, and the doors' own books, may change.
GRANTS = f"""
GRANT USAGE ON SCHEMA ledger, projection, effect TO {SERVICE_ROLE};
GRANT SELECT ON ALL TABLES IN SCHEMA ledger, projection, effect TO {SERVICE_ROLE};
GRANT SELECT ON public.schema_version TO {SERVICE_ROLE};
GRANT INSERT ON ledger.entry, ledger.event_key, ledger.person_key, ledger.checkpoint TO {SERVICE_ROLE};
GRANT UPDATE (key, content_mac, erased_by) ON ledger.event_key TO {SERVICE_ROLE};
GRANT UPDATE (key, sealed_id, erased_by, lookup) ON ledger.person_key TO {SERVICE_ROLE};
GRANT INSERT, UPDATE, DELETE ON ledger.erasure TO {SERVICE_ROLE};
GRANT INSERT, UPDATE ON ledger.hold TO {SERVICE_ROLE};
GRANT INSERT, UPDATE, DELETE ON ledger.chain, ledger.thing, ledger.parked, ledger.rejected, ledger.outbox,
    ledger.tally, ledger.viewer TO {SERVICE_ROLE};
GRANT UPDATE (last_used_at) ON ledger.department TO {SERVICE_ROLE};
GRANT UPDATE ON ledger.head TO {SERVICE_ROLE};
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA projection, effect TO {SERVICE_ROLE};
GRANT USAGE ON ALL SEQUENCES IN SCHEMA ledger, projection, effect TO {SERVICE_ROLE};
GRANT USAGE ON SCHEMA identity TO {SERVICE_ROLE};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA identity TO {SERVICE_ROLE};
GRANT USAGE ON SCHEMA access TO {SERVICE_ROLE};
GRANT SELECT, INSERT ON access.record, access.checkpoint TO {SERVICE_ROLE};
GRANT SELECT ON access.pruned, access.kept TO {SERVICE_ROLE};
GRANT EXECUTE ON FUNCTION access.prune() TO {SERVICE_ROLE};
"""


# Alembic takes 150 ms to import, and every command and service knows this module by the role's name.
def _config(connection: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Brings the tables up to a revision. Raises SetupError when the database is of a newer version, or is to become
    of one that this version does not know."""
    from alembic import command
    from alembic.script import ScriptDirectory

    known = {s.revision for s in ScriptDirectory.from_config(_config()).walk_revisions()}
    current = None
    if connection.scalar(text("SELECT to_regclass('schema_version')")) is not None:
        current = connection.scalar(text("SELECT version_num FROM schema_version"))
    for wanted in (current, revision):
        if wanted not in (None, "head") and wanted not in known:
            raise SetupError(
                f"De database is van een nieuwere versie ({wanted}). "
                "Gebruik die versie van Relatieboek, of een andere database."
            )
    command.upgrade(_config(connection), revision)


async def migrate(owner_url: str, service_password: str | None, access_log_months: int | None = None) -> None:
    """Upgrades the schema and makes the services' role with its grants. Idempotent.

    `owner_url` is a `postgresql+asyncpg://` address of the owner; without a password the role is left as it is, but it
    must exist. The access log is kept for `access_log_months` from here on; None leaves that as it is. Raises
    SetupError when the database is of a newer version.
    """
    engine = create_async_engine(owner_url, hide_parameters=True)
    try:
        async with engine.begin() as conn:
            await conn.execute(text("SELECT pg_advisory_xact_lock(7231001)"))
            exists = await conn.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :r"), {"r": SERVICE_ROLE})
            if service_password is not None:
                verb = "ALTER" if exists else "CREATE"
                quoted = await conn.scalar(text("SELECT quote_literal(:p)"), {"p": service_password})
                await conn.exec_driver_sql(f"{verb} ROLE {SERVICE_ROLE} LOGIN PASSWORD {quoted}")
            elif not exists:
                raise SetupError(f"De rol {SERVICE_ROLE} bestaat niet. Geef een wachtwoord voor die rol op.")
            await conn.run_sync(upgrade)
            database = await conn.scalar(text("SELECT quote_ident(current_database())"))
            await conn.exec_driver_sql(f"GRANT CONNECT, CREATE ON DATABASE {database} TO {SERVICE_ROLE}")
            await conn.exec_driver_sql(TAKEN_BACK)
            for statement in GRANTS.split(";\n"):
                if statement.strip():
                    await conn.exec_driver_sql(statement)
            if access_log_months is not None:
                await conn.execute(text("UPDATE access.kept SET months = :m"), {"m": access_log_months})
    finally:
        await engine.dispose()
