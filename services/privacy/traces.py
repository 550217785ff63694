"""Where is anything of these values left? Searches the whole database, the files of both engines, the logs and the
streams for the very bytes, and says where it looked, at how much, and what it found.

It knows nothing of what ought to be where: every table of every schema is dumped, every file is read to its end.
What could not be read is told, and is not clean. Findings name the place and the kind of value, never the value.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg

from events.errors import NotFound, Unavailable
from events.postgres import Connection

_CHUNK: Final = 1 << 20
_LONGEST: Final = 256  # of a long text its beginning is looked for: a copy that was cut off counts too
_IDENT: Final = re.compile(rb"[A-Za-z0-9._:/@-]")
_IDENT_ONLY: Final = re.compile(r"[A-Za-z0-9._:/@-]{1,64}")
_TABLES: Final = """
SELECT n.nspname AS schema, c.relname AS name,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Value:
    """Something to look for: `kind` is what a report calls it (`id`, `name`, `text`)."""

    kind: str
    text: str = field(repr=False)


@dataclass(slots=True)
class Place:
    """What was looked through, how many bytes of it, and how often which kind of value stood there."""

    name: str
    bytes: int = 0
    found: Counter[str] = field(default_factory=Counter[str])
    unread: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"place": self.name, "bytes": self.bytes, "found": dict(self.found), "unread": self.unread}


class Search:
    """Looks for values in bytes, as they are and as JSON writes them. An id counts only where it stands by itself."""

    def __init__(self, values: Iterable[Value]) -> None:
        self._patterns: dict[bytes, tuple[str, bool]] = {}
        for value in values:
            alone = _IDENT_ONLY.fullmatch(value.text) is not None
            text = value.text[:_LONGEST]
            for form in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
                if form:
                    self._patterns[form.encode(errors="replace")] = (value.kind, alone)
        self._keep = max((len(p) for p in self._patterns), default=0) + 1

    @property
    def patterns(self) -> int:
        return len(self._patterns)

    def through(self, place: Place, chunks: Iterable[bytes]) -> Place:
        look = Looking(self, place)
        for chunk in chunks:
            look.feed(chunk)
        look.end()
        return place

    def count(self, data: bytes, start: int, end: int, found: Counter[str]) -> None:
        """Counts what begins at `start` or later, and before `end`."""
        for pattern, (kind, alone) in self._patterns.items():
            at = data.find(pattern, start)
            while 0 <= at < end:
                after = at + len(pattern)
                if not alone or not (_is_ident(data, at - 1) or _is_ident(data, after)):
                    found[kind] += 1
                at = data.find(pattern, at + 1)

    @property
    def overlap(self) -> int:
        return self._keep


class Looking:
    """One place, fed in pieces of any size: what stands across a border is found too, and nothing twice."""

    def __init__(self, search: Search, place: Place) -> None:
        self._search, self._place = search, place
        self._data, self._from = b"", 0

    def feed(self, chunk: bytes) -> None:
        self._place.bytes += len(chunk)
        self._data += chunk
        if len(self._data) >= _CHUNK:
            upto = len(self._data) - self._search.overlap
            self._search.count(self._data, self._from, upto, self._place.found)
            kept = max(0, upto - 1)  # one byte before: whether an id stands by itself
            self._data, self._from = self._data[kept:], upto - kept

    def end(self) -> None:
        self._search.count(self._data, self._from, len(self._data), self._place.found)
        self._data, self._from = b"", 0


def _is_ident(data: bytes, at: int) -> bool:
    return 0 <= at < len(data) and _IDENT.match(data, at) is not None


async def in_database(conn: Connection, search: Search) -> list[Place]:
    """Every table of every schema, dumped whole (`COPY`, binary: texts and bytes as they are)."""
    places: list[Place] = []
    for row in await conn.fetch(_TABLES):
        place = Place(f"table {row['schema']}.{row['name']}")
        if not row["readable"]:
            place.unread = "this role may not read it"
            places.append(place)
            continue
        looking = Looking(search, place)

        async def feed(chunk: bytes, looking: Looking = looking) -> None:
            looking.feed(chunk)

        try:
            await conn.copy_from_table(row["name"], schema_name=row["schema"], output=feed, format="binary")
        except asyncpg.UndefinedTableError:
            continue  # an old build of a read model that was dropped meanwhile
        looking.end()
        places.append(place)
    return places


def in_files(directory: Path, search: Search) -> Place:
    """Every file below a directory, read to its end."""
    place = Place(f"files {directory}")
    if not directory.is_dir():
        place.unread = "no such directory"
        return place
    unread = 0
    for path in sorted(directory.rglob("*")):
        try:
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    search.through(place, iter(lambda file=file: file.read(_CHUNK), b""))
        except FileNotFoundError:
            continue  # it went while we looked: nothing is there any more
        except OSError:
            unread += 1
    if unread:
        place.unread = f"{unread} files could not be read"
    return place


async def in_stream(name: str, messages: AsyncIterator[bytes], search: Search) -> Place:
    """Every message that a stream holds now (`services.messages.held_messages`), inboxes included. A stream that is not
    there holds none."""
    place = Place(f"stream {name}")
    try:
        async for body in messages:
            search.through(place, [body])
    except NotFound:
        pass
    except Unavailable as error:
        place.unread = str(error)
    return place
