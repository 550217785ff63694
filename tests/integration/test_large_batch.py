"""A large batch is written by one statement: all of it or nothing, and every row as its event was."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.append import Ledger
from events.catalog import check
from events.deciding import Arrival
from events.ledger import read
from events.privacy import Privacy
from events.proof import GENESIS, leaf_hash
from tests.given import KEYS
from tests.integration.book import held, registered, scalar

_COUNT = 1_100
_IN_THE_WAY = """
INSERT INTO ledger.entry VALUES (:position, 'organisation', 1, 'urn:x', 'x', 'x', 'x', now(), '', '', '')
"""


@pytest.fixture
async def ledger(service_url: str) -> AsyncGenerator[Ledger]:
    ledger = Ledger(service_url, Privacy(bytes(32), KEYS))
    yield ledger
    await ledger.close()


def arrival(n: int, kind: str, data: dict[str, Any], department: str) -> Arrival:
    sent = {
        "specversion": "1.0", "id": f"e-{n}", "source": f"urn:nld:kvk:12345678:systeem:{department}",
        "type": f"nl.relatieboek.{kind}.v1", "subject": "gemeentecode:0518", "data": data,
    }  # fmt: skip
    return Arrival(department, sent, check(sent))


def batch(*departments: str) -> list[Arrival]:
    """A relation and its contacts, from these departments in turn."""
    contacts = [arrival(n, "contact.held", held(f"c-{n}"), departments[n % len(departments)]) for n in range(1, _COUNT)]
    return [arrival(0, "relation.registered", registered(), departments[0]), *contacts]


@pytest.mark.parametrize("departments", [("crm",), ("crm", "hr")])
async def test_every_row_is_what_its_event_was(
    ledger: Ledger, engine: AsyncEngine, departments: tuple[str, ...]
) -> None:
    sent = batch(*departments)
    done = await ledger.append(sent)
    assert [v.position for v in done.verdicts] == list(range(1, _COUNT + 1))
    async with engine.connect() as conn:
        stored = await read(conn, 0, _COUNT)
        rows = (await conn.execute(text("SELECT * FROM ledger.entry ORDER BY position"))).all()
        keys = await conn.scalar(text("SELECT count(key) FROM ledger.event_key"))
    assert keys == _COUNT
    prev = GENESIS
    for n, (given, event, row) in enumerate(zip(sent, stored, rows, strict=True)):
        assert given.submission is not None
        assert (event.id, event.department, event.version) == (f"e-{n}", given.department, n + 1)
        assert (row.source, row.id, row.type, row.department, row.version) == (
            given.submission.source, event.id, given.submission.type, given.department, event.version,
        )  # fmt: skip
        assert row.prev == prev
        assert row.leaf == leaf_hash(orjson.loads(row.payload), event.position, event.version, prev)
        prev = row.leaf


async def test_a_row_that_fails_leaves_nothing_of_the_batch(
    ledger: Ledger, engine: AsyncEngine, owner_engine: AsyncEngine
) -> None:
    async with owner_engine.begin() as conn:
        await conn.execute(text(_IN_THE_WAY), {"position": 510})
    with pytest.raises(asyncpg.UniqueViolationError):
        await ledger.append(batch("crm"))
    assert await scalar(engine, "SELECT count(*) FROM ledger.entry") == 1
    assert await scalar(engine, "SELECT count(*) FROM ledger.event_key") == 0
    async with owner_engine.begin() as conn:
        await conn.execute(text("DELETE FROM ledger.entry"))
    done = await ledger.append(batch("crm"))
    assert {v.verdict for v in done.verdicts} == {"accepted"}
    assert await scalar(engine, "SELECT position FROM ledger.head") == _COUNT
