"""The HTTP door, in its three forms, against a real intake."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.settings import Settings
from tests.conftest import AddDepartment
from tests.running_book import Book, running

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
RELATION = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001"
SOURCE = "urn:nld:oin:00000000000000000000:systeem:zorg"


@pytest.fixture
async def book(settings: Settings, department: AddDepartment) -> AsyncGenerator[Book]:
    del department
    async with running(settings, ["intake", "api"]) as book:
        yield book


@pytest.fixture
async def token(department: AddDepartment) -> str:
    return (await department("zorg")).http_token


def registered(id_: str = "e-1", **changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": "Gemeente Voorbeeld",
        "kind": "municipality",
        "identifiers": [],
        "occurred_on": "2026-01-05",
    }
    return {
        "specversion": "1.0", "id": id_, "source": SOURCE, "type": "nl.relatieboek.relation.registered.v1",
        "subject": RELATION, "data": data, **changes,
    }  # fmt: skip


async def post(book: Book, body: bytes | str, kind: str, token: str, **headers: str) -> httpx.Response:
    headers = {"Content-Type": kind, "Authorization": f"Bearer {token}", **headers}
    return await book.client.post("/v1/events", content=body, headers=headers)


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["api-version"]
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


async def test_the_three_forms_and_every_answer(book: Book, token: str) -> None:
    first = await post(book, json.dumps(registered()), STRUCTURED, token)
    assert first.status_code == 201, first.text
    verdict = first.json()
    assert verdict["verdict"] == "accepted"
    assert verdict["sequence"] == "00000000000000000001"
    assert verdict["relation"] == RELATION
    assert verdict["version"] == 1

    again = await post(book, json.dumps(registered()), STRUCTURED, token)
    assert again.status_code == 200
    assert again.json() == {**verdict, "verdict": "duplicate"}

    other = registered(data={**registered()["data"], "name": "Anders"})
    problem = is_problem(await post(book, json.dumps(other), STRUCTURED, token), 409)
    assert problem["verdict"] == "rejected"
    assert problem["id"] == "e-1"
    assert problem["source"] == SOURCE

    # Binary: attributes in percent-encoded headers, the payload as body.
    held = {
        "contact": "zorg-c-1", "occurred_at": "2026-02-03T10:00:00+01:00", "duration_min": 60, "channel": "meeting",
        "activity": "conversation", "topics": ["wmo"], "ours": [{"employee": "e-12", "layer": "board"}],
        "theirs": [{"layer": "board"}], "summary": "Kennismaking",
    }  # fmt: skip
    binary = {
        "ce-specversion": "1.0", "ce-id": quote("e 2/é", safe=""), "ce-source": SOURCE,
        "ce-type": "nl.relatieboek.contact.held.v1", "ce-subject": RELATION, "ce-expectedversion": "1",
    }  # fmt: skip
    accepted = await post(book, json.dumps(held), "application/json; charset=utf-8", token, **binary)
    assert accepted.status_code == 201, accepted.text
    assert accepted.json()["id"] == "e 2/é"
    assert accepted.json()["version"] == 2
    missing = {name: value for name, value in binary.items() if name not in {"ce-id", "ce-subject"}}
    problem = is_problem(await post(book, json.dumps(held), "application/json", token, **missing), 400)
    assert {e["pointer"] for e in problem["errors"]} == {"/id", "/subject"}

    waits = registered(
        "e-3", subject="gemeentecode:9999", type="nl.relatieboek.relation.tier_assigned.v1",
        data={"tier": "B", "arguments": [], "occurred_on": "2026-01-06"},
    )  # fmt: skip
    parked = await post(book, json.dumps(waits), STRUCTURED, token)
    assert parked.status_code == 202, parked.text
    assert parked.json()["verdict"] == "parked"

    batch = [registered("e-1"), registered("e-4", data={}), {"no": "event"}, waits]
    verdicts = await post(book, json.dumps(batch), BATCH, token)
    assert verdicts.status_code == 200
    assert [v["verdict"] for v in verdicts.json()] == ["duplicate", "rejected", "rejected", "parked"]
    assert {e["pointer"] for e in verdicts.json()[1]["problem"]["errors"]} >= {"/data/name", "/data/kind"}
    assert (await post(book, "[]", BATCH, token)).json() == []

    await finds_verdicts_again(book, token, verdict)


async def finds_verdicts_again(book: Book, token: str, accepted: dict[str, Any]) -> None:
    async def find(id_: str, as_: str) -> httpx.Response:
        return await book.get(f"/v1/verdicts?source={quote(SOURCE)}&id={quote(id_)}", token=as_)

    assert (await find("e-1", token)).json() == accepted
    assert (await find("e-3", token)).json()["verdict"] == "parked"
    rejected = (await find("e-4", token)).json()
    assert rejected["verdict"] == "rejected"
    assert rejected["problem"]["errors"]
    is_problem(await find("e-5", token), 404)
    is_problem(await find("e-1", (await book.viewers())["all"]), 403)
    problem = is_problem(await book.get("/v1/verdicts?di=1", token=token), 400)
    assert {e["pointer"] for e in problem["errors"]} == {"/query/di", "/query/id", "/query/source"}


async def test_what_the_door_turns_down(book: Book, token: str, department: AddDepartment) -> None:
    event = json.dumps(registered())
    # 413 before 415 before 401 before 400.
    is_problem(await post(book, b" " * (64 * 1024 + 1), STRUCTURED, "nobody"), 413)
    is_problem(await post(book, b"[" + b" " * (4 * 1024 * 1024) + b"]", BATCH, "nobody"), 413)

    async def pieces() -> AsyncGenerator[bytes]:
        for _ in range(80):
            yield b" " * 1024

    streamed = await book.client.post(
        "/v1/events", content=pieces(), headers={"Content-Type": STRUCTURED, "Authorization": f"Bearer {token}"}
    )
    is_problem(streamed, 413)
    is_problem(await post(book, json.dumps([{}] * 1001), BATCH, token), 413)
    is_problem(await post(book, event, "text/plain", "nobody"), 415)
    is_problem(await post(book, event, "application/json", "nobody"), 415)
    is_problem(await post(book, event, f"{STRUCTURED}; charset=latin-1", "nobody"), 415)
    problem = is_problem(await post(book, event, STRUCTURED, "nobody"), 401)
    assert problem["verdict"] == "rejected"
    is_problem(await post(book, event, STRUCTURED, (await book.viewers())["all"]), 403)
    other = (await department("welzijn")).http_token
    is_problem(await post(book, event, STRUCTURED, other), 403)

    twice = '{"id": "e-1", "id": "e-2", "data": {}}'
    assert is_problem(await post(book, twice, STRUCTURED, token), 400)["errors"][0]["pointer"] == "/id"
    for wrong in ("", "{", '{"a": NaN}', "[1", "[]", '"x"', '{"a": 1e999}', "{}" * 2, '{"a":' * 40 + "1" + "}" * 40):
        is_problem(await post(book, wrong, STRUCTURED, token), 400)
    for wrong in ("{}", '[{"a": 1, "a": 2}]', "[[[", "nul"):
        is_problem(await post(book, wrong, BATCH, token), 400)
    is_problem(await book.client.post("/v1/events?x=1", content=event, headers={"Content-Type": STRUCTURED}), 400)
    is_problem(await post(book, '{} , "id": 1', "application/json", token, **{"ce-id": "1"}), 400)


async def test_without_intake_the_door_says_so(settings: Settings, department: AddDepartment) -> None:
    token = (await department("zorg")).http_token
    async with running(settings, ["api"]) as book:
        answer = await post(book, json.dumps(registered()), STRUCTURED, token)
        problem = is_problem(answer, 503)
        assert problem["verdict"] == "busy"
        assert problem["retry_after_s"] > 0
        assert int(answer.headers["retry-after"]) >= 1
        status = (await book.get("/v1/status")).json()
        assert status["healthy"] is False
        assert {"service": "intake", "state": "silent"} in status["services"]


async def test_a_full_queue_is_told_as_429_and_takes_the_same_again_later(
    settings: Settings, department: AddDepartment, owner_engine: AsyncEngine
) -> None:
    token = (await department("zorg")).http_token
    small = settings.model_copy(update={"batch": 1, "max_queued": 2})
    async with running(small, ["intake", "api"]) as book:
        events = [json.dumps(registered(f"e-{n}", subject=f"local:r{n}")) for n in range(8)]
        async with owner_engine.begin() as conn:
            # No append gets through while this lasts: what comes stays in the queue.
            await conn.execute(text("SELECT position FROM ledger.head FOR UPDATE"))
            sending = [asyncio.create_task(post(book, event, STRUCTURED, token)) for event in events]
            answered, _ = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
            problem = is_problem(answered.pop().result(), 429)
            assert (problem["verdict"], problem["type"].rpartition(":")[2]) == ("busy", "busy")
            assert problem["retry_after_s"] > 0
        answers = await asyncio.gather(*sending)
        codes = {answer.status_code for answer in answers}
        assert codes == {201, 429}
        assert all(int(a.headers["retry-after"]) >= 1 for a in answers if a.status_code == 429)
        for event, answer in zip(events, answers, strict=True):
            again = await post(book, event, STRUCTURED, token)
            assert again.status_code == (200 if answer.status_code == 201 else 201), "of a busy one nothing was kept"
