"""Nothing leaves the API before it is in the access log: one record a page, denials and live streams included."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, MutableMapping
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse

from events.postgres import Connection, connect
from events.recorded import local_date
from events.seen import note_persons, note_relations
from projections.viewer import Viewer
from services.access_log.verify import verify
from services.access_log.writer import Writer
from services.api.access_layer import STREAM_EVERY_S, AccessLog
from services.api.security_log import SecurityLog
from services.api.shapes.privacy import AccessRecord
from services.settings import Settings, as_environment
from tests.conftest import AddDepartment
from tests.integration.test_api_read import MINE, SOURCE, THEIRS, event, found, story
from tests.running_book import ROOT, Book, running

PLANTED: Final = ("Den Haag", "Haaglanden", "zoekwoord", "geheim", "p-81", "e-12", "Jansen", "verkeerde", "0518")
PERSON: Final = "ref~0123456789abcdef0123456789abcdef"
TOGETHER: Final = 32


async def records(conn: Connection, after: int = 0) -> list[dict[str, Any]]:
    rows = await conn.fetch("SELECT entry FROM access.record WHERE position > $1 ORDER BY position", after)
    return [json.loads(row["entry"]) for row in rows]


@pytest.mark.timeout(600)
async def test_every_page_is_logged_before_its_first_byte(
    settings: Settings, department: AddDepartment, owner_url: str
) -> None:
    token = (await department("zorg")).http_token
    settings = settings.model_copy(update={"access_log_within_s": 5.0})
    async with running(settings) as book:
        named = {"person": "p-81", "name": "Jansen", "layer": "board", "decision_role": "influences"}
        added = event("cp-1", "counterpart.added", MINE, {**named, "function": "geheim", "occurred_on": "2026-01-06"})
        last = (await book.publish([*story(), added], token))[-1]["sequence"]
        conn = await connect(owner_url)
        try:
            await book.caught_up(last)
            await holds_the_fields_of_nen_7513(book, conn)
            await tells_denials_and_failures(book, conn, token)
            await knows_searches_exports_and_pages(book, conn)
            await leaves_out_what_is_not_personal(book, conn, token)
            await answers_nothing_while_it_cannot_log(book, conn)
            await shares_commits(book, conn)
            await tells_who_saw_it(book, conn, token)
            kept = json.dumps(await records(conn), ensure_ascii=False)
            # By itself: four digits stand in one of a few hundred references and instants by chance.
            assert [word for word in PLANTED if re.search(rf"(?<![0-9a-f-]){word}(?![0-9a-f-])", kept)] == []
            assert (await verify(conn, [])).agree
        finally:
            await conn.close()
    log = (settings.data_dir / "api.log").read_text()
    calls = [line for line in log.splitlines() if "security.unknown_caller" in line]
    for path in ("/v1/relations/{id}", "/v1/status", "/v1/session", "/metrics"):
        assert any(path in line for line in calls), path
    assert "rb_nobody" not in log


async def newest(conn: Connection) -> int:
    return await conn.fetchval("SELECT coalesce(max(position), 0) FROM access.record")


async def only(conn: Connection, after: int) -> dict[str, Any]:
    (one,) = await records(conn, after)
    return one


async def holds_the_fields_of_nen_7513(book: Book, conn: Connection) -> None:
    at = await newest(conn)
    agent = {"User-Agent": "Mozilla/5.0", "Relatieboek-Acting-For": "os:anna"}
    answer = await book.get("/v1/relations/gemeentecode:0518/timeline", **agent)
    assert "Gemeente Den Haag" in answer.text
    one = await only(conn, at)
    assert one["event"] == "page"
    assert one["action"] == "R"
    assert one["who"]["kind"] == "person"
    assert one["who"]["name"] == "all"
    assert one["for"]["claimed"] == "os:anna"
    assert one["from"] == {"address": "127.0.0.1", "client": "browser"}
    assert one["result"] == {"outcome": "granted", "status": 200, "items": len(answer.json()["items"])}
    assert one["what"]["operation"] == "showRelationTimeline"
    assert one["what"]["route"] == "/v1/relations/{id}/timeline"
    assert one["what"]["relations"] == [MINE]
    assert one["at"].endswith("Z")
    at = await newest(conn)
    assert "p-81" in (await book.get(f"/v1/relations/{MINE}/history")).text
    one = await only(conn, at)
    known = await conn.fetch("SELECT ref FROM ledger.person_key")
    assert set(one["what"]["persons"]) == {row["ref"] for row in known if row["ref"] in one["what"]["persons"]}
    assert len(one["what"]["persons"]) == 2  # p-81 and e-12; nobody of the other relation


async def tells_denials_and_failures(book: Book, conn: Connection, token: str) -> None:
    viewers = await book.viewers()
    for path, asker, status, outcome, kind in (
        (f"/v1/relations/{MINE}", viewers["jeugd"], 404, "denied", "person"),
        (f"/v1/relations/{MINE}", token, 403, "denied", "system"),
        ("/v1/relations?limit=geheim", viewers["all"], 400, "failed", "person"),
        ("/v1/relations/Jansen", viewers["all"], 404, "denied", "person"),
    ):
        at = await newest(conn)
        assert (await book.get(path, token=asker)).status_code == status
        one = await only(conn, at)
        assert (one["result"]["outcome"], one["result"]["status"], one["who"]["kind"]) == (outcome, status, kind)
        assert one["what"].get("relations") == ([MINE] if MINE in path else None), "also of who has no right to ask"
    at = await newest(conn)
    assert (await book.get(f"/v1/relations/{MINE}", token="rb_nobody")).status_code == 401
    assert (await book.client.get("/")).status_code == 200
    assert await records(conn, at) == []
    assert (await book.get(f"/v1/relations/{THEIRS}", token=viewers["wmo"])).status_code == 404
    one = await only(conn, at)
    assert one["what"]["relations"] == [THEIRS]  # whoever was turned away from it is among those who looked for it
    at = await newest(conn)
    alert = str(uuid4())
    acted = await book.client.post(f"/v1/alerts/{alert}/_acknowledge")
    done = await only(conn, at)
    assert (done["event"], done["action"], done["what"]["alert"]) == ("act", "U", alert)
    assert (acted.status_code, done["result"]["outcome"]) == (404, "denied")
    assert one["for"]["teams"] == "wmo"


async def knows_searches_exports_and_pages(book: Book, conn: Connection) -> None:
    for path, accept, kind, action in (
        ("/v1/relations?limit=10", "application/json", "page", "R"),
        ("/v1/relations?q=zoekwoord&geheim=1", "application/json", "page", "R"),
        ("/v1/relations?q=zoekwoord&limit=5", "application/json", "search", "E"),
        ("/v1/relations?q=zoekwoord", "text/csv", "export", "R"),
        ("/v1/alerts?owner=e-12", "application/json", "search", "E"),
        (f"/v1/questions/3?relation={MINE}", "application/json", "page", "R"),
    ):
        at = await newest(conn)
        answer = await book.get(path, Accept=accept)
        one = await only(conn, at)
        if answer.status_code == 200:
            assert (one["event"], one["action"]) == (kind, action), path
        assert set(one["what"].get("filters", [])) <= {"q", "limit", "owner", "relation"}
    at = await newest(conn)
    page = await book.page((await book.viewers())["all"])
    assert "Gemeente Den Haag" in page.text
    signed_in, one = await records(conn, at)
    assert (signed_in["event"], signed_in["action"]) == ("session", "E")
    assert set(one["what"]["relations"]) >= {MINE, THEIRS}
    assert one["what"]["persons"]
    at = await newest(conn)
    await book.get("/v1/relations")
    assert set((await only(conn, at))["what"]["relations"]) == {MINE, THEIRS}


async def leaves_out_what_is_not_personal(book: Book, conn: Connection, token: str) -> None:
    at = await newest(conn)
    for path in ("/healthz", "/readyz", "/v1/openapi.json", "/v1/asyncapi.json", "/v1/status", "/metrics",
                 "/static/relatieboek.css"):  # fmt: skip
        assert (await book.get(path)).status_code == 200, path
    assert (await book.get(f"/v1/verdicts?source={SOURCE}&id=r-1", token=token)).status_code == 200
    assert await records(conn, at) == []
    # Who is turned away from them tried something all the same.
    assert (await book.get("/metrics", token=(await book.viewers())["wmo"])).status_code == 403
    denied = await only(conn, at)
    assert (denied["what"]["operation"], denied["result"]["outcome"]) == ("metrics", "denied")
    for path in ("/v1/status", "/v1/session", "/metrics"):
        assert (await book.get(path, token="rb_nobody")).status_code == 401


async def answers_nothing_while_it_cannot_log(book: Book, conn: Connection) -> None:
    """The log's table is locked: 503, when to come back, and not one byte of the answer; then it goes on."""
    paths = (f"/v1/relations/{MINE}", "/v1/relations", "/v1/teams/wmo/timeline/_live", f"/v1/relations/{MINE}/history")
    async with conn.transaction():
        await conn.execute("LOCK TABLE access.record IN ACCESS EXCLUSIVE MODE")
        for answer in await asyncio.gather(*(book.get(path) for path in paths)):
            assert answer.status_code == 503, answer.url
            assert answer.headers["retry-after"]
            assert answer.headers["api-version"]
            assert answer.json()["type"].startswith("urn:relatieboek:problem:")
            assert "Den Haag" not in answer.text
        assert (await book.get("/v1/status")).status_code == 200
    for path in paths[:2]:
        assert (await book.get(path)).status_code == 200


async def shares_commits(book: Book, conn: Connection) -> None:
    at = await newest(conn)
    answers = await asyncio.gather(*(book.get(f"/v1/relations/{MINE}") for _ in range(TOGETHER * 4)))
    shown = sum(answer.status_code == 200 for answer in answers)  # on a machine that is too busy, some are 503
    found = "SELECT count(*) AS records, count(DISTINCT xmin::text) AS commits FROM access.record WHERE position > $1"
    row = await conn.fetchrow(found, at)
    assert row["records"] >= shown > 0
    assert row["commits"] < row["records"]


async def tells_who_saw_it(book: Book, conn: Connection, token: str) -> None:
    """A relation's and a person's lists, for who may see them; and each look is in the log itself."""
    viewers = await book.viewers()
    at = await newest(conn)
    path = "/v1/relations/gemeentecode:0518/accesses"
    for one in found(await book.get(path))["items"]:
        AccessRecord.model_validate(one)
    (look,) = await records(conn, at)
    assert (look["what"]["operation"], look["what"]["relations"]) == ("listRelationAccesses", [MINE])
    newest_look = found(await book.get(path))["items"][0]
    assert (newest_look["operation"], newest_look["actor"]) == ("listRelationAccesses", "all")
    assert newest_look["certain"] is True
    await book.get(f"/v1/relations/{MINE}", token=viewers["jeugd"])
    turned_away = found(await book.get(f"{path}?actor=jeugd&limit=1"))["items"]
    assert [(one["actor"], one["outcome"]) for one in turned_away] == [("jeugd", "denied")]
    page = found(await book.get(f"{path}?limit=2"))
    following = found(await book.get(f"{path}?limit=2&cursor={page['next']}"))
    assert [one["position"] for one in page["items"]] > [one["position"] for one in following["items"]]
    first_on = local_date(datetime.fromisoformat((await records(conn))[0]["at"]))
    assert found(await book.get(f"{path}?from={first_on}&to={first_on + timedelta(days=1)}"))["items"]
    assert found(await book.get(f"{path}?to={first_on - timedelta(days=1)}"))["items"] == []
    rows = (await book.get(path, Accept="text/csv")).text.splitlines()
    assert rows[0].startswith("position,at,actor")
    assert (await last_of(conn))["event"] == "export"

    seen = found(await book.get("/v1/persons/person:p-81/accesses?limit=500"))
    for one in seen["items"]:
        AccessRecord.model_validate(one, extra="forbid")
    assert {one["operation"] for one in seen["items"]} >= {"showRelationHistory"}
    assert seen["items"] == found(await book.get(f"/v1/persons/{seen['person']}/accesses?limit=500"))["items"][1:]
    assert (await last_of(conn))["what"]["persons"] == [seen["person"]]
    for nobody in ("person:p-82", f"ref~{'0' * 32}", f"ref~{'f' * 32}"):
        assert (await book.get(f"/v1/persons/{nobody}/accesses")).status_code == 404
    page = f"/relations/{MINE}/accesses"
    for name, status, said in (
        ("all", 200, "Wie heeft dit gezien?"), ("all", 200, "geweigerd"), ("wmo", 404, ""), ("", 200, "Inloggen"),
    ):  # fmt: skip
        shown = await book.page(viewers.get(name, ""), page)
        assert (shown.status_code, said in shown.text) == (status, True)
    relation = (await book.page(viewers["all"], f"/relations/{MINE}")).text
    assert f'href="{page}"' in relation
    assert f'href="/persons/{seen["person"]}/accesses"' in relation, "at the contact person's name"
    theirs = (await book.page(viewers["wmo"], f"/relations/{MINE}")).text
    assert ("Jansen" in theirs, "/accesses" in theirs) == (True, False)
    assert found(await book.get("/v1/accesses"))["items"][0]["operation"] == "show_page"
    for named in ("person:p-81", seen["person"]):
        for name, status, said in (("all", 200, seen["person"]), ("wmo", 404, ""), ("", 200, "Inloggen")):
            shown = await book.page(viewers.get(name, ""), f"/persons/{named}/accesses")
            assert (shown.status_code, said in shown.text) == (status, True)
            assert "Jansen" not in shown.text
            if name == "all":
                look = await last_of(conn)
                assert (look["what"]["operation"], look["what"]["persons"]) == (
                    "show_person_accesses",
                    [seen["person"]],
                )
    assert (await book.page(viewers["all"], "/persons/person:p-82/accesses")).status_code == 404
    assert (await last_of(conn))["result"]["outcome"] == "denied"
    for about, leads in (("person:p-81", seen["person"]), ("gemeentecode:0518", MINE), ("person:p-82", None)):
        at = await newest(conn)
        shown = await book.page(viewers["all"], f"/accesses?about={about}")
        found_at = shown.headers.get("location", "").split("/")
        assert (shown.status_code, leads in found_at) == ((303, True) if leads else (404, False)), about
        (look,) = [r for r in await records(conn, at) if r["what"]["operation"] == "show_all_accesses"]
        assert (look["event"], look["what"]["filters"]) == ("search", ["about"])
    for address in ("/accesses", page, f"/persons/{seen['person']}/accesses"):
        rows = (await book.page(viewers["all"], f"{address}?export=csv")).text.splitlines()
        assert rows[0].startswith("position,at,actor")
        look = await last_of(conn)
        assert (look["event"], look["result"]["items"]) == ("export", len(rows) - 1)
    for asked in (path, "/v1/accesses", "/v1/persons/person:p-81/accesses"):
        assert (await book.get(asked, token=viewers["wmo"])).status_code == 403
        assert (await book.get(asked, token=token)).status_code == 403


async def last_of(conn: Connection) -> dict[str, Any]:
    return await only(conn, await newest(conn) - 1)


@pytest.mark.timeout(600)
async def test_the_command_line_is_logged_before_it_shows_anything(
    settings: Settings, department: AddDepartment, owner_url: str
) -> None:
    """Over HTTP with the operating system's user beside the viewer; past HTTP with a record of its own."""
    token = (await department("zorg")).http_token
    async with running(settings, ("intake", "relation-view", "team-timeline", "notary", "api")) as book:
        last = (await book.publish(story(), token))[-1]["sequence"]
        await book.get("/v1/relations", **{"If-Position": last})
        conn = await connect(owner_url)
        try:
            await logs_what_commands_show(book, conn, token)
            await logs_which_and_who_was_denied(book, conn, token)
        finally:
            await conn.close()


async def logs_what_commands_show(book: Book, conn: Connection, token: str) -> None:
    wrong = event("r-9", "relation.registered", MINE, {"name": "geheim"})
    headers = {"Content-Type": "application/cloudevents+json", "Authorization": f"Bearer {token}"}
    assert (await book.client.post("/v1/events", json=wrong, headers=headers)).status_code == 400
    number = str(await conn.fetchval("SELECT max(rejected_id) FROM ledger.rejected"))
    at = await newest(conn)
    relation, refused = await asyncio.gather(
        run(book, "relation", "show", MINE), run(book, "rejected", "show", number)
    )  # fmt: skip
    assert "Gemeente Den Haag" in relation[1]
    assert "geheim" in refused[1]
    logged = {one["what"]["operation"]: one for one in await records(conn, at)}
    assert set(logged) == {"showRelation", "rejected show"}
    assert logged["showRelation"]["from"]["client"] == "command_line"
    assert logged["showRelation"]["for"]["claimed"].startswith("os:")
    itself = logged["rejected show"]
    assert (itself["event"], itself["who"]["kind"], itself["from"]["client"]) == (
        "command",
        "command_line",
        "command_line",
    )

    async with conn.transaction():
        await conn.execute("LOCK TABLE access.record IN ACCESS EXCLUSIVE MODE")
        code, shown, said = await run(book, "rejected", "show", number, within_s=1.0)
        assert (code, shown) == (2, "")
        assert "inzagelogboek" in said
    verified, listed = await asyncio.gather(
        run(book, "accesses", "verify", "--json"), run(book, "accesses", "relation", MINE, "--json")
    )  # fmt: skip
    assert verified[0] == 0, verified[2]
    assert json.loads(verified[1])["agree"] is True
    assert {one["client"] for one in json.loads(listed[1])["items"]} == {"command_line", "program"}


async def run(book: Book, *words: str, within_s: float = 20.0) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command on this book. `within_s`: how long its record may take."""
    settings = book.settings.model_copy(update={"url": str(book.client.base_url), "access_log_within_s": within_s})
    command = [sys.executable, "-m", "services.cli.main", *words]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=as_environment(settings), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


async def logs_which_and_who_was_denied(book: Book, conn: Connection, token: str) -> None:
    """What it was about, of what is no relation; and that somebody asked for what is not there."""
    number = await conn.fetchval("SELECT max(rejected_id) FROM ledger.rejected")
    merged = {"survivor": MINE, "absorbed": THEIRS, "occurred_on": "2026-04-01"}
    await book.publish([event("m-1", "relation.merged", MINE, merged)], token)
    out = book.settings.data_dir / "proof"
    nobody = f"person:{uuid4()}"
    granted = {"outcome": "granted"}
    for words, code, result, what in (
        (("rejected", "list"), 0, granted | {"items": 1}, {"objects": ["department:zorg", f"rejected:{number}"]}),
        (("rejected", "show", str(number)), 0, granted | {"items": 1},
         {"objects": ["department:zorg", f"rejected:{number}"], "more": True}),
        (("rejected", "show", "987654"), 2, {"outcome": "denied"}, {"objects": ["rejected:987654"]}),
        (("account", "list"), 0, granted | {"items": 0}, {"more": True}),
        (("person", "export", nobody), 2, {"outcome": "denied"}, {}),
        (("person", "erase", nobody, "--yes"), 2, {"outcome": "denied"}, {}),
        (("audit", "export", str(uuid4()), "--out", str(out)), 2, {"outcome": "denied"}, {}),
        (("audit", "export", MINE, "--out", str(out)), 0, granted, {"relations": sorted([MINE, THEIRS])}),
    ):  # fmt: skip
        at = await newest(conn)
        ended, _, said = await run(book, *words)
        assert ended == code, said
        one = await only(conn, at)
        operation = " ".join(words[:2])
        assert (one["what"], one["result"]) == ({"operation": operation, **what}, result), words
        assert one["who"]["kind"] == "command_line"
    # What it says that it showed, is what it wrote.
    written = (out / "entries.jsonl").read_text().splitlines()
    assert {json.loads(line)["relation"] for line in written} == {MINE, THEIRS}
    assert (await verify(conn, [])).agree


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_live_stream_has_a_record_at_its_opening_and_one_a_minute(service_url: str, owner_url: str) -> None:
    clock, pieces = Clock(), asyncio.Queue[str | None]()
    async with aclosing(Writer(service_url, within_s=5.0, most_waiting=10)) as writer:
        site = AccessLog(streaming(pieces), writer, SecurityLog(), {}, clock)
        conn = await connect(owner_url)
        try:
            reader = Reader(site, "/live")
            await pieces.put("first")
            assert await reader.next() == b"first"
            opened = await only(conn, 0)
            assert (opened["event"], opened["what"]["operation"]) == ("stream", "live")
            assert "persons" not in opened["what"]

            clock.now_s += STREAM_EVERY_S - 1
            await pieces.put(f"{PERSON} {MINE}")
            await reader.next()
            assert len(await records(conn)) == 1
            clock.now_s += 1
            await pieces.put("still here")
            await reader.next()
            minute = await only(conn, 1)
            assert minute["what"]["persons"] == [PERSON]
            assert minute["what"]["relations"] == [MINE]
            await pieces.put("quiet")
            await reader.next()
            assert len(await records(conn)) == 2

            # What it showed after its last minute is told when it ends.
            await pieces.put(f"{PERSON} {THEIRS}")
            await reader.next()
            await pieces.put(None)
            await reader.ended()
            assert (await only(conn, 2))["what"]["relations"] == [THEIRS]

            # A stream whose minute cannot be logged ends, and says nothing more.
            reader = Reader(site, "/live")
            await pieces.put("first")
            await reader.next()
            async with conn.transaction():
                await conn.execute("LOCK TABLE access.record IN ACCESS EXCLUSIVE MODE")
                clock.now_s += STREAM_EVERY_S
                await pieces.put("secret")
                await reader.ended()
            assert reader.queue.empty()
        finally:
            await conn.close()


async def test_a_route_that_forgot_to_ask_who_it_is_answers_nothing(service_url: str) -> None:
    app = FastAPI()

    @app.get("/open")
    async def forgot() -> Response:
        return Response("secret")

    async with aclosing(Writer(service_url, within_s=20.0, most_waiting=10)) as writer:
        site = AccessLog(app, writer, SecurityLog(), {})
        async with httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://test") as client:
            answer = await client.get("/open")
    assert answer.status_code == 500
    assert "secret" not in answer.text


def streaming(pieces: asyncio.Queue[str | None]) -> FastAPI:
    """An application with one live stream: what is put into `pieces`, with the persons and relations that it names."""
    app = FastAPI()

    async def body() -> AsyncGenerator[str]:
        while (piece := await pieces.get()) is not None:
            note_persons(w for w in piece.split() if w.startswith("ref~"))
            note_relations(w for w in piece.split() if w in {MINE, THEIRS})
            yield piece

    @app.get("/live")
    async def live(request: Request) -> Response:
        request.state.identity = Viewer("anna")
        return StreamingResponse(body(), media_type="text/event-stream")

    return app


class Reader:
    """One HTTP reader of an ASGI application, which takes an answer piece by piece."""

    def __init__(self, site: Callable[..., Any], path: str) -> None:
        self.queue = asyncio.Queue[bytes]()
        self._gone = asyncio.Event()
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET",
            "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [],
            "client": ("127.0.0.1", 1), "server": ("test", 80), "root_path": "",
        }  # fmt: skip
        self._task = asyncio.create_task(site(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body" and message.get("body"):
            await self.queue.put(message["body"])

    async def next(self) -> bytes:
        async with asyncio.timeout(60):
            return await self.queue.get()

    async def ended(self) -> None:
        """Waits until the application is done with this reader, however it ended."""
        async with asyncio.timeout(60):
            await asyncio.wait({self._task})
        self._task.exception()
