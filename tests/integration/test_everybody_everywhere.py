"""Each role, team and department at every operation of the OpenAPI document, on a real book with restricted facts.

Where nothing grants, the answer is 401, 403 or 404; and no answer at all holds a word that is not for who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from events.privacy import lookup_of
from services.api import site
from services.api.permits import OPEN, PERMITS, PUBLISHING
from services.identity import accounts
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.running_book import Book, running

HAAG: Final = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001"
DELFT: Final = "6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0002"
SOURCE: Final = "urn:nld:oin:00000000000000000000:systeem:zorg"
ON: Final = {"occurred_on": "2026-01-05"}

# Each word stands in one fact; whom it is for follows below.
OPEN_WORD, TEAM_WORD, ZORG_WORD, NAMED_WORD, DELFT_WORD = (
    "openbaarwoord",
    "teamwoord",
    "zorgwoord",
    "naamwoord",
    "delftwoord",
)


@dataclass(frozen=True, slots=True)
class Person:
    """An account, and the words that are for it."""

    name: str
    role: str
    words: frozenset[str]
    team: str | None = None
    department: str | None = None
    employee: str | None = None


def persons() -> list[Person]:
    wmo = frozenset({OPEN_WORD, TEAM_WORD})
    every = frozenset({OPEN_WORD, TEAM_WORD, ZORG_WORD, NAMED_WORD, DELFT_WORD})
    found = [
        Person("lead-wmo", "team_lead", wmo, "wmo"),
        Person("wmo-zorg", "relation_manager", wmo | {ZORG_WORD}, "wmo", "zorg"),
        Person("wmo-financien", "relation_manager", wmo, "wmo", "financien"),
        Person("wmo-genoemd", "relation_manager", wmo | {NAMED_WORD}, "wmo", None, "e-12"),
        Person("jeugd-zorg", "relation_manager", frozenset({DELFT_WORD}), "jeugd", "zorg"),
        Person("geen", "team_lead", frozenset(), None, "zorg", "e-12"),
        Person("board", "board", frozenset({OPEN_WORD})), Person("auditor", "auditor", every),
        Person("board-zorg", "board", frozenset({OPEN_WORD, ZORG_WORD}), None, "zorg"),
    ]  # fmt: skip
    return found + [Person(role, role, frozenset()) for role in ("operations", "privacy_officer", "administrator")]


def event(id_: str, kind: str, subject: str, data: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": id_, "source": SOURCE, "type": f"nl.relatieboek.{kind}.v1", "subject": subject,
        "data": dict(data), **more,
    }  # fmt: skip


def held(id_: str, relation: str, word: str, **more: Any) -> dict[str, Any]:
    data = {
        "contact": f"zorg-{id_}", "occurred_at": "2026-02-03T10:00:00+01:00", "duration_min": 45, "channel": "meeting",
        "activity": "conversation", "topics": ["wmo"], "ours": [{"employee": "e-12", "layer": "board"}],
        "theirs": [{"layer": "board"}], "summary": f"Over {word}",
    }  # fmt: skip
    return event(id_, "contact.held", relation, data, **more)


def promise(id_: str, word: str, **more: Any) -> dict[str, Any]:
    data = {"commitment": f"zorg-{id_}", "by": "us", "what": f"Belofte {word}", "due_on": "2026-04-01", **ON}
    return event(id_, "commitment.made", HAAG, data, **more)


def story() -> list[dict[str, Any]]:
    municipality: dict[str, Any] = {"kind": "municipality", "identifiers": [], **ON}
    line = {
        "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
        "starts_on": "2025-01-01", "grace_working_days": 5, "owner": "e-12", **ON,
    }  # fmt: skip
    tier = {"tier": "A", "arguments": [{"criterion": "revenue_share", "evidence": "18 %"}], **ON}
    item = {"item": "objectives", "valid_until": "2027-01-01", **ON}
    return [
        event("r-1", "relation.registered", HAAG, {"name": "Gemeente Den Haag", **municipality}),
        event("r-2", "relation.registered", DELFT, {"name": f"Gemeente {DELFT_WORD}", **municipality}),
        event("a-1", "relation.tier_assigned", HAAG, tier),
        event("t-1", "team.formed", "organisation", {"team": "wmo", "name": "Wmo", **ON}),
        event("t-2", "team.formed", "organisation", {"team": "jeugd", "name": "Jeugd", **ON}),
        event("t-3", "team.relation_assigned", HAAG, {"team": "wmo", **ON}),
        event("t-4", "team.relation_assigned", DELFT, {"team": "jeugd", **ON}),
        event("l-1", "schedule.line_set", HAAG, {"line": "zorg-l-1", **line}),
        held("c-1", HAAG, OPEN_WORD), held("c-2", HAAG, TEAM_WORD, visibility="team"),
        held("c-3", HAAG, ZORG_WORD, visibility="department"), held("c-4", HAAG, NAMED_WORD, visibility="named"),
        held("c-5", DELFT, DELFT_WORD),
        promise("k-1", OPEN_WORD), promise("k-2", TEAM_WORD, visibility="team"),
        promise("k-3", ZORG_WORD, visibility="department"),
        event("i-1", "knowledge.item_recorded", HAAG, {**item, "text": f"Kennis {ZORG_WORD}"}, visibility="department"),
    ]  # fmt: skip


def operations() -> list[tuple[str, str, str]]:
    """(operationId, method, path with a relation, team or alert filled in), every one of the document."""
    found: list[tuple[str, str, str]] = []
    for path, item in site.application().openapi()["paths"].items():
        for method, operation in item.items():
            found.append((operation["operationId"], method, f"/v1{path}"))
    return found


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
    made: dict[str, str] = {}
    async with engine.begin() as conn:
        for one in persons():
            employee = None if one.employee is None else lookup_of(settings.lookup_key_bytes, "employee", one.employee)
            made[one.name] = await accounts.add(
                conn, one.name, roles=[one.role], teams=[one.team] if one.team else [], department=one.department,
                employee=employee,
            )  # fmt: skip
    return made


async def test_nobody_sees_what_is_not_theirs(
    settings: Settings, department: AddDepartment, passwords: dict[str, str]
) -> None:
    token = (await department("zorg")).http_token
    async with running(settings) as book:
        last = (await book.publish(story(), token))[-1]["sequence"]
        for name in ("/v1/relations", "/v1/teams/wmo/timeline", "/v1/questions/5", "/v1/alerts", "/v1/loops"):
            assert (await book.get(name, **{"If-Position": last})).status_code == 200
        for one in persons():
            await walks(book, one, passwords[one.name], last)
        await turns_away_who_is_nobody(book, token)


async def walks(book: Book, one: Person, password: str, last: str) -> None:
    strange = {OPEN_WORD, TEAM_WORD, ZORG_WORD, NAMED_WORD, DELFT_WORD} - one.words
    shown = ""
    async with httpx.AsyncClient(base_url=book.client.base_url, timeout=30) as browser:
        assert (await browser.post("/", data={"name": one.name, "password": password})).status_code == 303
        csrf = (await browser.get("/v1/session")).json()["csrf"]
        for operation, method, path in operations():
            granted = one.role in PERMITS.get(operation, ())
            if operation == "followTeamTimeline":
                if granted:
                    continue  # it does not end; it shows what a page of the timeline shows
            for address in addresses(path) if granted else addresses(path)[:1]:
                said = f"{one.name}: {method} {address}"
                headers = {"X-CSRF-Token": csrf, "If-Match": '"none"', "Content-Type": "application/json"}
                content = b"{}" if method != "get" else None
                for accept in (
                    ("application/json", "text/csv") if method == "get" and granted else ("application/json",)
                ):
                    answer = await browser.request(
                        method, address, headers={**headers, "Accept": accept}, content=content
                    )
                    if operation in OPEN:
                        assert answer.status_code == 200, said
                    elif operation in PUBLISHING or not granted:
                        # The publishing door judges the form of what came before who sent it.
                        assert answer.status_code in {401, 403, 404, 415, 400} - (
                            {400, 415} if not content else set()
                        ), said
                        assert answer.status_code == 403 or operation in PUBLISHING, said
                    else:
                        assert answer.status_code < 500, said
                        shown += answer.text
                    assert not [w for w in strange if w in answer.text.lower()], said
        for page in ("/", f"/relations/{HAAG}", f"/relations/{DELFT}", f"/relations/{HAAG}/accesses"):
            answer = await browser.get(page)
            assert not [w for w in strange if w in answer.text.lower()], f"{one.name}: {page}"
    # And what is theirs, they see: an empty answer would keep every secret.
    assert {w for w in one.words if w in shown.lower()} == one.words, one.name


async def turns_away_who_is_nobody(book: Book, token: str) -> None:
    async with httpx.AsyncClient(base_url=book.client.base_url, timeout=30) as nobody:
        for operation, method, path in operations():
            if operation in OPEN:
                continue
            for address in addresses(path):
                for headers, wanted in (({}, {401}), ({"Authorization": "Bearer rb_nobody"}, {401})):
                    answer = await nobody.request(method, address, headers=headers)
                    assert answer.status_code in wanted | ({415} if operation == "publishEvents" else set()), address
                if operation not in PUBLISHING:
                    answer = await nobody.request(method, address, headers={"Authorization": f"Bearer {token}"})
                    assert answer.status_code == 403, address
