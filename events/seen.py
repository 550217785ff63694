"""What one reader is shown: noted where documents are decrypted and relations looked up, for the access log.

Whoever answers a person opens `watching()` around the answer; what the code inside reveals is then noted without any
route knowing of it. Where nobody watches (a digest that is mailed, a test) nothing is noted.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class Seen:
    """`relations`: UUIDs. `persons`: the references that stand for persons and employees (`ref~…`).

    `items`: how many entries the answer has, where it is a list.
    """

    relations: set[str] = field(default_factory=set[str])
    persons: set[str] = field(default_factory=set[str])
    items: int | None = None

    def take(self) -> Seen:
        """What was noted so far; from here on it is noted anew."""
        taken = Seen(self.relations, self.persons, self.items)
        self.relations, self.persons, self.items = set(), set(), None
        return taken

    def __bool__(self) -> bool:
        return bool(self.relations or self.persons)


_watched: ContextVar[Seen | None] = ContextVar("seen", default=None)


@contextmanager
def watching() -> Generator[Seen]:
    """Notes what is shown while the block runs, in this task and in those that it starts."""
    seen = Seen()
    token = _watched.set(seen)
    try:
        yield seen
    finally:
        _watched.reset(token)


def watched() -> Seen | None:
    """What is being noted here, or None."""
    return _watched.get()


def note_relations(relations: Iterable[str]) -> None:
    """These relations were looked at, or asked for."""
    if (seen := _watched.get()) is not None:
        seen.relations.update(relations)


def note_persons(refs: Iterable[str]) -> None:
    if (seen := _watched.get()) is not None:
        seen.persons.update(refs)


def note_items(count: int) -> None:
    if (seen := _watched.get()) is not None:
        seen.items = count
