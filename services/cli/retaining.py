"""`retention`: ending, per family of events, how long texts can be read."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import typer
from sqlalchemy.ext.asyncio import create_async_engine

from events.clock import book_now
from events.errors import SetupError
from events.postgres import connect
from events.recorded import local_date
from services.bus import NatsBus
from services.cli.console import note, print_json, print_table
from services.cli.instance import find
from services.cli.operating import as_user
from services.cli.options import DataDir, Json
from services.cli.reads import log_reading
from services.privacy import retention as rules
from services.privacy.erase import publish, through

retention = typer.Typer(help="Bewaartermijnen van teksten.", no_args_is_help=True, rich_markup_mode=None)

_COLUMNS: Final = (
    ("family", "Familie"), ("before_on", "Van voor"), ("events", "Gebeurtenissen"), ("verdict", "Uitkomst"),
)  # fmt: skip


@retention.command("run")
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tel alleen wat het zou doen.")] = False,
    json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Maak teksten onleesbaar die ouder zijn dan hun termijn (RELATIEBOEK_RETENTION). Nog een keer verandert niets."""
    settings = find(data_dir).complete()
    periods = rules.periods_of(settings.retention)
    if not periods:
        raise SetupError("Er zijn geen termijnen: zet RELATIEBOEK_RETENTION, zoals contact=P7Y,note=P2Y.")
    source = settings.source_of("privacy")
    log_reading(settings, "retention run", action="R" if dry_run else "D", everybody=True)

    async def work() -> list[dict[str, Any]]:
        engine = create_async_engine(settings.database_url, hide_parameters=True)
        conn = await connect(settings.database_url)
        items: list[dict[str, Any]] = []
        try:
            async with engine.connect() as reading:
                today = local_date(await book_now(reading))
            async with as_user(settings, settings.nats_seed) as client:
                for family, before_on in rules.due(periods, today).items():
                    item: dict[str, Any] = {"family": family, "before_on": before_on.isoformat()}
                    if dry_run:
                        item |= {"events": await rules.would_go(conn, family, before_on), "verdict": None}
                    else:
                        event = rules.applied_event(source, family, before_on, today)
                        verdict = await publish(NatsBus(client), event)
                        done = await through(engine, int(verdict["sequence"]))
                        item |= {"events": done.keys, "verdict": verdict["verdict"]}
                    items.append(item)
        finally:
            await conn.close()
            await engine.dispose()
        return items

    items = asyncio.run(work())
    if json:
        print_json({"items": items, "next": None})
        return
    print_table("Bewaartermijnen", _COLUMNS, items)
    note("Er is niets veranderd." if dry_run else "De teksten van deze gebeurtenissen zijn niet meer te lezen.")
