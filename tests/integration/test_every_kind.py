"""Every kind of event into a real ledger: accepted, encrypted where it is personal, waiting where it must."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.append import Ledger
from events.catalog import TYPES, check, personal_paths
from events.deciding import Arrival
from events.privacy import Privacy
from events.verdict import Verdict
from tests.every_kind import department_of, every_kind
from tests.given import KEYS
from tests.integration.book import scalar

PRIVACY = Privacy(bytes(range(32)), KEYS)


@pytest.fixture
async def ledger(service_url: str) -> AsyncGenerator[Ledger]:
    ledger = Ledger(service_url.replace("+asyncpg", ""), PRIVACY)
    yield ledger
    await ledger.close()


def arrival(event: dict[str, Any]) -> Arrival:
    return Arrival(department_of(event), json.dumps(event).encode(), check(event))


def said(verdict: Verdict) -> tuple[str, Any]:
    return verdict.verdict, verdict.problem


@pytest.mark.parametrize("at_once", [1, 1000])
async def test_the_ledger_takes_them_one_by_one_and_in_one_batch(
    ledger: Ledger, engine: AsyncEngine, at_once: int
) -> None:
    events = every_kind()
    for first in range(0, len(events), at_once):
        batch = events[first : first + at_once]
        done = await ledger.append([arrival(e) for e in batch])
        assert [(e["id"], said(v)) for e, v in zip(batch, done.verdicts, strict=True)] == [
            (e["id"], ("accepted", None)) for e in batch
        ]
    assert await scalar(engine, "SELECT position FROM ledger.head") == len(events)
    assert await scalar(engine, "SELECT count(DISTINCT type) FROM ledger.entry") == len(TYPES)


async def test_nothing_personal_is_stored_in_the_clear_and_all_is_read_back(
    ledger: Ledger, engine: AsyncEngine
) -> None:
    events = every_kind()
    await ledger.append([arrival(e) for e in events])
    async with engine.connect() as conn:
        stored = [
            orjson.loads(r[0]) for r in await conn.execute(text("SELECT payload FROM ledger.entry ORDER BY position"))
        ]
        things = json.dumps([[*r] for r in await conn.execute(text("SELECT key, value FROM ledger.thing"))])
        for sent, kept in zip(events, stored, strict=True):
            secrets = list(_texts(sent["data"], [path for path, _ in personal_paths(TYPES[sent["type"]].model)]))
            for secret in secrets:
                assert secret.startswith("ref~") or json.dumps(secret) not in json.dumps(kept["data"])
                assert json.dumps(secret) not in things
            if secrets and not any(s.startswith("ref~") for s in secrets):
                assert await PRIVACY.reveal(conn, kept["data"]) == sent["data"]


def _texts(data: Any, paths: list[tuple[str, ...]]) -> list[str]:
    found: list[str] = []
    for path in paths:
        places: list[Any] = [data]
        for step in path:
            places = [inner for p in places for inner in (p if step == "*" else [p[step]] if step in p else [])]
        found.extend(places)
    return found


async def test_a_distribution_waits_for_its_chain_and_then_for_its_saving(ledger: Ledger) -> None:
    events = {TYPES[e["type"]].kind: e for e in reversed(every_kind())}
    wanted = ("relation.registered", "chain.savings_distributed", "chain.defined", "chain.savings_assessed")
    registered, distributed, defined, assessed = (arrival(events[kind]) for kind in wanted)
    await ledger.append([registered])
    waits = (await ledger.append([distributed])).verdicts[0]
    assert (waits.verdict, (waits.problem or {})["type"].rpartition(":")[2]) == ("parked", "unknown_chain")
    await ledger.append([defined])
    await ledger.append([])
    again = (await ledger.append([distributed])).verdicts[0]
    assert (again.verdict, (again.problem or {})["type"].rpartition(":")[2]) == ("parked", "not_yet")
    await ledger.append([assessed])
    assert (await ledger.append([])).released == 1
    assert (await ledger.append([distributed])).verdicts[0].verdict == "duplicate"
