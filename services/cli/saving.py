"""`backup` and `restore`: the whole book in one directory, and back."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer
from rich.progress import Progress

from events.errors import SetupError
from services.cli.console import note, print_fields, print_json
from services.cli.instance import find
from services.cli.operating import progress_bar
from services.cli.options import DataDir, Json
from services.cli.reads import logged_reading
from services.embedded import credentials
from services.embedded.credentials import Credentials, internal_of

if TYPE_CHECKING:
    from services.backup import Manifest

_MEBIBYTE: Final = 1 << 20


def backup(
    directory: Annotated[Path, typer.Argument(metavar="MAP", help="Nieuwe of lege map voor de reservekopie.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Schrijf ook de sleutels, in dit nieuwe bestand buiten de map.")
    ] = None,
    as_json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Schrijf een reservekopie van het hele boek; het boek draait door. Sleutels gaan alleen mee met --keys."""
    from services.backup import backup as write
    from services.restore import database

    settings = find(data_dir).settings
    own = credentials.read(settings.credentials_path)
    lookup = internal_of(own).lookup_key if own is not None and own.internal and settings.lookup_key is None else None

    with _bar() as bar:
        task = bar.add_task("Kopiëren", total=None, more="")

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, completed=done // _MEBIBYTE, total=total // _MEBIBYTE + 1, more=f"MB {what}")

        async def run() -> Manifest:
            async with database(settings) as url:
                there = settings.model_copy(update={"database_url": url})
                await logged_reading(there, "backup", event="export", everybody=True)
                if keys is not None:
                    _new_keys(keys, directory, own if not settings.database_url else None)
                return await write(
                    url, lookup_key=bytes.fromhex(lookup) if lookup else settings.lookup_key_bytes,
                    institution=settings.institution, checkpoints=settings.checkpoints_path,
                    erasures=settings.erasures_path, out=directory, progress=tell,
                )  # fmt: skip

        manifest = asyncio.run(run())
    _show(manifest, as_json, directory)
    if keys is None and not as_json:
        note("De sleutels zitten er niet bij. Bewaar ze apart: zonder sleutels kan niemand bij de gegevens.")


def restore(
    directory: Annotated[Path, typer.Argument(metavar="MAP", help="De map die `relatieboek backup` schreef.")],
    keys: Annotated[Path | None, typer.Option("--keys", help="Het sleutelbestand van toen.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Vervang de database die er staat; sleutels en stream daar blijven.")
    ] = False,
    as_json: Json = False, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Zet een reservekopie terug in een lege datamap, of in de lege database van DATABASE_URL."""
    from services.restore import restore as put_back

    settings = find(data_dir).settings
    with _bar() as bar:
        task = bar.add_task("Terugzetten", total=None, more="")

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, more=what)

        done = asyncio.run(put_back(settings, directory, keys=keys, force=force, progress=tell))
    _show(done.manifest, as_json, directory)
    if done.manifest.institution != settings.institution:
        note(f"RELATIEBOEK_INSTITUTION was toen {done.manifest.institution}; nu is het {settings.institution}.")
    if done.before is not None:
        note(f"De database die er stond is bewaard als {done.before}.")
    if not as_json:
        note(
            "Start het boek; leesmodellen worden opnieuw opgebouwd, en wat de stream meer heeft komt in het grootboek."
        )


def _bar() -> Progress:
    """As elsewhere, but for people only: into a pipe nothing goes but the result, or the one line of an error."""
    bar = progress_bar()
    bar.disable = not bar.console.is_terminal
    return bar


def _new_keys(keys: Path, directory: Path, own: Credentials | None) -> None:
    if own is None:
        raise SetupError(
            "--keys kan alleen bij een datamap. De sleutels van een eigen server staan in de omgeving; bewaar die."
        )
    if keys.resolve().is_relative_to(directory.resolve()):
        raise SetupError("Zet het sleutelbestand niet in de map van de reservekopie: wie beide heeft leest alles.")
    try:
        descriptor = os.open(keys, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SetupError(f"{keys} bestaat al. Geef een nieuw bestand voor de sleutels.") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(own.model_dump_json(indent=1, exclude_none=True) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _show(manifest: Manifest, as_json: bool, directory: Path) -> None:
    shown: Any = msgspec.to_builtins(manifest)
    if as_json:
        print_json(shown)
        return
    size = sum(t["file"]["bytes"] for t in shown["tables"])
    rows = sum(t["rows"] for t in shown["tables"])
    print_fields(
        str(directory),
        [
            ("gemaakt op", shown["made_at"]), ("laatste positie", shown["position"]),
            ("rijen", rows), ("grootte", f"{size / _MEBIBYTE:.1f} MB"), ("versie", shown["relatieboek"]),
        ],
    )  # fmt: skip
