"""`keys rotate` is killed (-9) while events flow, before or in the middle of its work, and somebody goes on with it.

Where it is killed is no matter of luck: a row that is locked holds it there.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from typing import Final

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from events.ledger import read
from events.postgres import Connection, connect
from events.rewrapping import AT_ONCE, wrapped_by
from services.keys import first_key, key_wrapper, privacy_of
from services.settings import Settings, as_environment
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, held, registered, running_intake
from tests.running_book import ROOT
from tests.softhsm import needs_softhsm, new_token

PERSON: Final = {
    "person": "p-geheim-81", "name": "Anna Geheim", "function": "Adviseur", "layer": "board",
    "decision_role": "decides", "occurred_on": "2026-01-06",
}  # fmt: skip
# More than one transaction of the rewrapping.
BEFORE: Final = AT_ONCE + 100
_WAITS: Final = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE ledger.%SET key%'
"""


async def start(settings: Settings, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli.main", *words, cwd=ROOT, env=as_environment(settings),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


async def command(settings: Settings, *words: str) -> str:
    process = await start(settings, *words)
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return out.decode()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("held_at", "half", "again", "in_token"),
    [
        ("SELECT 1 FROM ledger.person_key ORDER BY ref LIMIT 1 FOR UPDATE", False, "rewrap", False),
        ("SELECT 1 FROM ledger.event_key ORDER BY position DESC LIMIT 1 FOR UPDATE", True, "rotate", False),
        pytest.param(
            "SELECT 1 FROM ledger.event_key ORDER BY position DESC LIMIT 1 FOR UPDATE", True, "rewrap", True,
            marks=needs_softhsm,
        ),
    ],
    ids=["with a new ring and nothing wrapped by it", "half way", "half way in a token"],
)  # fmt: skip
async def test_a_rotation_that_was_killed_is_taken_up_and_nothing_is_lost(
    settings: Settings, department: AddDepartment, engine: AsyncEngine, held_at: str, half: bool, again: str,
    in_token: bool,
) -> None:  # fmt: skip
    added = await department("crm")
    if in_token:
        settings = settings.model_copy(update=new_token().settings)
        await first_key(settings)
    first = await key_wrapper(settings).primary()
    conn, holding = await connect(settings.database_url), await connect(settings.database_url)
    async with running_intake(settings), connection(settings, added.nats) as client:
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        await crm.send(crm.event("relation.registered", registered("Den Haag", ("gemeentecode", "0518"))))
        await crm.send(crm.event("counterpart.added", PERSON))
        await crm.send(crm.event("contact.held", held("c-wacht"), "gemeentecode:9999"))  # parked
        await crm.send(crm.event("contact.held", held("c-fout", duration_min=0)))  # rejected
        sent, done = list[dict[str, object]](), asyncio.Event()

        async def flow() -> None:
            while not done.is_set():
                n, size = len(sent), 500 if len(sent) < BEFORE else 20
                sent.extend(await crm.send_all([crm.event("contact.held", held(f"c-{n + i}")) for i in range(size)]))

        flowing = asyncio.create_task(flow())
        async with asyncio.timeout(120):
            while len(sent) < BEFORE:
                await asyncio.sleep(0.05)

        async with holding.transaction():
            await holding.execute(held_at)
            process = await start(settings, "keys", "rotate")
            await until_it_waits(conn, process)
            process.send_signal(signal.SIGKILL)
            assert await process.wait() == -signal.SIGKILL
            second = await key_wrapper(settings).primary()
            assert second != first
            counts = await wrapped_by(conn)
            assert counts[first] > 0
            assert (counts[second] >= AT_ONCE) is half
            # What was wrapped and what was not opens, and events go on, while nobody takes it up.
            there = len(sent)
            async with asyncio.timeout(30):
                while len(sent) == there:
                    await asyncio.sleep(0.02)
            await all_opens(settings, engine, at_least=BEFORE)

        await command(settings, "keys", again)
        done.set()
        await flowing
        last = await key_wrapper(settings).primary()
        assert (last == second) is (again == "rewrap")
        # Nothing is left under an old one, also not of what came in between: they can go.
        assert (await wrapped_by(conn)).keys() == {last}
        listed = json.loads(await command(settings, "keys", "list", "--json"))["items"]
        assert [(one["id"], one["primary"]) for one in listed] == [(last, True)]
        for old in {first, second} - {last}:
            await command(settings, "keys", "drop", old)
        assert {v["verdict"] for v in sent} == {"accepted"}
        assert await all_opens(settings, engine, at_least=len(sent)) == len(sent)
        # What was parked opens too, when what it waits for comes.
        await crm.send(crm.event("relation.registered", registered("Elders", ("gemeentecode", "9999"))))
        await crm.send(crm.event("contact.held", held("c-laatst")))
        assert await all_opens(settings, engine, at_least=len(sent)) == len(sent) + 2
        assert await conn.fetchval("SELECT count(*) FROM ledger.parked") == 0
        assert (await wrapped_by(conn)).keys() == {last}
    await holding.close()
    await conn.close()


async def until_it_waits(conn: Connection, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60):
        while not await conn.fetchval(_WAITS):
            assert process.returncode is None, "it ended without waiting for the row that is locked"
            await asyncio.sleep(0.01)


async def all_opens(settings: Settings, engine: AsyncEngine, *, at_least: int) -> int:
    """How many summaries there are, each of which must open with the ring as it is now; the person's name too."""
    async with engine.connect() as reading:
        everything = await read(reading, 0, 100_000)
        shown = await privacy_of(settings).reveal(reading, [e.data for e in everything])
    contacts = [d["summary"] for d, e in zip(shown, everything, strict=True) if e.kind == "contact.held"]
    assert set(contacts) == {"Zeer geheime samenvatting"}
    assert len(contacts) >= at_least
    assert [d["name"] for d, e in zip(shown, everything, strict=True) if e.kind == "counterpart.added"] == [
        PERSON["name"]
    ]
    return len(contacts)
