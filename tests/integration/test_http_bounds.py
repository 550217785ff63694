"""The HTTP port against clients that are slow, large, many or no HTTP at all, and its headers on every answer."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest

from services.api.security_log import LINES_OF_ONE
from services.listen import Limits, listening
from services.security_headers import HEADERS, PAGE_POLICY
from services.settings import Settings
from tests.conftest import AddDepartment
from tests.running_book import Book, running

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
BATCH = "application/cloudevents-batch+json"
_LARGE = 8 * 1024 * 1024


async def who(scope: Any, receive: Any, send: Any) -> None:
    """Answers where it thinks that the request came from."""
    del receive
    body = json.dumps([scope["client"][0], scope["scheme"]]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    ("proxies", "told"),
    [
        ((), ["127.0.0.1", "http"]), (("10.0.0.1",), ["127.0.0.1", "http"]),
        (("127.0.0.1",), ["203.0.113.7", "https"]), (("10.0.0.1", "127.0.0.0/8"), ["203.0.113.7", "https"]),
    ],
)  # fmt: skip
async def test_only_a_trusted_proxy_says_where_a_request_comes_from(proxies: tuple[str, ...], told: list[str]) -> None:
    said = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    async with listening(who, "127.0.0.1", 0, proxies=proxies) as port, httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/", headers=said)).json() == told


async def app(scope: Any, receive: Any, send: Any) -> None:
    del receive
    body = b"x" * _LARGE if scope["path"] == "/large" else b"ok"
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def opened(port: int) -> AsyncGenerator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def status_of(reader: asyncio.StreamReader) -> int | None:
    """The status of what comes until the end of the connection; each of our own last answers has every header.

    None when the connection ended first: TCP may take the answer back from who is still sending.
    """
    try:
        async with asyncio.timeout(60):
            head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    except ConnectionError:
        return None
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert headers.items() >= HEADERS.items()
    assert headers["Content-Type"] == "application/problem+json"
    status = int(first.split(" ")[1])
    assert json.loads(body)["status"] == status
    return status


async def test_a_head_must_come_in_time() -> None:
    async with listening(app, "127.0.0.1", 0, limits=Limits(head_s=1.0)) as port:
        async with opened(port) as (reader, _):  # says nothing
            assert await status_of(reader) == 408
        async with opened(port) as (reader, writer):  # a byte now and then does not help

            async def drip() -> None:
                for byte in b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"y" * 10_000:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.01)

            dripping = asyncio.create_task(drip())
            assert await status_of(reader) in {408, None}
            dripping.cancel()
        async with opened(port) as (reader, writer):  # nor does a first request that was whole
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
            writer.write(b"GET / HT")
            assert await status_of(reader) == 408
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/")).text == "ok"


async def test_a_reader_that_stops_reading_is_let_go() -> None:
    async with listening(app, "127.0.0.1", 0, limits=Limits(reader_s=0.3)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        transport: Any = writer.transport  # typed as one that only writes
        transport.pause_reading()
        got = 0
        async with asyncio.timeout(60):
            await asyncio.sleep(1)  # what the test is about: nothing is read for longer than is allowed
            transport.resume_reading()
            with suppress(ConnectionError):
                while piece := await reader.read(65536):
                    got += len(piece)
        assert got < _LARGE
        writer.transport.abort()


@pytest.mark.parametrize(
    "said",
    [
        b"GET /" + b"a" * 200_000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"v" * 100) for n in range(2_000)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    ],
    ids=["a long URL", "many headers", "no HTTP", "two lengths", "a space before the colon"],
)
async def test_a_head_that_is_too_large_or_no_http_is_refused(said: bytes) -> None:
    async with listening(app, "127.0.0.1", 0) as port, opened(port) as (reader, writer):
        writer.write(said)
        assert await status_of(reader) in {400, None}


async def test_there_are_so_many_connections_and_no_more() -> None:
    async with listening(app, "127.0.0.1", 0, limits=Limits(connections=3)) as port:
        async with opened(port), opened(port), opened(port):
            async with opened(port) as (reader, _):
                assert await status_of(reader) == 429
        async with httpx.AsyncClient() as client, asyncio.timeout(60):
            while (await client.get(f"http://127.0.0.1:{port}/")).status_code != 200:
                await asyncio.sleep(0.01)


@pytest.fixture
async def book(settings: Settings) -> AsyncGenerator[Book]:
    async with running(settings, ["intake", "api"]) as book:
        yield book


async def test_every_answer_has_the_headers(book: Book) -> None:
    answers = [
        await book.client.request(method, path, headers=headers)
        for method, path, headers in [
            ("GET", "/", {}), ("HEAD", "/", {}), ("POST", "/", {}), ("DELETE", "/", {}), ("GET", "/nothing", {}),
            ("GET", "/static/relatieboek.css", {}), ("HEAD", "/static/relatieboek.css", {}),
            ("GET", "/static/nothing.css", {}),
            ("GET", "/static/../site.py", {}), ("GET", "/static/%2e%2e/site.py", {}), ("GET", "/v1/status", {}),
            ("GET", "/v1/relations?limit=0", {}), ("GET", "/v1/relations/x", {}), ("PUT", "/v1/relations", {}),
            ("OPTIONS", "/v1/relations", {}), ("GET", "/v1/relations", {"Authorization": "Bearer nobody"}),
            ("POST", "/v1/events", {}), ("GET", "/v1/openapi.json", {}), ("GET", "/healthz", {}),
            ("GET", "/metrics", {}), ("GET", "/v1/relations?q=%00", {}),
        ]
    ]  # fmt: skip
    etag = next(a for a in answers if a.request.url.path == "/static/relatieboek.css").headers["etag"]
    answers.append(await book.client.get("/static/relatieboek.css", headers={"If-None-Match": etag}))
    assert answers[-1].status_code == 304
    assert {a.status_code for a in answers} >= {200, 304, 400, 401, 404, 405, 415}
    for answer in answers:
        where = f"{answer.request.method} {answer.request.url} {answer.status_code}"
        for name, value in HEADERS.items():
            given = answer.headers.get(name)
            if name == "Content-Security-Policy" and answer.headers.get("content-type", "").startswith("text/html"):
                value = PAGE_POLICY
            if name == "Cross-Origin-Resource-Policy" and answer.request.url.path == "/v1/openapi.json":
                value = "cross-origin"
            assert given == value, f"{where}: {name}"
        assert "server" not in answer.headers, where


async def test_no_request_hides_in_the_body_of_another(book: Book, settings: Settings) -> None:
    """Length and chunks both: refused, and the connection with it, whatever stands behind them."""
    hidden = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    for head in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", b"Content-Length: +5\r\n\r\nhello",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Content-Length : 5\r\n\r\nhello", b"Host: y\r\nContent-Length: 5\r\n\r\nhello",
    ):  # fmt: skip
        async with opened(settings.port) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + hidden)
            async with asyncio.timeout(60):
                said = await reader.read(-1)
        assert said.startswith(b"HTTP/1.1 400 "), head
        assert said.count(b"HTTP/1.1 ") == 1, head
        assert b"alive" not in said, head


async def test_odd_requests_get_an_answer_like_any_other(book: Book, settings: Settings) -> None:
    """Other methods, addresses that lead around, and an upgrade to what is not spoken here: headers on each, and no
    more shown than by the plain address."""
    token = book.client.headers["Authorization"]
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n"
    for line, more, status in (
        ("TRACE /", "X-Secret: geheim\r\n", 405), ("OPTIONS *", "", 404), ("CONNECT x:80", "", 404),
        ("GET http://evil.example/healthz", "", 404), ("GET //v1/status", "", 404), ("GET /v1//status", "", 404),
        ("GET /v1/status;x=1", "", 404), ("GET /v1/status/", "", 404), ("GET /v1/x/..%2fstatus", "", 404),
        ("GET /v1/%2e%2e/v1/status", "", 404), ("GET /V1/STATUS", "", 404), ("GET /static/..%2f..%2fsite.py", "", 404),
        ("GET /static/%252e%252e/site.py", "", 404), ("GET /static//etc/passwd", "", 404), ("GET /static/", "", 404),
        ("GET /v1/events", "X-HTTP-Method-Override: POST\r\n", 405), ("POST /v1/status?_method=GET", "", 405),
        ("GET /healthz", upgrade, 200), ("GET /live", upgrade, 404),
    ):  # fmt: skip
        async with opened(settings.port) as (reader, writer):
            head = f"{line} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
            ending = "" if more is upgrade else "Connection: close\r\n"
            writer.write(f"{head}{ending}{more}\r\n".encode())
            async with asyncio.timeout(60):
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        assert int(first.split()[1]) == status, line
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
        assert headers.items() >= {k.lower(): v for k, v in HEADERS.items()}.items(), line
        assert "geheim" not in " ".join(lines), line


async def test_a_whole_head_is_bounded_too(book: Book) -> None:
    """What comes in one piece is whole before it can grow too large."""
    for path, headers in (("/" + "a" * 17_000, {}), ("/healthz", {f"X-{n}": "v" * 100 for n in range(200)})):
        answer = await book.client.get(path, headers=headers)
        assert answer.status_code in {400, 431}
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers.items() >= {k.lower(): v for k, v in HEADERS.items()}.items()


async def test_what_never_becomes_a_call_is_in_the_security_log(book: Book, settings: Settings) -> None:
    """Each with its problem and address, and with nothing that was sent."""
    token = book.client.headers["Authorization"]
    head = f"Host: x\r\nAuthorization: {token}\r\nConnection: close\r\n"
    for said, code in (
        (f"GET /geheim%00 HTTP/1.1\r\n{head}\r\n", "not_found"),
        (f"GET /v1/relations?q=geheim%00 HTTP/1.1\r\n{head}\r\n", "request"),
        (f"GET /healthz?{'geheim' * 3_000} HTTP/1.1\r\n{head}\r\n", "head_too_large"),
        (f"POST /geheim HTTP/1.1\r\n{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "request"),
        ("GEHEIM\r\n\r\n", "request"),
        (f"GET /wp-admin/geheim HTTP/1.1\r\n{head}\r\n", "not_found"),
        (f"POST /static/geheim?geheim=1 HTTP/1.1\r\n{head}\r\n", "method"),
    ):
        before = security_lines(settings)
        async with opened(settings.port) as (reader, writer):
            writer.write(said.encode())
            async with asyncio.timeout(10):
                status = int((await reader.readline()).split()[1])
        line = security_lines(settings)[len(before)]
        told = dict(part.split("=") for part in line.split() if "=" in part)
        assert told.items() >= {"code": code, "status": str(status), "address": "127.0.0.1"}.items(), said
    for _ in range(30):
        await book.client.get("/wp-admin")
    lines = security_lines(settings)
    assert len(lines) == LINES_OF_ONE
    assert "geheim" not in "".join(lines)
    assert token.removeprefix("Bearer ") not in "".join(lines)


async def test_what_a_department_is_refused_at_the_door_can_be_found(
    book: Book, department: AddDepartment, settings: Settings
) -> None:
    token = (await department("zorg")).http_token

    async def chunks() -> AsyncGenerator[bytes]:
        for _ in range(80):
            yield b"[" * 65536

    one = "application/cloudevents+json"
    for body, headers, code in (
        (b" " * 70_000 + b"geheim", {"Content-Type": one}, "too_large"),
        (chunks(), {"Content-Type": BATCH}, "too_large"),
        (json.dumps([{"id": "geheim"}] * 1_001).encode(), {"Content-Type": BATCH}, "too_large"),
        (b"geheim", {"Content-Type": "text/geheim"}, "unsupported_media_type"),
        (b"[]", {"Content-Type": BATCH, "Content-Encoding": "gzip"}, "unsupported_media_type"),
        (b"[" * 20_000 + b"]" * 20_000, {"Content-Type": BATCH}, "schema"),
        (b'{"id": "geheim"}', {"Content-Type": BATCH}, "schema"),
        (b'{"id": "geheim", "id": "geheim"}', {"Content-Type": one}, "schema"),
        (b"geheim", {"Content-Type": "application/json", "ce-id": "geheim"}, "schema"),
    ):
        before = security_lines(settings, "publish.refused")
        answer = await book.client.post(
            "/v1/events", content=body, headers={**headers, "Authorization": f"Bearer {token}"}
        )
        told = answer.json()
        assert (told["verdict"], told["type"]) == ("rejected", f"urn:relatieboek:problem:{code}"), told
        line = security_lines(settings, "publish.refused")[len(before)]
        size = str(len(body)) if isinstance(body, bytes) else "None"
        logged = dict(part.split("=") for part in line.split() if "=" in part)
        expected = {"department": "zorg", "code": code, "status": str(answer.status_code), "bytes": size}
        assert logged.items() >= expected.items(), line
    log = (settings.data_dir / "api.log").read_text()
    assert "geheim" not in log
    assert "security." not in log, "a department is not nobody"


def security_lines(settings: Settings, event: str = "security.refused") -> list[str]:
    log = (settings.data_dir / "api.log").read_text()
    return [line for line in log.splitlines() if event in line]


async def test_bodies_are_bounded_for_whoever_sends_them(book: Book, department: AddDepartment) -> None:
    token = (await department("zorg")).http_token
    known = {"Content-Type": BATCH, "Authorization": f"Bearer {token}"}

    async def pieces(count: int) -> AsyncGenerator[bytes]:
        for _ in range(count):
            yield b"[" * 65536

    for headers in (known, {"Content-Type": BATCH}):
        answer = await book.client.post("/v1/events", content=pieces(80), headers=headers)  # 5 MiB, no length told
        assert answer.status_code == 413
    assert (await book.client.post("/v1/events", content=pieces(1), headers=known)).status_code == 400
    book.client.headers.pop("Authorization")
    assert (await book.client.post("/v1/events", content=pieces(1), headers={"Content-Type": BATCH})).status_code == 401


async def test_nothing_is_unpacked(book: Book, department: AddDepartment) -> None:
    token = (await department("zorg")).http_token
    bomb = gzip.compress(b"[" + b" " * 50_000_000 + b"]")
    for encoding in ("gzip", "br", "deflate", "zstd", "gzip, gzip"):
        headers = {"Content-Type": BATCH, "Authorization": f"Bearer {token}", "Content-Encoding": encoding}
        answer = await book.client.post("/v1/events", content=bomb, headers=headers)
        assert answer.status_code == 415
        assert answer.json()["errors"][0]["pointer"] == "/header/Content-Encoding"
    viewer = await book.client.post(
        "/v1/alerts/6f1d2f3e-8a53-4b8e-9a56-0d5c3c1f0001/_resolve", content=gzip.compress(b"{}"),
        headers={"Content-Encoding": "gzip"},
    )  # fmt: skip
    assert viewer.status_code in {404, 415}


async def test_deep_json_is_refused_by_name(book: Book, department: AddDepartment) -> None:
    token = (await department("zorg")).http_token
    for body in (b"[" * 20_000 + b"]" * 20_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000):
        for kind in (BATCH, "application/cloudevents+json"):
            headers = {"Content-Type": kind, "Authorization": f"Bearer {token}"}
            answer = await book.client.post(
                "/v1/events", content=body[:65_000] if kind != BATCH else body, headers=headers
            )
            assert answer.status_code in {400, 413}, answer.text
            assert answer.json()["detail"]


async def test_one_departments_bodies_leave_room_for_anothers(
    book: Book, department: AddDepartment, settings: Settings
) -> None:
    """Nine slow bodies of one department: the ninth hears `busy`, another department is heard."""
    crm, zorg = await department("crm"), await department("zorg")
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {crm.http_token}\r\nContent-Type: {BATCH}\r\n"
        f"Content-Length: {4 * 1024 * 1024}\r\n\r\n"
    ).encode()
    slow: list[Stream] = []
    told: list[int] = []
    for _ in range(9):
        stream = await asyncio.open_connection("127.0.0.1", settings.port)
        stream[1].write(head + b"[")
        slow.append(stream)
    done, waiting = await asyncio.wait(
        [asyncio.create_task(reader.readline()) for reader, _ in slow], return_when=asyncio.FIRST_COMPLETED, timeout=20
    )
    told += [int((await task).split()[1]) for task in done]
    assert told == [429]
    other = await book.client.post(
        "/v1/events", content=b"[]", headers={"Content-Type": BATCH, "Authorization": f"Bearer {zorg.http_token}"}
    )
    assert other.status_code == 200
    for _, writer in slow:
        writer.transport.abort()
    await asyncio.gather(*waiting, return_exceptions=True)
