"""`audit`: proof of the book for people who need not believe us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Generic, Protocol, TypeVar

import msgspec
import typer
from rich.progress import Progress
from rich.text import Text
from sqlalchemy.ext.asyncio import create_async_engine

from events.checkpoint import BadCheckpoint, Verifier, opened
from events.errors import NotFound, SetupError, Unavailable
from events.ledger import resolve
from events.reconcile import Report
from services.access_log.reading import kin_of
from services.bus import NatsBus
from services.cli.console import err, note, print_fields, print_json
from services.cli.instance import find
from services.cli.operating import as_user, document, progress_bar
from services.cli.options import DataDir, Json
from services.cli.reads import logged_reading, refusals_logged
from services.settings import Settings

audit = typer.Typer(help="Bewijs van het boek.", no_args_is_help=True, rich_markup_mode=None)

ASKED_ON: Final = "notary.checkpoint"
# The notary reads the whole book once after its start: a million entries in some 40 s.
_ANSWERS_WITHIN_S: Final = 120.0


class _Signed(Protocol):
    """Of the book or of its access log: how long it was."""

    @property
    def origin(self) -> str: ...
    @property
    def size(self) -> int: ...


_Head = TypeVar("_Head", bound=_Signed)

Kept = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", help="Een controlepunt dat u zelf bewaarde. Meer keren te geven."),
]
Key = Annotated[str | None, typer.Option("--key", help="De openbare sleutel van de notaris, als u die elders kreeg.")]


@audit.command("checkpoint")
def checkpoint(json: Json = False, data_dir: DataDir = None) -> None:
    """Laat de notaris nu een controlepunt tekenen en toon het."""
    answer = asyncio.run(ask(find(data_dir).complete()))
    text = signed_by(answer)
    if json:
        print_json(answer)
    else:
        typer.echo(text, nl=False)
        note(f"Sleutel van de notaris: {answer['key']}")


@audit.command("export")
def export(
    relation: Annotated[str, typer.Argument(metavar="ID", help="UUID van de relatie, of schema:waarde.")],
    out: Annotated[Path, typer.Option("--out", help="Nieuwe map voor het bewijs.")],
    kept: Kept = None, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Schrijf de hele geschiedenis van een relatie met alles om haar zonder ons te controleren."""
    from events.postgres import connect
    from services.auditing.export import export as write

    settings = find(data_dir).complete()
    earlier = [path.read_text(encoding="utf-8") for path in kept or ()]

    async def run() -> int:
        answer = await ask(settings)
        found, *absorbed = await _resolved(settings, relation)
        await logged_reading(settings, "audit export", event="export", relations=[found, *absorbed])
        conn = await connect(settings.database_url)
        try:
            return await write(conn, found, [signed_by(answer), *earlier], Verifier.read(answer["key"]), out)
        finally:
            await conn.close()

    with refusals_logged(settings, "audit export", event="export"):
        count = asyncio.run(run())
    note(f"{count} gebeurtenissen staan in {out}. Lees {out / 'VERIFY.md'}, of: python3 {out / 'verify.py'} {out}")


@audit.command("verify")
def verify(
    relation: Annotated[str | None, typer.Option("--relation", help="Alleen deze relatie.")] = None,
    kept: Kept = None, key: Key = None, json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Controleer het hele grootboek tegen alle controlepunten. Eindigt met 0 als alles klopt, anders met 1."""
    from events.audit import verify as check
    from events.audit import verify_relation
    from events.postgres import connect
    from events.tombstones import check_tombstones

    settings = find(data_dir).complete()

    async def run(bar: Progress) -> tuple[Report, int]:
        task = bar.add_task("Controleren", total=None, more="grootboek")
        found = None if relation is None else (await _resolved(settings, relation))[0]
        await logged_reading(settings, "audit verify", relations=() if found is None else [found])
        answer = await judged_by(settings, key, kept)
        conn = await connect(settings.database_url)
        try:
            rows = await conn.fetch("SELECT size, note FROM ledger.checkpoint ORDER BY size")
            signed = signed_notes(answer, [(r["size"], r["note"]) for r in rows], kept or (), opened)

            def tell(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            if found is None:
                report = await check(conn, signed.heads, tell)
                await check_tombstones(conn, report)
            else:
                report = await verify_relation(conn, found, signed.heads)
                bar.update(task, completed=report.entries, total=report.entries, more="relatie")
        finally:
            await conn.close()
        for what in signed.wrong:
            report.differ(what)
        return report, len(signed.heads)

    with progress_bar() as bar, refusals_logged(settings, "audit verify"):
        report, checkpoints = asyncio.run(run(bar))
    if json:
        print_json({**document(report), "checkpoints": checkpoints, "agree": report.agree})
    else:
        counts = (("laatste positie", report.head), ("gecontroleerd", report.entries), ("controlepunten", checkpoints))
        print_fields("Het grootboek", [("klopt", report.agree), *counts])
        for difference in report.differences:
            err().print(Text(difference), soft_wrap=True)
    if not report.agree:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class SignedNotes(Generic[_Head]):
    """What was signed, and what is wrong with what should have been."""

    heads: list[_Head]
    wrong: list[str]


def signed_notes(
    answer: Mapping[str, str], rows: Sequence[tuple[int, str]], kept: Sequence[Path],
    read: Callable[[str, Sequence[Verifier]], _Head],
) -> SignedNotes[_Head]:  # fmt: skip
    """Everything that the notary signed of one book: what it says now, what the database holds (size and note), and
    files that somebody kept.

    The notary holds the book against a file that no database reaches, so an error of it counts as much as a note.
    Raises SetupError for a file that is nothing of this notary's.
    """
    verifier, heads, wrong = Verifier.read(answer["key"]), list[_Head](), list[str]()
    if "note" in answer:
        try:
            heads.append(read(answer["note"], [verifier]))
        except BadCheckpoint as error:
            wrong.append(f"what the notary says now: {error}")
    if "error" in answer:
        wrong.append(f"the notary signs nothing: {answer['error']}")
    for size, note_ in rows:
        try:
            head = read(note_, [verifier])
            if head.size != size:
                raise BadCheckpoint(f"it is of {head.size}")
        except BadCheckpoint as error:
            wrong.append(f"checkpoint of {size} in the database: {error}")
        else:
            heads += [head] if head not in heads else []
    for path in kept:
        try:
            heads.append(head := read(path.read_text(encoding="utf-8"), [verifier]))
        except (BadCheckpoint, UnicodeDecodeError) as error:
            raise SetupError(f"{path} is geen controlepunt van deze notaris: {error}.") from None
        if head.origin != heads[0].origin:
            raise SetupError(f"{path} is een controlepunt van een ander boek: {head.origin}.")
    return SignedNotes(heads, wrong)


async def ask(settings: Settings) -> dict[str, str]:
    """What the notary says now: `key`, and its newest `note` or the `error` for which it signs nothing any more; of the
    access log `access_note` or `access_error`."""
    async with as_user(settings, settings.nats_seed) as client:
        try:
            reply = await NatsBus(client).request(ASKED_ON, b"", timeout_s=_ANSWERS_WITHIN_S)
        except Unavailable as error:
            raise SetupError("De notaris antwoordt niet. Kijk met `relatieboek status` of die dienst loopt.") from error
    return msgspec.json.decode(reply, type=dict[str, str])


async def judged_by(settings: Settings, key: str | None, kept: Sequence[Path] | None) -> dict[str, str]:
    """What the notary says now, with `key` in place of its own where one is given: whoever has the book could run a
    notary with a key of their own. Raises SetupError when it does not answer, unless key and checkpoints were given:
    then those are what the book is held against."""
    try:
        answer = await ask(settings)
    except (SetupError, Unavailable):
        if not key or not kept:
            raise
        note("De notaris antwoordt niet. Het boek is alleen vergeleken met wat u gaf en met wat in de database staat.")
        return {"key": key}
    return {**answer, "key": key} if key else answer


def signed_by(answer: dict[str, str]) -> str:
    """The note of an answer. Raises SetupError where the notary signs nothing."""
    if "note" not in answer:
        raise SetupError(
            f"De notaris tekent niet: {answer['error']}. Kijk met `relatieboek audit verify` waar het zit."
        )
    return answer["note"]


async def _resolved(settings: Settings, relation: str) -> list[str]:
    """The relation that is named, and after it all that it absorbed."""
    engine = create_async_engine(settings.database_url, hide_parameters=True)
    try:
        async with engine.connect() as conn:
            found = await resolve(conn, relation)
            if found is None:
                raise NotFound(f"relatie {relation}")
            return [found, *sorted({*await kin_of(conn, found)} - {found})]
    finally:
        await engine.dispose()
