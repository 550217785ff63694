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
from services.cli.console import note, print_json, print_list
from services.cli.instance import find
from services.cli.keeping import engine_of, page_of
from services.cli.options import Cursor, DataDir, Json, Limit
from services.cli.reads import log_reading, logged_reading, refusals_logged

mail = typer.Typer(help="Mails met signalen, en of ze verstuurd zijn.", no_args_is_help=True, rich_markup_mode=None)

State = Literal["waiting", "sent", "failed"]

_COLUMNS: Final = (
    ("mail_id", "Nummer"), ("recipient", "Voor"), ("for_on", "Dag"), ("state", "Staat"), ("notices", "Signalen"),
    ("attempts", "Pogingen"), ("error", "Waarom niet"), ("next_at", "Volgende poging"), ("sent_at", "Verstuurd"),
)  # fmt: skip


@mail.command("list")
def list_mails(
    state: Annotated[State | None, typer.Option("--state", help="waiting, sent of failed.")] = None,
    limit: Limit = 50, cursor: Cursor = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon de mails, de nieuwste eerst."""

    async def read() -> dict[str, Any]:
        engine = engine_of(find(data_dir))
        try:
            async with engine.connect() as conn:
                count = select(func.count()).where(notice.c.mail_id == outbox.c.mail_id).scalar_subquery()
                query = select(outbox, count.label("notices"))
                if state is not None:
                    query = query.where(outbox.c.state == state)
                page = await page_of(conn, query, outbox.c.mail_id, cursor=cursor, limit=limit, newest_first=True)
                items = [{k: v for k, v in row.items() if k != "detail"} for row in page.items]
                return {"items": items, "next": page.next}
        finally:
            await engine.dispose()

    found = asyncio.run(read())
    recipients = {item["recipient"] for item in found["items"]}
    log_reading(find(data_dir).complete(), "mail list", persons=recipients, items=len(found["items"]))
    print_list("Mails", _COLUMNS, found, json)


@mail.command("retry")
def retry_mails(
    number: Annotated[int | None, typer.Argument(metavar="[NUMMER]", help="Zonder nummer: alle mislukte.")] = None,
    json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Zet mislukte mails weer klaar, alsof nog geen poging is gedaan; een mail die wacht gaat nu meteen."""

    settings = find(data_dir).complete()
    objects = () if number is None else (f"mail:{number}",)

    async def run() -> int:
        engine = engine_of(find(data_dir))
        try:
            async with engine.begin() as conn:
                one = outbox.c.state == "failed" if number is None else outbox.c.mail_id == number
                again = update(outbox).where(one, outbox.c.state != "sent")
                again = again.values(state="waiting", attempts=0, next_at=system_now(), error=None)
                whose = list(await conn.scalars(again.returning(outbox.c.recipient)))
                if number is not None and not whose:
                    raise NotFound(f"mail {number} die nog niet is verstuurd")
                await logged_reading(settings, "mail retry", action="U", persons=whose, objects=objects)
                return len(whose)
        finally:
            await engine.dispose()

    with refusals_logged(settings, "mail retry", action="U", objects=objects):
        count = asyncio.run(run())
    if json:
        print_json({"waiting": count})
    else:
        note(f"{count} {'mail staat' if count == 1 else 'mails staan'} weer klaar.")
