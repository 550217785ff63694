"""`person`: forgetting somebody, telling somebody what is held about them, and what forbids to forget."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final, cast

import msgspec
import typer
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from events.errors import SetupError
from events.postgres import connect
from services.bus import NatsBus
from services.cli.console import err, note, print_json, print_table
from services.cli.instance import find
from services.cli.operating import as_operations, as_user, progress_bar
from services.cli.options import DataDir, Json
from services.cli.reads import Denied, log_reading, logged_reading, refusals_logged
from services.intake.erasing import erased_event
from services.keys import privacy_of
from services.messages import held_messages
from services.privacy import erase as erasing
from services.privacy import persons
from services.privacy.export import export as everything_about
from services.privacy.export import in_dutch
from services.privacy.kept import admit, find_anywhere
from services.privacy.traces import Place, Search, Value, in_database, in_files, in_stream
from services.settings import Settings

person = typer.Typer(help="Personen in het boek: inzage, wissen, bewaarplicht.", no_args_is_help=True,
                     rich_markup_mode=None)  # fmt: skip
hold = typer.Typer(help="Bewaarplicht: wie nu niet gewist mag worden.", no_args_is_help=True, rich_markup_mode=None)
person.add_typer(hold, name="hold")

Ref = Annotated[str, typer.Argument(metavar="WIE", help="person:<id>, employee:<id> of ref~<32 tekens>.")]
Paths = Annotated[
    list[Path] | None, typer.Option("--path", help="Zoek ook in deze map, zoals die van logboeken elders.")
]
_HOLDS: Final = (("hold_id", "Nummer"), ("ref", "Wie"), ("reason", "Reden"), ("placed_at", "Sinds"),
                 ("released_at", "Opgeheven"))  # fmt: skip
_PLACES: Final = (("place", "Waar"), ("bytes", "Bytes"), ("found", "Gevonden"), ("unread", "Niet gelezen"))


def _run(settings: Settings, work: Callable[[AsyncEngine], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        engine = create_async_engine(settings.database_url, hide_parameters=True)
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    return asyncio.run(run())


@person.command("erase")
def erase(
    who: Ref,
    yes: Annotated[bool, typer.Option("--yes", help="Vraag niet of het moet.")] = False,
    paths: Paths = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Wis iemand voorgoed, en zoek daarna of er ergens nog iets van over is. Afgebroken? Draai het nog eens."""
    settings = find(data_dir).complete()
    privacy = privacy_of(settings)
    as_operations(settings)  # the search at the end needs it: better to hear so before anything is erased

    async def look(engine: AsyncEngine) -> tuple[persons.Person, list[Value], int]:
        async with engine.connect() as conn:
            found = await find_anywhere(conn, privacy, who)
            if held := await persons.holds(conn, privacy, found.ref):
                raise Denied(
                    f"Voor deze persoon geldt bewaarplicht {held[0].hold_id}. Er is niets gewist.", [found.ref]
                )
            return found, *(await erasing.values_of(conn, privacy, found))

    with refusals_logged(settings, "person erase", action="D"):
        found, values, count = _run(settings, look)
    if not yes and found.erased_by is None:
        # What the question tells is a look of its own: the answer may be no.
        log_reading(settings, "person erase", persons=[found.ref], items=count)
        answer = typer.prompt(
            f"{count} gebeurtenissen noemen deze persoon. Hun teksten en de gegevens van de persoon zijn daarna "
            "voorgoed weg, voor iedereen. Doorgaan? Typ ja of nee",
            default="nee", err=True,
        )  # fmt: skip
        if answer.strip().lower() not in {"j", "ja"}:
            raise typer.Abort

    log_reading(settings, "person erase", action="D", persons=[found.ref], items=count)

    async def run(engine: AsyncEngine) -> tuple[str, erasing.Erased]:
        ref = found.ref
        if found.key is None and found.erased_by is None:
            async with engine.begin() as conn:
                ref = (await admit(conn, privacy, found)).ref
        async with as_user(settings, settings.nats_seed) as client:
            verdict = await erasing.publish(NatsBus(client), erased_event(settings.source_of("privacy"), ref))
            return ref, await erasing.through(engine, int(verdict["sequence"]))

    ref, done = cast("tuple[str, erasing.Erased]", _run(settings, run))
    note(f"Gewist, op positie {done.position}: {done.keys} gebeurtenissen noemden deze persoon.")
    _report(settings, values, paths or [], json, {"ref": ref, "position": done.position, "events": done.keys})


@person.command("verify-erased")
def verify_erased(
    values: Annotated[
        str, typer.Option("--values", help="Bestand met op elke regel een waarde om naar te zoeken; - is de invoer.")
    ] = "-",
    paths: Paths = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Zoek in database, streams, bestanden en logboeken naar waarden die weg moeten zijn; 1 als er iets staat."""
    settings = find(data_dir).complete()
    text = sys.stdin.read() if values == "-" else Path(values).read_text(encoding="utf-8")
    wanted = [Value("value", line.strip()) for line in text.splitlines() if line.strip()]
    if not wanted:
        raise SetupError("Geef ten minste één waarde, elk op een eigen regel.")
    log_reading(settings, "person verify-erased", event="search", action="E", items=len(wanted), everybody=True)
    _report(settings, wanted, paths or [], json, {})


@person.command("export")
def export(who: Ref, json: Json = False, data_dir: DataDir = None) -> None:
    """Toon alles wat over iemand bewaard wordt: leesbaar, of met --json als één document."""
    settings = find(data_dir).complete()
    privacy = privacy_of(settings)

    async def read(engine: AsyncEngine) -> dict[str, Any]:
        async with engine.connect() as conn:
            return await everything_about(conn, privacy, await find_anywhere(conn, privacy, who))

    with refusals_logged(settings, "person export"):
        document = _run(settings, read)
    log_reading(settings, "person export", persons=[document["person"]["ref"]], items=len(document["events"]))
    if json:
        print_json(document)
    else:
        typer.echo(in_dutch(document), nl=False)


@hold.command("add")
def add_hold(
    who: Ref, reason: Annotated[str, typer.Option("--reason", help="Waarom; ligt versleuteld.")],
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Leg een bewaarplicht op: wie eronder valt, kan niet gewist worden."""
    settings = find(data_dir).complete()
    privacy = privacy_of(settings)

    async def place(conn: AsyncConnection) -> int:
        found = await find_anywhere(conn, privacy, who)
        if found.key is None and found.erased_by is None:
            found = await admit(conn, privacy, found)  # a hold needs their key
        number = await persons.place_hold(conn, found, reason)
        objects = [f"hold:{number}"]
        await logged_reading(settings, "person hold add", action="C", persons=[found.ref], objects=objects)
        return number

    with refusals_logged(settings, "person hold add", action="C"):
        number: int = _write(settings, place)
    note(f"Bewaarplicht {number} geldt nu.")


@hold.command("release")
def release_hold(
    number: Annotated[int, typer.Argument(metavar="NUMMER", help="Uit `relatieboek person hold list`.")],
    data_dir: DataDir = None,
) -> None:
    """Hef een bewaarplicht op."""
    settings = find(data_dir).complete()
    objects = [f"hold:{number}"]

    async def release(conn: AsyncConnection) -> None:
        ref = await persons.release_hold(conn, number)
        await logged_reading(settings, "person hold release", action="U", persons=[ref], objects=objects)

    with refusals_logged(settings, "person hold release", action="U", objects=objects):
        _write(settings, release)
    note(f"Bewaarplicht {number} is opgeheven.")


@hold.command("list")
def list_holds(
    every: Annotated[bool, typer.Option("--all", help="Ook die zijn opgeheven.")] = False,
    json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon wie nu niet gewist mag worden, en waarom."""
    settings = find(data_dir).complete()
    privacy = privacy_of(settings)
    found: list[persons.Hold] = _write(settings, lambda conn: persons.holds(conn, privacy, all_=every))
    items = [msgspec.to_builtins(h) for h in found]
    log_reading(settings, "person hold list", persons={h.ref for h in found}, items=len(items))
    if json:
        print_json({"items": items, "next": None})
    else:
        print_table("Bewaarplicht", _HOLDS, items)


def _write(settings: Settings, work: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
    async def run(engine: AsyncEngine) -> Any:
        async with engine.begin() as conn:
            return await work(conn)

    return _run(settings, run)


def _report(settings: Settings, values: list[Value], paths: list[Path], json: bool, more: dict[str, Any]) -> None:
    """Searches everywhere, says where it looked and what it found; exit code 1 when it found anything, or could
    not look everywhere."""
    places = asyncio.run(_search(settings, Search(values), paths))
    clean = not any(place.found or place.unread for place in places)
    shown = [place.as_json() for place in places]
    if json:
        print_json({**more, "clean": clean, "values": len(values), "places": shown})
    else:
        print_table(f"Gezocht naar {len(values)} waarden", _PLACES, shown)
        note("Er is niets van gevonden." if clean else "")
    for place in places:
        for kind, count in place.found.items():
            err().print(Text(f"Gevonden: {count} keer een waarde van soort {kind} in {place.name}"), soft_wrap=True)
        if place.unread:
            err().print(Text(f"Niet gelezen: {place.name} ({place.unread}). Daar kan nog iets staan."), soft_wrap=True)
    if not clean:
        raise typer.Exit(1)


async def _search(settings: Settings, search: Search, paths: list[Path]) -> list[Place]:
    with progress_bar() as bar:
        task = bar.add_task("Zoeken", total=None, more="database")
        conn = await connect(settings.owner_database_url or settings.database_url)
        try:
            places = await in_database(conn, search)
            departments = [row["name"] for row in await conn.fetch("SELECT name FROM ledger.department ORDER BY name")]
        finally:
            await conn.close()
        bar.update(task, more="streams")
        names = ["RELATIEBOEK", *(f"{kind}_{d}" for d in departments for kind in ("INBOX", "VERDICTS"))]
        async with as_operations(settings) as client:
            places += [await in_stream(name, held_messages(client, name), search) for name in names]
        own = [settings.data_dir / part for part in ("postgres", "nats", "logs")]
        for directory in [*(d for d in own if d.is_dir()), *paths]:
            bar.update(task, more=directory.name)
            places.append(await asyncio.to_thread(in_files, directory, search))
        if settings.erasures_path.is_file():
            place = Place(f"file {settings.erasures_path}")
            places.append(search.through(place, [settings.erasures_path.read_bytes()]))
    return places
