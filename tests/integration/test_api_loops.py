"""Loops and question 4 over HTTP, with the services that they need running: from a low score to its closing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from events.clock import advance_clock, set_clock
from services.api.shapes.alerts import IncompleteRelation, Loop
from services.settings import Settings
from tests.alert_trial import at
from tests.conftest import AddDepartment
from tests.running_book import Book, running
from tests.workflow_trial import NPS

HAAG: Final = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001"
SOURCE: Final = "urn:nld:oin:00000000000000000000:systeem:zorg"
SERVICES: Final = ("intake", "contact-alerts", "workflows", "api")


def _event(id_: str, kind: str, subject: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": id_, "source": SOURCE, "type": f"nl.relatieboek.{kind}.v1", "subject": subject,
        "data": dict(data),
    }  # fmt: skip


def _story() -> list[dict[str, Any]]:
    on = {"occurred_on": "2026-01-05"}
    tier = {"tier": "A", "arguments": [{"criterion": "revenue_share", "evidence": "18 %"}], **on}
    named = {"response": "r-2", "anonymous": False, "respondent": "p-1"}
    score = {"instrument": "nps-2026", "score": 3, "occurred_on": "2026-02-06"}
    return [
        _event("r-1", "relation.registered", HAAG, {"name": "Gemeente Den Haag", "kind": "municipality", **on}),
        _event("r-2", "relation.tier_assigned", HAAG, tier),
        _event("t-1", "team.formed", "organisation", {"team": "wmo", "name": "Wmo-team", **on}),
        _event("t-2", "team.relation_assigned", HAAG, {"team": "wmo", **on}),
        _event("i-1", "satisfaction.instrument_defined", "organisation", NPS),
        _event("s-1", "satisfaction.scored", HAAG, {"response": "r-1", "anonymous": True, **score}),
        _event("s-2", "satisfaction.scored", HAAG, {**named, **score}),
    ]


async def _until(book: Book, path: str, holds: Callable[[list[Any]], bool]) -> list[Any]:
    async with asyncio.timeout(60):
        while True:
            answer = await book.get(path)
            assert answer.status_code == 200, answer.text
            if holds(answer.json()["items"]):
                return answer.json()["items"]
            await asyncio.sleep(0.05)


async def test_a_low_score_is_followed_up_by_whoever_reads_it(
    settings: Settings, engine: AsyncEngine, department: AddDepartment
) -> None:
    added = await department("zorg")
    settings = settings.model_copy(update={"silent_working_days": 30})
    async with engine.begin() as conn:
        await set_clock(conn, at("2026-02-09"))
    async with running(settings, SERVICES) as book:
        await book.publish(_story(), added.http_token)
        loops = await _until(book, "/v1/loops?state=open", lambda items: len(items) == 2)
        named, anonymous = sorted(loops, key=lambda loop: loop["anonymous"])
        assert {Loop.model_validate(loop).relation_name for loop in loops} == {"Gemeente Den Haag"}
        assert (named["response"], named["respondent"], named["score"]) == ("r-2", "p-1", 3)
        assert (anonymous["response"], anonymous["respondent"], anonymous["score"]) == (None, None, None)
        assert (bool(named["evidence"]), anonymous["evidence"]) == (True, [])
        history = (await book.get(f"/v1/relations/{HAAG}/history")).json()["items"]
        opened = [entry["data"] for entry in history if entry["type"] == "nl.relatieboek.loop.opened.v1"]
        assert len(opened) == 2
        assert not any({"response", "evidence"} & data.keys() for data in opened)

        viewers = await book.viewers()
        path = f"/v1/loops/{named['id']}"
        assert (await book.get(path, token=viewers["wmo"])).json() == named
        headers = {"Authorization": f"Bearer {viewers['wmo']}"}
        wrong = await book.client.post(f"{path}/_followup", json={"notitie": "x"}, headers=headers)
        assert wrong.status_code == 400
        said = {"note": "Teamleider heeft gebeld"}
        first = await book.client.post(f"{path}/_followup", json=said, headers=headers)
        assert (first.status_code, first.json()["verdict"]) == (201, "accepted"), first.text
        closed = await _until(book, "/v1/loops?state=closed", bool)
        assert (closed[0]["reason"], closed[0]["note"]) == ("followed_up", said["note"])
        assert (await book.client.post(f"{path}/_followup", headers=headers)).status_code == 409

        second = await book.client.post(f"/v1/loops/{anonymous['id']}/_close", headers=headers)
        assert second.status_code == 201, second.text
        closed = await _until(book, "/v1/loops?state=closed", lambda items: len(items) == 2)
        assert {(loop["id"], loop["reason"]) for loop in closed} == {
            (named["id"], "followed_up"), (anonymous["id"], "manual"),
        }  # fmt: skip
        assert (await book.get("/v1/loops?state=open")).json()["items"] == []

        alerts = await _until(book, "/v1/alerts?rule=tier_without_schedule", bool)
        assert (alerts[0]["line"], alerts[0]["about"], alerts[0]["rule"]) == (None, "schedule", "tier_without_schedule")
        assert (await book.get("/v1/alerts?rule=contact_overdue")).json()["items"] == []

        answer = (await book.get("/v1/questions/4")).json()
        assert answer["question"] == 4
        (item,) = answer["items"]
        lacks = IncompleteRelation.model_validate(item).lacks
        assert [lack.what for lack in lacks] == ["schedule", "board_line", "plan", "knowledge"]
        assert (await book.get("/v1/questions/4?tier=B")).json()["items"] == []
        assert (await book.get("/v1/questions/4?team=jeugd")).json()["items"] == []
        await one_alert_says_what_the_list_says(book, engine)


async def one_alert_says_what_the_list_says(book: Book, engine: AsyncEngine) -> None:
    """Also of departments that are silent: by the setting, which takes longer here than usual."""
    async with engine.begin() as conn:
        await advance_clock(conn, at("2026-02-20"))

    async def listed() -> list[dict[str, Any]]:
        return (await book.get("/v1/alerts")).json()["items"]

    async with asyncio.timeout(60):
        while True:
            alerts, alone, explained = await listed(), list[Any](), list[Any]()
            for alert in alerts:
                alone.append((await book.get(f"/v1/alerts/{alert['id']}")).json())
                explained.append((await book.get(f"/v1/questions/10?alert={alert['id']}")).json()["alert"])
            if alerts == await listed():  # else one climbed meanwhile: the clock was moved
                break
    assert alerts
    assert {name for alert in alerts for name in alert["silent_sources"]} == set()
    assert alone == alerts
    assert explained == alerts
