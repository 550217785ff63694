"""Sending goes on when the server has closed the connection with a refusal, after which nats-py never comes back."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from events.errors import SetupError
from services.embedded.registration import Added
from services.send import Login, VerdictJson, connected, json_line, send
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.integration.book import held, running_intake


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was under way when the line broke is asked again after this long; it waits no less than an answer takes."""
    monkeypatch.setattr("services.send._ANSWER_S", 4.0)


class Between:
    """Stands between a client and the server, passes everything on, and can speak in the server's name."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.clients: list[asyncio.StreamWriter] = []
        self.revoked = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._to)
        self.clients.append(writer)

        async def passed(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65_536):
                if self.revoked and data.startswith(b"CONNECT"):
                    writer.write(b"-ERR 'Authorization Violation'\r\n")
                    break
                target.write(data)
                await target.drain()
            target.close()  # which ends the other direction too

        await asyncio.gather(passed(reader, to_server), passed(from_server, writer), return_exceptions=True)
        for side in (to_server, writer):
            side.close()
            await asyncio.gather(side.wait_closed(), return_exceptions=True)

    def refuse(self) -> None:
        """As a server refuses who took too long to sign in: it says why, and hangs up."""
        writer = self.clients[-1]
        writer.write(b"-ERR 'Authentication Timeout'\r\n")
        writer.close()


@asynccontextmanager
async def between(settings: Settings, crm: Added) -> AsyncGenerator[tuple[Between, Login]]:
    port = urlsplit(settings.nats_url).port
    assert port is not None
    middle = Between(port)
    server = await asyncio.start_server(middle.serve, "127.0.0.1", 0)
    login = Login(
        f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", "crm",
        nkey_seed=crm.nats["nkey_seed"], inbox_prefix=crm.nats["inbox_prefix"],
    )  # fmt: skip
    async with running_intake(settings), server:
        yield middle, login


def lines(settings: Settings, count: int) -> list[bytes]:
    def event(n: int, kind: str, data: dict[str, Any]) -> bytes:
        return json_line({
            "specversion": "1.0", "id": f"e-{n}", "source": f"urn:nld:oin:{settings.institution}:systeem:crm",
            "type": f"nl.relatieboek.{kind}.v1", "subject": "gemeentecode:0518", "data": data,
        })  # fmt: skip

    first = event(0, "relation.registered", {
        "name": "Gemeente Den Haag", "kind": "municipality", "occurred_on": "2026-01-05", "identifiers": [],
    })  # fmt: skip
    return [first, *(event(n, "contact.held", held(f"c-{n}")) for n in range(1, count))]


async def test_a_refused_connection_is_made_anew_and_each_event_is_taken_once(
    settings: Settings, department: AddDepartment
) -> None:
    async with between(settings, await department("crm")) as (middle, login), connected(login) as request:
        found: list[VerdictJson] = []

        def take(verdicts: Sequence[VerdictJson]) -> None:
            found.extend(verdicts)
            if len(middle.clients) <= 2:
                middle.refuse()

        await send(lines(settings, 600), request, take, batch=100, in_flight=2)
        assert len(middle.clients) > 2
    assert [v["id"] for v in found] == [f"e-{n}" for n in range(600)]
    # What was judged just when the line broke, and was asked again, is known by then.
    assert Counter(v["verdict"] in ("accepted", "duplicate") for v in found) == {True: 600}
    assert len({v["sequence"] for v in found}) == 600


async def test_who_may_no_longer_come_in_is_told_so(settings: Settings, department: AddDepartment) -> None:
    async with between(settings, await department("crm")) as (middle, login), connected(login) as request:
        await send(lines(settings, 2), request, lambda _: None)
        middle.revoked = True
        middle.refuse()
        # nats-py leaves the streams of a refused connection to Python.
        with warnings.catch_warnings(action="ignore"):
            with pytest.raises(SetupError, match="weigert afdeling crm"):
                await send(lines(settings, 2), request, lambda _: None)
            gc.collect()
