"""One department against another: publish as it, read from it, reply into it, suppress it, flood it out.

What the server forbids (publishing, subscribing, reply addresses) is in test_embedded_nats; here is what goes through
the running intake.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from itertools import pairwise
from typing import Any, Final

import nats.errors
import orjson
import pytest
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from sqlalchemy.ext.asyncio import AsyncEngine

from services.embedded.accounts import inbox_prefix
from services.embedded.doors import signed_in
from services.embedded.nats import Nats
from services.embedded.registration import revoke_department
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, held, listen, registered, running_intake, scalar


@pytest.fixture
async def two(settings: Settings, department: AddDepartment) -> AsyncGenerator[tuple[Department, Department]]:
    crm, zorg = await department("crm"), await department("zorg")
    base = f"urn:nld:oin:{settings.institution}:systeem:"
    async with (
        running_intake(settings), connection(settings, crm.nats) as first, connection(settings, zorg.nats) as second,
    ):  # fmt: skip
        yield Department("crm", first, base + "crm"), Department("zorg", second, base + "zorg")


async def test_nobody_publishes_as_another(two: tuple[Department, Department], engine: AsyncEngine) -> None:
    crm, zorg = two
    event = zorg.event("relation.registered", registered())
    verdict = await crm.send(event)
    assert verdict["verdict"] == "rejected"
    assert verdict["problem"]["type"] == "urn:relatieboek:problem:authority"
    assert verdict["problem"]["errors"][0]["pointer"] == "/source"
    with pytest.raises(nats.errors.Error):
        await crm.client.request("submit.zorg", orjson.dumps(event), timeout=1)
    # It takes nothing away from the one whose event it is.
    assert (await zorg.send(event))["verdict"] == "accepted"
    assert await scalar(engine, "SELECT department FROM ledger.entry") == "zorg"


async def test_what_a_department_left_in_its_inbox_is_refused_once_it_is_revoked(
    settings: Settings, department: AddDepartment
) -> None:
    """While intake was down: nothing of it stays on NATS in the clear."""
    crm = await department("crm")
    async with connection(settings, crm.nats) as client:
        event = {"id": "left-behind", "source": f"urn:nld:oin:{settings.institution}:systeem:crm"}
        await JetStreamContext(client, timeout=20).publish("inbox.crm.x", orjson.dumps(event))
    await revoke_department(settings, "crm")
    seed = settings.operations_nats_seed
    assert seed is not None
    async with running_intake(settings), signed_in(settings.nats_url, seed.get_secret_value()) as nc:
        js = JetStreamContext(nc, timeout=20)
        async with asyncio.timeout(60):
            while (await js.stream_info("INBOX_crm")).state.messages:
                await asyncio.sleep(0.05)
        told = orjson.loads((await js.get_last_msg("VERDICTS_crm", "verdicts.crm")).data or b"")
        assert (told["verdict"], told["id"]) == ("rejected", "left-behind")
        assert told["problem"]["type"] == "urn:relatieboek:problem:authority"


async def test_nobody_answers_for_another_or_reads_its_verdicts(two: tuple[Department, Department]) -> None:
    crm, zorg = two
    heard: list[bytes] = []

    async def hear(message: Msg) -> None:
        heard.append(message.data)

    for subject in ("submit.zorg", "verdicts.zorg", f"{inbox_prefix('zorg')}.>", "inbox.zorg.>"):
        await listen(crm.client, subject, hear)
    told = asyncio.Event()

    async def own(_: Msg) -> None:
        told.set()

    await listen(zorg.client, "verdicts.zorg", own)
    assert (await zorg.send(zorg.event("relation.registered", registered())))["verdict"] == "accepted"
    await JetStreamContext(zorg.client, timeout=20).publish(
        "inbox.zorg.x", orjson.dumps(zorg.event("contact.held", held()))
    )
    async with asyncio.timeout(60):
        await told.wait()
    await crm.client.flush()
    assert heard == []


async def test_the_same_message_id_suppresses_nothing_of_another(two: tuple[Department, Department]) -> None:
    crm, zorg = two
    same = {"Nats-Msg-Id": "the-very-same"}
    events = {
        crm: crm.event("relation.registered", registered()),
        zorg: zorg.event("relation.registered", registered("Gemeente Leiden"), subject="gemeentecode:0546"),
    }
    verdicts: dict[Department, asyncio.Queue[dict[str, Any]]] = {}
    for department, event in events.items():
        heard = verdicts[department] = asyncio.Queue()

        async def hear(message: Msg, heard: asyncio.Queue[dict[str, Any]] = heard) -> None:
            await heard.put(orjson.loads(message.data))

        await listen(department.client, f"verdicts.{department.name}", hear)
        kept = await JetStreamContext(department.client, timeout=20).publish(
            f"inbox.{department.name}.x", orjson.dumps(event), headers=same
        )
        assert not kept.duplicate
    async with asyncio.timeout(60):
        for department, event in events.items():
            verdict = await verdicts[department].get()
            assert (verdict["verdict"], verdict["id"]) == ("accepted", event["id"])
    # Nor does the same CloudEvents id under a source of its own.
    crms = await crm.send({**crm.event("contact.held", held()), "id": events[zorg]["id"]})
    assert crms["verdict"] == "accepted"


async def test_a_flood_of_one_department_starves_no_other(two: tuple[Department, Department]) -> None:
    """In batches, which no busy machine stretches: between two single events of one department lie a few batches of
    the other's, however much the other has waiting; and the one that waits its turn never hears `busy`.

    So does the first event, which is sent behind the whole flood: it comes by a connection of its own.
    """
    crm, zorg = two
    await crm.send(crm.event("relation.registered", registered()))
    arrays = [[crm.event("contact.held", held(f"c-{a}-{n}")) for n in range(1_000)] for a in range(12)]
    singles = [crm.event("contact.held", held(f"s-{n}")) for n in range(3_500)]
    flood = [asyncio.create_task(crm.send_all(events)) for events in arrays]
    flood += [asyncio.create_task(one(crm, event)) for event in singles]
    await asyncio.sleep(0)  # lets the flood go out before the first single event
    await crm.client.flush()
    positions: list[int] = []
    while not all(task.done() for task in flood):
        verdict = await zorg.send(zorg.event("contact.held", held(f"z-{len(positions)}")))
        assert verdict["verdict"] == "accepted", verdict
        positions.append(int(verdict["sequence"]))
    told = Counter(v["verdict"] for task in flood for v in task.result())
    assert told["busy"] > 0, "this was no flood"
    assert told["busy"] + told["accepted"] == 12_000 + 3_500
    assert told["accepted"] >= 5_000
    gaps = [b - a for a, b in pairwise([1, *positions])]
    assert len(gaps) >= 2, positions
    # The test shares its loop with the desk: while it reads the verdicts of the flood, some batches more go by. Without
    # turns each would wait for all that the flood has in the queue, 10,000.
    assert max(gaps) <= 8_000, positions


FLOOD: Final = """
import asyncio, sys, nats

async def main(url, seed, prefix):
    body = b"[" + b"1," * 3_900_000 + b"1]"
    async def lane():
        client = await nats.connect(url, nkeys_seed_str=seed, inbox_prefix=prefix, pending_size=64 << 20)
        while True:
            await client.publish("submit.crm", body, reply=client.new_inbox())
            await client.flush(60)
    await asyncio.gather(*(lane() for _ in range(12)))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_who_sends_faster_than_anybody_reads_is_cut_off_alone(
    settings: Settings, department: AddDepartment, nats_server: Nats
) -> None:
    """Messages as large as NATS takes them, until the server cuts the connection on which intake reads them."""
    crm_, zorg_ = await department("crm"), await department("zorg")
    async with running_intake(settings), connection(settings, zorg_.nats) as client:
        zorg = Department("zorg", client, f"urn:nld:oin:{settings.institution}:systeem:zorg")
        flooder = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FLOOD, settings.nats_url, crm_.nats["nkey_seed"], crm_.nats["inbox_prefix"]
        )
        lines: list[str] = []
        cut, told = "", 0
        try:
            async with asyncio.timeout(60):
                while not cut or told < 20:
                    verdict = await zorg.send(zorg.event("contact.held", held(f"c-{told}")))
                    assert verdict["verdict"] == "parked", verdict  # of a relation that is not registered yet
                    told += 1
                    lines = (await asyncio.to_thread(nats_server.log.read_text)).splitlines()
                    cut = next((line for line in lines if "Slow Consumer" in line), "")
        finally:
            flooder.kill()
            await flooder.wait()
    assert "submit-crm" in cut
    assert all("submit-crm" in line for line in lines if "Slow Consumer" in line)


async def one(department: Department, event: dict[str, Any]) -> list[dict[str, Any]]:
    return [await department.send(event)]
