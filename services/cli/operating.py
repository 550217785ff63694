"""The commands of operations: rebuild, reconcile, and the clock of a trial."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text
from sqlalchemy.ext.asyncio import create_async_engine

from events.errors import SetupError
from services.cli.console import Bar, err, note, print_fields, print_json, print_table
from services.cli.instance import find
from services.cli.options import DataDir, Json, moment
from services.cli.reads import log_reading
from services.settings import Settings

clock = typer.Typer(help="De klok van het boek, voor proeven.", no_args_is_help=True, rich_markup_mode=None)

_PHASES: Final = {"fold": "opbouwen", "index": "indexen", "compare": "vergelijken", "switch": "omzetten"}
_TABLES: Final = (
    ("table", "Tabel"), ("live_rows", "Rijen nu"), ("new_rows", "Rijen nieuw"), ("missing", "Ontbreken"), ("extra",
    "Extra"),
    ("changed", "Anders"),
)  # fmt: skip
_DIFFERENCES: Final = (
    ("table", "Tabel"), ("key", "Sleutel"), ("kind", "Soort"), ("column", "Kolom"), ("live", "Nu"), ("new", "Nieuw"),
)  # fmt: skip


def rebuild(
    projection: Annotated[str, typer.Argument(metavar="LEESMODEL", help="Zoals relation_view.")],
    diff: Annotated[bool, typer.Option("--diff", help="Vergelijk alleen; zet niet om.")] = False,
    as_json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Bouw een leesmodel opnieuw naast het huidige, vergelijk ze, en zet in één keer om."""
    from events.feed import StreamReader
    from projections.rebuild import Progress as Step
    from projections.rebuild import rebuild as build_anew
    from projections.registry import PROJECTIONS
    from services.rules import own_projections

    name = projection.replace("-", "_")
    if name not in PROJECTIONS:
        raise SetupError(f"Onbekend leesmodel {projection}. Er zijn: {', '.join(PROJECTIONS)}.")
    settings = find(data_dir).complete()
    models = own_projections(settings)
    # Which rows differ, of any relation, is told.
    log_reading(settings, "rebuild", action="R" if diff else "U", everybody=True)

    async def run(tell: Callable[[Step], None]) -> Any:
        engine = create_async_engine(settings.database_url, hide_parameters=True)
        try:
            async with as_user(settings, settings.nats_seed) as client:
                return await build_anew(engine, StreamReader(client), models[name], diff_only=diff, on_progress=tell)
        finally:
            await engine.dispose()

    with progress_bar() as bar:
        task = bar.add_task(name, total=None, more="")

        def tell(step: Step) -> None:
            left = f", nog {step.seconds_left:.0f} s" if step.seconds_left is not None else ""
            more = f"{_PHASES[step.phase]}: {step.rate:.0f}/s{left}"
            bar.update(task, completed=step.events, total=step.total or None, more=more)

        report = asyncio.run(run(tell))
    shown = document(report)
    if as_json:
        print_json(shown)
        return
    print_table("Tabellen", _TABLES, shown["tables"])
    if shown["differences"]:
        print_table("Verschillen", _DIFFERENCES, shown["differences"])
    differs = "verschilt van het huidige" if shown["differs"] else "is gelijk aan het huidige"
    done = "omgezet" if shown["switched"] else "niet omgezet"
    note(
        f"{name} versie {shown['version']} {differs}; {done}. "
        f"{shown['events']} gebeurtenissen, {shown['seconds']:.1f} s."
    )


def reconcile(
    repair: Annotated[bool, typer.Option("--repair", help="Maak de stream opnieuw uit het grootboek.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Laat de leesmodellen buiten beschouwing.")] = False,
    as_json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Bewijs dat grootboek, stream en leesmodellen hetzelfde zeggen. Eindigt met 0 als dat zo is, anders met 1."""
    from events import reconcile as book
    from events.feed import StreamReader
    from projections.rebuild import rebuild as build_anew
    from services.rules import own_projections

    settings = find(data_dir).complete()
    known = own_projections(settings)
    log_reading(settings, "reconcile", action="U" if repair else "R", everybody=True)

    async def run(bar: Progress) -> dict[str, Any]:
        task = bar.add_task("Vergelijken", total=None, more="grootboek en stream")

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        engine = create_async_engine(settings.database_url, hide_parameters=True)
        try:
            async with as_operations(settings) as client:
                if repair:
                    await book.repair(settings.database_url, client, tell)
                found = await book.reconcile(settings.database_url, client, tell)
            models: list[dict[str, Any]] = []
            async with as_user(settings, settings.nats_seed) as client:
                for projection in known.values() if found.agree and not quick else ():
                    bar.update(task, more=projection.name)
                    built = await build_anew(engine, StreamReader(client), projection, diff_only=True)
                    models.append({**document(built), "rows_differ": built.differs})
        finally:
            await engine.dispose()
        agree = found.agree and not any(m["rows_differ"] or m["parked"] for m in models)
        return {**document(found), "projections": models, "agree": agree}

    with progress_bar() as bar:
        shown = asyncio.run(run(bar))
    if as_json:
        print_json(shown)
    else:
        counts = (("laatste positie", shown["head"]), ("in het grootboek", shown["entries"]))
        print_fields("Het boek", [("gelijk", shown["agree"]), *counts, ("in de stream", shown["messages"])])
        if shown["projections"]:
            columns = (("projection", "Leesmodel"), ("compared_at", "Positie"), ("rows_differ", "Verschilt"))
            print_table("Leesmodellen, opnieuw opgebouwd", (*columns, ("parked", "Geparkeerd")), shown["projections"])
        for difference in shown["differences"]:
            err().print(Text(difference), soft_wrap=True)
    if not shown["agree"]:
        if not as_json:
            note("Ze verschillen. Stream: `relatieboek reconcile --repair`. Leesmodel: `relatieboek rebuild NAAM`.")
        raise typer.Exit(1)


@clock.command("advance")
def advance(
    to: Annotated[str, typer.Option("--to", help="Het nieuwe nu, zoals 2026-06-30T12:00:00+02:00.")],
    as_json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Zet de vaste klok van een proef vooruit. In een gewone run kan dat niet."""
    from events.clock import advance_clock

    at = moment(to, "--to")
    assert at is not None
    settings = find(data_dir).complete()

    async def run() -> str:
        engine = create_async_engine(settings.database_url, hide_parameters=True)
        try:
            async with engine.begin() as conn:
                return (await advance_clock(conn, at)).isoformat()
        finally:
            await engine.dispose()

    before = asyncio.run(run())
    if as_json:
        print_json({"before": before, "now": at.isoformat()})
    else:
        note(f"De klok stond op {before} en staat nu op {at.isoformat()}.")


def progress_bar() -> Progress:
    return Bar(
        TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[more]}"), TimeElapsedColumn(), console=err(), transient=False,
    )  # fmt: skip


def as_user(settings: Settings, seed: Any) -> Any:
    """A NATS connection as one of the book's own users; its errors become ours."""
    from services.embedded.doors import signed_in

    return signed_in(settings.nats_url, seed.get_secret_value() if seed else None, ca=settings.ca)


def as_operations(settings: Settings) -> Any:
    """A NATS connection as the user who may read and change every stream. Raises SetupError without its key."""
    if settings.operations_nats_seed is None:
        raise SetupError("Dit leest de streams zelf. Zet daarvoor RELATIEBOEK_OPERATIONS_NATS_SEED.")
    return as_user(settings, settings.operations_nats_seed)


def document(report: Any) -> dict[str, Any]:
    """A report (a dataclass) as JSON has it: names of columns become plain text, instants ISO 8601."""
    made = report.as_json() if hasattr(report, "as_json") else asdict(report)
    return json.loads(json.dumps(made, default=lambda v: v.isoformat() if hasattr(v, "isoformat") else str(v)))
