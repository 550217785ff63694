"""Every kind of fact that a department sends about a relation, restricted: no answer to who may not see it, on whatever
address and in whatever form, holds a word, a name or a day of it. Whom it is for, hears all of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.identity import accounts
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.every_kind import department_of, every_kind
from tests.everybody import SOURCE
from tests.running_book import Book, running
from tests.who_may import WHO_MAY

RELATION: Final = "gemeentecode:0518"
TEAM: Final = "wmo-haaglanden"
# What says which relation it is and whose shows with the relation. Merges and ends would take it out of sight.
OPEN: Final = frozenset({
    "relation.registered", "relation.identifier_linked", "relation.details_changed", "relation.owner_assigned",
    "team.relation_assigned",
})  # fmt: skip
LEFT_OUT: Final = frozenset({"team.relation_unassigned", "relation.ended", "relation.merged", "relation.unmerged"})
# Fields that hold ids of the publisher's own, and days of their own: told so that nothing else is called the same.
IDS: Final = frozenset({
    "plan", "by", "action", "commitment", "contact", "canonical", "agreement", "programme", "chain", "opportunity",
    "response", "line", "interest", "performance", "person", "their_person", "phase", "contacts",
})  # fmt: skip
DAYS: Final = frozenset({"horizon_on", "valid_until", "due_on", "ends_on", "review_on", "until"})
# These are the same for everybody.
NOT_LOOKED_AT: Final = frozenset({"GET /v1/openapi.json", "GET /v1/asyncapi.json"})
ENDLESS: Final = "GET /v1/teams/{team}/timeline/_live"


def story() -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    for event in every_kind():
        kind = ".".join(event["type"].split(".")[2:4])
        if department_of(event) == "relatieboek" or kind in LEFT_OUT:
            continue
        event["source"] = SOURCE
        event.pop("visibility", None)
        if kind == "correction.withdrawn":
            event["data"]["source"] = SOURCE
        if event["subject"] != "organisation":
            event["data"] = _renamed(event["data"])
            if kind not in OPEN:
                event["visibility"] = "department"
        told.append(event)
    return told


def _renamed(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {k: _renamed(v, k) for k, v in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [_renamed(v, key) for v in cast("list[Any]", value)]
    if key in IDS and isinstance(value, str) and value not in ("us", "them"):
        return f"zw-{value}"
    if key in DAYS and isinstance(value, str):
        return f"{int(value[:4]) + 6}{value[4:]}"
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in cast("Mapping[str, Any]", value).values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def words(events: list[dict[str, Any]]) -> frozenset[str]:
    """What only restricted facts say: ids, texts of more than one word, and days that are nobody else's."""
    open_ = {text for e in events if "visibility" not in e for text in _texts(e["data"])}
    said = {text for e in events if "visibility" in e for text in _texts(e["data"])} - open_
    return frozenset(t for t in said if t.startswith("zw-") or " " in t or (t[:3] == "203" and t[4:5] == "-"))


def addresses(path: str) -> list[str]:
    filled = path.replace("{id}", RELATION).replace("{team}", TEAM).replace("{question}", "1").replace("{number}", "1")
    if path.startswith("/v1/questions"):
        return [filled, f"{filled}?relation={RELATION}"]
    if path.endswith("/difference"):
        views = ("relation", "matrix", "schedule", "plan", "satisfaction", "agreements", "chain", "partnership")
        return [f"{filled}?asOf=2020-01-01&withAsOf=2026-12-31&view={view}" for view in (*views, "opportunities")]
    if path.startswith("/v1/relations/{id}"):
        return [filled, f"{filled}?asOf=2026-12-31"]
    return [filled]


@pytest.mark.timeout(600)
async def test_no_word_of_a_restricted_fact(settings: Settings, department: AddDepartment, engine: AsyncEngine) -> None:
    token = (await department("zorg")).http_token
    events = story()
    secret = words(events)
    assert len(secret) > 50
    async with engine.begin() as conn:
        people = {
            name: await accounts.add(conn, name, roles=["relation_manager"], teams=[TEAM], department=of)
            for name, of in (("theirs", "zorg"), ("not-theirs", "inkoop"), ("of-none", None))
        }
    async with running(settings) as book:
        last = (await book.publish(events, token))[-1]["sequence"]
        await caught_up(book, last)
        for name, password in people.items():
            heard = await hears(book, name, password, secret)
            if name == "theirs":
                assert secret - set(heard) == set(), "an empty answer would keep every secret"
            else:
                assert heard == {}, name


async def caught_up(book: Book, last: str) -> None:
    """Every read model has all of it, and what the services say of it."""
    lists = ("relations", f"teams/{TEAM}/timeline", "alerts", "loops", *(f"questions/{n}" for n in (4, 5, 7, 8, 9)))
    for path in lists:
        address = f"/v1/{path}?relation={RELATION}" if path == "questions/7" else f"/v1/{path}"
        async with asyncio.timeout(60):
            while (await book.get(address, **{"If-Position": last})).status_code == 503:
                await asyncio.sleep(0.2)
    async with asyncio.timeout(60):
        while not (await book.get("/v1/alerts")).json()["items"]:
            await asyncio.sleep(0.2)


async def said(browser: httpx.AsyncClient, address: str, accept: str) -> str:
    """The answer, once there is one: a page under load may have to be asked for again."""
    async with asyncio.timeout(60):
        while (answer := await browser.get(address, headers={"Accept": accept})).status_code == 503:
            await asyncio.sleep(0.2)
    assert answer.status_code < 500, address
    return answer.text


async def hears(book: Book, name: str, password: str, secret: frozenset[str]) -> dict[str, str]:
    """The words that they come upon, each with the last address that has it."""
    found: dict[str, str] = {}
    async with httpx.AsyncClient(base_url=book.client.base_url, timeout=30) as browser:
        assert (await browser.post("/", data={"name": name, "password": password})).status_code == 303
        alerts = (await browser.get("/v1/alerts")).json()["items"]
        why = [f"/v1/questions/10?alert={alert['id']}" for alert in alerts]
        calls = [c for c in WHO_MAY if c.startswith("GET ") and c not in NOT_LOOKED_AT | {ENDLESS}]
        for address in [a for c in calls for a in addresses(c.split()[1])] + why:
            for accept in ("application/json", "text/csv"):
                text = await said(browser, address, accept)
                found |= {w: address for w in secret if w in text or json.dumps(w)[1:-1] in text}
    return found
