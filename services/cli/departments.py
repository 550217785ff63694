"""`department`: who may publish what, and with which keys."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine

from services.cli.console import note, print_fields, print_json, print_table
from services.cli.instance import find
from services.cli.options import DataDir, Json

department = typer.Typer(help="Afdelingen die mogen publiceren.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAAM", help="Naam van de afdeling.")]


@department.command("add")
def add(
    name: Name,
    source: Annotated[list[str], typer.Option("--source", help="URN van een bronsysteem; mag vaker.")],
    types: Annotated[list[str], typer.Option("--types", help="Welke soorten, zoals 'contact.*'; mag vaker.")],
    more_types: Annotated[list[str] | None, typer.Argument(metavar="[SOORT…]", help="Meer soorten.")] = None,
    json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Voeg een afdeling toe. De sleutels worden één keer getoond."""
    from services.embedded.registration import add_department

    granted = [*types, *(more_types or [])]
    added = asyncio.run(add_department(find(data_dir).complete(), name, source, granted)).as_json()
    if json:
        print_json(added)
        return
    keys = added["nats"]
    print_fields(
        f"Afdeling {name}", [("HTTP-token", added["http_token"]), *((f"NATS {k}", v) for k, v in keys.items())]
    )
    note("Bewaar dit nu: het wordt niet nog eens getoond.")
    if "nats_config" in added:
        note("Zet dit in de configuratie van de NATS-server:")
        print_json(added["nats_config"])


@department.command("list")
def list_(json: Json = False, data_dir: DataDir = None) -> None:
    """Toon de afdelingen, met hun bronnen en wat zij mogen publiceren."""
    from events.tables import department as table

    settings = find(data_dir).complete()

    async def read() -> list[dict[str, Any]]:
        engine = create_async_engine(settings.database_url, hide_parameters=True)
        try:
            async with engine.connect() as conn:
                t = table.c
                query = select(t.name, t.sources, t.types, t.created_at, t.revoked_at).order_by(t.name)
                return [msgspec.to_builtins(dict(row)) for row in (await conn.execute(query)).mappings()]
        finally:
            await engine.dispose()

    items = asyncio.run(read())
    if json:
        print_json({"items": items, "next": None})
        return
    print_table("Afdelingen", (
        ("name", "Naam"), ("sources", "Bronnen"), ("types", "Soorten"), ("created_at", "Sinds"), ("revoked_at",
        "Ingetrokken"),
    ), items)  # fmt: skip


@department.command("revoke")
def revoke(name: Name, data_dir: DataDir = None) -> None:
    """Trek de toegang van een afdeling in. Wat zij publiceerde, blijft."""
    from services.embedded.registration import revoke_department

    asyncio.run(revoke_department(find(data_dir).complete(), name))
    note(f"Afdeling {name} heeft geen toegang meer.")
