"""Two people, and a department, edit one plan question: the second hears of the first, and nothing is overwritten."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from services.api.shapes.plans import PlanConflict, PlanQuestion
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.running_book import Book, running

RELATION = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001"
SOURCE = "urn:nld:oin:00000000000000000000:systeem:zorg"
QUESTION = f"/v1/relations/{RELATION}/plan/questions/4?plan=2026"


@pytest.fixture
async def book(settings: Settings, department: AddDepartment) -> AsyncGenerator[Book]:
    del department
    async with running(settings, ["intake", "relation-view", "api"]) as book:
        yield book


def event(id_: str, kind: str, data: dict[str, Any], subject: str = RELATION, **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": id_, "source": SOURCE, "type": f"nl.relatieboek.{kind}.v1", "subject": subject,
        "data": {"occurred_on": "2026-01-05", **data}, **more,
    }  # fmt: skip


async def put(
    book: Book, answer: str, tag: str | None, url: str = QUESTION, token: str | None = None
) -> httpx.Response:
    headers = {} if tag is None else {"If-Match": tag}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return await book.client.put(url, json={"answer": answer}, headers=headers)


async def test_the_second_of_two_editors_gets_the_change_of_the_first(book: Book, department: AddDepartment) -> None:
    token = (await department("zorg")).http_token
    about = [
        event("e-1", "relation.registered", {"name": "Gemeente", "kind": "municipality", "identifiers": []}),
        event("e-2", "team.formed", {"team": "wmo", "name": "Wmo"}, "organisation"),
        event("e-3", "team.formed", {"team": "jeugd", "name": "Jeugd"}, "organisation"),
        event("e-4", "team.relation_assigned", {"team": "wmo"}),
    ]
    last = (await book.publish(about, token))[-1]["sequence"]
    viewers = await book.viewers()
    colleague = viewers["wmo"]

    # Nobody answered it yet: both read the same tag.
    empty = await book.get(QUESTION, **{"If-Position": last})
    assert empty.status_code == 200, empty.text
    assert (empty.json()["answer"], empty.headers["etag"]) == (None, '"0.0"')
    assert (await book.get(QUESTION, token=colleague)).headers["etag"] == '"0.0"'

    assert (await put(book, "Meer cliënten", None)).status_code == 428
    assert (await put(book, "Meer cliënten", '"7.7"')).status_code == 412
    assert (await put(book, "Meer cliënten", "7")).status_code == 400
    first = await put(book, "Meer cliënten", '"0.0"', token=colleague)
    assert first.status_code == 200, first.text
    PlanQuestion.model_validate(first.json(), extra="forbid")
    assert first.json()["answer"] == "Meer cliënten"
    assert (first.json()["department"], first.json()["actor"]) == ("relatieboek", "viewer:wmo")

    second = await put(book, "Minder cliënten", '"0.0"')
    assert second.status_code == 409, second.text
    problem = second.json()
    PlanConflict.model_validate(problem, extra="forbid")
    assert second.headers["content-type"] == "application/problem+json"
    assert problem["current"]["answer"] == "Meer cliënten"
    assert problem["conflicting"]["actor"] == "viewer:wmo"
    assert second.headers["etag"] == first.headers["etag"]
    assert (await book.get(QUESTION)).json()["answer"] == "Meer cliënten"

    # What stands already may be said again, whatever was read before; and with the new tag it may be changed.
    assert (await put(book, "Meer cliënten", '"0.0"')).headers["etag"] == first.headers["etag"]
    changed = await put(book, "Minder cliënten", first.headers["etag"])
    assert changed.status_code == 200, changed.text
    assert (await book.get(QUESTION)).json()["answer"] == "Minder cliënten"

    # A department is held to the same, by `expectedversion`, and so are its withdrawals.
    stale = event("e-5", "plan.question_answered", {"plan": "2026", "question": "4", "answer": "Anders"})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/cloudevents+json"}
    answer = await book.client.post("/v1/events", json={**stale, "expectedversion": 2}, headers=headers)
    assert answer.status_code == 409, answer.text
    assert answer.json()["conflicting"]["version"] == changed.json()["version"]
    fresh = {
        **stale,
        "expectedversion": changed.json()["version"],
        "data": {**stale["data"], "occurred_on": "2030-01-01"},
    }
    assert (await book.publish([fresh], token))[0]["verdict"] == "accepted"
    behind = await put(book, "Nog iets", changed.headers["etag"])
    assert (behind.status_code, behind.json()["current"]["answer"]) == (409, "Anders")
    gone = event("e-6", "correction.withdrawn", {"source": SOURCE, "id": "e-5"})
    del gone["data"]["occurred_on"]
    gone["data"]["occurred_at"] = "2026-01-06T09:00:00+01:00"
    assert (await book.publish([gone], token))[0]["verdict"] == "accepted"
    again = await put(book, "Nog iets", behind.headers["etag"])
    assert (again.status_code, again.json()["current"]["answer"]) == (409, "Minder cliënten")

    # Another team knows of nothing.
    assert (await book.get(QUESTION, token=viewers["jeugd"])).status_code == 404
    assert (await put(book, "Stiekem", again.headers["etag"], token=viewers["jeugd"])).status_code == 404
