"""Erasing one person: the event by the door that every event takes, then waiting until all of it is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events.errors import SetupError, Unavailable
from events.privacy import ERASED, LOST, Privacy
from services.bus import Bus
from services.privacy.persons import Person, events_naming
from services.privacy.traces import Value

_SUBJECT: Final = "submit.relatieboek"
_ANSWER_S: Final = 15.0
_STANDSTILL_S: Final = 60.0
_POLL_S: Final = 0.1
_MOST_TEXTS: Final = 300
_NAMES: Final = frozenset({"name", "function"})

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Erased:
    """`position` of the event, and how many keys of texts went."""

    position: int
    keys: int


async def values_of(conn: AsyncConnection, privacy: Privacy, person: Person) -> tuple[list[Value], int]:
    """What a search is to look for once the person is erased: the id, names and functions, and the texts of events
    that name them (the newest 300); and how many events name them. Kept in memory only."""
    values = [Value("id", person.id)] if person.id is not None else []
    names: dict[str, None] = {}
    texts: dict[str, None] = {}
    count = 0
    async for event in events_naming(conn, person.ref):
        count += 1
        tokens = dict(_tokens(event.data))
        if tokens:
            shown = await privacy.reveal(conn, tokens)
            for name, value in shown.items():
                kept = names if name.rpartition("/")[2] in _NAMES and "~p~" in tokens[name][:6] else texts
                kept[value] = None
    for said in (ERASED, LOST):
        names.pop(said, None)
        texts.pop(said, None)
    values += [Value("name", name) for name in names]
    values += [Value("text", found) for found in list(texts)[-_MOST_TEXTS:]]
    return values, count


def _tokens(doc: Any, pointer: str = "") -> list[tuple[str, str]]:
    if isinstance(doc, str):
        return [(pointer, doc)] if doc.startswith("enc~") else []
    if isinstance(doc, dict):
        return [t for k, v in doc.items() for t in _tokens(v, f"{pointer}/{k}")]  # pyright: ignore[reportUnknownVariableType]  JSON
    if isinstance(doc, list):
        return [t for n, v in enumerate(doc) for t in _tokens(v, f"{pointer}/{n}")]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return []


async def publish(bus: Bus, event: dict[str, Any]) -> dict[str, Any]:
    """Sends an event of the book's own, and returns its verdict: `accepted` or `duplicate`. Raises SetupError with the
    reason where it was refused, Unavailable where nobody takes it now."""
    verdict = msgspec.json.decode(
        await bus.request(_SUBJECT, msgspec.json.encode(event), timeout_s=_ANSWER_S), type=dict[str, Any]
    )
    if verdict["verdict"] == "busy":
        raise Unavailable("intake", verdict.get("retry_after_s", 1.0))
    if verdict["verdict"] not in ("accepted", "duplicate"):
        if verdict["problem"]["type"].endswith(":on_hold"):
            raise SetupError(
                "Voor deze persoon geldt een bewaarplicht: kijk met `relatieboek person hold list`. Er is niets gewist."
            )
        raise SetupError(f"Het boek weigert dit: {verdict['problem']['detail']}")
    return verdict


async def through(engine: AsyncEngine, position: int, progress: Progress = lambda done, total: None) -> Erased:
    """Waits until intake has carried an erasure through. Broken off, intake goes on by itself, and calling this again
    waits for what is left. Raises Unavailable when nothing moves for a minute."""
    async for scanned, keys, finished in _steps(engine, position):
        progress(scanned, position)
        if finished:
            return Erased(position, keys)
    raise Unavailable("intake")


async def _steps(engine: AsyncEngine, position: int) -> AsyncGenerator[tuple[int, int, bool]]:
    clock = asyncio.get_running_loop().time
    moved_at, last = clock(), -1
    while clock() - moved_at < _STANDSTILL_S:
        async with engine.connect() as conn:
            row = (
                await conn.execute(
                    text("SELECT scanned_to, keys, done_at FROM ledger.erasure WHERE position = :p"), {"p": position}
                )
            ).one_or_none()
        if row is None:
            raise SetupError(f"Bij positie {position} hoort geen wissing.")
        yield row.scanned_to, row.keys, row.done_at is not None
        if row.scanned_to != last:
            moved_at, last = clock(), row.scanned_to
        await asyncio.sleep(_POLL_S)
