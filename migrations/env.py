"""Alembic's environment: run by `services.migrate` with a connection of the owner's role."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=None, version_table="schema_version", include_schemas=True)
with context.begin_transaction():
    context.run_migrations()
