"""The whole corpus of malformed events through the real doors: each is refused by name, and nothing stops."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import Department, connection, held, registered, running_intake, scalar
from tests.running_book import running
from tests.unit.test_malformed import CASES

Json = dict[str, Any]
# The corpus speaks for this source and every type, so that authority is not what refuses it.
SOURCE = "urn:nld:oin:00000001003214345000:systeem:crm"


def body_of(case: Json) -> bytes:
    return case["raw"].encode() if "raw" in case else json.dumps(case["event"]).encode()


def expect(case: Json, verdict: Json) -> None:
    assert verdict["verdict"] == "rejected", case["name"]
    said = {e["pointer"] for e in verdict["problem"]["errors"]}
    # A source that is not this department's, and a type that only the book may send, are named as well.
    assert set(case["pointers"]) <= said, (case["name"], said)


@pytest.fixture
async def crm(settings: Settings, department: AddDepartment) -> AsyncGenerator[Department]:
    added = await department("crm", sources=[SOURCE])
    async with running_intake(settings), connection(settings, added.nats) as client:
        yield Department("crm", client, SOURCE)


async def test_over_nats(crm: Department, engine: AsyncEngine) -> None:
    arrays = 0
    for case in CASES:
        body = body_of(case)
        if body.lstrip()[:1] == b"[":
            arrays += 1  # at this door an array is many events, not a malformed one
            continue
        expect(case, await crm.send(body))
    assert await scalar(engine, "SELECT count(*) FROM ledger.rejected") == len(CASES) - arrays
    assert (
        await scalar(engine, "SELECT count(*) FROM ledger.rejected WHERE code = 'patient_data' AND sealed IS NOT NULL")
        == 0
    )
    assert await scalar(engine, "SELECT count(*) FROM ledger.entry") == 0
    assert (await crm.send(crm.event("relation.registered", registered())))["verdict"] == "accepted"
    assert (await crm.send(crm.event("contact.held", held())))["verdict"] == "accepted"


BSN = "111222333"
NOTE: Json = {"note": "n-1", "text": "geen nummer", "occurred_at": "2026-01-05T10:00:00+01:00"}


async def test_nothing_of_a_patient_is_kept_whatever_else_is_wrong(crm: Department, engine: AsyncEngine) -> None:
    """The number stands where the event is also refused for another reason, or in what names the event itself."""
    named = {**NOTE, "text": f"mevrouw, {BSN}"}
    note = crm.event("note.recorded", NOTE)
    events: list[Json | bytes] = [
        crm.event("note.recorded", named) | {"source": "urn:nld:kvk:12345678:systeem:elders"},
        crm.event("alert.acknowledged", {"alert": "x", "note": BSN}),
        note | {"id": f"p-{BSN}"},
        note | {"source": f"urn:nld:kvk:12345678:systeem:x{BSN}"},
        note | {"type": f"nl.relatieboek.{BSN}"},
        orjson.dumps(crm.event("note.recorded", named))[:-1],
        orjson.dumps(crm.event("note.recorded", {**named, "more": "x" * 70_000})),
    ]
    for event in events:
        verdict = await crm.send(event)
        assert verdict["verdict"] == "rejected"
        assert BSN not in orjson.dumps(verdict["problem"]).decode()
    assert await scalar(engine, "SELECT count(*) FROM ledger.rejected") == len(events)
    assert await scalar(engine, "SELECT count(*) FROM ledger.rejected WHERE sealed IS NOT NULL") == 0
    kept = "SELECT count(*) FROM ledger.rejected r WHERE r::text LIKE '%111222333%'"
    assert await scalar(engine, kept) == 0


async def test_an_array_refuses_the_event_whose_member_stands_twice(crm: Department) -> None:
    good = [crm.event("relation.registered", registered()), crm.event("contact.held", held())]
    twice = json.dumps(crm.event("contact.held", held("c-2"))).replace('"subject"', '"id": "other", "subject"')
    said: Any = await crm.send(f"[{json.dumps(good[0])}, {twice}, {json.dumps(good[1])}]".encode())
    assert [v["verdict"] for v in said] == ["accepted", "rejected", "accepted"]
    assert [e["pointer"] for e in said[1]["problem"]["errors"]] == ["/id"]


async def test_over_http(settings: Settings, department: AddDepartment, engine: AsyncEngine) -> None:
    added = await department("crm", sources=[SOURCE])
    async with running(settings, ["intake", "api"]) as book:
        for case in CASES:
            answer: httpx.Response = await book.client.post(
                "/v1/events",
                content=body_of(case),
                headers={
                    "Authorization": f"Bearer {added.http_token}",
                    "Content-Type": "application/cloudevents+json",
                },
            )
            assert 400 <= answer.status_code < 500, (case["name"], answer.status_code)
            assert answer.status_code != 422
            assert answer.headers["content-type"].startswith("application/problem+json"), case["name"]
            said = {e["pointer"] for e in answer.json()["errors"]}
            assert set(case["pointers"]) <= said, (case["name"], said)
        assert await scalar(engine, "SELECT count(*) FROM ledger.entry") == 0
        crm = {"specversion": "1.0", "id": "good", "source": SOURCE, "type": "nl.relatieboek.relation.registered.v1"}
        good = await book.client.post(
            "/v1/events",
            content=json.dumps({**crm, "subject": "gemeentecode:0518", "data": registered()}).encode(),
            headers={"Authorization": f"Bearer {added.http_token}", "Content-Type": "application/cloudevents+json"},
        )
        assert (good.status_code, good.json()["verdict"]) == (201, "accepted")
