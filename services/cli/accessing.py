"""`accesses`: who saw what (NEN 7513), and whether that log is whole."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from dateutil.relativedelta import relativedelta
from rich.text import Text

from events.clock import system_now
from services.cli.auditing import Kept, Key, judged_by, signed_notes
from services.cli.console import err, print_fields, print_json, print_list
from services.cli.instance import find
from services.cli.operating import progress_bar
from services.cli.options import Cursor, DataDir, Json, Limit
from services.cli.reads import logged_reading, refusals_logged

accesses = typer.Typer(help="Wie zag wat: het inzagelogboek.", no_args_is_help=True, rich_markup_mode=None)

Actor = Annotated[str | None, typer.Option("--actor", help="Alleen wat deze lezer zag.")]
From = Annotated[str | None, typer.Option("--from", help="Vanaf deze dag.")]
To = Annotated[str | None, typer.Option("--to", help="Tot en met deze dag.")]

_RECORDS: Final = (
    ("at", "Wanneer"), ("actor", "Wie"), ("acting_for", "Voor wie"), ("event", "Wat"), ("operation", "Bewerking"),
    ("outcome", "Uitkomst"), ("items", "Aantal"), ("address", "Vanaf"), ("client", "Waarmee"), ("position", "Positie"),
)  # fmt: skip


@accesses.command("list")
def list_all(
    actor: Actor = None, from_: From = None, to: To = None, limit: Limit = 50, cursor: Cursor = None,
    json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon het inzagelogboek, het nieuwste eerst."""
    _show("/v1/accesses", data_dir, json, actor=actor, to=to, limit=limit, cursor=cursor, **{"from": from_})


@accesses.command("relation")
def of_relation(
    ident: Annotated[str, typer.Argument(metavar="ID", help="UUID, of <soort>:<waarde> zoals gemeentecode:0518.")],
    actor: Actor = None, from_: From = None, to: To = None, limit: Limit = 50, cursor: Cursor = None,
    json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon wie een relatie zag, of dat probeerde."""
    path = f"/v1/relations/{quote(ident, safe=':')}/accesses"
    _show(path, data_dir, json, actor=actor, to=to, limit=limit, cursor=cursor, **{"from": from_})


@accesses.command("person")
def of_person(
    ref: Annotated[str, typer.Argument(metavar="REF", help="ref~…, person:<id> of employee:<id>.")],
    actor: Actor = None, from_: From = None, to: To = None, limit: Limit = 50, cursor: Cursor = None,
    json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Toon wie gegevens zag waarin deze persoon voorkomt."""
    path = f"/v1/persons/{quote(ref, safe=':~')}/accesses"
    _show(path, data_dir, json, actor=actor, to=to, limit=limit, cursor=cursor, **{"from": from_})


def _show(path: str, data_dir: Path | None, json: bool, **asked: Any) -> None:
    print_list("Inzagelogboek", _RECORDS, find(data_dir).get(path, **asked), json)


@accesses.command("verify")
def verify(kept: Kept = None, key: Key = None, json: Json = False, data_dir: DataDir = None) -> None:
    """Controleer het hele inzagelogboek. Eindigt met 0 als alles klopt, anders met 1."""
    from events.postgres import connect
    from services.access_log.note import opened
    from services.access_log.store import Found
    from services.access_log.verify import verify as check

    settings = find(data_dir).complete()

    async def run(tell: Any) -> tuple[Found, int]:
        await logged_reading(settings, "accesses verify")
        answer = await judged_by(settings, key, kept)
        said = {name.removeprefix("access_"): text for name, text in answer.items() if name not in {"note", "error"}}
        conn = await connect(settings.database_url)
        try:
            rows = await conn.fetch("SELECT size, note FROM access.checkpoint ORDER BY size")
            signed = signed_notes(said, [(r["size"], r["note"]) for r in rows], kept or (), opened)
            since = system_now() - relativedelta(months=settings.access_log_months)
            found = await check(conn, signed.heads, tell, kept_since=since)
        finally:
            await conn.close()
        for what in signed.wrong:
            found.differ(what)
        return found, len(signed.heads)

    with progress_bar() as bar:
        task = bar.add_task("Controleren", total=None, more="inzagelogboek")

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        with refusals_logged(settings, "accesses verify"):
            found, signed = asyncio.run(run(tell))
    counts = {"last": found.last, "records": found.records, "pruned": found.pruned, "checkpoints": signed}
    if json:
        print_json({"agree": found.agree, **counts, "differences": found.differences})
    else:
        print_fields("Het inzagelogboek", [
            ("klopt", found.agree), ("laatste positie", found.last), ("gecontroleerd", found.records),
            ("opgeruimd na de bewaartermijn", found.pruned), ("controlepunten", signed),
        ])  # fmt: skip
        for difference in found.differences:
            err().print(Text(difference), soft_wrap=True)
    if not found.agree:
        raise typer.Exit(1)
