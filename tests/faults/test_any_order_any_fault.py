"""The same events in order, shuffled, twice, in other batches, and with kill -9 of each service: one and the same book.

What may differ: positions, versions, recorded times, hashes, and ids that stand for positions. Everything else that a
reader sees must be equal, alerts included: the clock stands still while the events come, and is moved after the last.
The workflows tell at once what is missing, so what they told and took back on the way depends on what came first; what
they tell at the end does not.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.instance import SERVICES, Instance
from tests.faults.year import AFTER, BEFORE, SOURCE, TEAMS, year

Json = dict[str, Any]
_DIFFERS = {
    "position", "positions", "version", "recorded_at", "raised_at", "resolved_at", "evidence", "sequence",
    "resolution_evidence", "corrects", "corrected_by", "retracted_by", "leaf_hash", "hash", "raised_on",
}  # fmt: skip


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
    Way("killed", kills=SERVICES),
    Way("killed and shuffled", shuffled=True, batch=100, kills=tuple(reversed(SERVICES))),
)


@pytest.fixture
def directory() -> Generator[Path]:
    path = Path(tempfile.mkdtemp(prefix="relatieboek-faults-"))
    yield path
    shutil.rmtree(path)


def without_places(value: Any) -> Any:
    """A JSON answer without what depends on the order of arrival."""
    if isinstance(value, dict):
        return {k: without_places(v) for k, v in value.items() if k not in _DIFFERS}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [without_places(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
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


def in_order(items: list[Json]) -> list[str]:
    return sorted(json.dumps(without_places(i), sort_keys=True) for i in items)


async def seen(book: Instance, relations: int) -> dict[str, Any]:
    """Everything that a reader sees of it: relations, alerts, timelines, questions."""
    out: dict[str, Any] = {}
    async with book.http() as client:
        listed = await pages(client, "/relations")
        out["relations"] = in_order(listed)
        alerts = await pages(client, "/alerts?state=all")
        out["alerts"] = in_order([a for a in alerts if a["rule"] == OVERDUE or a["state"] != "resolved"])
        for team in TEAMS:
            entries = await pages(client, f"/teams/{team}/timeline")
            out[f"timeline {team}"] = in_order([e for e in entries if not of_the_book(e["type"])])
        out["overdue"] = in_order((await client.get("/questions/1")).json()["items"])
        step = max(1, len(listed) // relations)
        for one in listed[::step]:
            answer = (await client.get(f"/relations/{one['id']}")).json()
            out[f"relation {one['id']}"] = without_places(answer)
    return out


async def book_of(way: Way, events: list[Json], directory: Path) -> dict[str, Any]:
    book = Instance(directory / "var")
    await book.start(BEFORE)
    try:
        await book.run("department", "add", "crm", "--source", SOURCE, "--types", "*", "--json")
        lines = [json.dumps(e) for e in events]
        if way.shuffled:
            random.Random(way.name).shuffle(lines)
        if way.twice:
            lines += lines
        file, verdicts = directory / "events.jsonl", directory / "verdicts.jsonl"
        file.write_text("\n".join(lines) + "\n")
        sending = asyncio.create_task(
            book.run("send", str(file), "--department", "crm", "--batch", str(way.batch), "--verdicts", str(verdicts))
        )
        for service in way.kills:
            await asyncio.sleep(0.4)  # somewhere in the flow: which batch it hits is left to chance
            await book.kill(service)
        await sending
        answers = [json.loads(line) for line in verdicts.read_text().splitlines()]
        assert len(answers) == len(lines)
        assert {a["verdict"] for a in answers} <= {"accepted", "duplicate", "parked"}
        before = await book.settled()
        assert await book.accepted("crm") == len(events), "each once"
        await book.run("clock", "advance", "--to", AFTER)
        head = await book.settled()
        assert head > before, "overdue lines were raised"
        report = json.loads(await book.run("reconcile", "--json"))
        assert report["agree"] is True
        result = await seen(book, relations=40)
    finally:
        await book.stop()
    return result


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
