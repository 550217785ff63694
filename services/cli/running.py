"""`up`, `serve` and `migrate`: running the book, on this machine or against servers elsewhere."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from events.errors import SetupError
from services.cli.sending import Update, progress_bar
from services.settings import SERVICES, load


def up(
    demo: Annotated[
        bool, typer.Option("--demo", help="Laad voorbeeldgegevens: echte registers, verzonnen jaar.")
    ] = False,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Poort van de pagina en de API (8080).")
    ] = None,
    nats_port: Annotated[
        int | None, typer.Option("--nats-port", min=1, max=65535, help="Poort van NATS (4222).")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Waar alles bewaard wordt (./var).")] = None,
) -> None:
    """Start alles op deze machine. Ctrl-C stopt netjes; de volgende keer gaat het verder waar het was."""
    from services.telemetry import configure_logging
    from services.up import up as start

    given = {"port": port, "nats_port": nats_port, "data_dir": data_dir}
    settings = load(**{name: value for name, value in given.items() if value is not None})
    configure_logging(settings, "up")
    with ExitStack() as stack:
        bars: list[Update] = []

        def demo_report(progress: Any) -> None:
            if not bars:
                bars.append(stack.enter_context(progress_bar("Demo laden", progress.total)))
            bars[0](progress.counts, progress.total)
            if progress.done >= progress.total:
                stack.close()

        asyncio.run(start(settings, demo=demo, report=_say, demo_report=demo_report))


def _say(line: str) -> None:
    """At once, also into a pipe: others wait for the ready line."""
    typer.echo(line)
    sys.stdout.flush()


def serve(
    service: Annotated[str | None, typer.Argument(metavar="DIENST", help="Welke dienst.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Noem de diensten.")] = False,
) -> None:
    """Draai één dienst tegen de servers die de omgeving noemt (zo draaien de containers)."""
    if list_all:
        typer.echo("\n".join(SERVICES))
        return
    if service is None or service not in SERVICES:
        raise SetupError(f"Welke dienst? Er zijn: {', '.join(SERVICES)}.")
    from services.serve import serve as run

    run(service, load())


def migrate() -> None:
    """Breng de database van DATABASE_URL (als eigenaar) op de vorm van deze versie."""
    from services.containers import migrate as run

    run()
