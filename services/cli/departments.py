"""`department`: who may publish what, and with which keys."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine

from events.errors import SetupError
from events.recorded import AMSTERDAM, day_end
from services.cli.console import note, print_fields, print_json, print_table
from services.cli.instance import find
from services.cli.options import DataDir, Json, moment

department = typer.Typer(help="Afdelingen die mogen publiceren.", no_args_is_help=True, rich_markup_mode=None)

_KEY_LIVES: Final = timedelta(days=365)

Owner = Annotated[str | None, typer.Option("--owner", help="Wie er verantwoordelijk voor is, bijvoorbeeld een team.")]
Expires = Annotated[
    str | None,
    typer.Option("--expires", help="Tot en met wanneer het HTTP-token werkt: een datum, of 'nooit'. Anders een jaar."),
]
Name = Annotated[str, typer.Argument(metavar="NAAM", help="Naam van de afdeling.")]


@department.command("add")
def add(
    name: Name,
    source: Annotated[list[str], typer.Option("--source", help="URN van een bronsysteem; mag vaker.")],
    types: Annotated[list[str], typer.Option("--types", help="Welke soorten, zoals 'contact.*'; mag vaker.")],
    more_types: Annotated[list[str] | None, typer.Argument(metavar="[SOORT…]", help="Meer soorten.")] = None,
    owner: Owner = None, expires: Expires = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Voeg een afdeling toe. De sleutels worden één keer getoond."""
    from services.embedded.registration import add_department

    granted = [*types, *(more_types or [])]
    until = _until(expires)
    settings = find(data_dir).complete()
    added = asyncio.run(add_department(settings, name, source, granted, owner=owner, expires_at=until)).as_json()
    if json:
        print_json(added)
        return
    keys = added["nats"]
    print_fields(f"Afdeling {name}", [
        ("HTTP-token", added["http_token"]), ("Werkt tot", _day(until)), *((f"NATS {k}", v) for k, v in keys.items())
    ])  # fmt: skip
    note("Bewaar dit nu: het wordt niet nog eens getoond.")
    if "nats_config" in added:
        note("Zet dit in de configuratie van de NATS-server:")
        print_json(added["nats_config"])


@department.command("list")
def list_(json: Json = False, data_dir: DataDir = None) -> None:
    """Toon de afdelingen: bronnen, soorten, eigenaar, en het begin van hun token met zijn einde en laatste gebruik."""
    from events.tables import department as table

    settings = find(data_dir).complete()

    async def read() -> list[dict[str, Any]]:
        engine = create_async_engine(settings.database_url, hide_parameters=True)
        try:
            async with engine.connect() as conn:
                t = table.c
                query = select(
                    t.name,
                    t.owner,
                    t.sources,
                    t.types,
                    t.token_prefix,
                    t.expires_at,
                    t.last_used_at,
                    t.created_at,
                    t.revoked_at,
                ).order_by(t.name)
                return [msgspec.to_builtins(dict(row)) for row in (await conn.execute(query)).mappings()]
        finally:
            await engine.dispose()

    items = asyncio.run(read())
    if json:
        print_json({"items": items, "next": None})
        return
    print_table("Afdelingen", (
        ("name", "Naam"), ("owner", "Eigenaar"), ("sources", "Bronnen"), ("types", "Soorten"),
        ("token_prefix", "Token"), ("expires_at", "Tot"), ("last_used_at", "Gebruikt"), ("created_at", "Sinds"),
        ("revoked_at", "Ingetrokken"),
    ), items)  # fmt: skip


@department.command("renew")
def renew(name: Name, expires: Expires = None, json: Json = False, data_dir: DataDir = None) -> None:
    """Geef een afdeling een nieuw HTTP-token; het oude werkt dan niet meer. Haar NATS-sleutel blijft."""
    from services.embedded.registration import renew_token

    until = _until(expires)
    token = asyncio.run(renew_token(find(data_dir).complete(), name, expires_at=until))
    if json:
        print_json({"name": name, "http_token": token})
        return
    print_fields(f"Afdeling {name}", [("HTTP-token", token), ("Werkt tot", _day(until))])
    note("Bewaar dit nu: het wordt niet nog eens getoond.")


@department.command("revoke")
def revoke(name: Name, data_dir: DataDir = None) -> None:
    """Trek de toegang van een afdeling in. Wat zij publiceerde, blijft."""
    from services.embedded.registration import revoke_department

    asyncio.run(revoke_department(find(data_dir).complete(), name))
    note(f"Afdeling {name} heeft geen toegang meer.")


def _until(expires: str | None) -> datetime | None:
    """The instant at which a token ends. Raises SetupError for one that has passed already."""
    now = datetime.now(UTC)
    if expires is None:
        return now + _KEY_LIVES
    if expires == "nooit":
        return None
    try:
        at = day_end(date.fromisoformat(expires))
    except ValueError:
        at = moment(expires, "--expires")
    if at is None or at <= now:
        raise SetupError("--expires ligt in het verleden.")
    return at


def _day(at: datetime | None) -> str:
    return "nooit" if at is None else at.astimezone(AMSTERDAM).strftime("%d-%m-%Y %H:%M")
