"""`account`: people who sign in at this book itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from services.access_log.record import Action
from services.cli.console import note, print_fields, print_json, print_table
from services.cli.instance import find
from services.cli.options import DataDir, Json
from services.cli.reads import log_reading, logged_reading, refusals_logged
from services.settings import Settings

account = typer.Typer(help="Mensen die hier inloggen.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAAM", help="Naam van het account.")]
Roles = Annotated[list[str] | None, typer.Option("--role", help="Rol, zoals relation_manager; mag vaker.")]
Teams = Annotated[list[str] | None, typer.Option("--team", help="Team waarvan deze persoon is; mag vaker.")]
InDepartment = Annotated[str | None, typer.Option("--department", help="Afdeling waarvan deze persoon is.")]
_Answer = TypeVar("_Answer")


def _in_book(settings: Settings, work: Callable[[AsyncConnection], Awaitable[_Answer]]) -> _Answer:
    async def run() -> _Answer:
        engine = create_async_engine(settings.database_url, hide_parameters=True)
        try:
            async with engine.begin() as conn:
                return await work(conn)
        finally:
            await engine.dispose()

    return asyncio.run(run())


def _changed(
    settings: Settings, operation: str, action: Action, name: str, work: Callable[[AsyncConnection], Awaitable[_Answer]]
) -> _Answer:
    """What `work` answers. Who changed which account is in the access log before it is in force."""

    async def both(conn: AsyncConnection) -> _Answer:
        answer = await work(conn)
        await logged_reading(settings, operation, action=action, objects=[f"account:{name}"])
        return answer

    with refusals_logged(settings, operation, action=action):
        return _in_book(settings, both)


@account.command("add")
def add(
    name: Name, role: Roles = None, team: Teams = None, department: InDepartment = None,
    employee: Annotated[
        str | None, typer.Option("--employee", help="Nummer van de medewerker, zoals afdelingen het sturen.")
    ] = None,
    json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Maak een account. Het wachtwoord wordt één keer getoond."""
    from events.privacy import lookup_of
    from services.identity import accounts

    settings = find(data_dir).complete()
    known = None if employee is None else lookup_of(settings.lookup_key_bytes, "employee", employee)
    password = _changed(
        settings, "account add", "C", name,
        lambda conn: accounts.add(
            conn, name, roles=role or [], teams=team or [], department=department, employee=known
        ),
    )  # fmt: skip
    _show_password(name, password, json=json)


@account.command("list")
def list_(json: Json = False, data_dir: DataDir = None) -> None:
    """Toon de accounts, met hun rollen en teams."""
    from services.identity import accounts

    settings = find(data_dir).complete()
    items: list[dict[str, Any]] = msgspec.to_builtins(_in_book(settings, accounts.listed))
    # An account need not say which employee signs in with it: a colleague's name may stand in any.
    log_reading(settings, "account list", items=len(items), everybody=True)
    if json:
        print_json({"items": items, "next": None})
        return
    print_table("Accounts", (
        ("name", "Naam"), ("roles", "Rollen"), ("teams", "Teams"), ("department", "Afdeling"), ("created_at", "Sinds"),
        ("disabled_at", "Gesloten"),
    ), items)  # fmt: skip


@account.command("change")
def change(
    name: Name, role: Roles = None, team: Teams = None, department: InDepartment = None, data_dir: DataDir = None
) -> None:
    """Geef een account andere rollen, teams of een andere afdeling. Wat u niet noemt, blijft."""
    from services.identity import accounts

    _changed(
        find(data_dir).complete(), "account change", "U", name,
        lambda conn: accounts.change(conn, name, roles=role, teams=team, department=department),
    )  # fmt: skip
    note(f"Account {name} is gewijzigd.")


@account.command("password")
def password(name: Name, json: Json = False, data_dir: DataDir = None) -> None:
    """Geef een account een nieuw wachtwoord, en open het als het gesloten was. Het wordt één keer getoond."""
    from services.identity import accounts

    new = _changed(
        find(data_dir).complete(), "account password", "U", name, lambda conn: accounts.new_password(conn, name)
    )
    _show_password(name, new, json=json)


@account.command("disable")
def disable(name: Name, data_dir: DataDir = None) -> None:
    """Sluit een account: wie ermee is ingelogd, is dat niet meer."""
    from services.identity import accounts

    _changed(find(data_dir).complete(), "account disable", "U", name, lambda conn: accounts.disable(conn, name))
    note(f"Account {name} is gesloten.")


def _show_password(name: str, password: str, *, json: bool) -> None:
    if json:
        print_json({"name": name, "password": password})
        return
    print_fields(f"Account {name}", [("Wachtwoord", password)])
    note("Bewaar dit nu: het wordt niet nog eens getoond.")
