"""`parked`: what waits, at intake and in the read models."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import msgspec
import typer
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from events.errors import SetupError
from events.keys import KEPT
from events.privacy import unseal
from events.tables import parked as parked_events
from projections.page import Page
from projections.parking import Parked, list_parked, retry_parked
from projections.registry import PROJECTIONS
from services.cli.console import note, print_json, print_list, print_table
from services.cli.instance import Instance, find
from services.cli.keeping import ForDepartment, engine_of, in_dutch, page_of
from services.cli.options import Cursor, DataDir, Json, Limit
from services.cli.reads import log_reading, logged_reading
from services.keys import key_wrapper
from services.rules import own_projections
from services.send import connected, send

parked = typer.Typer(help="Wat wacht op iets dat nog moet komen.", no_args_is_help=True, rich_markup_mode=None)

_EVENTS: Final = (
    ("arrival", "Nummer"), ("department", "Afdeling"), ("type", "Soort"), ("id", "Id"), ("detail", "Wacht op"),
    ("parked_at", "Sinds"),
)  # fmt: skip
_RELATIONS: Final = (
    ("projection", "Leesmodel"), ("position", "Positie"), ("relation", "Relatie"), ("error", "Waarom"), ("parked_at",
    "Sinds"),
)  # fmt: skip


@parked.command("list")
def list_all_parked(
    department: ForDepartment = None, limit: Limit = 50, cursor: Cursor = None, json: Json = False,
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon wat geparkeerd is: gebeurtenissen bij de intake (de oudste eerst), en wat stilstaat in de leesmodellen."""

    async def read() -> tuple[Page, list[Parked]]:
        engine = engine_of(find(data_dir))
        try:
            async with engine.connect() as conn:
                t = parked_events.c
                query = select(t.arrival, t.department, t.source, t.id, t.type, t.problem, t.parked_at)
                if department is not None:
                    query = query.where(t.department == department)
                page = await page_of(conn, query, t.arrival, cursor=cursor, limit=limit, newest_first=False)
                return page, await list_parked(conn)
        finally:
            await engine.dispose()

    page, relations = asyncio.run(read())
    settings = find(data_dir).complete()
    log_reading(settings, "parked list", relations={p.relation for p in relations}, items=len(page.items))
    rows = [
        {"projection": p.projection, "version": p.version, "position": p.position, "relation": p.relation,
        "error": p.error,
         "parked_at": p.parked_at.isoformat()}
        for p in relations
    ]  # fmt: skip
    if json:
        print_json({**page.as_json(), "projections": rows})
        return
    print_list("Wachtende gebeurtenissen", _EVENTS, in_dutch(page.as_json()), json)
    print_table("Stilstaand in een leesmodel", _RELATIONS, rows)


@parked.command("retry")
def retry_all_parked(
    projection: Annotated[str | None, typer.Option("--projection", help="Alleen dit leesmodel.")] = None,
    relation: Annotated[str | None, typer.Option("--relation", help="Alleen deze relatie (UUID).")] = None,
    json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Probeer het opnieuw: wachtende gebeurtenissen bij de intake, en stilstaande relaties in de leesmodellen."""
    if projection is not None and projection not in PROJECTIONS:
        raise SetupError(f"Onbekend leesmodel {projection}. Er zijn: {', '.join(PROJECTIONS)}.")

    async def run() -> dict[str, Any]:
        instance = find(data_dir)
        rules = instance.complete()
        models = own_projections(rules)
        engine = engine_of(instance)
        try:
            async with engine.connect() as conn:
                parked = {p.relation for p in await list_parked(conn) if relation in (None, p.relation)}
            asked = {relation} if relation is not None else set[str]()
            await logged_reading(
                rules, "parked retry", action="U", relations=parked | asked, everybody=relation is None
            )
            tried = await _wake_intake(engine, instance) if projection is None and relation is None else 0
            done = [
                msgspec.to_builtins(r)
                for name, model in models.items() if projection in (None, name)
                for r in await retry_parked(engine, model, relation)
            ]  # fmt: skip
            return {"intake": tried, "projections": done}
        finally:
            await engine.dispose()

    document = asyncio.run(run())
    if json:
        print_json(document)
        return
    note(f"{document['intake']} wachtende gebeurtenissen worden opnieuw geprobeerd.")
    print_table("Leesmodellen", (
        ("projection", "Leesmodel"), ("relation", "Relatie"), ("applied", "Verwerkt"), ("left", "Blijft staan"),
        ("error", "Waarom"),
    ), document["projections"])  # fmt: skip
    if any(r["left"] for r in document["projections"]):
        raise typer.Exit(1)


async def _wake_intake(engine: AsyncEngine, instance: Instance) -> int:
    """Makes every parked event ready to be tried; returns how many. Intake tries them with its next append."""
    async with engine.begin() as conn:
        ready = update(parked_events).where(parked_events.c.ready == 0).values(ready=1)
        tried = (await conn.execute(ready)).rowcount
        first = (
            (await conn.execute(select(parked_events).order_by(parked_events.c.arrival).limit(1))).mappings().first()
        )
    # Sending one of them again is such an append, and changes nothing by itself. Only a department that has its key
    # here can be spoken for; else the next event of anybody does it.
    if first is not None and first["department"] in instance.held.nats.departments:
        (key,) = await key_wrapper(instance.complete()).unwrap([(KEPT, bytes(first["key"]))])
        line = unseal(key, bytes(first["sealed"]), b"parked")
        async with connected(instance.login(first["department"], None)) as request:
            await send([msgspec.json.encode(msgspec.json.decode(line))], request, lambda verdicts: None)
    return tried
