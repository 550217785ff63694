"""`keys`: the key-encryption keys that lock every key of the book."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import typer

from events.postgres import Connection, connect
from events.rewrapping import rewrap, wrapped_by
from services.cli.console import note, print_json, print_table
from services.cli.instance import find
from services.cli.operating import progress_bar
from services.cli.options import DataDir, Json
from services.keys import key_wrapper
from services.rotation import add_key, drop_key
from services.settings import Settings

keys = typer.Typer(help="De sleutels die alle sleutels van het boek afsluiten.", no_args_is_help=True,
                   rich_markup_mode=None)  # fmt: skip

_COLUMNS: Final = (("id", "Id"), ("primary", "Huidige"), ("wraps", "Sluit af"))


def _with_ledger(settings: Settings, work: Callable[[Connection], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        conn = await connect(settings.database_url)
        try:
            return await work(conn)
        finally:
            await conn.close()

    return asyncio.run(run())


@keys.command("list")
def list_keys(json: Json = False, data_dir: DataDir = None) -> None:
    """Toon welke sleutels er zijn, en hoeveel sleutels van het boek elk afsluit."""
    settings = find(data_dir).complete()

    async def look(conn: Connection) -> tuple[str, Counter[str]]:
        return await key_wrapper(settings).primary(), await wrapped_by(conn)

    primary, counts = _with_ledger(settings, look)
    items = [{"id": i, "primary": i == primary, "wraps": counts[i]} for i in sorted({primary, *counts})]
    if json:
        print_json({"items": items, "next": None})
    else:
        print_table("Sleutels", _COLUMNS, items)


@keys.command("rotate")
def rotate(data_dir: DataDir = None) -> None:
    """Maak een nieuwe sleutel en sluit alles daarmee af. Kan terwijl alles draait."""
    settings = find(data_dir).complete()
    added: str = _with_ledger(settings, lambda conn: add_key(conn, settings))
    note(f"Nieuwe sleutel {added}. Maak een kopie van de ring, of van het token, voordat u een oude laat vervallen.")
    _rewrap(settings)


@keys.command("rewrap")
def rewrap_all(data_dir: DataDir = None) -> None:
    """Sluit alles met de nieuwste sleutel af. Afgebroken? Draai het nog eens; het gaat verder waar het was."""
    _rewrap(find(data_dir).complete())


@keys.command("drop")
def drop(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Uit `relatieboek keys list`.")], data_dir: DataDir = None
) -> None:
    """Laat een oude sleutel vervallen. Kopieën van de database van daarvoor zijn dan niet meer te lezen."""
    settings = find(data_dir).complete()
    _with_ledger(settings, lambda conn: drop_key(conn, settings, key_id))
    note(f"Sleutel {key_id} is vervallen.")


def _rewrap(settings: Settings) -> None:
    wrapper = key_wrapper(settings)
    with progress_bar() as bar:
        task = bar.add_task("Afsluiten", total=None, more="")

        def tell(done: int) -> None:
            bar.update(task, completed=done)

        async def work(conn: Connection) -> tuple[int, str]:
            return await rewrap(conn, wrapper, tell), await wrapper.primary()

        done, primary = _with_ledger(settings, work)
    note(f"{done} sleutels opnieuw afgesloten met {primary}.")
