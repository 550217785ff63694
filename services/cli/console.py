"""What commands print: one JSON document or a table on stdout, and everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from services.cli.dutch import said

# Tables that go to a file or a pipe get this width, so that columns are not folded to 80 characters.
_PIPE_WIDTH = 200


def out() -> Console:
    """Stdout, asked for at the moment of printing, so that a redirection holds."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def err() -> Console:
    return Console(stderr=True, highlight=False)


class Bar(Progress):
    """A progress bar on stderr. One that never moved leaves nothing behind when an error ends it: that is one line."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not any(task.completed for task in self.tasks):
            self.live.transient = True
        super().__exit__(kind, error, trace)


def print_json(document: Any) -> None:
    """One JSON document, and nothing else, on stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def note(text: str) -> None:
    """A remark beside the result, on stderr, in one line."""
    err().print(Text(text), soft_wrap=True)


def cell(value: Any, member: str = "") -> str:
    """A value of a member of a JSON document as people read it in a table."""
    if value is None or value == [] or value == {}:
        return "–"
    if isinstance(value, list):
        between = "\n" if isinstance(value[0], dict) else ", "
        return between.join(cell(v, member) for v in value)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return ", ".join(f"{k} {cell(v, str(k))}" for k, v in value.items() if not isinstance(v, list | dict))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return said(member, value)


def as_recorded(data: Any) -> str:
    """What an event holds, to the letter: no word of it is put in other words."""
    return json.dumps(data, ensure_ascii=False)


def print_table(title: str, columns: Sequence[tuple[str, str]], rows: Iterable[dict[str, Any]]) -> None:
    """One row per document; a column is (field, heading in Dutch). Values are never read as markup."""
    table = Table(title=title, title_justify="left")
    for _, heading in columns:
        table.add_column(heading, overflow="fold")
    count = 0
    for row in rows:
        count += 1
        table.add_row(*(Text(cell(row.get(name), name)) for name, _ in columns))
    if count:
        out().print(table)
    else:
        out().print(Text(f"{title}: niets gevonden."))


def print_list(title: str, columns: Sequence[tuple[str, str]], document: Mapping[str, Any], json: bool) -> None:
    """A list as HTTP has it, `items` and `next`: as it is, or a table and how to get the rest."""
    if json:
        print_json(document)
        return
    print_table(title, columns, document["items"])
    if document["next"]:
        note(f"Er is meer: voeg toe --cursor {document['next']}")


def print_fields(title: str, fields: Iterable[tuple[str, Any]]) -> None:
    """One document as a list of names and values."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(Text(name), Text(cell(value)))
    out().print(table)
