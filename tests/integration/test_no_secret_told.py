"""A book that is used and misused, and then everything that it said: no secret and no personal data of it anywhere that
is not meant for it. Logs of every service, metrics, health, problem documents, verdicts, the command line's words."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.settings import Settings, as_environment
from tests.conftest import AddDepartment
from tests.integration.book import connection
from tests.running_book import running

# Planted where a department may write them, rightly or wrongly; none may come back where nobody asked for it.
PLANTED: Final = {
    "a name": "Geertruida Geheimhouder", "a person": "p-geheim-4711", "an employee": "e-geheim-4712",
    "a summary": "Zij vertelde dat haar zoon in Assen woont", "a citizen's number": "111222333",
    "a mail address": "geertruida.geheim@example.org",
}  # fmt: skip
# What a list of rejected events names each by: as its sender did.
_LABEL: Final = re.compile(r'\s*"(id|source|type)": ')
STRUCTURED: Final = "application/cloudevents+json"


def secrets_in(document: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Every value in credentials.json that opens something: all texts of some length that are no address."""
    if isinstance(document, dict):
        for key, value in document.items():  # pyright: ignore[reportUnknownVariableType]
            yield from secrets_in(value, f"{where}.{key}")
    elif isinstance(document, str) and len(document) >= 20 and "://" not in document:
        yield where, document


def events(source: str) -> list[dict[str, Any]]:
    """Valid ones that hold personal data, and the same data in every wrong place."""

    def event(id_: str, kind: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {
            "specversion": "1.0", "id": id_, "source": source, "type": f"nl.relatieboek.{kind}.v1",
            "subject": "gemeentecode:0518", "data": data, **more,
        }  # fmt: skip

    p = PLANTED
    registered: dict[str, Any] = {
        "name": "Gemeente",
        "kind": "municipality",
        "occurred_on": "2026-01-05",
        "identifiers": [],
    }
    held = {
        "contact": "c-1", "occurred_at": "2026-02-03T10:00:00+01:00", "duration_min": 60, "channel": "meeting",
        "activity": "conversation", "topics": ["wmo"], "ours": [{"employee": p["an employee"], "layer": "board"}],
        "theirs": [{"person": p["a person"], "layer": "board"}], "summary": p["a summary"],
    }  # fmt: skip
    added = {
        "person": p["a person"], "name": p["a name"], "function": "Adviseur", "layer": "board",
        "decision_role": "advises", "occurred_on": "2026-01-06",
    }  # fmt: skip
    wrong = [
        {**held, "summary": p["a summary"] * 200}, {**held, "duration_min": p["a name"]},
        {**held, "channel": p["a mail address"]}, {**held, p["a person"].replace("-", "_"): 1},
        {**held, "ours": p["a summary"]}, {**held, "theirs": [{"person": p["a person"], "layer": p["a name"]}]},
        {**held, "bsn": p["a citizen's number"]}, {**held, "summary": "BSN " + p["a citizen's number"]},
        {**held, "occurred_at": p["a name"]}, {**held, "contact": "c-1", "occurred_at": "2099-01-01T00:00:00Z"},
    ]  # fmt: skip
    return [
        event("r-1", "relation.registered", registered), event("p-1", "counterpart.added", added),
        event("h-1", "contact.held", held), event("h-1", "contact.held", {**held, "duration_min": 61}),
        event("h-2", "contact.held", {**held, "duration_min": 30}),
        event("w-0", "contact.held", {**held, "contact": "c-2"}, subject="gemeentecode:9999"),
        *(event(f"w-{n}", "contact.held", data) for n, data in enumerate(wrong, 1)),
        event(p["a name"], "contact.held", {**held, "contact": "c-3"}, actor=p["a mail address"]),
        event("w-20", p["a name"], held), event("w-21", "contact.held", held, source=p["a mail address"]),
        event("w-22", "contact.held", held, subject=p["a person"]),
    ]  # fmt: skip


def without_own_words(said: Any, sent: dict[str, Any]) -> str:
    """A verdict names the event by the id, source and type that were sent; that is the sender's own label."""
    text = json.dumps(said, ensure_ascii=False)
    for name in ("id", "source", "type"):
        text = text.replace(json.dumps(sent.get(name), ensure_ascii=False), '"-"')
    return text


@pytest.mark.timeout(400)
async def test_nothing_is_told_that_should_not_be(settings: Settings, department: AddDepartment) -> None:
    settings = settings.model_copy(update={"log_level": "debug"})
    added = await department("crm")
    other = await department("zorg")
    source = f"urn:nld:oin:{settings.institution}:systeem:crm"
    said: dict[str, str] = {}
    async with running(settings) as book:
        viewers = dict(await book.viewers())
        known = {"Authorization": f"Bearer {added.http_token}", "Content-Type": STRUCTURED}
        for n, event in enumerate(events(source)):
            answer = await book.client.post("/v1/events", content=json.dumps(event), headers=known)
            said[f"HTTP answer {n}"] = without_own_words(answer.json(), event)
        async with connection(settings, added.nats) as client:
            for n, event in enumerate(events(source)):
                reply = await client.request("submit.crm", json.dumps({**event, "id": f"n-{n}"}).encode(), timeout=20)
                said[f"NATS answer {n}"] = without_own_words(json.loads(reply.data), event | {"id": f"n-{n}"})
            for n, raw in enumerate((PLANTED["a name"].encode(), json.dumps(list(PLANTED.values())).encode(), b"\xff")):
                said[f"raw {n}"] = (await client.request("submit.crm", raw, timeout=20)).data.decode()
        strange = PLANTED["a mail address"]
        for token in (added.http_token, other.http_token, viewers["all"], "rb_" + strange):
            headers = {"Authorization": f"Bearer {token}"}
            for path in (
                f"/v1/relations/{strange}", f"/v1/relations?kind={strange}", f"/v1/relations?limit={strange}",
                f"/v1/alerts/{strange}", f"/v1/teams/{strange}/timeline", f"/v1/relations?cursor={strange}",
                f"/v1/persons/{strange}/accesses", f"/{strange}", f"/v1/questions/3?relation={strange}",
                "/metrics", "/healthz", "/readyz", "/v1/status", "/v1/openapi.json", "/v1/asyncapi.json",
            ):  # fmt: skip
                answer = await book.client.get(path, headers=headers)
                said[f"GET {path} {answer.status_code} {token[:6]}"] = answer.text + str(dict(answer.headers))
        page = await book.client.post("/", data={"token": strange}, headers={"Origin": str(book.client.base_url)})
        said["the page, wrong token"] = page.text
        env = as_environment(settings)
        for words in (
            ["department", "list", "--json"], ["status", "--json"], ["rejected", "list", "--json"],
            ["parked", "list", "--json"], ["relation", "show", strange, "--json"], ["reconcile", "--json"],
        ):  # fmt: skip
            done = await asyncio.to_thread(
                CliRunner(env=env).invoke, app, [*words, "--data-dir", str(settings.data_dir)]
            )
            said[f"relatieboek {' '.join(words)}"] = "".join(
                line for line in done.output.splitlines() if not _LABEL.match(line)
            )
        # A NATS and a PostgreSQL that go away make services log what they were doing.
        async with httpx.AsyncClient(base_url=str(book.client.base_url), headers=known) as hasty:
            for _ in range(3):
                try:
                    await hasty.post("/v1/events", content=json.dumps(events(source)[2]), timeout=0.001)
                except httpx.TimeoutException:
                    continue
    logs = sorted([*settings.data_dir.glob("*.log"), *settings.data_dir.glob("logs/*")])
    assert len(logs) >= 8
    for path in logs:
        said[f"log {path.name}"] = path.read_text(errors="replace")
    kept = json.loads((settings.data_dir / "credentials.json").read_text())
    secrets = dict(secrets_in(kept))
    assert len(secrets) >= 8
    leaks = [
        f"{what} in {place}: …{text[max(0, text.index(value) - 80) : text.index(value) + 20]!r}"
        for place, text in said.items()
        for what, value in {**secrets, **PLANTED}.items()
        if value in text
    ]
    assert leaks == [], "\n".join(leaks)
