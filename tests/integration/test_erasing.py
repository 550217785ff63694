"""A person is erased: keys go, a tombstone stays, nothing comes back, and every proof still holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.append import Ledger
from events.catalog import check
from events.deciding import Arrival
from events.errors import KeyMissing
from events.ledger import read
from events.postgres import connect
from events.privacy import ERASED
from events.reconcile import reconcile
from services.embedded.doors import signed_in
from services.erasures import read_erasures
from services.intake.erasing import Eraser, erased_event
from services.intake.keeping import expire
from services.keys import privacy_of
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, held, registered, running_intake, scalar

Json = dict[str, Any]
ANNA = "p-geheim-81"


def counterpart(person: str = ANNA, name: str = "Anna Geheim", **data: Any) -> Json:
    return {"person": person, "name": name, "function": "Geheime adviseur", "layer": "board",
            "decision_role": "decides", "occurred_on": "2026-01-06", **data}  # fmt: skip


@pytest.fixture
async def crm(settings: Settings, department: AddDepartment) -> AsyncGenerator[Department]:
    added = await department("crm")
    async with connection(settings, added.nats) as client:
        yield Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")


async def ref_of(settings: Settings, engine: AsyncEngine, id_: str = ANNA, kind: Any = "person") -> str:
    async with engine.connect() as conn:
        ref = await privacy_of(settings).ref_of(conn, kind, id_)
    assert ref is not None
    return ref


async def erase(settings: Settings, ref: str) -> Json:
    """Sends `person.erased` as the command does; its verdict."""
    seed = settings.nats_seed
    assert seed is not None
    async with signed_in(settings.nats_url, seed.get_secret_value()) as nc:
        event = erased_event(settings.source_of("privacy"), ref)
        return orjson.loads((await nc.request("submit.relatieboek", orjson.dumps(event), timeout=60)).data)


async def erased(engine: AsyncEngine, count: int = 1) -> None:
    """Returns once so many erasures are carried through."""
    async with asyncio.timeout(60):
        while await scalar(engine, "SELECT count(*) FROM ledger.erasure WHERE done_at IS NOT NULL") < count:
            await asyncio.sleep(0.02)


async def shown(settings: Settings, engine: AsyncEngine) -> list[Json]:
    async with engine.connect() as conn:
        return await privacy_of(settings).reveal(conn, [e.data for e in await read(conn, 0, 1_000)])


async def story(crm: Department) -> list[Json]:
    """Anna and Bert; two contacts with Anna, one of them with a text, one with Bert. All accepted."""
    events = [
        crm.event("relation.registered", registered("Den Haag", ("gemeentecode", "0518"))),
        crm.event("counterpart.added", counterpart()),
        crm.event("counterpart.added", counterpart("p-bert", "Bert Blijft")),
        crm.event("contact.held", held("c-1")),
        crm.event("contact.held", held("c-2", theirs=[{"person": "p-bert", "layer": "board"}], summary="Met Bert")),
    ]
    for event in events:
        verdict = await crm.send(event)
        assert verdict["verdict"] == "accepted", verdict
    return events


async def test_what_is_erased_reads_as_erased_and_the_rest_stands(
    settings: Settings, crm: Department, engine: AsyncEngine
) -> None:
    async with running_intake(settings):
        events = await story(crm)
        before = await shown(settings, engine)
        verdict = await erase(settings, await ref_of(settings, engine))
        assert verdict["verdict"] == "accepted"
        await erased(engine)
        after = await shown(settings, engine)
        assert (after[1]["person"], after[1]["name"], after[1]["function"]) == (ERASED, ERASED, ERASED)
        assert after[3]["summary"] == ERASED
        assert after[3]["theirs"] == [{"person": ERASED, "layer": "board"}]
        assert after[3]["ours"] == before[3]["ours"]  # the colleague is another person
        assert {k: v for k, v in after[3].items() if k not in ("summary", "theirs")} == {
            k: v for k, v in before[3].items() if k not in ("summary", "theirs")
        }
        assert (after[2], after[4]) == (before[2], before[4])  # Bert was not erased
        # Sent again, what was erased is a duplicate, whatever it says now: its HMAC went with its key.
        assert (await crm.send(events[3]))["verdict"] == "duplicate"
        assert (await erase(settings, await ref_of(settings, engine)))["verdict"] == "duplicate"
        conn = await connect(settings.database_url)
        nothing = await conn.fetchval(
            "SELECT count(*) FROM ledger.event_key WHERE (key IS NULL) <> (erased_by IS NOT NULL)"
            " OR (content_mac IS NULL) <> (key IS NULL)"
        )
        gone = await conn.fetch("SELECT position FROM ledger.event_key WHERE key IS NULL ORDER BY position")
        await conn.close()
        assert nothing == 0
        assert [row["position"] for row in gone] == [2, 4, 6]  # and the event that says so
        seed = settings.operations_nats_seed
        assert seed is not None
        async with signed_in(settings.nats_url, seed.get_secret_value()) as nc:
            assert (await reconcile(settings.database_url, nc)).differences == []


async def test_a_new_event_that_names_them_is_refused_without_their_id(
    settings: Settings, crm: Department, engine: AsyncEngine
) -> None:
    async with running_intake(settings):
        await story(crm)
        await erase(settings, await ref_of(settings, engine))
        for event in (
            crm.event("contact.held", held("c-9")),
            crm.event("counterpart.added", counterpart()),
            crm.event("contact.held", held("c-10", theirs=[{"layer": "board"}, {"person": ANNA, "layer": "board"}])),
        ):
            verdict = await crm.send(event)
            assert verdict["verdict"] == "rejected"
            assert verdict["problem"]["type"].endswith(":erased_person")
            assert ANNA not in str(verdict)
        assert [e["pointer"] for e in verdict["problem"]["errors"]] == ["/data/theirs/1/person"]
        # Nothing of it is kept; nor of what was refused for another reason, and names them.
        assert (await crm.send(crm.event("counterpart.added", counterpart(layer="nergens"))))["verdict"] == "rejected"
        assert (await crm.send(b'{"data": {"person": "p-geheim-81"'))["verdict"] == "rejected"
        assert await scalar(engine, "SELECT count(*) FROM ledger.rejected WHERE sealed IS NOT NULL") == 0
        other = crm.event("contact.held", held("c-11", theirs=[{"layer": "nergens"}]))
        assert (await crm.send(other))["verdict"] == "rejected"
        assert await scalar(engine, "SELECT count(*) FROM ledger.rejected WHERE sealed IS NOT NULL") == 1
        assert (await crm.send(crm.event("contact.held", held("c-12", theirs=[{"layer": "board"}]))))[
            "verdict"
        ] == "accepted"


async def test_what_waits_and_what_was_refused_goes_too(
    settings: Settings, crm: Department, engine: AsyncEngine
) -> None:
    async with running_intake(settings):
        await story(crm)
        waiting = crm.event("contact.held", held("c-7"), "gemeentecode:9999")
        other = crm.event("contact.held", held("c-8", theirs=[{"layer": "board"}]), "gemeentecode:9999")
        assert [v["verdict"] for v in await crm.send_all([waiting, other])] == ["parked", "parked"]
        assert (await crm.send(crm.event("contact.held", held("c-x", duration_min=0))))["verdict"] == "rejected"
        await erase(settings, await ref_of(settings, engine))
        await erased(engine)
        assert await scalar(engine, "SELECT count(*) FROM ledger.parked") == 1
        assert await scalar(engine, "SELECT parked FROM ledger.head") == 1
        assert await scalar(engine, "SELECT count(*) FROM ledger.rejected WHERE sealed IS NOT NULL") == 0
        # The one that waited is known no more; sent again it is refused.
        assert (await crm.send(waiting))["problem"]["type"].endswith(":erased_person")


async def test_a_person_under_a_legal_hold_is_not_erased(
    settings: Settings, crm: Department, engine: AsyncEngine
) -> None:
    from services.privacy.persons import find, holds, place_hold, release_hold

    privacy = privacy_of(settings)
    async with running_intake(settings):
        await story(crm)
        ref = await ref_of(settings, engine)
        async with engine.begin() as conn:
            number = await place_hold(conn, await find(conn, privacy, f"person:{ANNA}"), "Zaak 2026-12 over Anna")
        verdict = await erase(settings, ref)
        assert verdict["verdict"] == "rejected"
        assert verdict["problem"]["type"].endswith(":on_hold")
        assert (await shown(settings, engine))[1]["name"] == "Anna Geheim"
        async with engine.begin() as conn:
            (placed,) = await holds(conn, privacy)
            assert placed.reason == "Zaak 2026-12 over Anna"
            assert b"Zaak" not in bytes(await conn.scalar(text("SELECT sealed_reason FROM ledger.hold")))
            await release_hold(conn, number)
        assert (await erase(settings, ref))["verdict"] == "accepted"
        await erased(engine)
        async with engine.connect() as conn:
            assert (await holds(conn, privacy, ref, all_=True))[0].reason == ""


async def test_two_intakes_and_neither_lets_them_back_in(
    settings: Settings, crm: Department, engine: AsyncEngine
) -> None:
    async with running_intake(settings), running_intake(settings):
        await story(crm)
        # Both have Anna in memory: requests go to one or the other.
        for n in range(20):
            assert (await crm.send(crm.event("contact.held", held(f"c-warm-{n}"))))["verdict"] == "accepted"
        await erase(settings, await ref_of(settings, engine))
        for n in range(20):
            assert (await crm.send(crm.event("contact.held", held(f"c-koud-{n}"))))["verdict"] == "rejected"
        await erased(engine)
    assert {d["summary"] for d in await shown(settings, engine) if "summary" in d} == {ERASED, "Met Bert"}


async def test_a_key_that_is_gone_without_a_tombstone_is_an_error(
    settings: Settings, crm: Department, engine: AsyncEngine, owner_engine: AsyncEngine
) -> None:
    async with running_intake(settings):
        await story(crm)
    for sabotage in (
        "UPDATE ledger.event_key SET key = NULL WHERE position = 4",
        "UPDATE ledger.event_key SET key = NULL, erased_by = NULL; DELETE FROM ledger.event_key WHERE position = 4",
        f"UPDATE ledger.person_key SET key = NULL WHERE ref = '{await ref_of(settings, engine)}'",
        f"DELETE FROM ledger.person_key WHERE ref = '{await ref_of(settings, engine)}'",
    ):
        async with owner_engine.connect() as conn:
            for statement in sabotage.split("; "):
                await conn.execute(text(statement))
            everything = [e.data for e in await read(conn, 3, 1)]
            with pytest.raises(KeyMissing):
                await privacy_of(settings).reveal(conn, everything)


class TestARestoredBackup:
    async def test_brings_nobody_back(
        self, settings: Settings, crm: Department, engine: AsyncEngine, owner_engine: AsyncEngine
    ) -> None:
        async with running_intake(settings):
            await story(crm)
            ref = await ref_of(settings, engine)
            async with engine.connect() as conn:
                keys = (await conn.execute(text("SELECT * FROM ledger.event_key"))).mappings().all()
                people = (await conn.execute(text("SELECT * FROM ledger.person_key"))).mappings().all()
            await erase(settings, ref)
            await erased(engine)
        # The tables of keys as they were before; ledger and stream still know of the erasure.
        async with owner_engine.begin() as conn:
            for table, rows in (("event_key", keys), ("person_key", people)):
                await conn.execute(text(f"DELETE FROM ledger.{table} WHERE true"))
                for row in rows:
                    names = [str(name) for name in row]
                    into = f"ledger.{table} ({', '.join(names)}) VALUES ({', '.join(':' + n for n in names)})"
                    await conn.execute(text(f"INSERT INTO {into}"), dict(row))
        assert (await shown(settings, engine))[1]["name"] == "Anna Geheim"
        async with running_intake(settings):
            assert (await crm.send(crm.event("contact.held", held("c-9"))))["verdict"] == "rejected"
        after = await shown(settings, engine)
        assert after[1]["name"] == ERASED
        assert after[3]["summary"] == ERASED

    async def test_of_before_the_event_itself_erases_again_by_the_list_outside(
        self, settings: Settings, crm: Department, engine: AsyncEngine, owner_engine: AsyncEngine
    ) -> None:
        async with running_intake(settings):
            await story(crm)
            ref = await ref_of(settings, engine)
            await erase(settings, ref)
            await erased(engine)
        (listed,) = read_erasures(settings.erasures_path)
        assert (listed.ref, listed.position) == (ref, 6)
        assert ANNA.encode() not in settings.erasures_path.read_bytes()
        assert b"Anna" not in settings.erasures_path.read_bytes()
        # A book of before: the same people and events, another stream, and nothing that tells of an erasure.
        moved = settings.erasures_path.rename(settings.data_dir / "aside")
        async with owner_engine.begin() as conn:
            await conn.execute(text(
                "TRUNCATE ledger.entry, ledger.event_key, ledger.person_key, ledger.chain, ledger.thing, "
                "ledger.erasure, ledger.rejected, ledger.parked, ledger.tally"
            ))  # fmt: skip
            await conn.execute(text(
                "UPDATE ledger.head SET position = 0, erasures = 0, stream_created = NULL, recorded_at = NULL"
            ))  # fmt: skip
        seed = settings.operations_nats_seed
        assert seed is not None
        async with signed_in(settings.nats_url, seed.get_secret_value()) as nc:
            await nc.request("$JS.API.STREAM.DELETE.RELATIEBOEK", b"{}", timeout=20)
        async with running_intake(settings):
            await story(crm)
        assert (await shown(settings, engine))[1]["name"] == "Anna Geheim"
        settings.erasures_path.unlink(missing_ok=True)
        moved.rename(settings.erasures_path)
        async with running_intake(settings):
            assert (await crm.send(crm.event("contact.held", held("c-9"))))["verdict"] == "rejected"
            after = await shown(settings, engine)
        assert (after[1]["name"], after[3]["summary"]) == (ERASED, ERASED)
        assert len(after) == 6  # the book says again that they were erased
        assert len(read_erasures(settings.erasures_path)) == 2  # the reference of then and the one of now

    async def test_without_the_person_still_refuses_them(
        self, settings: Settings, crm: Department, engine: AsyncEngine
    ) -> None:
        lookup = privacy_of(settings).lookup("person", ANNA).hex()
        line = f'{{"ref":"ref~{"0" * 32}","kind":"person","lookup":"{lookup}","position":6}}\n'
        settings.erasures_path.write_text(line + '{"ref":"ref~1')  # a crash cut the last line off
        async with running_intake(settings):
            await crm.send(crm.event("relation.registered", registered("Den Haag", ("gemeentecode", "0518"))))
            verdict = await crm.send(crm.event("counterpart.added", counterpart()))
            assert verdict["problem"]["type"].endswith(":erased_person")


async def test_who_is_erased_is_named_no_more_in_the_same_batch(
    settings: Settings, crm: Department, engine: AsyncEngine
) -> None:
    async with running_intake(settings):
        await story(crm)
    event = erased_event(settings.source_of("privacy"), await ref_of(settings, engine))
    later = [crm.event("contact.held", held("c-99")), crm.event("counterpart.added", counterpart())]
    # An intake that never heard of Anna: her reference tells it nothing, and the events after it name her by her id.
    ledger = Ledger(settings.database_url, privacy_of(settings))
    arrivals = [Arrival("relatieboek", event, check(event)), *(Arrival("crm", e, check(e)) for e in later)]
    verdicts = (await ledger.append(arrivals)).verdicts
    await ledger.close()
    assert [v.verdict for v in verdicts] == ["accepted", "rejected", "rejected"]
    assert [str((v.problem or {})["type"]).rpartition(":")[2] for v in verdicts[1:]] == ["erased_person"] * 2
    assert await scalar(engine, "SELECT count(*) FROM ledger.rejected WHERE sealed IS NOT NULL") == 0


async def test_a_colleague_who_is_erased_is_no_actor_any_more(
    settings: Settings, crm: Department, engine: AsyncEngine
) -> None:
    """Who did it is stored as it was sent."""
    async with running_intake(settings):
        await story(crm)
        theirs = {"ours": [{"employee": "e-1", "layer": "board"}], "theirs": [{"layer": "board"}]}
        before = await crm.send(crm.event("contact.held", held("c-3", **theirs), actor="e-geheim-12"))
        await erase(settings, await ref_of(settings, engine, "e-geheim-12", "employee"))
        after = await crm.send(crm.event("contact.held", held("c-4", **theirs), actor="e-geheim-12"))
        other = await crm.send(crm.event("contact.held", held("c-5", **theirs), actor="e-2"))
    assert [v["verdict"] for v in (before, after, other)] == ["accepted", "rejected", "accepted"]
    assert [e["pointer"] for e in after["problem"]["errors"]] == ["/actor"]


async def test_what_waited_and_expires_while_somebody_is_erased_goes_too(
    settings: Settings, crm: Department, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    naming = Eraser._naming  # pyright: ignore[reportPrivateUsage]
    looks: list[int] = []

    async def then_it_expires(self: Eraser, conn: Any, query: str, lookups: set[bytes]) -> list[int]:
        found = await naming(self, conn, query, lookups)
        looks.append(len(found))
        if len(looks) == 2:  # parked and rejected were both looked at
            async with engine.begin() as other:
                assert await expire(other, parked_days=-1, rejected_days=30) == 1
        return found

    monkeypatch.setattr(Eraser, "_naming", then_it_expires)
    async with running_intake(settings):
        await story(crm)
        assert (await crm.send(crm.event("contact.held", held("c-7"), "gemeentecode:9999")))["verdict"] == "parked"
        await erase(settings, await ref_of(settings, engine))
        await erased(engine)
    assert looks == [1, 0, 0, 1]
    assert await scalar(engine, "SELECT count(*) FROM ledger.rejected WHERE code = 'expired' AND sealed IS NULL") == 1
    assert await scalar(engine, "SELECT count(*) FROM ledger.parked") == 0
