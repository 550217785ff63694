"""Bytes of any kind through the running doors: each gets a verdict or a problem, none is a fault, the book goes on."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest

from events.verdict import PROBLEMS
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.every_kind import every_kind
from tests.integration.book import connection
from tests.running_book import Book, running

JUNK = [
    "", " ", "\x00", "é", "\u202e", "𝕏", "'", '"', "%", "%zz", "%ff", "%00", "../../x", "a" * 3_000, "1e999", "null",
    "[]", "{}", "-1", "2026-02-30", "9" * 400, "urn:nld:oin:00000000000000000000:systeem:crm", "\r\n", "\t", "=cmd()",
    "${x}",
]  # fmt: skip


def scrambled(chance: random.Random, whole: bytes) -> bytes:
    for _ in range(chance.randrange(1, 6)):
        at, length = chance.randrange(len(whole) + 1), chance.randrange(1, 12)
        put = chance.choice(
            [b"", chance.randbytes(3), b'"', b"{", b"]", b"\\u0000", b"1e999", b"null", whole[at : at + 9]]
        )
        whole = whole[:at] + put + whole[at + length :]
    return whole


def bodies(chance: random.Random, source: str) -> list[bytes]:
    """Events with something wrong in their bytes, alone and in arrays; and what is no event at all."""
    events = [orjson.dumps({**e, "source": source}) for e in every_kind()]
    made = [scrambled(chance, chance.choice(events)) for _ in range(150)]
    made += [b"[" + b",".join(scrambled(chance, e) for e in chance.sample(events, 3)) + b"]" for _ in range(40)]
    made += [scrambled(chance, b"[" + b",".join(chance.sample(events, 3)) + b"]") for _ in range(40)]
    made += [chance.randbytes(chance.randrange(0, 200)) for _ in range(40)]
    made += [
        b"", b"[]", b"[" * 5_000, b"[[]]", b'[1,null,"x"]', b"{}", b"null", b'"x"', b" \n[{}]", b"\xef\xbb\xbf{}",
        b"[" + b"{}," * 1_000 + b"{}]", b'{"id":"' + b"x" * 70_000 + b'"}',
        b'{"id":"\xff' + b"x" * 70_000 + b'"}',
        b'{"a\\u0000b":1}', b'{"data":{"\\u0000":{"\\u0000":1}}}',
        b"[" + b",".join([b"{" + b",".join(b'"%x":1' % n for n in range(500)) + b"}"] * 1_000) + b"]",
    ]  # fmt: skip
    return made


def listed(said: Any) -> list[dict[str, Any]]:
    return said if isinstance(said, list) else [said]  # pyright: ignore[reportUnknownVariableType]


def fits(said: Any) -> None:
    """A verdict, or an array of verdicts; what is rejected says where and why."""
    for verdict in listed(said):
        assert verdict["verdict"] in {"accepted", "duplicate", "parked", "rejected"}, verdict
        if verdict["verdict"] == "rejected":
            errors: list[dict[str, str]] = verdict["problem"]["errors"]
            assert verdict["problem"]["type"].rpartition(":")[2] in PROBLEMS
            assert errors
            assert all(e["detail"] and e["pointer"][:1] in {"", "/"} for e in errors)


@pytest.mark.timeout(600)
async def test_the_doors_and_the_readers(settings: Settings, department: AddDepartment) -> None:
    chance = random.Random(20260105)
    added = await department("crm")
    source = f"urn:nld:oin:{settings.institution}:systeem:crm"
    async with running(settings, ["intake", "api", "relation-view", "team-timeline", "contact-alerts"]) as book:
        async with connection(settings, added.nats) as client:
            made = bodies(chance, source)
            replies = await asyncio.gather(*(client.request("submit.crm", body, timeout=60) for body in made))
            for reply in replies:
                fits(orjson.loads(reply.data))
            await _envelopes(book, client, chance, added.http_token, source)
        await _headers(book, chance, added.http_token, source)
        await _cursors(book, chance)
        # After all that it takes an event like any other.
        good = {
            "specversion": "1.0", "id": "good", "source": source, "type": "nl.relatieboek.team.formed.v1",
            "subject": "organisation", "data": {"team": "t-good", "name": "Team", "occurred_on": "2026-01-05"},
        }  # fmt: skip
        assert (await book.publish([good], added.http_token))[0]["verdict"] == "accepted"
        assert all(process.is_alive() for process in book.processes.values())


async def _envelopes(book: Book, client: Any, chance: random.Random, token: str, source: str) -> None:
    """What NATS carries around an event: headers and the rest of a subject tell the book nothing, and stop nothing."""
    names = ["traceparent", "tracestate", "baggage", "Content-Type", "correlation_id", "reply_to", "ce-id", "x" * 200]
    said = [text.replace("\r", " ").replace("\n", " ").strip() or "-" for text in JUNK] + ["0" * 55, "00-" + "f" * 60]
    sent = [f"around-{n}" for n in range(60)]
    for n, id_ in enumerate(sent):
        event = {
            "specversion": "1.0", "id": id_, "source": source, "type": "nl.relatieboek.team.formed.v1",
            "subject": "organisation", "data": {"team": f"t-{n}", "name": "Team", "occurred_on": "2026-01-05"},
        }  # fmt: skip
        around = {name: chance.choice(said) for name in chance.sample(names, 4)}
        if n % 2:
            reply = await client.request("submit.crm", orjson.dumps(event), timeout=60, headers=around)
            fits(orjson.loads(reply.data))
        else:
            subject = "inbox.crm." + ".".join(chance.sample(["x", "é", "a" * 200, "$JS", "submit", "_INBOX", "1"], 3))
            js = client.jetstream()
            await js.publish(subject, orjson.dumps(event), timeout=20, headers={**around, "Nats-Msg-Id": f"odd-{n}"})
    headers = {"Authorization": f"Bearer {token}"}
    async with asyncio.timeout(60):
        for id_ in sent:
            while True:
                answer = await book.client.get("/v1/verdicts", params={"source": source, "id": id_}, headers=headers)
                if answer.status_code == 200:
                    break
                assert answer.status_code == 404
                await asyncio.sleep(0.05)


async def _headers(book: Book, chance: random.Random, token: str, source: str) -> None:
    """Binary mode: attributes in headers of any content, percent-encoded or not."""
    for n in range(200):
        event = chance.choice(every_kind())
        kind = chance.choice([b"application/json", b"text/json"])
        headers = [(b"Authorization", f"Bearer {token}".encode()), (b"Content-Type", kind)]
        attributes = {k: str(v) for k, v in event.items() if k not in {"data", "datacontenttype"}} | {"source": source}
        for name in chance.sample(sorted(attributes), 2):
            attributes[name] = chance.choice(JUNK)
        attributes[chance.choice(["data", "x", "expectedversion", "time", "sequence", "id2"])] = chance.choice(JUNK)
        for name, value in attributes.items():
            raw = quote(value) if n % 3 else value.replace("\r", "").replace("\n", "").replace("\x00", "").strip()
            headers.append((f"ce-{name}".encode(), raw.encode("utf-8")))
        body = scrambled(chance, json.dumps(event["data"]).encode()) if n % 2 else json.dumps(event["data"]).encode()
        try:
            answer = await book.client.post("/v1/events", content=body, headers=httpx.Headers(headers))
        except httpx.LocalProtocolError:  # what no client can send
            continue
        assert answer.status_code < 500, (answer.status_code, answer.text)
        if answer.status_code != 431 and "verdict" in answer.text:
            fits(answer.json())


async def _cursors(book: Book, chance: random.Random) -> None:
    """Cursors of one list given to another, and what never was one."""
    lists = [
        "/v1/relations",
        "/v1/alerts",
        "/v1/relations/gemeentecode:0518/timeline",
        "/v1/questions/1",
        "/v1/accesses",
    ]
    pages = [(await book.client.get(f"{path}?limit=1")).json() for path in lists]
    known = [page["next"] for page in pages if page.get("next")]
    for path in lists:
        for cursor in [*known, *JUNK, *(scrambled(chance, c.encode()).decode("latin-1") for c in known)]:
            answer = await book.client.get(path, params={"cursor": cursor})
            assert answer.status_code in {200, 400, 404, 431}, (path, answer.status_code, answer.text)
