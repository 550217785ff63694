"""`--help` in Dutch: typer's own words (headings, kinds of values, remarks) are English and know no other catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from typer._click.core import Context  # typer carries click in it; this is where help is laid out
from typer._click.formatting import HelpFormatter

_HEADINGS: Final = {"Options": "Opties", "Arguments": "Argumenten", "Commands": "Opdrachten"}
_WORDS: Final[tuple[tuple[str, str], ...]] = (
    (r"\[OPTIONS\] COMMAND \[ARGS\]\.\.\.", "[OPTIES] OPDRACHT [ARGUMENTEN]…"),
    (r"\[OPTIONS\]", "[OPTIES]"),
    (r"<(?:int|int range)>", "<getal>"),
    (r"<(?:float|float range)>", "<getal>"),
    (r"<(?:str|list\[str\])>", "<tekst>"),
    (r"<(?:path|list\[Path\]|file|filename|directory)>", "<pad>"),
    (r"<datetime>", "<tijd>"),
    (r"<%Y-%m-%d>", "<dag>"),
    (r"Show this message and exit\.", "Toon deze uitleg."),
    (r"\[default: ", "[standaard: "),
    (r"; required\]", "; verplicht]"),
    (r"\[required\]", "[verplicht]"),
    (r"(\d+)<=x<=(\d+)", r"van \1 tot en met \2"),
    (r"x>=(\d+)", r"minstens \1"),
    (r"x<=(\d+)", r"hoogstens \1"),
)  # fmt: skip


def dutch(text: str) -> str:
    """The text with typer's own words in Dutch; what we wrote ourselves is Dutch already."""
    for english, ours in _WORDS:
        text = re.sub(english, ours, text)
    return text


class DutchFormatter(HelpFormatter):
    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, dutch(args), "Gebruik: " if prefix is None else prefix)

    def write_heading(self, heading: str) -> None:
        super().write_heading(_HEADINGS.get(heading, heading))

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl([(dutch(term), dutch(text)) for term, text in rows], col_max, col_spacing)


class DutchContext(Context):
    formatter_class = DutchFormatter


def explain_in_dutch(command: Any) -> None:
    """Gives this command, and every command below it, its `--help` in Dutch."""
    for one in _below(command):
        one.context_class = DutchContext


def _below(command: Any) -> Iterator[Any]:
    yield command
    for child in getattr(command, "commands", {}).values():
        yield from _below(child)
