"""`mail`: the outbox of the digests. Whose a mail is stands there as a reference; addresses the book does not hold."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal

import typer
from sqlalchemy import func, select, update

from events.clock import system_now
from events.errors import NotFound
from services.alerts.effects import mail as outbox
from services.alerts.effects import notice
from services.cli.console import note, print_json, print_table
from services.cli.instance import find
from services.cli.keeping import engine_of, plain
from services.cli.options import DataDir, Json, Limit

mail = typer.Typer(help="Mails met signalen, en of ze verstuurd zijn.", no_args_is_help=True, rich_markup_mode=None)

State = Literal["waiting", "sent", "failed"]

_COLUMNS: Final = (
    ("mail_id", "Nummer"), ("recipient", "Voor"), ("for_on", "Dag"), ("state", "Staat"), ("notices", "Signalen"),
    ("attempts", "Pogingen"), ("error", "Waarom niet"), ("next_at", "Volgende poging"), ("sent_at", "Verstuurd"),
)  # fmt: skip


@mail.command("list")
def list_mails(
    state: Annotated[State | None, typer.Option("--state", help="waiting, sent of failed.")] = None,
    limit: Limit = 50, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon de mails, de nieuwste eerst."""

    async def read() -> list[dict[str, Any]]:
        engine = engine_of(find(data_dir))
        try:
            async with engine.connect() as conn:
                count = select(func.count()).where(notice.c.mail_id == outbox.c.mail_id).scalar_subquery()
                query = select(outbox, count.label("notices")).order_by(outbox.c.mail_id.desc()).limit(limit)
                if state is not None:
                    query = query.where(outbox.c.state == state)
                rows = (await conn.execute(query)).mappings()
                return [{k: v for k, v in plain(dict(row)).items() if k != "detail"} for row in rows]
        finally:
            await engine.dispose()

    items = asyncio.run(read())
    if json:
        print_json({"items": items, "next": None})
    else:
        print_table("Mails", _COLUMNS, items)


@mail.command("retry")
def retry_mails(
    number: Annotated[int | None, typer.Argument(metavar="[NUMMER]", help="Zonder nummer: alle mislukte.")] = None,
    json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Zet mislukte mails weer klaar, alsof nog geen poging is gedaan; een mail die wacht gaat nu meteen."""

    async def run() -> int:
        engine = engine_of(find(data_dir))
        try:
            async with engine.begin() as conn:
                one = outbox.c.state == "failed" if number is None else outbox.c.mail_id == number
                again = update(outbox).where(one, outbox.c.state != "sent")
                found = await conn.execute(again.values(state="waiting", attempts=0, next_at=system_now(), error=None))
                if number is not None and not found.rowcount:
                    raise NotFound(f"mail {number} die nog niet is verstuurd")
                return found.rowcount
        finally:
            await engine.dispose()

    count = asyncio.run(run())
    if json:
        print_json({"waiting": count})
    else:
        note(f"{count} {'mail staat' if count == 1 else 'mails staan'} weer klaar.")
