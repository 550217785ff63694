"""Loads the demo into a running book, by the doors that every department uses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from events.clock import book_now
from events.errors import SetupError
from events.recorded import AMSTERDAM
from events.tables import entry
from services.demo.affairs import tell_affairs
from services.demo.chains import tell_chain
from services.demo.changes import tell_changes
from services.demo.coalition import tell_coalition
from services.demo.contacts import tell_contacts
from services.demo.insight import tell_insight
from services.demo.institution import Department
from services.demo.mergers import tell_mergers
from services.demo.story import Story
from services.demo.structure import tell_structure
from services.embedded.credentials import read
from services.imports.csv import read_csv
from services.imports.mapping import MappingFile, load_mapping
from services.imports.outcome import Taken
from services.send import Login, VerdictJson, connected, json_line, send
from services.settings import Settings

HERE: Final = Path(__file__).resolve().parent
# The WABO log ends in January 2012; a book whose clock stands before that cannot hold it.
_WABO_ENDS_YEAR: Final = 2012


@dataclass(slots=True)
class Progress:
    """How far the load is. `counts` are the verdicts so far."""

    total: int
    counts: Counter[str] = field(default_factory=Counter[str])

    @property
    def done(self) -> int:
        return sum(self.counts.values())


Report = Callable[[Progress], None]
Parts = list[tuple[str, list[dict[str, Any]]]]


def wabo_mapping() -> MappingFile:
    return load_mapping(HERE / "mappings" / "wabo.toml")


def wabo_events() -> list[dict[str, Any]]:
    """The WABO export as events, by the same import that a department uses."""
    outcomes = read_csv(HERE / "data" / "receipt-wabo.csv.gz", wabo_mapping())
    return [o.event for o in outcomes if isinstance(o, Taken)]


def sources(department: Department, institution: str) -> list[str]:
    """The sources that the demo grants a department; one of them also imports the WABO log."""
    mapping = wabo_mapping()
    return department.sources(institution) + ([mapping.source] if mapping.department == department.name else [])


def demo_events(now: datetime, institution: str) -> Parts:
    """Every event of the demo as (department, events) parts, to be sent in this order.

    The same `now` and institution give the same events. The very first event's `time` is `now`, so that a load that was
    broken off can be gone on with later; the last event is the sign that all are there.
    """
    story = Story(now, institution)
    accounts = tell_structure(story)
    structure = len(story.told)
    story.told[0].event["time"] = now.isoformat()
    tell_insight(story, accounts)
    tell_contacts(story, accounts)
    tell_mergers(story)
    tell_coalition(story, accounts)
    tell_chain(story, accounts)
    tell_affairs(story, accounts)
    tell_changes(story, accounts)
    # Schedules go last: were they known before a year of contacts, each line would be overdue for a moment.
    schedules = [t.event for t in story.told if ".schedule." in t.event["type"]]
    first = [t.event for t in story.told[:structure] if ".schedule." not in t.event["type"]]
    rest = sorted((t for t in story.told[structure:] if ".schedule." not in t.event["type"]), key=lambda t: t.at)
    parts: Parts = [("zorgverkoop", first)]
    # Zorgverkoop first: what the others mend, count or divide is there by then.
    for department in ("zorgverkoop", "kwaliteit", "communicatie", "finance"):
        parts.append((department, [t.event for t in rest if t.department == department]))
    if now.year > _WABO_ENDS_YEAR:
        parts.append((wabo_mapping().department, wabo_events()))
    parts.append(("zorgverkoop", schedules))
    return parts


async def load(settings: Settings, report: Report) -> None:
    """Loads the demo, once: a second call finds it there and does nothing; after a break it goes on.

    The departments of the demo must be registered, with their keys in the data directory's credentials. `report` hears
    the progress after every array of verdicts. Raises SetupError when the book refuses an event of the demo, and what
    `services.send` raises.
    """
    engine = create_async_engine(settings.database_url, hide_parameters=True)
    try:
        async with engine.connect() as conn:
            parts = demo_events(await _started_at(conn, settings), settings.institution)
            loaded = await _payload(conn, parts[-1][1][-1]) is not None
    finally:
        await engine.dispose()
    if loaded:
        return
    held = read(settings.credentials_path)
    entries = held.nats.departments if held is not None else {}
    progress = Progress(total=sum(len(events) for _, events in parts))
    report(progress)

    def on_verdicts(verdicts: Sequence[VerdictJson]) -> None:
        progress.counts.update(v["verdict"] for v in verdicts)
        report(progress)

    for department, events in parts:
        if department not in entries:
            raise SetupError(
                f"Afdeling {department} van de demo heeft hier geen sleutel. Begin met een lege map (--data-dir)."
            )
        entry = entries[department]
        login = Login(
            settings.nats_url, department, entry.nkey_seed, entry.inbox_prefix, entry.user, entry.password, settings.ca
        )
        async with connected(login) as request:
            # One array at a time: each event finds what it names, and the same load gives the same positions.
            await send(map(json_line, events), request, on_verdicts, in_flight=1)
    if refused := progress.counts["rejected"]:
        raise SetupError(
            f"Het boek weigerde {refused} gebeurtenissen van de demo. Kijk met `relatieboek rejected list`."
        )


async def _started_at(conn: AsyncConnection, settings: Settings) -> datetime:
    """The `now` of a load that was begun before, else the book's."""
    first = await _payload(conn, demo_events(datetime(2020, 1, 1, tzinfo=UTC), settings.institution)[0][1][0])
    if first is not None:
        return datetime.fromisoformat(json.loads(first)["time"])
    return (await book_now(conn)).astimezone(AMSTERDAM)


async def _payload(conn: AsyncConnection, event: Mapping[str, Any]) -> bytes | None:
    where = (entry.c.source == event["source"], entry.c.id == event["id"])
    return await conn.scalar(select(entry.c.payload).where(*where))
