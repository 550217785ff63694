"""The commands of privacy, each a process of its own, against a running intake; and a kill -9 in the middle."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from nats.js import JetStreamContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.clock import system_now
from events.ledger import read
from events.privacy import ERASED
from services.access_log import store
from services.access_log.record import Record, prepare
from services.cli.operating import as_user
from services.embedded.doors import signed_in
from services.identity import accounts, sessions
from services.intake.erasing import erased_event
from services.keys import privacy_of
from services.privacy.export import in_dutch
from services.privacy.traces import Place, Search, Value, in_files
from services.settings import Settings, as_environment
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, held, registered, running_intake, scalar
from tests.integration.test_erasing import ANNA, erase, erased, ref_of, shown, story
from tests.running_book import ROOT

Json = dict[str, Any]
COLLEAGUE = "e-geheim-12"


@pytest.fixture
async def crm(settings: Settings, department: AddDepartment) -> AsyncGenerator[Department]:
    added = await department("crm")
    async with connection(settings, added.nats) as client:
        yield Department("crm", client, f"urn:nld:oin:{settings.institution}:systeem:crm")


async def command(settings: Settings, *words: str, said: str = "", code: int = 0) -> tuple[str, str]:
    """Runs `relatieboek …`; its stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli.main", *words, cwd=ROOT, env=as_environment(settings),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, error = await process.communicate(said.encode())
    assert process.returncode == code, f"{out.decode()}\n{error.decode()}"
    return out.decode(), error.decode()


async def test_erase_says_where_it_looked_and_finds_nothing_left(
    settings: Settings, crm: Department, engine: AsyncEngine
) -> None:
    (settings.data_dir / "logs" / "crm.log").write_text("started\n")
    async with running_intake(settings):
        await story(crm)
        # By the inbox too: what lay there in the clear until its verdict must be in no file of the stream's server.
        for n in range(5):
            client: Any = crm.client
            js: Any = client.jetstream()
            await js.publish("inbox.crm.x", orjson.dumps(crm.event("contact.held", held(f"c-inbox-{n}"))), timeout=10)
        async with asyncio.timeout(20):
            while await scalar(engine, "SELECT count(*) FROM ledger.entry") < 10:
                await asyncio.sleep(0.02)
            async with as_user(settings, settings.operations_nats_seed) as operations:
                while (await JetStreamContext(operations).stream_info("INBOX_crm")).state.messages:
                    await asyncio.sleep(0.02)
        await crm.send(crm.event("contact.held", held("c-7"), "gemeentecode:9999"))
        out, _ = await command(settings, "person", "erase", f"person:{ANNA}", "--yes", "--json")
        report = json.loads(out)
        assert report["clean"] is True
        assert report["values"] >= 4  # the id, name, function, summary
        assert report["events"] == 8  # with person.erased itself
        places = {p["place"]: p for p in report["places"]}
        assert {"table ledger.entry", "table ledger.rejected", "table ledger.parked", "stream RELATIEBOEK",
                "stream INBOX_crm", "stream VERDICTS_crm", f"files {settings.data_dir / 'nats'}",
                f"files {settings.data_dir / 'logs'}"} <= places.keys()  # fmt: skip
        assert places["table ledger.entry"]["bytes"] > 1_000
        assert places["stream RELATIEBOEK"]["bytes"] > 1_000
        assert places[f"files {settings.data_dir / 'nats'}"]["bytes"] > 1_000
        assert all(p["unread"] is None for p in places.values())
        assert "Geheim" not in out
        # Again: nothing is left to be done, and nothing is known of them to search for.
        again = json.loads((await command(settings, "person", "erase", report["ref"], "--yes", "--json"))[0])
        assert (again["position"], again["clean"]) == (report["position"], True)
        # Whoever knows what to look for can look again.
        said = f"{ANNA}\nAnna Geheim\nZeer geheime samenvatting\n"
        assert json.loads((await command(settings, "person", "verify-erased", "--json", said=said))[0])["clean"] is True
        (settings.data_dir / "logs" / "crm.log").write_text("looked at Anna Geheim\n")
        out, _ = await command(settings, "person", "verify-erased", "--json", said=said, code=1)
        found = [p for p in json.loads(out)["places"] if p["found"]]
        assert [(p["place"], p["found"]) for p in found] == [(f"files {settings.data_dir / 'logs'}", {"value": 1})]
    assert (await shown(settings, engine))[1]["name"] == ERASED


async def test_export_tells_all_and_nothing_of_others(settings: Settings, crm: Department, engine: AsyncEngine) -> None:
    async with running_intake(settings):
        await story(crm)
        await crm.send(crm.event("contact.held", held("c-7"), "gemeentecode:9999"))
        document = json.loads((await command(settings, "person", "export", f"person:{ANNA}", "--json"))[0])
        assert document["person"] | {"ref": ""} == {"ref": "", "kind": "person", "id": ANNA, "erased": False}
        assert [e["type"] for e in document["events"]] == ["counterpart.added", "contact.held"]
        added, contact = document["events"]
        assert added["data"]["name"] == "Anna Geheim"
        assert contact["as"] == ["/data/theirs/0/person"]
        assert contact["data"]["ours"] == [{"employee": "andere persoon", "layer": "board"}]
        assert contact["data"]["summary"] == "Zeer geheime samenvatting"
        assert [k["state"] for k in document["kept"]] == ["parked"]
        assert "e-geheim-12" not in json.dumps(document["events"])
        text, _ = await command(settings, "person", "export", f"person:{ANNA}")
        for words in ("Aanduiding: " + ANNA, "contactpersoon bij een relatie", "Gebeurtenissen (2)", "Anna Geheim"):
            assert words in text
        await command(settings, "person", "export", "person:niemand", code=2)
        await command(settings, "person", "export", "zomaar", code=2)


async def test_a_colleague_is_told_of_their_account_and_loses_it(
    settings: Settings, crm: Department, engine: AsyncEngine
) -> None:
    lookup = privacy_of(settings).lookup("employee", COLLEAGUE)
    profile = {"name": "Els elders", "ref": "oidc-1", "roles": ["auditor"], "teams": [], "department": None}

    async def account_and_sessions() -> list[str]:
        async with engine.begin() as conn:
            await accounts.add(conn, "els", roles=["auditor"], teams=["wmo"], employee=lookup)
        logins = (
            sessions.Login("account:els", account="els"),
            sessions.Login("oidc:1", profile=profile, employee=lookup),
        )
        return [await sessions.begin(engine, login) for login in logins]

    async def signed_in_as(ids: list[str]) -> list[str | None]:
        return [viewer and viewer.name for viewer in [await sessions.viewer_of(engine, id_) for id_ in ids]]

    async with engine.begin() as conn:
        await accounts.add(conn, "bert", roles=["auditor"])
    other = await sessions.begin(engine, sessions.Login("account:bert", account="bert"))
    theirs = await account_and_sessions()
    assert await signed_in_as([*theirs, other]) == ["els", "Els elders", "bert"]
    looked = Record(system_now(), "page", "R", "person", "els", "readAlerts", "granted")
    conn = await store.session(settings.database_url, wait_s=10)
    await store.append(conn, [prepare(looked), prepare(replace(looked, actor="bert"))])
    await conn.close()
    async with running_intake(settings):
        await story(crm)
        told, _ = await command(settings, "person", "export", f"employee:{COLLEAGUE}", "--json")
        document = json.loads(told)
        assert [(a["name"], a["roles"], a["teams"]) for a in document["accounts"]] == [("els", ["auditor"], ["wmo"])]
        assert [(r["actor"], r["operation"]) for r in document["looked"]] == [("els", "readAlerts")]
        held_open = [(s["account"], s["profile"]) for s in document["sessions"]]
        assert held_open == [("els", None), (None, profile)]
        assert "Ingelogd (2)" in in_dutch(document)
        assert "Accounts om in te loggen (1)\n\n- name: els; " in in_dutch(document)
        await erase(settings, await ref_of(settings, engine, COLLEAGUE, "employee"))
        await erased(engine)
        assert await signed_in_as([*theirs, other]) == [None, None, "bert"]
        assert await scalar(engine, "SELECT string_agg(name, ',') FROM identity.account") == "bert"
        assert await scalar(engine, "SELECT count(*) FROM identity.session") == 1
    # A backup that was put back has the account again, until intake starts.
    theirs = await account_and_sessions()
    async with running_intake(settings):
        async with asyncio.timeout(20):
            while await scalar(engine, "SELECT count(*) FROM identity.account") > 1:
                await asyncio.sleep(0.02)
        assert await signed_in_as([*theirs, other]) == [None, None, "bert"]


async def test_a_hold_forbids_and_its_release_allows(settings: Settings, crm: Department, engine: AsyncEngine) -> None:
    async with running_intake(settings):
        await story(crm)
        await command(settings, "person", "hold", "add", f"person:{ANNA}", "--reason", "Zaak 12")
        (listed,) = json.loads((await command(settings, "person", "hold", "list", "--json"))[0])["items"]
        assert listed["reason"] == "Zaak 12"
        _, error = await command(settings, "person", "erase", f"person:{ANNA}", "--yes", code=2)
        assert "bewaarplicht" in error
        async with engine.connect() as conn:
            newest = "SELECT entry FROM access.record ORDER BY position DESC LIMIT 1"
            refused = json.loads((await conn.execute(text(newest))).scalar_one())
        assert (refused["what"]["operation"], refused["result"]["outcome"]) == ("person erase", "denied")
        assert refused["what"]["persons"] == [listed["ref"]]
        await command(settings, "person", "hold", "release", str(listed["hold_id"]))
        await command(settings, "person", "hold", "release", str(listed["hold_id"]), code=2)
        await command(settings, "person", "erase", f"person:{ANNA}", "--yes")


async def test_retention_ends_texts_that_are_old_enough(
    settings: Settings, crm: Department, engine: AsyncEngine
) -> None:
    old = {"occurred_at": "2015-02-03T10:00:00+01:00"}
    set_ = settings.model_copy(update={"retention": "contact=P7Y"})
    async with running_intake(settings):
        await story(crm)
        await crm.send(crm.event("contact.held", held("c-oud", **old)))
        await crm.send(crm.event("contact.held", held("c-anna", **old, theirs=[{"layer": "board"}], ours=[
            {"employee": "e-bewaard", "layer": "board"}])))  # fmt: skip
        await command(settings, "person", "hold", "add", "employee:e-bewaard", "--reason", "Zaak 12")
        dry = json.loads((await command(set_, "retention", "run", "--dry-run", "--json"))[0])
        assert [(i["family"], i["events"]) for i in dry["items"]] == [("contact", 1)]
        done = json.loads((await command(set_, "retention", "run", "--json"))[0])
        assert [(i["events"], i["verdict"]) for i in done["items"]] == [(1, "accepted")]
        again = json.loads((await command(set_, "retention", "run", "--json"))[0])
        assert [i["verdict"] for i in again["items"]] == ["duplicate"]
        await command(settings, "retention", "run", code=2)  # no periods are set
        texts_of_people = settings.model_copy(update={"retention": "counterpart=P7Y"})
        await command(texts_of_people, "retention", "run", code=2)  # those end by `person erase`
    after = {d["contact"]: d for d in await shown(settings, engine) if "contact" in d}
    assert {c: d["summary"] == ERASED for c, d in after.items()} == {
        "c-1": False, "c-2": False, "c-oud": True, "c-anna": False,
    }  # fmt: skip
    assert after["c-oud"]["theirs"][0]["person"] == ANNA  # the person is not erased


async def test_who_is_named_only_by_what_waits_is_told_and_erased(
    settings: Settings, crm: Department, engine: AsyncEngine
) -> None:
    waiting = crm.event("contact.held", held("c-7", theirs=[{"person": "p-wacht", "layer": "board"}]),
                        "gemeentecode:9999", actor="e-actor")  # fmt: skip
    wrong = crm.event("contact.held", held("c-8", ours=[{"employee": "e-fout", "layer": "board"}], duration_min=0))
    async with running_intake(settings):
        await story(crm)
        assert (await crm.send(waiting))["verdict"] == "parked"
        assert (await crm.send(wrong))["verdict"] == "rejected"
        await command(settings, "person", "hold", "add", "person:p-wacht", "--reason", "Zaak 13")
        await command(settings, "person", "erase", "person:p-wacht", "--yes", code=2)
        await command(settings, "person", "hold", "release", "1")
        for who, state in (("person:p-wacht", "parked"), ("employee:e-fout", "rejected")):
            told = json.loads((await command(settings, "person", "export", who, "--json"))[0])
            assert (told["person"]["id"], told["events"], told["read_models"]) == (who.partition(":")[2], [], {})
            assert [k["state"] for k in told["kept"]] == [state]
            done = json.loads((await command(settings, "person", "erase", who, "--yes", "--json"))[0])
            assert (done["clean"], done["events"]) == (True, 1)  # person.erased itself
            await command(settings, "person", "export", who)  # a tombstone finds them
        assert await scalar(engine, "SELECT count(*) FROM ledger.parked") == 0
        assert await scalar(engine, "SELECT count(*) FROM ledger.rejected WHERE sealed IS NOT NULL") == 0
        # What they waited for comes; they do not come back.
        await crm.send(crm.event("relation.registered", registered("Elders", ("gemeentecode", "9999"))))
        assert (await crm.send(waiting | {"id": "again"}))["verdict"] == "rejected"
        await command(settings, "person", "erase", "person:niemand", "--yes", code=2)


async def test_export_has_what_somebody_did_as_an_actor(
    settings: Settings, crm: Department, engine: AsyncEngine
) -> None:
    async with running_intake(settings):
        await story(crm)
        other = held("c-9", ours=[{"employee": "e-1", "layer": "board"}], theirs=[{"layer": "board"}])
        await crm.send(crm.event("contact.held", other, actor=COLLEAGUE))
        told = json.loads((await command(settings, "person", "export", f"employee:{COLLEAGUE}", "--json"))[0])
    assert [e["as"] for e in told["events"]] == [["/data/ours/0/employee"], ["/data/ours/0/employee"], ["/actor"]]
    assert told["events"][-1]["data"]["ours"] == [{"employee": "andere persoon", "layer": "board"}]


async def test_what_was_not_looked_at_is_not_clean(
    settings: Settings, crm: Department, owner_engine: AsyncEngine, tmp_path: Path
) -> None:
    client: Any = crm.client
    async with owner_engine.begin() as conn:
        await conn.execute(text("CREATE TABLE public.copy AS SELECT 'Anna Geheim' AS name"))
    words = ("person", "verify-erased", "--json")
    found = json.loads((await command(settings, *words, said="Anna Geheim\n", code=1))[0])["places"]
    assert [p["place"] for p in found if p["found"]] == ["table public.copy"]
    # The services' role may not read it: then nobody knows.
    as_service = settings.model_copy(update={"owner_database_url": settings.database_url})
    found = json.loads((await command(as_service, *words, said="Anna Geheim\n", code=1))[0])
    assert found["clean"] is False
    assert [p["place"] for p in found["places"] if p["unread"]] == ["table public.copy"]
    async with owner_engine.begin() as conn:
        await conn.execute(text("DROP TABLE public.copy"))
    _, error = await command(as_service, *words, "--path", str(tmp_path / "none"), said="Anna Geheim\n", code=1)
    assert "Niet gelezen" in error
    # Without intake a message waits in its inbox; a header is a part of it.
    await client.jetstream().publish("inbox.crm.x", b"{}", timeout=10, headers={"X-Note": "Anna Geheim"})
    found = json.loads((await command(as_service, *words, said="Anna Geheim\n", code=1))[0])["places"]
    assert [(p["place"], p["unread"]) for p in found if p["found"] or p["unread"]] == [("stream INBOX_crm", None)]


@contextmanager
def intake_process(settings: Settings) -> Generator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "services.serve", "intake"], cwd=ROOT, env=as_environment(settings),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_erased_is_told_twice_as_once(settings: Settings, crm: Department, engine: AsyncEngine) -> None:
    seed = settings.nats_seed
    assert seed is not None
    async with running_intake(settings):
        await story(crm)
        ref = await ref_of(settings, engine)
        event = orjson.dumps(erased_event(settings.source_of("privacy"), ref))
        async with signed_in(settings.nats_url, seed.get_secret_value()) as nc:
            replies = [await nc.request("submit.relatieboek", event, timeout=20) for _ in range(2)]
            both = await nc.request("submit.relatieboek", b"[" + event + b"," + event + b"]", timeout=20)
    assert [orjson.loads(reply.data)["verdict"] for reply in replies] == ["accepted", "duplicate"]
    assert [verdict["verdict"] for verdict in orjson.loads(both.data)] == ["duplicate", "duplicate"]


async def test_a_kill_in_the_middle_loses_nothing(settings: Settings, crm: Department, engine: AsyncEngine) -> None:
    seed = settings.nats_seed
    assert seed is not None
    async with running_intake(settings):
        await story(crm)
    ref = await ref_of(settings, engine)
    event = orjson.dumps(erased_event(settings.source_of("privacy"), ref))
    with intake_process(settings) as process:
        async with signed_in(settings.nats_url, seed.get_secret_value()) as nc, asyncio.timeout(60):
            while True:
                try:
                    verdict = orjson.loads((await nc.request("submit.relatieboek", event, timeout=1)).data)
                except Exception:  # noqa: BLE001  not there yet
                    verdict = {"verdict": "busy"}
                if verdict["verdict"] != "busy":  # there, but its doors are not open yet
                    break
                await asyncio.sleep(0.05)
            # Slower than the time-out of the request, it is sent again while the first one is being answered.
            assert verdict["verdict"] in {"accepted", "duplicate"}, verdict
        process.send_signal(signal.SIGKILL)
        process.wait()
    # However far it came: at the next start it is done before a door opens.
    async with running_intake(settings):
        assert await scalar(engine, "SELECT count(*) FROM ledger.erasure WHERE done_at IS NULL") == 0
        await erased(engine)
    after = await shown(settings, engine)
    assert (after[1]["name"], after[3]["summary"]) == (ERASED, ERASED)
    async with engine.connect() as conn:
        assert [e.kind for e in await read(conn, 5, 10)] == ["person.erased"]
        assert await privacy_of(settings).reveal(conn, ref) == ERASED


class TestSearch:
    def found(self, data: bytes, *values: Value, pieces: int = 1) -> Json:
        size = max(1, len(data) // pieces)
        chunks = [data[n : n + size] for n in range(0, len(data), size)]
        return dict(Search(values).through(Place("x"), chunks).found)

    @pytest.mark.parametrize("pieces", [1, 2, 7, 10_000])
    def test_it_finds_what_stands_across_a_border_once(self, pieces: int) -> None:
        data = b"x" * 5_000 + "Zoë Ünal".encode() + b"y" * 5_000
        assert self.found(data, Value("name", "Zoë Ünal"), pieces=pieces) == {"name": 1}

    def test_a_megabyte_boundary_is_one_too(self) -> None:
        data = b" " * ((1 << 20) - 3) + b"Anna Geheim" + b" " * (1 << 20)
        assert self.found(data, Value("name", "Anna Geheim"), pieces=5) == {"name": 1}

    def test_json_writes_the_same_otherwise(self) -> None:
        value = Value("text", 'Zei "ja", Zoë')
        for data in (json.dumps(value.text), json.dumps(value.text, ensure_ascii=False), value.text):
            assert self.found(data.encode(), value) == {"text": 1}

    def test_an_id_counts_only_where_it_stands_by_itself(self) -> None:
        value = Value("id", "e-12")
        assert self.found(b'"line-12" "e-123" xe-12', value) == {}
        assert self.found(b'"e-12" e-12', value) == {"id": 2}

    def test_a_copy_that_was_cut_off_is_found(self) -> None:
        assert self.found(b"a" * 300, Value("text", "a" * 300)) == {"text": 45}

    def test_files_that_cannot_be_read_are_told(self, tmp_path: Any) -> None:
        (tmp_path / "a").write_text("Anna Geheim")
        place = in_files(tmp_path, Search([Value("name", "Anna Geheim")]))
        assert (place.bytes, dict(place.found), place.unread) == (11, {"name": 1}, None)
