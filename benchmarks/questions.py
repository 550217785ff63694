"""The questions at size: 5,000 relations and 1,000,000 events, each question over HTTP, one after the other.

The read models are filled by the projections' own fold and store; only the way through intake and stream, which other
benchmarks measure, is left out. Intake takes one relation with its year, for what is read from the ledger. What is
asked is what every institution asks first: whole, without filters. Processes while asking: api and PostgreSQL.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from time import perf_counter
from typing import Any, Final, cast
from uuid import NAMESPACE_URL, uuid5

import orjson

from benchmarks.load import Json, Load, identifier, in_arrays, send_array
from benchmarks.results import STDERR, Results, percentile
from benchmarks.servers import Rig
from benchmarks.visible import Reader
from events.feed import Feed
from events.recorded import ORGANISATION, Recorded
from projections.build import NO_WATCH, Build
from projections.folding import Limits
from projections.registry import PROJECTIONS
from projections.rows import Projection
from services.embedded import credentials as store
from services.embedded.registration import ensure_viewers

_BATCH: Final = 5_000
_TIMES: Final = 60
_LEDGER_EVENTS: Final = 1_000
_TIERS: Final = "ABC"
_KINDS: Final = ("municipality", "care_office", "health_insurer", "primary_care_provider", "care_partner")
# Question 4 asks of workflows, 10 of one alert, which wants a book whose services ran: not here.
_ASKED: Final = {1: "", 2: "", 3: "relation={own}", 5: "", 6: "", 7: "relation={other}", 8: "", 9: ""}


class _Year:
    """The book's events in order, as the stream would give them: positions from 1, versions dense per relation."""

    def __init__(self, load: Load, relations: int, count: int) -> None:
        self._load, self._relations, self.count = load, relations, count
        self._versions: dict[str, int] = {}
        self._position = 0
        self._random = random.Random(7)  # the same book in every run
        self._now = datetime.now(UTC).replace(microsecond=0)

    def __iter__(self) -> Iterator[Recorded]:
        return islice(self._all(), self.count)

    def _all(self) -> Iterator[Recorded]:
        day = (self._now - timedelta(days=760)).date().isoformat()
        yield self._recorded("team.formed", ORGANISATION, {"team": "regio-west", "name": "West", "occurred_on": day})
        yield self._recorded("satisfaction.instrument_defined", ORGANISATION, {
            "instrument": "nps-1", "wording_version": 1, "kind": "nps", "scale_min": 0, "scale_max": 10, "min_n": 5,
            "bands": [{"name": "low", "from": 0, "to": 6}, {"name": "high", "from": 7, "to": 10}], "occurred_on": day,
        })  # fmt: skip
        for n in range(self._relations):
            for kind, data in self._start(n, day):
                yield self._recorded(kind, identifier(n), data)
        while True:
            n = self._random.randrange(self._relations)
            contact = self._load.contact(n)
            yield self._recorded("contact.held", contact["subject"], _sealed(contact["data"]))
            if self._random.random() < 0.05:
                score: Json = {
                    "response": f"r-{self._position}", "instrument": "nps-1", "wording_version": 1,
                    "anonymous": True, "score": self._random.randrange(11),
                    "occurred_on": contact["data"]["occurred_at"][:10],
                }  # fmt: skip
                yield self._recorded("satisfaction.scored", contact["subject"], score)

    def _start(self, n: int, day: str) -> Iterator[tuple[str, Json]]:
        kind = _KINDS[n % len(_KINDS)]
        yield "relation.registered", {
            "name": f"Gemeente Voorbeeld {n}", "kind": kind, "region": "West", "identifiers": [], "occurred_on": day,
        }  # fmt: skip
        yield "relation.tier_assigned", {"tier": _TIERS[n % len(_TIERS)], "arguments": [], "occurred_on": day}
        yield "team.relation_assigned", {"team": "regio-west", "occurred_on": day}
        for line, layer in (("l-1", "board"), ("l-2", "tactical_management")):
            yield "schedule.line_set", {
                "line": line, "our_layer": layer, "their_layer": layer, "starts_on": day, "grace_working_days": 5,
                "cadence": {"mode": "rolling", "every": "P3M"}, "owner": _ref(f"e-{n % 120}"), "occurred_on": day,
            }  # fmt: skip

    def _recorded(self, kind: str, subject: str, data: Json) -> Recorded:
        relation = subject if subject == ORGANISATION else _relation(subject)
        self._position += 1
        version = self._versions[relation] = self._versions.get(relation, 0) + 1
        return Recorded(
            position=self._position, version=version, relation=relation, type=f"nl.relatieboek.{kind}.v1",
            source="urn:nld:oin:00000000000000000000:systeem:bench", id=f"made-{self._position}", subject=subject,
            department="bench", recorded_at=self._now, data=data, time=self._now.isoformat(),
        )  # fmt: skip


def _relation(subject: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:relatieboek:{subject}"))


def _ref(id_: str) -> str:
    return f"ref~{uuid5(NAMESPACE_URL, id_).hex}"


def _sealed(data: Json) -> Json:
    ours = [{**o, "employee": _ref(o["employee"])} for o in data["ours"]]
    theirs = [{**t, "person": _ref(t["person"])} for t in data["theirs"]]
    return {**data, "ours": ours, "theirs": theirs, "summary": "enc~e~0~/data/summary~AAAA"}


class _Made:
    """What `Build.follow` asks of a feed, from memory."""

    def __init__(self) -> None:
        self.batches: asyncio.Queue[list[Recorded]] = asyncio.Queue(2)
        self.position = 0
        self.behind = 10 * _BATCH  # far behind: there is nobody to tell

    async def read(self, **_: Any) -> list[Recorded]:
        batch = await self.batches.get()
        self.position = batch[-1].position
        return batch

    def poke(self) -> None:
        return None


async def measure(rig: Rig, results: Results, *, relations: int, events: int) -> None:
    """Wants an empty book; no projection may run beside it."""
    load = Load(rig.source)
    async with rig.service("intake"), rig.connect_department() as nc:
        own = [e for e in load.structure() if e["subject"] in (ORGANISATION, identifier(0))]
        for body in in_arrays([*own, *(load.contact(0) for _ in range(_LEDGER_EVENTS))]):
            await send_array(nc, body)
    began = perf_counter()
    await _fill(rig, _Year(load, relations, events))
    STDERR.print(f"  {events:,} events folded {len(PROJECTIONS)} times in {perf_counter() - began:.0f} s")
    await _settled(rig)
    await ensure_viewers(rig.settings, rig.engine, again=True)
    held = store.read(rig.settings.credentials_path)
    assert held is not None
    async with rig.service("api"):
        reader = Reader(rig.settings.port, held.http.viewers["all"])
        for number, query in _ASKED.items():
            path = f"/v1/questions/{number}?{query.format(own=identifier(0), other=identifier(0))}".rstrip("?")
            took: list[float] = []
            body = b""
            for _ in range(_TIMES + 5):
                began = perf_counter()
                body = await reader.get(path, 0)
                took.append((perf_counter() - began) * 1e3)
            orjson.loads(body)
            goal = 50 if number in {1, 2, 3, 6} else None
            results.tell(f"question_{number}_p50_ms", percentile(took[5:], 0.5))
            results.tell(f"question_{number}_p99_ms", percentile(took[5:], 0.99), most=goal)
            STDERR.print(f"  ({len(body):,} bytes)")
        reader.close()


async def _fill(rig: Rig, year: _Year) -> None:
    """Every projection beside the others: making the events costs as much as folding them."""
    feeds = {name: _Made() for name in PROJECTIONS}

    async def make() -> None:
        events = iter(year)
        while batch := list(islice(events, _BATCH)):
            for feed in feeds.values():
                await feed.batches.put(batch)

    async def fold(projection: Projection, feed: _Made) -> None:
        limits = Limits(batch=_BATCH)
        build = await Build.open(rig.engine, projection, 1, state="live", limits=limits, stream_created="made")
        try:
            await build.follow(cast("Feed", feed), NO_WATCH, upto=year.count)
        finally:
            await build.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(make())
        for name, projection in PROJECTIONS.items():
            group.create_task(fold(projection, feeds[name]))


async def _settled(rig: Rig) -> None:
    """What autovacuum would have done by the time that a book has this size."""
    conn = await rig.engine.raw_connection()
    try:
        untyped: Any = conn.driver_connection
        await untyped.execute("VACUUM ANALYZE")
    finally:
        conn.close()
