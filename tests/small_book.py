"""A small book for tests of the projection machinery: ledger and stream filled directly, and a projection to fold it.

`contact.held` of a relation counts and keeps the contact, `contact.retracted` removes it, `team.formed` is about no
relation. A `topics` entry makes `COUNTS` fail, in the ways that a projection can fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import nats
from nats.aio.client import Client
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from events import tables
from events.recorded import ORGANISATION, Recorded, local_date
from events.stream import Message, Stream
from projections.rows import Group, LiveMessage, Need, One, Projection, Row, Rows, fold
from projections.runner import Runner, RunnerState
from projections.store import live
from projections.tables import checkpoint
from services.intake.feeds import answer_feeds
from services.settings import Settings
from services.wiring import cancel_until_done
from tests.given import fact, held, numbered, stored

_metadata = MetaData()

relation = Table(
    "relation", _metadata,
    Column("relation", Text, primary_key=True),
    Column("contacts", Integer, nullable=False),
    Column("minutes", Integer, nullable=False, comment="settled: of the contacts that there are"),
    Column("last_at", DateTime(timezone=True)),
    Column("doc", JSONB(none_as_null=True)),
    Index("counts_last", "last_at"),
)  # fmt: skip
contact = Table(
    "contact", _metadata,
    Column("relation", Text, primary_key=True),
    Column("contact", Text, primary_key=True),
    Column("on", Date, nullable=False),
    Column("minutes", BigInteger, nullable=False),
    Column("topics", ARRAY(Text), nullable=False),
    Column("facts", JSONB, nullable=False),
)  # fmt: skip
entry = Table(
    "entry", _metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("relation", Text, nullable=False),
    Column("teams", Integer, nullable=False),
    Column("text", Text),
)  # fmt: skip
team = Table("team", _metadata, Column("team", Text, primary_key=True), Column("events", Integer, nullable=False))

ALL: Final = "all"


@dataclass
class Faults:
    """What is wrong with the code of `COUNTS` at this moment; a test mends it."""

    evolve: bool = True
    settle: bool = True


def _needs(event: Recorded) -> Iterable[Need]:
    if event.relation == ORGANISATION:
        return [One("team", (ALL,))]
    return [One("relation", (event.relation,)), Group("contact", event.relation), One("team", (ALL,))]


def projection(faults: Faults | None = None, *, version: int = 1, name: str = "counts") -> Projection:
    broken = faults or Faults()

    def evolve(rows: Rows, event: Recorded) -> None:
        topics = event.data.get("topics", [])
        if broken.evolve and "half" in topics:
            rows.put("team", {"team": ALL, "events": -1})  # undone when the event is parked
        if broken.evolve and ("poison" in topics or "half" in topics or event.data.get("name") == "poison"):
            raise ValueError(event.data)
        known_team = rows.get("team", ALL) or {"team": ALL, "events": 0}
        if event.relation == ORGANISATION:
            rows.put("team", {**known_team, "events": known_team["events"] + 1})
            return
        known: Row = rows.get("relation", event.relation) or {
            "relation": event.relation, "contacts": 0, "minutes": 0, "last_at": None, "doc": None,
        }  # fmt: skip
        step = -1 if event.kind == "contact.retracted" else 1
        last_at = max(filter(None, [known["last_at"], event.occurred_at]))
        channels: dict[str, int] = dict(known["doc"] or {})
        channels[event.kind] = channels.get(event.kind, 0) + 1
        rows.put("relation", {**known, "contacts": known["contacts"] + step, "last_at": last_at, "doc": channels})
        if event.kind == "contact.retracted":
            rows.delete("contact", event.relation, event.data["contact"])
        else:
            row = {
                "relation": event.relation, "contact": event.data["contact"], "on": local_date(event.occurred_at),
                "minutes": event.data["duration_min"], "topics": topics, "facts": event.data,
            }  # fmt: skip
            rows.put("contact", row)
        text = "nul\x00" if broken.evolve and "nul" in topics else event.kind
        rows.put(
            "entry",
            {"position": event.position, "relation": event.relation, "teams": known_team["events"], "text": text},
        )

    def settle(rows: Rows, relations: Iterable[str]) -> None:
        for r in relations:
            if r == ORGANISATION:
                continue
            contacts = rows.group("contact", r)
            if broken.settle and any("unsettled" in c["topics"] for c in contacts):
                raise KeyError("minutes")
            known = rows.get("relation", r)
            assert known is not None
            rows.put("relation", {**known, "minutes": sum(c["minutes"] for c in contacts)})

    def settle_needs(r: str) -> Iterable[Need]:
        return [] if r == ORGANISATION else [One("relation", (r,)), Group("contact", r)]

    def announce(rows: Rows, event: Recorded) -> Iterable[LiveMessage]:
        known = rows.get("team", ALL)
        return [LiveMessage("live.ops", {"position": event.position, "teams": known["events"] if known else 0})]

    return Projection(name, version, _metadata, _needs, evolve, settle, settle_needs, announce=announce)


COUNTS: Final = projection()


def name_of(number: int) -> str:
    """The UUID of the test's relation `number`."""
    return f"00000000-0000-4000-8000-{number:012d}"


@dataclass
class SmallBook:
    """Ledger and stream of one test. `write` returns the last position once both have it."""

    owner: AsyncEngine
    nc: Client
    created: str = ""
    events: list[Recorded] = field(default_factory=list[Recorded])

    @property
    def stream(self) -> Stream:
        return Stream(self.nc)

    async def open(self) -> None:
        self.created = (await self.stream.create()).created
        await self._head(stream_created=self.created)

    async def write(self, facts: Sequence[Recorded]) -> int:
        before = len(self.events)
        self.events = numbered([*self.events, *facts])
        for at in range(before, len(self.events), 1000):
            part = self.events[at : at + 1000]
            messages = [
                Message(e.position, e.relation, e.version, e.type, e.department, stored(e), bytes(32), bytes(32))
                for e in part
            ]
            rows = [
                {
                    "position": m.position, "relation": m.relation, "version": m.version, "source": e.source,
                    "id": e.id, "type": m.type, "department": m.department, "recorded_at": e.recorded_at,
                    "payload": m.payload, "prev": m.prev, "leaf": m.leaf,
                }
                for m, e in zip(messages, part, strict=True)
            ]  # fmt: skip
            async with self.owner.begin() as conn:
                await conn.execute(insert(tables.entry), rows)
            await self.stream.publish(messages)
        await self._head(position=len(self.events), recorded_at=self.events[-1].recorded_at)
        return len(self.events)

    async def _head(self, **values: Any) -> None:
        async with self.owner.begin() as conn:
            await conn.execute(update(tables.head).values(**values))


def made(count: int, *, relations: int = 10, after: int = 0) -> list[Recorded]:
    """Contacts held, some retracted, some teams formed."""
    out: list[Recorded] = []
    for n in range(after, after + count):
        if n % 50 == 49:
            out.append(fact("team.formed", {"team": f"t-{n}"}, ORGANISATION, id=f"e-{n}"))
        elif n % 7 == 6:
            gone = n - 1
            r = name_of(gone % relations)
            out.append(fact("contact.retracted", {"contact": f"c-{gone}", "occurred_at": _at(n)}, r, id=f"e-{n}"))
        else:
            out.append(held_contact(n, name_of(n % relations)))
    return out


def held_contact(n: int, of: str, topics: Sequence[str] = ("wmo",)) -> Recorded:
    return fact("contact.held", held(f"c-{n}", _at(n), topics=list(topics)), of, id=f"e-{n}")


def _at(n: int) -> str:
    return f"2026-01-{1 + n % 28:02}T{n % 24:02}:{n % 60:02}:00+01:00"


async def connect(settings: Settings, seed: str = "nats_seed") -> Client:
    secret = getattr(settings, seed)
    untyped: Any = nats
    client: Client = await untyped.connect(
        settings.nats_url, nkeys_seed_str=secret.get_secret_value(), max_reconnect_attempts=-1,
        reconnect_time_wait=0.05, connect_timeout=20,
    )  # fmt: skip
    return client


async def disconnect(client: Client) -> None:
    """Closes, also when the server went first."""
    with suppress(OSError):
        await client.close()


@asynccontextmanager
async def small_book(settings: Settings, owner: AsyncEngine) -> AsyncGenerator[SmallBook]:
    client = await connect(settings, "operations_nats_seed")
    among_services = await connect(settings)
    try:
        await answer_feeds(among_services, client)  # as intake does
        book = SmallBook(owner, client)
        await book.open()
        yield book
    finally:
        await disconnect(among_services)
        await disconnect(client)


Contents = dict[str, list[dict[str, Any]]]


async def contents(engine: AsyncEngine, of: Projection) -> Contents:
    """Every row of the live build, by table, in key order."""
    async with engine.connect() as conn:
        found = await live(conn, of)
        return {
            name: [dict(r) for r in (await conn.execute(select(t).order_by(*t.primary_key.columns))).mappings()]
            for name, t in found.tables.items()
        }


def folded(of: Projection, events: Iterable[Recorded]) -> Contents:
    """What a fold of these events from nothing gives."""
    return {name: [rows[k] for k in sorted(rows)] for name, rows in fold(of, events).tables.items()}


@dataclass
class Heard:
    """What a runner told."""

    states: list[tuple[RunnerState, str | None]] = field(default_factory=list[tuple[RunnerState, str | None]])
    messages: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    positions: list[int] = field(default_factory=list[int])

    async def publish(self, subject: str, body: bytes) -> None:
        self.messages.append((subject, body))

    def tell(self, state: RunnerState, detail: str | None) -> None:
        self.states.append((state, detail))

    async def until(self, state: RunnerState, part: str = "", timeout_s: float = 60) -> str | None:
        """Waits until the last thing told is this state with `part` in its detail."""
        async with asyncio.timeout(timeout_s):
            while not self.states or self.states[-1][0] != state or part not in (self.states[-1][1] or ""):
                await asyncio.sleep(0.01)
        return self.states[-1][1]


@asynccontextmanager
async def running(runner: Runner) -> AsyncGenerator[asyncio.Task[None]]:
    """The runner at work; cancelled at the end."""
    task: asyncio.Task[None] = asyncio.create_task(runner.run())
    try:
        yield task
    finally:
        await cancel_until_done(task)


async def position_of(engine: AsyncEngine, of: Projection) -> int:
    query = select(checkpoint.c.position).where(checkpoint.c.name == of.name, checkpoint.c.state == "live")
    async with engine.connect() as conn:
        return await conn.scalar(query) or 0


__all__ = [
    "ALL", "COUNTS", "Faults", "Heard", "SmallBook", "connect", "contents", "disconnect", "folded",
    "held_contact", "made", "name_of", "position_of", "projection", "running", "small_book",
]  # fmt: skip
