"""Visible: from an event's sending to its showing in `GET /v1/relations/{id}`, at 300 events a second.

Events are sent one by one at fixed moments, whether or not earlier ones were answered (an open loop). Every fifth one
is looked for: its verdict's sequence goes into `If-Position`, and the answer must hold that position. Processes:
intake, relation-view, api, PostgreSQL, NATS, and this sender.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

import orjson
from nats.aio.client import Client

from benchmarks.load import Load, check_accepted
from benchmarks.results import Results, percentile
from benchmarks.servers import DEPARTMENT, Rig
from services.embedded import credentials as store
from services.embedded.registration import ensure_viewers

_PER_S = 300
_LOOK_AT_EACH = 5
_READERS = 8


class Reader:
    """One HTTP connection that is kept open; a client library would take more of the machine than the service."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, position: int) -> bytes:
        """The body of a 200. Raises RuntimeError for anything else."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._token}\r\n"
            f"If-Position: {position}\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:", 1)[1].split("\r\n", 1)[0])
        body = await reader.readexactly(length)
        if not head.startswith("http/1.1 200"):
            raise RuntimeError(f"{head.splitlines()[0]}: {body[:300]!r}")
        return body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def measure(rig: Rig, load: Load, results: Results, *, seconds: float) -> None:
    """Wants a book whose structure is there and a relation view that is caught up, intake running."""
    await ensure_viewers(rig.settings, rig.engine, again=True)
    held = store.read(rig.settings.credentials_path)
    assert held is not None
    async with rig.service("relation-view"), rig.service("api"), rig.connect_department() as nc:
        free: asyncio.Queue[Reader] = asyncio.Queue()
        readers = [Reader(rig.settings.port, held.http.viewers["all"]) for _ in range(_READERS)]
        for reader in readers:
            free.put_nowait(reader)
        await _send(nc, load, free, 2.0)  # warm
        took, verdicts = await _send(nc, load, free, seconds)
        for reader in readers:
            reader.close()
    results.tell("visible_p50_ms", percentile(took, 0.5), most=25)
    results.tell("visible_p99_ms", percentile(took, 0.99), most=80)
    results.tell("visible_verdict_p50_ms", percentile(verdicts, 0.5))


async def _send(nc: Client, load: Load, free: asyncio.Queue[Reader], seconds: float) -> tuple[list[float], list[float]]:
    events = load.contacts(round(_PER_S * seconds))
    bodies = [(e["subject"], orjson.dumps(e)) for e in events]
    seen: list[float] = []
    answered: list[float] = []

    async def one(subject: str, body: bytes, *, look: bool) -> None:
        began = perf_counter()
        reply = await nc.request(f"submit.{DEPARTMENT}", body, timeout=30)
        verdict = check_accepted(b"[" + reply.data + b"]")[0]
        answered.append((perf_counter() - began) * 1e3)
        if look:
            position = int(verdict["sequence"])
            reader = await free.get()
            document = orjson.loads(await reader.get(f"/v1/relations/{subject}", position))
            free.put_nowait(reader)
            if int(document["position"]) < position or int(document["version"]) < verdict["version"]:
                raise RuntimeError(f"position {position} was asked for, {document['position']} came")
            seen.append((perf_counter() - began) * 1e3)

    start = perf_counter()
    async with asyncio.TaskGroup() as group:
        for n, (subject, body) in enumerate(bodies):
            await asyncio.sleep(max(0.0, start + n / _PER_S - perf_counter()))
            group.create_task(one(subject, body, look=n % _LOOK_AT_EACH == 0))
    return seen, answered
