"""Who may publish what: the registered departments, and the book's own services."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from events.catalog import TYPES
from events.envelope import is_own
from events.errors import FieldError
from events.patient import without_bsn
from events.tables import department as table

OWN: Final = "relatieboek"
_LONGEST_SOURCE: Final = 128  # as far as a source that is none is repeated
# What the api publishes for a reader who edits a plan; departments may be granted it too.
_OWN_ALSO: Final = frozenset({"plan.question_answered"})
OWN_GLOBS: Final = ("alert.*", "loop.*", "person.erased", "retention.applied")
_FRESH_FOR_S: Final = 1.0
_ASK_AGAIN_S: Final = 0.1


@dataclass(frozen=True)
class Department:
    name: str
    sources: frozenset[str]
    types: tuple[str, ...]

    @cached_property
    def granted(self) -> frozenset[str]:
        """The full types within its authority. The book's own families are granted to nobody else."""
        return frozenset(t for t in TYPES if self._may_send(t))

    def _may_send(self, type_: str) -> bool:
        kind = TYPES[type_].kind
        own = any(fnmatchcase(kind, g) for g in OWN_GLOBS)
        if self.name == OWN:
            return own or kind in _OWN_ALSO
        return not own and any(fnmatchcase(kind, g) or fnmatchcase(type_, g) for g in self.types)

    def may_be(self, source: str) -> bool:
        if self.name == OWN:
            return is_own(source)
        return source in self.sources


def registered(name: str, sources: Iterable[str], types: Iterable[str]) -> Department:
    """A department as its row has it, without what no department may have: registered before that was refused."""
    return Department(name, frozenset(s for s in sources if not is_own(s)), tuple(types))


def authority(department: Department, source: object, type_: object) -> list[FieldError]:
    """What this department may not: a source that is not registered for it, a known type outside its authority."""
    if type(source) is str and type(type_) is str and source in department.sources and type_ in department.granted:
        return []
    errors: list[FieldError] = []
    if isinstance(source, str) and source.startswith("urn:nld:") and not department.may_be(source):
        named = without_bsn(source[:_LONGEST_SOURCE])
        detail = f"source {named} is not registered for department {department.name}; ask operations to add it"
        errors.append(FieldError("/source", detail))
    if isinstance(type_, str) and type_ in TYPES and type_ not in department.granted:
        detail = f"department {department.name} has no authority for {TYPES[type_].kind}; ask operations for it"
        errors.append(FieldError("/type", detail))
    return errors


class Departments:
    """The registered departments, as they were at most a second ago."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._known: dict[str, Department] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def refresh(self) -> list[str]:
        """Reads them anew and returns the names of all that were ever registered, sorted: revoked ones too."""
        async with self._reading:
            return sorted(await self._read())

    async def _read(self) -> list[str]:
        async with self._engine.connect() as conn:
            rows = (await conn.execute(select(table))).all()
        read = [registered(r.name, r.sources, r.types) for r in rows if r.revoked_at is None]
        read.append(Department(OWN, frozenset(), OWN_GLOBS))
        # What did not change stays: which types a department may send is worked out once.
        same = {d: d for d in self._known.values()}
        self._known = {d.name: same.get(d, d) for d in read}
        self._read_at = time.monotonic()
        return [r.name for r in rows]

    async def get(self, name: str) -> Department | None:
        # One at a time: no request overtakes the one of the same sender that reads anew, no old reading a new one.
        async with self._reading:
            age_s = time.monotonic() - self._read_at
            if age_s > _FRESH_FOR_S or (name not in self._known and age_s > _ASK_AGAIN_S):
                await self._read()
        return self._known.get(name)
