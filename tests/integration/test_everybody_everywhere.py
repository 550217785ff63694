"""Each role, team and department at every operation of the OpenAPI document, on a real book with restricted facts.

Who may make a call is said by hand (tests/who_may.py). Where nothing grants, the answer is 401 or 403; where something
does, it is neither; and no answer at all holds a word that is not for who asks.
"""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.site import application
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.everybody import (
    DELFT,
    DELFT_WORD,
    HAAG,
    OPEN_WORD,
    WORDS,
    Person,
    give_accounts,
    persons,
    story,
)
from tests.running_book import Book, running
from tests.who_may import WHO_MAY, may

# It does not end; it shows what a page of the timeline shows.
PAGES = {
    "/", "/sign-out", "/relations/{id}", "/accesses", "/relations/{id}/accesses", "/persons/{ref}/accesses",
    "/sign-in/elsewhere", "/sign-in/return",
}  # fmt: skip
NOWHERE = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0009"
# By a team, by another, and by a tier: of each of them a relation is in the book that is not theirs.
TOLD_NOTHING = {"lead-wmo", "jeugd-zorg", "board"}
# What else may be asked of one relation, right and wrong.
MORE = {"asOf": "2020-01-01", "knownAt": "1", "cursor": "x", "plan": "zorg-p-9", "withKnownAt": "2", "view": "plan"}
ENDLESS = "GET /v1/teams/{team}/timeline/_live"


def addresses(path: str) -> list[str]:
    """The path for both relations and teams. What else it names (an alert, a loop, a person) is not there: then it is
    only said who is turned away."""
    if "/relations/{id}" in path or path.startswith("/v1/questions"):
        filled = path.replace("{question}", "1").replace("{number}", "1")
        if "/relations/{id}" not in filled:
            return [f"{filled}?relation={HAAG}", f"{filled}?relation={DELFT}", filled]
        return [filled.replace("{id}", HAAG), filled.replace("{id}", DELFT)]
    if "{team}" in path:
        return [path.replace("{team}", team) for team in ("wmo", "jeugd")]
    return [path.replace("{id}", HAAG).replace("{ref}", "person:p-1").replace("{person}", "person:p-1")]


@pytest.fixture
async def passwords(engine: AsyncEngine, settings: Settings) -> dict[str, str]:
    return await give_accounts(engine, settings)


@pytest.mark.timeout(600)
async def test_nobody_sees_what_is_not_theirs(
    settings: Settings, department: AddDepartment, passwords: dict[str, str]
) -> None:
    token = (await department("zorg")).http_token
    async with running(settings) as book:
        last = (await book.publish(story(), token))[-1]["sequence"]
        await book.caught_up(last)
        for one in persons():
            await walks(book, one, passwords[one.name])
        await turns_away_who_is_nobody(book, token)


async def walks(book: Book, one: Person, password: str) -> None:
    strange = WORDS - one.words
    shown = ""
    async with httpx.AsyncClient(base_url=book.client.base_url, timeout=30) as browser:
        assert (await browser.post("/", data={"name": one.name, "password": password})).status_code == 303
        csrf = (await browser.get("/v1/session")).json()["csrf"]
        for call in WHO_MAY:
            method, path = call.split()
            if path in PAGES:
                continue  # those below
            granted = may(one.roles, call)
            if call == ENDLESS and granted:
                continue
            for address in addresses(path) if granted else addresses(path)[:1]:
                headers = {"X-CSRF-Token": csrf, "If-Match": '"none"', "Content-Type": "application/json"}
                content = b"{}" if method != "GET" else None
                forms = ("application/json", "text/csv") if method == "GET" and granted else ("application/json",)
                for accept in forms:
                    answer = await browser.request(
                        method, address, headers={**headers, "Accept": accept}, content=content
                    )
                    said = f"{one.name}: {method} {address}: {answer.status_code}"
                    if call == "POST /v1/events":
                        # This door judges the form of what came before who sent it.
                        assert answer.status_code in {401, 403, 415}, said
                    elif granted:
                        assert answer.status_code < 500, said
                        assert answer.status_code not in {401, 403}, said
                        shown += answer.text
                    else:
                        assert answer.status_code == 403, said
                    assert not [w for w in strange if w in answer.text.lower()], said
        looks, pages = may(one.roles, "GET /v1/accesses"), ""
        for page in (
            "/", f"/relations/{HAAG}", f"/relations/{DELFT}", "/accesses", f"/relations/{HAAG}/accesses",
            "/persons/employee:e-12/accesses", "/accesses?export=csv", f"/relations/{HAAG}/accesses?export=csv",
        ):  # fmt: skip
            answer = await browser.get(page)
            if "/accesses" in page:
                assert answer.status_code == (200 if looks else 404), f"{one.name}: {page}"
            assert not [w for w in strange if w in answer.text.lower()], f"{one.name}: {page}"
            pages += answer.text if answer.is_success else ""
        # A link leads somewhere for whoever it is shown to, and who may see the log finds the way to it.
        links = set(re.findall(r'href="(/[^"#]*)"', pages))
        for link in links:
            assert (await browser.get(unescape(link))).status_code == 200, f"{one.name}: {link}"
        assert ("/accesses" in links) is looks, one.name
        if one.name in TOLD_NOTHING:
            await knows_not_whether_it_is_there(browser, one, csrf)
    # And what is theirs, they see: an empty answer would keep every secret.
    assert {w for w in one.words if w in shown.lower()} == one.words, one.name


async def knows_not_whether_it_is_there(browser: httpx.AsyncClient, one: Person, csrf: str) -> None:
    """What is not theirs answers to the letter as what is not there, whatever is asked of it and however."""
    headers = {"X-CSRF-Token": csrf, "If-Match": "*"}
    for method, before, after in asked_of_one():
        for there, nowhere in strange_to(one, "{team}" in before):
            address = before.replace("{team}", "{id}")
            answers: list[tuple[int, str, str]] = []
            for id_ in (there, nowhere):
                json = {"answer": "Iets"} if method == "PUT" else None
                answer = await browser.request(method, address.replace("{id}", id_) + after, headers=headers, json=json)
                kept = answer.text.replace(id_, "{id}") if "/v1/" not in before else answer.text
                answers.append((answer.status_code, answer.headers["content-type"], kept))
            said = f"{one.name}: {method} {before}{after} of {there}"
            assert answers[0] == answers[1], said
            if "relation=" not in before and "organisation=" not in before:
                assert answers[0][0] in {400, 404} if after else answers[0][0] == 404, said


def asked_of_one() -> list[tuple[str, str, str]]:
    """From the OpenAPI document: every operation about one relation or team, by its path or by a filter, plainly and
    with what else may be asked along: method, address with `{id}` or `{team}`, the rest of the query."""
    found = [("GET", "/relations/{id}", "")]
    for path, item in application().openapi()["paths"].items():
        for method, operation in item.items():
            if path.endswith("/accesses"):
                continue  # for who looks into the log of all
            keys = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}
            more = [f"{k}={v}" for k, v in MORE.items() if k in keys]
            if path.startswith(("/v1/relations/{id}", "/v1/teams/{team}")):
                address = path.replace("{question}", "1") + ("?plan=zorg-p-1" if method == "put" else "")
                joins = "&" if "?" in address else "?"
                found += [(method.upper(), address, rest) for rest in ("", *(f"{joins}{each}" for each in more))]
            for key in keys & {"relation", "organisation"}:
                address = f"{path}?{key}={{id}}"
                found += [(method.upper(), address, rest) for rest in ("", *(f"&{each}" for each in more))]
    return found


def strange_to(one: Person, team: bool) -> list[tuple[str, str]]:
    """Of the relations, or teams, in the book those that this person does not see, each with one that is not there."""
    if team:
        return [(name, "nergens") for name in ("wmo", "jeugd") if name != one.team]
    words = {HAAG: OPEN_WORD, DELFT: DELFT_WORD}
    return [(relation, NOWHERE) for relation, word in words.items() if word not in one.words]


async def turns_away_who_is_nobody(book: Book, token: str) -> None:
    async with httpx.AsyncClient(base_url=book.client.base_url, timeout=30) as nobody:
        for call, who in WHO_MAY.items():
            method, path = call.split()
            if who == "anybody":
                continue
            for address in addresses(path):
                for headers, wanted in (({}, {401}), ({"Authorization": "Bearer rb_nobody"}, {401})):
                    answer = await nobody.request(method, address, headers=headers)
                    assert answer.status_code in wanted | ({415} if call == "POST /v1/events" else set()), address
                if who != "departments":
                    answer = await nobody.request(method, address, headers={"Authorization": f"Bearer {token}"})
                    assert answer.status_code == 403, address
