"""Reading over HTTP, with every service running: relations, timelines, alerts, questions, operations, the page."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import httpx

from events.recorded import local_date
from projections.registry import PROJECTIONS
from services.api.shapes.alerts import Alert, Explanation, LayerContact, OverdueLine
from services.api.shapes.building_blocks import Problem
from services.api.shapes.relations import (
    Attention,
    HistoryEntry,
    Relation,
    RelationAttention,
    RelationMatrix,
    RelationSummary,
    ScheduleLine,
    TimelineEntry,
)
from services.api.shapes.running import Status
from services.embedded.nats import Nats
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.running_book import Book, running

MINE: Final = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001"
THEIRS: Final = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0002"
SOURCE: Final = "urn:nld:oin:00000000000000000000:systeem:zorg"
LOOKED_FOR_S: Final = 60.0
# A Friday. What is open, late or of the last twelve months depends on the day.
NOW: Final = datetime.fromisoformat("2026-11-27T12:00:00+01:00")


def event(id_: str, kind: str, subject: str, data: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": id_, "source": SOURCE, "type": f"nl.relatieboek.{kind}.v1", "subject": subject,
        "data": dict(data), **more,
    }  # fmt: skip


def held(id_: str, on: str, **more: Any) -> dict[str, Any]:
    data = {
        "contact": f"zorg-{id_}", "occurred_at": f"{on}T10:00:00+01:00", "duration_min": 45, "channel": "meeting",
        "activity": "conversation", "topics": ["wmo"], "ours": [{"employee": "e-12", "layer": "board"}],
        "theirs": [{"person": "p-81", "layer": "board"}], "summary": "=Kennismaking, met \"aanhaling\"",
    }  # fmt: skip
    return event(id_, "contact.held", MINE, data, **more)


def story() -> list[dict[str, Any]]:
    on = {"occurred_on": "2026-01-05"}
    municipality = {"kind": "municipality", "region": "Haaglanden", **on}
    ids = [{"scheme": "gemeentecode", "value": "0518"}]
    line = {
        "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
        "starts_on": "2026-01-01", "grace_working_days": 5, "owner": "e-12", "occurred_on": "2026-01-06",
    }  # fmt: skip
    correction = {
        "contact": "zorg-c-1", "changes": {"occurred_at": "2026-02-04T10:00:00+01:00"}, "reason": "verkeerde dag",
        "occurred_at": "2026-02-05T09:00:00+01:00",
    }  # fmt: skip
    return [
        event("r-1", "relation.registered", MINE, {"name": "Gemeente Den Haag", "identifiers": ids, **municipality}),
        event("r-2", "relation.registered", THEIRS, {"name": "Gemeente Élders", "identifiers": [], **municipality}),
        event("t-1", "team.formed", "organisation", {"team": "wmo", "name": "Wmo-team", **on}),
        event("t-2", "team.formed", "organisation", {"team": "jeugd", "name": "Jeugd", **on}),
        event("t-3", "team.relation_assigned", MINE, {"team": "wmo", **on}),
        event("l-1", "schedule.line_set", MINE, {"line": "l-1", **line}),
        event("l-2", "schedule.line_set", THEIRS, {"line": "l-2", **line, "owner": "e-77"}),
        held("c-1", "2026-02-03"),
        held("c-2", "2026-03-03", visibility="named"),
        event("x-1", "contact.corrected", MINE, correction),
    ]


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    Problem.model_validate(problem)
    assert problem["status"] == status
    return problem


def found(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return answer.json()


async def until(book: Book, path: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Asks until `wanted(document)` is true; the book needs a moment for what it does by itself."""
    async with asyncio.timeout(LOOKED_FOR_S):
        while True:
            document = found(await book.get(path))
            if wanted(document):
                return document
            await asyncio.sleep(0.05)


async def test_reading(settings: Settings, department: AddDepartment, nats_server: Nats) -> None:
    token = (await department("zorg")).http_token
    async with running(settings.model_copy(update={"tick_s": 0.3, "clock": NOW})) as book:
        await says_what_to_do_in_an_empty_book(book)
        verdicts = await book.publish(story(), token)
        last = verdicts[-1]["sequence"]
        await book.caught_up(last)
        viewers = await book.viewers()
        await shows_relations(book, last)
        await shows_timelines(book, last, viewers)
        await shows_alerts_and_takes_acts(book, viewers)
        await answers_questions(book, token)
        await keeps_teams_apart(book, viewers, token)
        await follows_live(book, viewers, token)
        await turns_down_what_it_does_not_know(book, token)
        await tells_operations_the_truth(book)
        await serves_the_page(book, viewers, token)
        await tells_when_nats_is_out(book, nats_server)
        await lets_live_readers_go(book, viewers)


async def says_what_to_do_in_an_empty_book(book: Book) -> None:
    assert found(await book.get("/v1/relations")) == {"items": [], "next": None}
    page = await book.page((await book.viewers())["all"])
    assert "relatieboek up --demo" in page.text


async def shows_relations(book: Book, last: str) -> None:
    seen = found(await book.get("/v1/relations/gemeentecode:0518", **{"If-Position": last}))
    Relation.model_validate(seen)
    assert seen["id"] == MINE
    assert seen["contacts_total"] == 2
    assert seen["teams"] == ["wmo"]
    assert seen["schedule"][0]["state"] in {"overdue", "escalated"}
    assert seen["schedule"][0]["owner"] == "e-12"
    assert seen["position"] >= int(last)
    assert found(await book.get(f"/v1/relations/{MINE.upper()}"))["id"] == MINE

    everything = await book.get("/v1/relations?limit=1&kind=municipality")
    page = found(everything)
    assert [r["name"] for r in page["items"]] == ["Gemeente Den Haag"]
    RelationSummary.model_validate(page["items"][0])
    link = re.fullmatch(r'<(/v1/relations\?[^>]+)>; rel="next"', everything.headers["link"])
    assert link is not None
    following = found(await book.get(link[1]))
    assert [r["name"] for r in following["items"]] == ["Gemeente Élders"]
    assert following["next"] is None
    assert [r["id"] for r in found(await book.get("/v1/relations?q=elders"))["items"]] == [THEIRS]
    assert [r["id"] for r in found(await book.get("/v1/relations?team=wmo"))["items"]] == [MINE]

    before = found(await book.get(f"/v1/relations/{MINE}?asOf=2026-02-28"))
    assert before["contacts_total"] == 1
    known = found(await book.get(f"/v1/relations/{MINE}?knownAt=5"))
    assert known["contacts_total"] == 0
    is_problem(await book.get(f"/v1/relations/{MINE}?knownAt=0"), 404)

    grid = RelationMatrix.model_validate(found(await book.get(f"/v1/relations/{MINE}/matrix")))
    assert grid.cells
    spent = RelationAttention.model_validate(found(await book.get(f"/v1/relations/{MINE}/attention")))
    assert (spent.relation, spent.contacts > 0) == (MINE, True)
    assert found(await book.get(f"/v1/relations/{MINE}/plan"))["answered"] == 0
    assert found(await book.get(f"/v1/relations/{MINE}/satisfaction"))["items"] == []
    lines = found(await book.get(f"/v1/relations/{MINE}/schedule"))["items"]
    ScheduleLine.model_validate(lines[0])
    history = found(await book.get(f"/v1/relations/{MINE}/history?asOf=2026-02-28T12:00:00%2B01:00"))["items"]
    assert [HistoryEntry.model_validate(h).version for h in history] == [1, 2, 3, 4, 6]
    assert "verkeerde dag" in json.dumps(history, ensure_ascii=False)


async def shows_timelines(book: Book, last: str, viewers: Mapping[str, str]) -> None:
    path = "/v1/teams/wmo/timeline"
    page = found(await book.get(path, **{"If-Position": last}))
    entries = [TimelineEntry.model_validate(e) for e in page["items"]]
    assert [e.occurred_at for e in entries] == sorted((e.occurred_at for e in entries), reverse=True)
    corrected = next(e for e in entries if e.type.endswith("contact.held.v1") and e.position == 8)
    assert corrected.corrected_by == 10
    rows = list(csv.DictReader(io.StringIO((await book.get(f"{path}?family=contact", Accept="text/csv")).text)))
    assert len(rows) == 3
    assert {"position", "relation_name", "title", "detail"} <= set(rows[0])
    assert (
        found(await book.get(f"/v1/relations/{MINE}/timeline?from=2026-03-01&to=2026-03-31"))["items"][0]["position"]
        == 9
    )
    theirs = found(await book.get(path, token=viewers["wmo"]))["items"]
    restricted = next(e for e in theirs if e["position"] == 9)
    assert restricted["title"] == "vertrouwelijk contact"
    assert restricted["occurred_at"] == "2026-03-03"
    assert restricted["detail"] is None
    is_problem(await book.get("/v1/teams/nobody/timeline"), 404)


async def shows_alerts_and_takes_acts(book: Book, viewers: Mapping[str, str]) -> None:
    alerts = (await until(book, "/v1/alerts?state=open", lambda d: len(d["items"]) == 2))["items"]
    for alert in alerts:
        Alert.model_validate(alert)
    mine = next(a for a in alerts if a["relation"] == MINE)
    await book.caught_up()  # what one read model shows of an alert, another shows of its relation
    assert mine["owner"] == "e-12"
    assert mine["working_days_overdue"] > 100
    (signal,) = found(await book.get(f"/v1/relations/{MINE}"))["open_alerts"]
    assert (signal["id"], signal["about"]) == (mine["id"], mine["about"])
    shown = await book.page((await book.viewers())["all"], f"/relations/{MINE}")
    assert "Contact is te laat (bestuur - bestuur)" in shown.text

    path = f"/v1/alerts/{mine['id']}"
    assert found(await book.get(path))["id"] == mine["id"]
    assert [a["id"] for a in found(await book.get("/v1/alerts?owner=e-12"))["items"]] == [mine["id"]]
    assert found(await book.get("/v1/alerts?owner=e-13"))["items"] == []
    is_problem(await book.get(path, token=viewers["jeugd"]), 404)

    taken = await book.client.post(f"{path}/_acknowledge")
    assert taken.status_code == 201, taken.text
    position = {"If-Position": taken.json()["sequence"]}
    assert found(await book.get(path, **position))["acknowledged_at"] is not None
    problem = is_problem(await book.client.post(f"{path}/_snooze", json={"until": "soon", "why": "x"}), 400)
    assert {e["pointer"] for e in problem["errors"]} == {"/until", "/why"}
    is_problem(await book.client.post(f"{path}/_snooze", json={"until": "2020-01-01"}), 400)
    is_problem(await book.client.post(f"{path}/_snooze", content=b"x" * 5000), 413)
    today = local_date(NOW)
    is_problem(await book.client.post(f"{path}/_snooze", json={"until": str(today + timedelta(days=60))}), 400)
    for days in (3, 4):
        slept = await book.client.post(f"{path}/_snooze", json={"until": str(today + timedelta(days=days))})
        assert slept.status_code == 201, slept.text
        await book.get(path, **{"If-Position": slept.json()["sequence"]})
    # The last time that it may be put off, by two people at once: one of them hears that it is not as it was.
    until_day = {"until": str(today + timedelta(days=5))}
    both = await asyncio.gather(
        *(book.client.post(f"{path}/_snooze", json=until_day, headers={"Authorization": f"Bearer {viewers[name]}"})
          for name in ("all", "wmo"))
    )  # fmt: skip
    slept, late = sorted(both, key=lambda answer: answer.status_code)
    assert slept.status_code == 201, slept.text
    is_problem(late, 409)
    await book.get(path, **{"If-Position": slept.json()["sequence"]})
    is_problem(await book.client.post(f"{path}/_snooze", json={"until": str(today + timedelta(days=6))}), 409)
    why = found(await book.get(f"/v1/questions/10?alert={mine['id']}"))
    assert Explanation.model_validate(why).alert.id == mine["id"]
    assert why["alert"]["snoozes"] == 3
    assert why["sources"][0]["department"] in why["alert"]["silent_sources"] or not why["sources"][0]["silent"]
    ended = await book.client.post(f"{path}/_resolve")
    assert ended.status_code == 201, ended.text
    over = found(await book.get(path, **{"If-Position": ended.json()["sequence"]}))
    assert (over["state"], over["resolution"]) == ("resolved", "manual")
    assert over["snoozed_until"] == str(today + timedelta(days=5))
    is_problem(await book.client.post(f"{path}/_acknowledge"), 409)


async def answers_questions(book: Book, token: str) -> None:
    overdue = found(await book.get("/v1/questions/1"))
    assert {one["relation"] for one in overdue["items"]} == {MINE, THEIRS}
    assert {OverdueLine.model_validate(one).owner for one in overdue["items"]} == {"e-12", "e-77"}
    assert found(await book.get("/v1/questions/1?unowned=true"))["items"] == []
    assert found(await book.get("/v1/questions/1?unowned=false"))["items"] == overdue["items"]
    for query, expected in (
        ("owner=e-12", [MINE]),
        ("team=wmo", [MINE]),
        ("owner=e-78", []),
        ("relation=gemeentecode:0518", [MINE]),
        (f"relation={THEIRS}", [THEIRS]),
        ("tier=A", []),
    ):
        narrowed = found(await book.get(f"/v1/questions/1?{query}"))["items"]
        assert [one["relation"] for one in narrowed] == expected, query
    layers = [LayerContact.model_validate(one) for one in found(await book.get("/v1/questions/2"))["items"]]
    assert {(one.relation, one.state, one.contacts_12m > 0) for one in layers} == {
        (MINE, "covered", True), (THEIRS, "gap", False),
    }  # fmt: skip
    for query in ("state=open", "state=gap", f"relation={THEIRS}"):
        (gap,) = found(await book.get(f"/v1/questions/2?{query}"))["items"]
        assert gap["relation"] == THEIRS
    for query in ("state=vacant", "state=extra", "tier=A", "team=wmo&state=gap"):
        assert found(await book.get(f"/v1/questions/2?{query}"))["items"] == []
    is_problem(await book.get("/v1/questions/2?state=late"), 400)
    (line_set,) = [
        e for e in found(await book.get(f"/v1/relations/{THEIRS}/history"))["items"] if "line_set" in e["type"]
    ]
    assert (gap["relation"], gap["evidence"]) == (THEIRS, [line_set["position"]])
    third = found(await book.get("/v1/questions/3?relation=gemeentecode:0518&knownAt=9"))
    assert HistoryEntry.model_validate(third["items"][0]).position == 1
    attention = found(await book.get("/v1/questions/6"))["items"]
    assert attention[0]["contacts"] == 2
    assert Attention.model_validate(attention[0]).position > 0
    assert [one["contacts"] for one in found(await book.get("/v1/questions/6?kind=offer"))["items"]] == [0]
    assert found(await book.get("/v1/questions/6?tier=A"))["items"] == []
    assert [one["relations"] for one in found(await book.get("/v1/questions/6?team=wmo"))["items"]] == [1]
    is_problem(await book.get("/v1/questions/3"), 400)
    assert "1 to 10" in is_problem(await book.get("/v1/questions/11"), 404)["detail"]
    is_problem(await book.get("/v1/questions/1", token=token), 403)


async def keeps_teams_apart(book: Book, viewers: Mapping[str, str], token: str) -> None:
    """Every path with a relation, team or alert in it is 404 to a team that has it not, and to nobody 401."""
    alert = found(await book.get("/v1/alerts"))["items"][0]["id"]
    paths = [
        f"/v1/relations/{MINE}{part}"
        for part in (
            "",
            "/timeline",
            "/history",
            "/matrix",
            "/attention",
            "/plan",
            "/satisfaction",
            "/schedule",
            "?asOf=2026-06-01",
        )
    ]
    paths += ["/v1/teams/wmo/timeline", "/v1/teams/wmo/timeline/_live"]
    paths += [f"/v1/alerts/{alert}", f"/v1/questions/3?relation={MINE}"]
    for path in paths:
        is_problem(await book.get(path, token=viewers["jeugd"]), 404)
        is_problem(await book.get(path, token=token), 403)
        is_problem(await book.get(path, token="rb_nobody"), 401)
    for path in ("/v1/relations", "/v1/alerts", "/v1/questions/1", "/v1/questions/2"):
        assert found(await book.get(path, token=viewers["jeugd"]))["items"] == []
    assert [r["id"] for r in found(await book.get("/v1/relations", token=viewers["wmo"]))["items"]] == [MINE]


async def follows_live(book: Book, viewers: Mapping[str, str], token: str) -> None:
    headers = {"Authorization": f"Bearer {viewers['wmo']}"}
    async with asyncio.timeout(LOOKED_FOR_S):
        async with book.client.stream("GET", "/v1/teams/wmo/timeline/_live", headers=headers) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            assert (await anext(lines)).startswith(":")
            (verdict,) = await book.publish([held("c-3", "2026-01-20")], token)
            seen = await next_event(lines)
        assert seen["id"] == str(int(verdict["sequence"]))
        assert json.loads(seen["data"])["title"]
        await book.publish([held("c-4", "2026-01-21"), held("c-5", "2026-01-22")], token)
        again = {**headers, "Last-Event-ID": seen["id"]}
        async with book.client.stream("GET", "/v1/teams/wmo/timeline/_live", headers=again) as stream:
            lines = stream.aiter_lines()
            ids = [(await next_event(lines))["id"] for _ in range(2)]
        assert ids == sorted(ids, key=int)
        assert int(ids[0]) > int(seen["id"])


async def next_event(lines: Any) -> dict[str, str]:
    fields: dict[str, str] = {}
    async for line in lines:
        if not line and fields:
            return fields
        name, _, value = line.partition(": ")
        if name in {"id", "data", "event"}:
            fields[name] = value
    raise AssertionError("the stream ended")


async def turns_down_what_it_does_not_know(book: Book, token: str) -> None:
    problem = is_problem(await book.get("/v1/relations?limit=0&kind=city&tem=wmo&cursor=x"), 400)
    assert {e["pointer"] for e in problem["errors"]} == {"/query/limit", "/query/kind", "/query/tem"}
    assert is_problem(await book.get("/v1/relations?cursor=x"), 400)["errors"][0]["pointer"] == "/query/cursor"
    assert is_problem(await book.get("/v1/alerts?state=odd"), 400)["errors"][0]["pointer"] == "/query/state"
    for path in (
        "/v1/relations?q=%00", "/v1/relations/x?asOf=gisteren", "/v1/relations/x?knownAt=2026-01-01T00:00:00",
        "/v1/relations/x?asOf=9999-12-31", "/v1/status?x=1", f"/v1/relations/{MINE}/timeline?from=x",
    ):  # fmt: skip
        is_problem(await book.get(path), 400)
    is_problem(await book.get("/v1/relations", **{"If-Position": "x"}), 400)
    behind = await book.client.get("/v1/relations", headers={"If-Position": "99999999"})
    is_problem(behind, 503)
    assert behind.headers["retry-after"]
    for path in ("/v1", "/v1/", "/v1/relations/", "/v1/nothing", "/nothing", "/static/nothing.css", "/v1/relations/x",
                 "/v1/relations/gemeentecode:9999", "/v1/relations/a%00b", "/static/../app.py"):  # fmt: skip
        is_problem(await book.get(path), 404)
    wrong = await book.client.delete("/v1/relations")
    is_problem(wrong, 405)
    assert wrong.headers["allow"] == "GET"
    for answer in (behind, wrong, await book.get("/v1/nothing"), await book.get("/")):
        for name in ("api-version", "content-security-policy", "strict-transport-security"):
            assert answer.headers[name]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"


async def tells_operations_the_truth(book: Book) -> None:
    status = await until(book, "/v1/status", lambda d: d["healthy"] and all(p["lag"] == 0 for p in d["projections"]))
    Status.model_validate(status)
    assert status["log"]["head"] == status["log"]["stream"] > len(story())
    assert {p["name"] for p in status["projections"]} == set(PROJECTIONS)
    assert status["departments"][0]["name"] == "zorg"
    assert status["departments"][0]["accepted"] == 13
    metrics = (await book.get("/metrics")).text
    assert "relatieboek_healthy 1.0" in metrics
    assert 'route="/v1/relations/{id}"' in metrics
    assert MINE not in metrics
    for path in ("/healthz", "/readyz", "/v1/openapi.json", "/v1/asyncapi.json"):
        answer = await book.client.get(path, headers={"Authorization": ""})
        assert answer.status_code == 200, answer.text
    assert (await book.client.get("/v1/openapi.json")).headers["access-control-allow-origin"] == "*"
    is_problem(await book.client.get("/metrics", headers={"Authorization": ""}), 401)


async def serves_the_page(book: Book, viewers: Mapping[str, str], token: str) -> None:
    async with httpx.AsyncClient(base_url=book.client.base_url, timeout=30) as browser:
        asked = await browser.get("/")
        assert asked.status_code == 200
        assert "Inloggen" in asked.text
        assert "Den Haag" not in asked.text
        for wrong, said in ((token, "sleutel van een afdeling"), ("nonsense", "werkt niet")):
            refused = await browser.post("/", data={"token": wrong})
            assert refused.status_code == 401
            assert said in refused.text
        elsewhere = {"Origin": "https://elsewhere.example"}
        is_problem(await browser.post("/", data={"token": viewers["all"]}, headers=elsewhere), 403)
        let_in = await browser.post("/", data={"token": viewers["all"]})
        assert let_in.status_code == 303
        cookie = let_in.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        async with asyncio.timeout(LOOKED_FOR_S):  # until every service answered in time, also on a busy machine
            while "Alles werkt" not in (page := await browser.get("/")).text:
                await asyncio.sleep(0.05)
        assert page.status_code == 200
        for text in ("Gemeente Den Haag", "te laat", "e-77", "Alles werkt", "/v1/openapi.json", "Jeugd"):
            assert text in page.text
        assert 'lang="en"' in (await browser.get("/?taal=en&team=wmo")).text.split("\n")[1]
        for link in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text):
            assert (await browser.get(link)).status_code == 200
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page.text)
        assert (await browser.get("/v1/relations")).status_code == 200
        is_problem(await browser.post("/sign-out"), 403)
        csrf = found(await browser.get("/v1/session"))["csrf"]
        assert f'name="csrf" value="{csrf}"' in page.text
        assert (await browser.post("/sign-out", data={"csrf": csrf})).status_code == 303
        assert "Inloggen" in (await browser.get("/")).text


async def tells_when_nats_is_out(book: Book, nats_server: Nats) -> None:
    await nats_server.stop()
    try:
        async with asyncio.timeout(LOOKED_FOR_S):
            while (answer := await book.client.get("/readyz")).status_code != 503:
                await asyncio.sleep(0.05)
        assert is_problem(answer, 503)["checks"]["nats"] != "ok"
        status = found(await book.get("/v1/status"))
        assert status["healthy"] is False
        assert status["log"]["stream"] is None
        assert found(await book.get("/v1/relations"))["items"]  # what is known can still be read
    finally:
        await nats_server.start()
    async with asyncio.timeout(LOOKED_FOR_S):
        while (await book.client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)


async def lets_live_readers_go(book: Book, viewers: Mapping[str, str]) -> None:
    headers = {"Authorization": f"Bearer {viewers['wmo']}"}
    async with book.client.stream("GET", "/v1/teams/wmo/timeline/_live", headers=headers) as stream:
        book.processes["api"].terminate()
        async with asyncio.timeout(LOOKED_FOR_S):  # it ends whole: what is cut off when the time is up raises
            async for _ in stream.aiter_lines():
                pass
