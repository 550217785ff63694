"""Acting on alerts, loops and plans: only who works at the relation does, and only on what they may see.

To others it is not there (404), or nothing to be done by their role (403); and what they tried left no trace on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from events.clock import set_clock
from projections.workflows.low_score import loop_id
from services.settings import Settings
from tests.alert_trial import at
from tests.conftest import AddDepartment
from tests.everybody import DELFT, HAAG, Person, give_accounts, persons, story
from tests.running_book import Book, running

SERVICES: Final = ("intake", "relation-view", "contact-alerts", "workflows", "api")
ACTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "_acknowledge": {}, "_snooze": {"until": "2026-07-06"}, "_resolve": {}, "_followup": {}, "_close": {},
}  # fmt: skip
# Who sees it, and of those who may act on it: by hand, from who has the relation and whom the fact is for.
OF_HAAG: Final = frozenset({"lead-wmo", "wmo-zorg", "wmo-financien", "wmo-genoemd", "auditor-wmo"})
ALL_SEE: Final = frozenset({"auditor", "auditor-wmo"})


@dataclass(frozen=True, slots=True)
class Thing:
    """An alert or a loop in the book. `is_it` holds once it is escalated as far as it will be: from then on nothing but
    an act changes it. `seen_by`, `acted_on_by`: names of `persons`."""

    kind: Literal["alerts", "loops"]
    is_it: Callable[[Mapping[str, Any]], bool]
    acts: tuple[str, ...]
    seen_by: frozenset[str]
    acted_on_by: frozenset[str]


_ALERT: Final = ("_acknowledge", "_snooze", "_resolve")
THINGS: Final = {
    "the alert of a line": Thing(
        "alerts", lambda i: (i["rule"], i["relation"], i["level"]) == ("contact_overdue", HAAG, 2), _ALERT,
        OF_HAAG | {"board", "board-zorg", "auditor"}, OF_HAAG,
    ),
    "an alert that rests on a fact for one department": Thing(
        "alerts", lambda i: i["rule"] == "commitment_late" and "zorg-k-3" in str(i["about"]), _ALERT,
        ALL_SEE | {"wmo-zorg", "board-zorg"}, frozenset({"wmo-zorg"}),
    ),
    "the alert of a relation elsewhere": Thing(
        "alerts", lambda i: (i["rule"], i["relation"], i["level"]) == ("contact_overdue", DELFT, 1), _ALERT,
        ALL_SEE | {"jeugd-zorg"}, frozenset({"jeugd-zorg"}),
    ),
    "a loop": Thing(
        "loops", lambda i: i["id"] == loop_id(HAAG, "open"), ("_followup",),
        OF_HAAG | {"board", "board-zorg", "auditor"}, OF_HAAG,
    ),
    "a loop about a score for one department": Thing(
        "loops", lambda i: i["id"] == loop_id(HAAG, "zorg"), ("_close",), ALL_SEE | {"wmo-zorg", "board-zorg"},
        frozenset({"wmo-zorg"}),
    ),
    "the loop of a relation elsewhere": Thing(
        "loops", lambda i: i["id"] == loop_id(DELFT, "delft"), ("_followup", "_close"), ALL_SEE | {"jeugd-zorg"},
        frozenset({"jeugd-zorg"}),
    ),
}  # fmt: skip
PLANS: Final = {HAAG: OF_HAAG, DELFT: frozenset({"jeugd-zorg"})}


@pytest.mark.timeout(300)
async def test_nobody_acts_on_what_is_not_theirs(
    settings: Settings, engine: AsyncEngine, department: AddDepartment
) -> None:
    token = (await department("zorg")).http_token
    passwords = await give_accounts(engine, settings)
    async with engine.begin() as conn:
        await set_clock(conn, at("2026-06-30"))
    async with running(settings, SERVICES) as book:
        last = (await book.publish(story(), token))[-1]["sequence"]
        assert (await book.get("/v1/relations", **{"If-Position": last})).status_code == 200
        found = {name: await there_is(book, thing) for name, thing in THINGS.items()}
        for one in persons():
            async with signed_in(book, one, passwords[one.name]) as browser:
                for name, thing in THINGS.items():
                    await tries(browser, one, name, thing, found[name])
                for relation, writers in PLANS.items():
                    await tries_plan(browser, one, relation, one.name in writers)
        for name, thing in THINGS.items():
            assert (await book.get(f"/v1/{thing.kind}/{found[name]['id']}")).json() == found[name], name
        for relation in PLANS:
            question = await book.get(f"/v1/relations/{relation}/plan/questions/1?plan=zorg-p-1")
            assert question.json()["answer"] is None
        # And whose it is, does act: a door that turns everybody away would pass all of the above.
        by_name = {one.name: one for one in persons()}
        for name, thing in THINGS.items():
            for act, who in zip(thing.acts, (sorted(thing.acted_on_by) * 3), strict=False):
                async with signed_in(book, by_name[who], passwords[who]) as browser:
                    path = f"/v1/{thing.kind}/{found[name]['id']}/{act}"
                    answer = await browser.post(path, json=ACTS[act])
                    over = thing.kind == "loops" and act != thing.acts[0]
                    assert answer.status_code == (409 if over else 201), f"{who}: {act} {name}: {answer.text}"
                    if thing.kind == "loops" and not over:
                        await until_closed(book, found[name]["id"])


@asynccontextmanager
async def signed_in(book: Book, one: Person, password: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=book.client.base_url, timeout=30) as browser:
        assert (await browser.post("/", data={"name": one.name, "password": password})).status_code == 303
        browser.headers["X-CSRF-Token"] = (await browser.get("/v1/session")).json()["csrf"]
        yield browser


async def there_is(book: Book, thing: Thing) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            items = (await book.get(f"/v1/{thing.kind}?limit=100")).json()["items"]
            if found := [item for item in items if thing.is_it(item)]:
                (one,) = found
                return (await book.get(f"/v1/{thing.kind}/{one['id']}")).json()
            await asyncio.sleep(0.1)


async def until_closed(book: Book, loop: str) -> None:
    async with asyncio.timeout(30):
        while (await book.get(f"/v1/loops/{loop}")).json()["state"] != "closed":
            await asyncio.sleep(0.05)


async def tries(browser: httpx.AsyncClient, one: Person, name: str, thing: Thing, found: Mapping[str, Any]) -> None:
    """Reads it, and acts on it unless they may. Who has roles that act is told it is not there; others are refused."""
    path, who = f"/v1/{thing.kind}/{found['id']}", f"{one.name}: {name}"
    reads, acts = may_read(one), not one.roles.isdisjoint({"relation_manager", "team_lead"})
    nowhere, answer = f"/v1/{thing.kind}/{uuid4()}", await browser.get(path)
    assert answer.status_code == (403 if not reads else 200 if one.name in thing.seen_by else 404), who
    if answer.status_code == 404:
        assert answer.text == (await browser.get(nowhere)).text, f"{who}: is it there?"
    if one.name not in thing.acted_on_by:
        for act in ("_acknowledge", "_snooze", "_resolve") if thing.kind == "alerts" else ("_followup", "_close"):
            answer = await browser.post(f"{path}/{act}", json=ACTS[act])
            assert answer.status_code == (404 if acts else 403), f"{who}: {act}: {answer.text}"
            assert answer.text == (await browser.post(f"{nowhere}/{act}", json=ACTS[act])).text, f"{who}: is it there?"


async def tries_plan(browser: httpx.AsyncClient, one: Person, relation: str, writes: bool) -> None:
    acts = not one.roles.isdisjoint({"relation_manager", "team_lead"})
    if not writes:
        path = f"/v1/relations/{relation}/plan/questions/1?plan=zorg-p-1"
        answer = await browser.put(path, json={"answer": "Van een ander"}, headers={"If-Match": "*"})
        assert answer.status_code == (404 if acts else 403), f"{one.name}: plan of {relation}: {answer.text}"


def may_read(one: Person) -> bool:
    return not one.roles.isdisjoint({"relation_manager", "team_lead", "board", "auditor"})
