"""The options that many commands share."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from events.errors import SetupError

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Map van een draaiend Relatieboek op deze machine (anders ./var).")
]
Json = Annotated[bool, typer.Option("--json", help="Geef één JSON-document in plaats van een tabel.")]
Department = Annotated[str | None, typer.Option("--department", help="De afdeling die verstuurt.")]
NatsUrl = Annotated[str | None, typer.Option("--url", help="Adres van NATS, als het niet het gevonden adres is.")]
Verdicts = Annotated[
    Path | None, typer.Option("--verdicts", help="Schrijf elk antwoord, in volgorde, als JSON-regel in dit bestand.")
]
Batch = Annotated[int, typer.Option("--batch", min=1, max=1000, help="Hoeveel gebeurtenissen per keer.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=500, help="Hoeveel rijen ten hoogste.")]
Cursor = Annotated[str | None, typer.Option("--cursor", help="Ga verder waar de vorige lijst ophield.")]


def day_or_moment(text: str | None, option: str = "--as-of") -> str | None:
    """A day or a date-time with offset, as it was given. Raises SetupError for anything else."""
    return text if text is None or re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else _as_given(text, option)


def position_or_moment(text: str | None, option: str = "--known-at") -> str | None:
    """A position or a date-time with offset, as it was given. Raises SetupError for anything else."""
    return text if text is None or text.isdecimal() else _as_given(text, option)


def _as_given(text: str, option: str) -> str:
    moment(text, option)
    return text


def moment(text: str | None, option: str) -> datetime | None:
    """A date-time with offset, as an option gives it. Raises SetupError that says how it should be written."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise SetupError(f"{option}: schrijf een tijdstip met tijdzone, zoals 2026-06-30T12:00:00+02:00.")
    return at
