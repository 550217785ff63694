"""A restored, older database: intake takes back from the stream what it lacks before a door opens, and proves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import orjson
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.append import Ledger
from events.audit import verify
from events.catalog import check
from events.deciding import Arrival
from events.postgres import connect
from events.privacy import ERASED, LOST
from events.reconcile import reconcile
from events.refill import Progress, refill
from events.relay import Relay
from events.stream import Stream
from services.backup import backup
from services.keys import privacy_of
from services.restore import restore
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.every_kind import department_of, every_kind
from tests.integration.book import Department, connection, held, registered, running_intake, scalar

Json = dict[str, Any]


@asynccontextmanager
async def operations(settings: Settings) -> AsyncGenerator[Client]:
    assert settings.operations_nats_seed is not None
    untyped: Any = nats
    seed = settings.operations_nats_seed.get_secret_value()
    client: Client = await untyped.connect(settings.nats_url, nkeys_seed_str=seed, allow_reconnect=False)
    try:
        yield client
    finally:
        await client.close()


def before(crm: Department) -> list[Json]:
    line = {
        "line": "l-1", "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
        "starts_on": "2026-01-01", "grace_working_days": 5, "owner": "e-1", "occurred_on": "2026-01-06",
    }  # fmt: skip
    person = {
        "person": "p-1", "name": "Anna Bekend", "function": "Adviseur", "layer": "board", "decision_role": "decides",
        "occurred_on": "2026-01-06",
    }  # fmt: skip
    return [
        crm.event("relation.registered", registered()),
        crm.event("relation.registered", registered("Gemeente Delft"), subject="gemeentecode:0503"),
        crm.event("schedule.line_set", line),
        crm.event("counterpart.added", person),
        crm.event("contact.held", held("c-1")),
        # waits for its contact: after the backup it is accepted
        crm.event("contact.retracted", {"contact": "c-9", "occurred_at": "2026-02-05T09:00:00+01:00"}),
        # waits for a line that never comes
        crm.event("schedule.line_ended", {"line": "l-none", "occurred_on": "2026-02-05"}),
    ]


def after(crm: Department, first: Json) -> list[Json]:
    person = {
        "name": "Anna Bekend-Nieuw", "function": "Directeur", "layer": "board", "decision_role": "decides",
        "occurred_on": "2026-02-06",
    }  # fmt: skip
    return [
        crm.event("relation.identifier_linked", {"scheme": "kvk", "value": "12345678", "occurred_on": "2026-02-01"}),
        crm.event("counterpart.moved", {"person": "p-1", **person}),
        crm.event("counterpart.added", {"person": "p-2", **person}),
        crm.event("contact.held", held("c-9"), subject="kvk:12345678"),
        crm.event("commitment.made", {
            "commitment": "k-1", "by": "us", "what": "Iets geheims", "due_on": "2026-04-01", "occurred_on": "2026-01-10"
        }),
        crm.event("commitment.fulfilled", {"commitment": "k-1", "occurred_on": "2026-02-10"}),
        crm.event("plan.question_answered", {
            "plan": "2026", "question": "4", "answer": "Samen", "occurred_on": "2026-01-10"
        }),
        crm.event("relation.merged", {
            "survivor": "gemeentecode:0518", "absorbed": "gemeentecode:0503", "occurred_on": "2026-02-11"
        }),
        crm.event("correction.withdrawn", {
            "source": first["source"], "id": first["id"], "occurred_at": "2026-02-12T10:00:00+01:00"
        }),
    ]  # fmt: skip


async def things(engine: AsyncEngine) -> dict[str, Any]:
    async with engine.connect() as conn:
        rows = await conn.execute(text("SELECT key, value, version, position FROM ledger.thing"))
        chains = await conn.execute(text("SELECT relation, version, leaf, absorbed_by FROM ledger.chain"))
        return {r.key: (r.value, r.version, r.position) for r in rows} | {r.relation: tuple(r) for r in chains}


async def test_what_the_stream_has_more_comes_back_whole(
    settings: Settings, department: AddDepartment, engine: AsyncEngine, owner_engine: AsyncEngine, tmp_path: Path
) -> None:
    added = await department("crm")
    source = f"urn:nld:oin:{settings.institution}:systeem:crm"
    async with connection(settings, added.nats) as client:
        crm = Department("crm", client, source)
        old = before(crm)
        async with running_intake(settings):
            verdicts = await crm.send_all(old)
            assert [v["verdict"] for v in verdicts] == ["accepted"] * 5 + ["parked"] * 2
            await backup(
                settings.owner_database_url, lookup_key=settings.lookup_key_bytes, institution=settings.institution,
                checkpoints=settings.checkpoints_path, erasures=settings.erasures_path, out=tmp_path / "kopie",
            )  # fmt: skip
            new = after(crm, old[4])
            sent = await crm.send_all(new)
            assert [v["verdict"] for v in sent] == ["accepted"] * len(new)
            again = (await crm.send(old[5]))["sequence"]  # its verdict once it was freed
        head = await scalar(engine, "SELECT position FROM ledger.head")
        assert head == 5 + len(new) + 1
        known = await things(engine)
        tally = await scalar(engine, "SELECT accepted FROM ledger.tally WHERE department = 'crm'")
        await engine.dispose()
        await owner_engine.dispose()

        await restore(settings, tmp_path / "kopie", keys=None, force=True)
        assert await scalar(engine, "SELECT position FROM ledger.head") == 5
        async with running_intake(settings):
            assert [(v["verdict"], v["sequence"]) for v in await crm.send_all(new)] == [
                ("duplicate", v["sequence"]) for v in sent
            ]
            assert (await crm.send(old[5]))["sequence"] == again
            assert (await crm.send(old[6]))["verdict"] == "parked"
            found = await things(engine)
            # who p-2 is nobody can say any more: the book has the reference alone
            lost = [k for k in found if "ref~" in k]
            assert len(lost) == 1
            theirs = next(
                k for k, t in known.items() if k.startswith("counterpart:") and t[2] == int(sent[2]["sequence"])
            )
            assert found.pop(lost[0]) == known.pop(theirs)
            assert found == known
            more = await crm.send(crm.event("contact.held", held("c-10"), subject="kvk:12345678"))
            assert (more["verdict"], int(more["sequence"])) == ("accepted", head + 1)
            ended = crm.event("commitment.fulfilled", {"commitment": "k-1", "occurred_on": "2026-02-11"})
            assert (await crm.send(ended))["verdict"] == "rejected"
        assert await scalar(engine, "SELECT accepted FROM ledger.tally WHERE department = 'crm'") == tally + 1
        assert await scalar(engine, "SELECT parked FROM ledger.head") == 1
    async with operations(settings) as client:
        assert (await reconcile(settings.database_url, client)).agree
    conn = await connect(settings.database_url)
    assert (await verify(conn, [])).agree
    await conn.close()
    await texts_of(engine, settings)


async def texts_of(engine: AsyncEngine, settings: Settings) -> None:
    """What was written before the backup is read; after it, what hangs on a key that was lost is lost, and says so."""
    privacy = privacy_of(settings)

    async def read(kind: str, nth: int = 0) -> Json:
        async with engine.connect() as conn:
            query = "SELECT payload FROM ledger.entry WHERE type = :t ORDER BY position OFFSET :n LIMIT 1"
            payload = await conn.scalar(text(query), {"t": f"nl.relatieboek.{kind}.v1", "n": nth})
            return await privacy.reveal(conn, orjson.loads(payload)["data"])

    assert (await read("contact.held"))["summary"] == "Zeer geheime samenvatting"
    assert (await read("contact.held", 1))["summary"] == LOST != ERASED
    assert (await read("contact.held", 1))["ours"][0]["employee"] == "e-geheim-12", "known before"
    assert (await read("contact.held", 2))["summary"] == "Zeer geheime samenvatting"
    assert (await read("commitment.made"))["what"] == LOST
    moved = await read("counterpart.moved")
    assert (moved["person"], moved["name"]) == ("p-1", "Anna Bekend-Nieuw"), "under a key that the backup has"
    assert (await read("counterpart.added", 1))["person"] == LOST


@pytest.mark.parametrize("at_once", [1, 40, 1000])
async def test_every_kind_of_event_leaves_behind_what_it_did_the_first_time(
    at_once: int, settings: Settings, engine: AsyncEngine, owner_engine: AsyncEngine
) -> None:
    """Broken off in the middle too: then nothing was done, and it is done again."""
    privacy = privacy_of(settings)
    ledger = Ledger(settings.database_url, privacy)
    events = every_kind()
    async with operations(settings) as client:
        relay = Relay(settings.database_url, Stream(client))
        await relay.open()
        done = await ledger.append([Arrival(department_of(e), e, check(e)) for e in events])
        assert {v.verdict for v in done.verdicts} == {"accepted"}
        relay.offer(done.entries, done.head)
        await relay.run_once()
        known = await things(engine)
        async with owner_engine.begin() as conn:  # as an older backup has it, but with everybody's keys
            await conn.execute(
                text("TRUNCATE ledger.entry, ledger.event_key, ledger.thing, ledger.chain, ledger.tally")
            )
            await conn.execute(text("UPDATE ledger.head SET position = 0"))

        def break_off(done: int, total: int) -> None:
            raise KeyboardInterrupt

        async def again(progress: Progress = lambda done, total: None) -> int:
            while True:
                try:
                    return await refill(
                        settings.database_url, Stream(client), engine, privacy, progress, at_once=at_once
                    )
                except TimeoutError:  # the other one has the ledger for long; intake tries again too
                    continue

        with pytest.raises(KeyboardInterrupt):
            await again(break_off)
        assert await scalar(engine, "SELECT count(*) FROM ledger.entry") == 0
        assert sorted(await asyncio.gather(again(), again())) == [0, len(events)], "of two intakes one does it"
        assert (await reconcile(settings.database_url, client)).agree
    assert await things(engine) == known
    assert await scalar(engine, "SELECT count(*) FROM ledger.event_key WHERE erased_by = 0") == len(events)
    assert {
        v.verdict for v in (await ledger.append([Arrival(department_of(e), e, check(e)) for e in events])).verdicts
    } == {"duplicate"}
    await ledger.close()
    await relay.close()


async def test_a_ledger_that_is_not_behind_is_left_alone(
    settings: Settings, department: AddDepartment, engine: AsyncEngine
) -> None:
    added = await department("crm")
    async with connection(settings, added.nats) as client:
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        async with running_intake(settings):
            await crm.send(crm.event("relation.registered", registered()))
    async with operations(settings) as client:
        privacy = privacy_of(settings)
        assert await refill(settings.database_url, Stream(client), engine, privacy) == 0
        await Stream(client).delete()
        assert await refill(settings.database_url, Stream(client), engine, privacy) == 0, "for the relay to say"
    assert await scalar(engine, "SELECT count(*) FROM ledger.event_key WHERE erased_by = 0") == 0


@pytest.mark.parametrize("what", ["other book", "altered"])
async def test_a_stream_that_does_not_go_on_from_the_ledger_stops_it(
    what: str, settings: Settings, department: AddDepartment, engine: AsyncEngine, owner_engine: AsyncEngine
) -> None:
    added = await department("crm")
    async with connection(settings, added.nats) as client:
        crm = Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")
        async with running_intake(settings):
            await crm.send_all([crm.event("relation.registered", registered()), crm.event("contact.held", held())])
        if what == "other book":  # the ledger went its own way where the stream has another event
            statement = "UPDATE ledger.entry SET leaf = sha256(leaf) WHERE position = 1"
        else:
            statement = "SELECT 1"
            async with operations(settings) as client:
                headers = {"Relatieboek-Relation": "organisation", "Relatieboek-Version": "1",
                           "Relatieboek-Prev": "00" * 32, "Relatieboek-Leaf": "11" * 32}  # fmt: skip
                event: Json = {"id": "x", "source": "x", "type": "nl.relatieboek.team.formed.v1", "department": "crm",
                         "recordedtime": "2026-01-01T00:00:00Z", "data": {}, "relation": "organisation",
                         "sequence": "3"}  # fmt: skip
                await JetStreamContext(client).publish("relatieboek.x.y.crm", orjson.dumps(event), headers=headers)
        async with owner_engine.begin() as conn:
            await conn.execute(text(statement))
            if what == "other book":
                await conn.execute(text("DELETE FROM ledger.entry WHERE position = 2"))
                await conn.execute(text("UPDATE ledger.head SET position = 1"))
        head = await scalar(engine, "SELECT position FROM ledger.head")
        async with running_intake(settings):
            verdict = await crm.send(crm.event("contact.held", held("c-3")))
            assert verdict["verdict"] == "busy"
        assert await scalar(engine, "SELECT position FROM ledger.head") == head
        assert await scalar(engine, "SELECT count(*) FROM ledger.event_key WHERE erased_by = 0") == 0
