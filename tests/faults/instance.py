"""A whole embedded instance as a user runs it: `relatieboek up` in a directory of its own, and the command line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy import exists, select

from events.clock import book_now
from events.recorded import local_date
from projections import contact_alerts
from projections.store import live
from projections.workflows import projection as workflows
from projections.workflows.queries import duties_to_check
from services.cli.instance import find
from services.cli.keeping import engine_of
from tests.ports import free_port

SERVICES = ("intake", "relation-view", "contact-alerts", "workflows", "team-timeline", "insight", "notary", "api")
Json = dict[str, Any]

# Bounds for a machine that has other things to do: beyond them something is wrong, not slow.
_STARTED_WITHIN_S = 300
_STOPPED_WITHIN_S = 150
_BACK_WITHIN_S = 180
_TICK_S = 0.5


class Instance:
    """One data directory. The clock stands still at what the start says."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.port, self.nats_port = free_port(), free_port()
        self.process: asyncio.subprocess.Process | None = None
        self.said: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        # Two cores carry a whole instance and its load; a terminal's width must not depend on who runs the tests.
        return {
            **os.environ,
            "COLUMNS": "200",
            "RELATIEBOEK_DATA_DIR": str(self.where),
            "RELATIEBOEK_TICK_S": str(_TICK_S),
            "RELATIEBOEK_ACCESS_LOG_WITHIN_S": "20",
        }

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "services.cli.main", *arguments]

    async def start(self, clock: str, *options: str) -> None:
        """`relatieboek up` with these options, until it says that it is ready. `said` begins anew."""
        self.said = []
        self.process = await asyncio.create_subprocess_exec(
            *self.command("up", "--port", str(self.port), "--nats-port", str(self.nats_port), *options),
            env={**self.environment, "RELATIEBOEK_CLOCK": clock},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(_STARTED_WITHIN_S):
                while line := (await self.process.stdout.readline()).decode():
                    self.said.append(line.rstrip())
                    if line.startswith("ready http"):
                        break
                else:
                    raise AssertionError("\n".join(self.said))
        except BaseException:
            await self.stop()
            raise
        self._drain = asyncio.create_task(self._read(self.process.stdout))

    async def _read(self, out: asyncio.StreamReader) -> None:
        while line := await out.readline():
            self.said.append(line.decode().rstrip())

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
            async with asyncio.timeout(_STOPPED_WITHIN_S):
                assert await self.process.wait() == 0, "\n".join(self.said)

    async def kill_everything(self) -> None:
        """kill -9 of the whole tree at once: supervisor, guard, services, PostgreSQL with its workers, NATS."""
        assert self.process is not None
        supervisor = psutil.Process(self.process.pid)
        for process in [*supervisor.children(recursive=True), supervisor]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        await self.process.wait()

    async def run(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        """One command of the command line; what it prints on standard output."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
        )
        out, err = await process.communicate()
        assert process.returncode in codes, (
            f"{arguments} gave {process.returncode}: {err.decode()} {out.decode()[:2000]}"
        )
        return out.decode()

    def pid_of(self, service: str) -> int | None:
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if child.cmdline()[-2:] == ["services.serve", service]:
                    return child.pid
            except psutil.NoSuchProcess:
                continue
        return None

    async def back(self, service: str, gone: int) -> None:
        """Waits until the supervisor has another process of this service, and that one takes work."""
        async with asyncio.timeout(_BACK_WITHIN_S), self.http() as client:
            while self.pid_of(service) in (None, gone) or service not in await self._ready(client):
                await asyncio.sleep(0.1)

    async def _ready(self, client: httpx.AsyncClient) -> set[str]:
        try:
            status: Json = (await client.get("/status")).json()
        except httpx.HTTPError:
            return set()  # the api itself may be the one that was killed
        return {s["service"] for s in status["services"] if s["state"] == "ready"}

    @asynccontextmanager
    async def http(self) -> AsyncGenerator[httpx.AsyncClient]:
        token = json.loads((self.where / "credentials.json").read_text())["http"]["viewers"]["all"]
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60
        ) as client:
            yield client

    async def accepted(self, department: str) -> int:
        """How many events of a department the book took."""
        async with self.http() as client:
            status: Json = (await client.get("/status")).json()
        return next(d["accepted"] for d in status["departments"] if d["name"] == department)

    async def settled(self, within_s: float = 600) -> int:
        """Waits until every projection has all, nothing is parked, no service has something to tell, and two looks in a
        row agree; the head then."""
        last = -1
        async with asyncio.timeout(within_s), self.http() as client:
            while True:
                try:
                    status: Json = (await client.get("/status")).json()
                    head = status["log"]["head"]
                    there = all(p["position"] == head and p["parked"] == 0 for p in status["projections"])
                    there = there and status["log"]["stream"] == head and status["intake"]["parked"] == 0
                    if there and await self._at_rest():
                        if head == last:
                            return head
                        last = head
                    else:
                        last = -1
                except (httpx.HTTPError, KeyError):
                    last = -1  # the api itself may be the one that was killed
                # longer than two ticks: what the services would still send they have sent by then
                await asyncio.sleep(3 * _TICK_S)

    async def _at_rest(self) -> bool:
        """Whether the instant of no line and of no duty has come; what was over before anybody looked aside."""
        engine = engine_of(find(self.where))
        try:
            async with engine.connect() as conn:
                now = await book_now(conn)
                line = (await live(conn, contact_alerts.PROJECTION)).tables["line"].c
                if await conn.scalar(select(exists().where(line.check_at <= now))):
                    return False
                duties = await duties_to_check(conn, (await live(conn, workflows.PROJECTION)).tables, now, None, 1_000)
                wanted: list[Json | None] = [one.duty["wanted"] for one in duties]
                return all(w is not None and (w["until_on"] or "9999") <= str(local_date(now)) for w in wanted)
        finally:
            await engine.dispose()
