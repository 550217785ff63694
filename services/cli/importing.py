"""`import`: a department's export or calendar as events, with a reason for everything that did not come along."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from events.errors import SetupError
from services.cli.console import err, note, print_table
from services.cli.instance import find
from services.cli.options import DataDir, Department, NatsUrl, Verdicts
from services.cli.sending import deliver
from services.imports.outcome import Outcome, Skipped, Taken
from services.reasons import why
from services.send import Login, json_line

importing = typer.Typer(help="Gegevens van een afdeling inlezen.", no_args_is_help=True, rich_markup_mode=None)

# On the terminal, without --verbose: a common reason leaves room for the rare ones, and a file full of them for none.
_ROWS_OF_A_REASON: Final = 3
_ROWS: Final = 60
_REASONS: Final = 40

DryRun = Annotated[bool, typer.Option("--dry-run", help="Laat zien wat er zou gebeuren, en verstuur niets.")]
ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Schrijf elke rij die niet meeging, met de reden, in dit CSV-bestand.")
]
FirstDay = Annotated[
    datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="Eerste dag, anders een jaar terug.")
]
LastDay = Annotated[
    datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Laatste dag, anders een jaar vooruit.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Noem elke rij die niet meeging, in plaats van de eerste van elke reden.")
]


@importing.command("csv")
def import_csv(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="De export, als CSV (ook .csv.gz).")],
    mapping: Annotated[Path, typer.Option("--mapping", help="Mapping van rijen (TOML; docs/imports.md).")],
    dry_run: DryRun = False, department: Department = None, url: NatsUrl = None, report: ReportFile = None,
    verbose: Verbose = False, verdicts: Verdicts = None, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Lees een CSV-export in. Nog eens inlezen verandert niets."""
    from services.imports.csv import read_csv
    from services.imports.mapping import load_mapping

    made = load_mapping(mapping)
    login = None if dry_run else find(data_dir).login(department or made.department, url)
    _import(read_csv(file, made), login, report, verbose, verdicts)


@importing.command("ics")
def import_ics(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Het agendabestand (.ics).")],
    relation: Annotated[str, typer.Option("--relation", help="Met welke relatie: UUID of <soort>:<waarde>.")],
    department: Annotated[str, typer.Option("--department", help="Van welke afdeling de agenda is.")],
    source: Annotated[str | None, typer.Option("--source", help="Bron-URN, anders die van de agenda.")] = None,
    our_layer: Annotated[str, typer.Option("--our-layer", help="Onze laag in deze afspraken.")] = "professional",
    their_layer: Annotated[str, typer.Option("--their-layer", help="Hun laag in deze afspraken.")] = "professional",
    employee: Annotated[str | None, typer.Option("--employee", help="Onze medewerker (kenmerk, geen naam).")] = None,
    person: Annotated[str | None, typer.Option("--person", help="Hun contactpersoon (kenmerk, geen naam).")] = None,
    channel: Annotated[str, typer.Option("--channel", help="meeting, video, phone, event of visit.")] = "meeting",
    topic: Annotated[list[str] | None, typer.Option("--topic", help="Onderwerp; mag vaker.")] = None,
    held: Annotated[bool, typer.Option("--held", help="Leg afspraken die voorbij zijn vast als gehouden.")] = False,
    from_: FirstDay = None,
    to: LastDay = None,
    dry_run: DryRun = False, url: NatsUrl = None, report: ReportFile = None, verbose: Verbose = False,
    verdicts: Verdicts = None, data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Lees een agenda in: afspraken worden geplande contacten. Nog eens inlezen verandert niets."""
    from services.imports.ics import CalendarImport, read_ics, window
    from services.settings import load

    instance = None if dry_run else find(data_dir)
    settings = instance.settings if instance else load()
    now = settings.clock or datetime.now().astimezone()
    first, last = window(now, from_.date() if from_ else None, to.date() if to else None)
    given = CalendarImport(
        source=source or f"urn:nld:oin:{settings.institution}:systeem:{department}-agenda", relation=relation,
        from_on=first, to_on=last, our_layer=our_layer, their_layer=their_layer, employee=employee, person=person,
        channel=channel, topics=tuple(topic or ()), held=held,
    )  # fmt: skip
    login = instance.login(department, url) if instance else None
    _import(read_ics(file, given, now), login, report, verbose, verdicts)


def _import(
    outcomes: Iterable[Outcome], login: Login | None, report: Path | None, verbose: bool, verdicts: Path | None
) -> None:
    reasons: Counter[str] = Counter()
    taken = shown = 0
    with ExitStack() as stack:
        listed = _report_writer(stack, report)

        def lines() -> Iterator[bytes]:
            nonlocal taken, shown
            for outcome in outcomes:
                if isinstance(outcome, Taken):
                    taken += 1
                    yield json_line(outcome.event)
                else:
                    reasons[outcome.reason] += 1
                    listed(outcome)
                    if verbose or (shown < _ROWS and reasons[outcome.reason] <= _ROWS_OF_A_REASON):
                        shown += 1
                        err().print(Text(f"niet meegegaan: {outcome.where}: {outcome.reason}"), soft_wrap=True)

        rejected = 0
        if login is None:
            for _ in lines():
                pass
        else:
            rejected = deliver(lines(), login, verdicts, "Inlezen").counts["rejected"]
    left_out = reasons.total()
    if shown < left_out:
        note(f"... en nog {left_out - shown} rijen die niet meegingen. {_where_all_are(report)}")
    rows = ({"reason": r, "rows": n} for r, n in reasons.most_common(_REASONS))
    print_table("Niet meegegaan", (("rows", "Rijen"), ("reason", "Reden")), rows)
    if len(reasons) > _REASONS:
        note(f"... en nog {len(reasons) - _REASONS} redenen, voor minder rijen elk. {_where_all_are(report)}")
    what = "zouden worden verstuurd" if login is None else "verstuurd"
    note(f"{taken} gebeurtenissen {what}, {left_out} rijen niet meegegaan.")
    if rejected:
        raise typer.Exit(1)


def _where_all_are(report: Path | None) -> str:
    return f"Ze staan in {report}." if report else "Met --report BESTAND komen ze alle in een bestand."


def _report_writer(stack: ExitStack, report: Path | None) -> Callable[[Skipped], None]:
    if report is None:
        return _unlisted
    try:
        file = stack.enter_context(report.open("w", encoding="utf-8", newline=""))
    except OSError as error:
        raise SetupError(f"{report} is niet te schrijven: {why(error)}.") from None
    writer = csv.writer(file)
    writer.writerow(("waar", "reden"))

    def write(skipped: Skipped) -> None:
        writer.writerow((skipped.where, skipped.reason))

    return write


def _unlisted(skipped: Skipped) -> None:
    return None
