"""The pages of docs/families, read as what they promise: events in page order with the answer to each, and mistakes."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from events.recorded import TYPE_PREFIX

FAMILIES: Final = Path(__file__).parents[1] / "docs" / "families"
INDEX: Final = FAMILIES / "README.md"

_EXAMPLE: Final = re.compile(r"^```json\n(.*?)^```\n\n→ `(\w+)`(?: `(\w+)`)?$", re.MULTILINE | re.DOTALL)
_MISTAKE: Final = re.compile(r"^\| `([\w.]+)` with `(\{.*?\})` \| `(\w+)` at `([^`]*)` \| (.+) \|$", re.MULTILINE)
_OF_THE_ENVELOPE: Final = ("source", "subject", "time", "visibility", "expectedversion")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Example:
    """One event of a page and the answer that the page promises; `code` where that is not `accepted`."""

    page: str
    event: Json
    verdict: str
    code: str | None

    @property
    def kind(self) -> str:
        return self.event["type"].removeprefix(TYPE_PREFIX).removesuffix(".v1")


@dataclass(frozen=True, slots=True)
class Mistake:
    """An example with a change, under an id of its own, and the problem that it gets."""

    page: str
    event: Json
    code: str
    pointer: str


def pages() -> list[Path]:
    """The pages in the order of the index."""
    return [
        FAMILIES / name for name in re.findall(r"^\| \d+ \| \[[^]]+\]\((\w+\.md)\)", INDEX.read_text(), re.MULTILINE)
    ]


def examples() -> list[Example]:
    """Every example, in page order."""
    return [
        Example(path.stem, json.loads(body), verdict, code or None)
        for path in pages()
        for body, verdict, code in _EXAMPLE.findall(path.read_text())
    ]


def mistakes() -> list[Mistake]:
    """Every row of the tables of mistakes: the page's first example of that kind, with the change made."""
    found: list[Mistake] = []
    for path in pages():
        text = path.read_text()
        first: dict[str, Json] = {}
        for example in examples():
            if example.page == path.stem:
                first.setdefault(example.kind, example.event)
        for number, (kind, change, code, pointer, _) in enumerate(_MISTAKE.findall(text), start=1):
            event = copy.deepcopy(first[kind])
            event["id"] = f"{path.stem}-mistake-{number}"
            for name, value in json.loads(change).items():
                where = event if name in _OF_THE_ENVELOPE else event["data"]
                where[name] = value
                if value is None:
                    del where[name]
            found.append(Mistake(path.stem, event, code, pointer))
    return found
