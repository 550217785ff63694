"""The same events in order, shuffled, twice, in other batches, and with kill -9 of each service: one and the same book.

What may differ: positions, versions, recorded times, hashes, and ids that stand for positions. Everything else that a
reader sees must be equal, alerts included: the clock stands still while the events come, and is moved after the last.
The workflows tell at once what is missing, so what they told and took back on the way depends on what came first; what
they tell at the end does not.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from services.cli.instance import find
from services.send import connected, send
from tests.faults.instance import SERVICES, Instance
from tests.faults.year import AFTER, BEFORE, SOURCE, TEAMS, year

Json = dict[str, Any]
_DIFFERS = {
    "position", "positions", "version", "recorded_at", "raised_at", "resolved_at", "sequence", "leaf_hash", "hash",
    "raised_on",
}  # fmt: skip
# What points at events by their positions: compared by the events that they stand for.
_POINTS = {"corrects", "corrected_by", "retracted_by", "resolution_evidence"}


OVERDUE = "contact_overdue"


@dataclass(frozen=True)
class Way:
    """One way to send the same events."""

    name: str
    batch: int = 500
    shuffled: bool = False
    twice: bool = False
    kills: tuple[str, ...] = ()


WAYS = (
    Way("in order"),
    Way("shuffled", shuffled=True),
    Way("twice", twice=True),
    Way("batches of 7", batch=7),
    Way("batches of 1000, shuffled, twice", batch=1000, shuffled=True, twice=True),
    Way("killed", batch=100, kills=SERVICES),
    Way("killed and shuffled", shuffled=True, batch=20, kills=tuple(reversed(SERVICES))),
)


@pytest.fixture
def directory() -> Generator[Path]:
    path = Path(tempfile.mkdtemp(prefix="relatieboek-faults-"))
    yield path
    shutil.rmtree(path)


def without_places(value: Any, ids: Mapping[int, str]) -> Any:
    """A JSON answer without what depends on the order of arrival. `ids`: the department's events by position; others
    are the book's own."""

    def named(position: Any) -> Any:
        return ids.get(int(position), "own") if isinstance(position, int | str) else position

    if isinstance(value, dict):
        out: Json = {}
        for key, held in value.items():  # pyright: ignore[reportUnknownVariableType]
            if key in _POINTS:
                out[key] = sorted(named(p) for p in held) if isinstance(held, list) else named(held)  # pyright: ignore[reportUnknownVariableType]
            # The evidence of an alert are the positions of what came last before it.
            elif key not in _DIFFERS and not (key == "evidence" and isinstance(held, list)):
                out[key] = without_places(held, ids)
        return out
    if isinstance(value, list):
        return [without_places(v, ids) for v in value]  # pyright: ignore[reportUnknownVariableType]
    return value


async def pages(client: Any, url: str) -> list[Json]:
    items: list[Json] = []
    cursor: str | None = None
    while True:
        answer = await client.get(url, params={"limit": 500} | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        page: Json = answer.json()
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


def of_the_book(type_: str) -> bool:
    return type_.startswith(("nl.relatieboek.alert.", "nl.relatieboek.loop."))


async def seen(book: Instance, ids: Mapping[int, str]) -> dict[str, Any]:
    """Everything that a reader sees of it: relations, alerts, timelines, questions."""

    def in_order(items: list[Json]) -> list[str]:
        return sorted(json.dumps(without_places(i, ids), sort_keys=True) for i in items)

    out: dict[str, Any] = {}
    async with book.http() as client:
        listed = await pages(client, "/relations")
        out["relations"] = in_order(listed)
        alerts = await pages(client, "/alerts?state=all")
        out["alerts"] = in_order([a for a in alerts if a["rule"] == OVERDUE or a["state"] != "resolved"])
        for team in TEAMS:
            entries = await pages(client, f"/teams/{team}/timeline")
            out[f"timeline {team}"] = in_order([e for e in entries if not of_the_book(e["type"])])
        out["overdue"] = in_order(await pages(client, "/questions/1"))
        for one in listed:
            answer = await client.get(f"/relations/{one['id']}")
            assert answer.status_code == 200, answer.text
            out[f"relation {one['id']}"] = without_places(answer.json(), ids)
    return out


class Sent:
    """The verdicts so far, in the order of the input; `first`: the first of the part under way have come."""

    def __init__(self) -> None:
        self.verdicts: list[Json] = []
        self.first = asyncio.Event()

    def take(self, verdicts: Sequence[Json]) -> None:
        self.verdicts += verdicts
        self.first.set()


async def flow(book: Instance, way: Way, lines: list[bytes]) -> list[Json]:
    """Sends all lines, and kills each service once while they flow: its part is under way, some of it has its verdict
    and some has not. The next part begins when this one is through, whether the service is back or not."""
    sent = Sent()
    size = -(-len(lines) // (len(way.kills) + 1))
    parts = [lines[n : n + size] for n in range(0, len(lines), size)]
    gone: dict[str, int] = {}
    async with connected(find(book.where).login("crm", None)) as request:
        for part, service in zip_longest(parts, way.kills):
            sent.first.clear()
            pid = book.pid_of(service) if service else None
            sending = asyncio.create_task(send(part, request, sent.take, batch=way.batch))
            if service:
                assert pid is not None, f"{service} does not run"
                await sent.first.wait()
                os.kill(pid, signal.SIGKILL)
                gone[service] = pid
                assert not sending.done(), "killed while events flow, not after"
            await sending
    for service, pid in gone.items():
        await book.back(service, pid)
    return sent.verdicts


async def book_of(way: Way, events: list[Json], directory: Path) -> dict[str, Any]:
    book = Instance(directory / "var")
    await book.start(BEFORE)
    try:
        await book.run("department", "add", "crm", "--source", SOURCE, "--types", "*", "--json")
        lines = [json.dumps(e).encode() for e in events]
        if way.shuffled:
            random.Random(way.name).shuffle(lines)
        if way.twice:
            lines += lines
        answers = await flow(book, way, lines)
        assert len(answers) == len(lines)
        assert {a["verdict"] for a in answers} <= {"accepted", "duplicate", "parked"}
        before = await book.settled()
        assert await book.accepted("crm") == len(events), "each once"
        # Sent once more, each is known, and says where it is.
        again = await flow(book, Way("again"), lines)
        assert {a["verdict"] for a in again} == {"duplicate"}
        ids = {int(a["sequence"]): a["id"] for a in again}
        assert sorted(ids.values()) == sorted(e["id"] for e in events)
        await book.run("clock", "advance", "--to", AFTER)
        head = await book.settled()
        assert head > before, "overdue lines were raised"
        report = json.loads(await book.run("reconcile", "--json"))
        assert report["agree"] is True
        return await seen(book, ids)
    finally:
        await book.stop()


async def compare(ways: tuple[Way, ...], size: int, directory: Path) -> None:
    events = year(size)
    first: dict[str, Any] | None = None
    for n, way in enumerate(ways):
        (directory / str(n)).mkdir()
        result = await book_of(way, events, directory / str(n))
        if first is None:
            first = result
            assert result["alerts"]
            assert result["overdue"]
        assert result.keys() == first.keys(), way.name
        for name, expected in first.items():
            assert result[name] == expected, f"{way.name}: {name} differs from {ways[0].name}"
        shutil.rmtree(directory / str(n))


@pytest.mark.timeout(300)
async def test_two_thousand_events(directory: Path) -> None:
    await compare((WAYS[0], WAYS[6]), 2_000, directory)


@pytest.mark.full
@pytest.mark.timeout(3000)
async def test_fifty_thousand_events(directory: Path) -> None:
    await compare(WAYS, 50_000, directory)
