"""The whole book, running, each service a process of its own: `async with running(settings) as book`."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy.ext.asyncio import create_async_engine

from projections.registry import PROJECTIONS
from services.embedded import credentials as store
from services.embedded.registration import ensure_viewers
from services.serve import main
from services.settings import SERVICES, Settings, as_environment
from services.tls import client_context

ROOT: Final = Path(__file__).parent.parent
# A service imports for a second what all of them need. Each test process has one server that did so once, of which
# every service is a fork; nothing else runs in that server.
_FORKS: Final = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [__name__, *(f"services.{part}.app" for part in ("api", "intake", "alerts", "notary", "projector", "workflows"))]
)
STARTED_WITHIN_S: Final = 180.0
_STOPPED_WITHIN_S: Final = 60.0
_CAUGHT_UP_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.05


@dataclass(slots=True)
class Book:
    """`client` speaks HTTP as the viewer `all`; `post`, `get` with another token as whoever has it."""

    settings: Settings
    client: httpx.AsyncClient
    processes: dict[str, BaseProcess]

    async def viewers(self) -> Mapping[str, str]:
        """The viewers' tokens by name, with those of the teams that the book knows by now."""
        engine = create_async_engine(self.settings.database_url, hide_parameters=True)
        try:
            await ensure_viewers(self.settings, engine, again=True)
        finally:
            await engine.dispose()
        held = store.read(self.settings.credentials_path)
        assert held is not None
        return held.http.viewers

    async def get(self, path: str, *, token: str | None = None, **headers: str) -> httpx.Response:
        """With `If-Position` it asks until the read model holds that: a request alone waits some seconds for it."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with asyncio.timeout(_CAUGHT_UP_WITHIN_S):
            while True:
                answer = await self.client.get(path, headers=headers)
                if "If-Position" not in headers or not _not_yet_there(answer):
                    return answer

    async def caught_up(self, position: int | str | None = None) -> None:
        """Returns once every read model holds this position; None: all that the ledger holds now."""
        upto = None if position is None else int(position)
        async with asyncio.timeout(_CAUGHT_UP_WITHIN_S):
            while True:
                answer = await self.client.get("/v1/status")
                if answer.status_code == 200:
                    status = answer.json()
                    upto = status["log"]["head"] if upto is None else upto
                    models = status["projections"]
                    if {m["name"] for m in models} == set(PROJECTIONS) and all(m["position"] >= upto for m in models):
                        return
                await asyncio.sleep(_POLL_S)

    async def page(self, token: str, path: str = "/") -> httpx.Response:
        """A page, as who signs in with this viewer's token sees it; without a token: as nobody."""
        async with httpx.AsyncClient(base_url=self.client.base_url, timeout=30) as browser:
            if token:
                assert (await browser.post("/", data={"token": token})).status_code == 303
            return await browser.get(path)

    async def publish(self, events: Sequence[Mapping[str, Any]], token: str) -> list[dict[str, Any]]:
        """Sends a batch and returns its verdicts, none of which may be `rejected` or `busy`."""
        answer = await self.client.post(
            "/v1/events", json=list(events),
            headers={"Content-Type": "application/cloudevents-batch+json", "Authorization": f"Bearer {token}"},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        verdicts: list[dict[str, Any]] = answer.json()
        wrong = [v for v in verdicts if v["verdict"] in {"rejected", "busy"}]
        assert wrong == []
        return verdicts


@asynccontextmanager
async def running(settings: Settings, services: Sequence[str] = SERVICES) -> AsyncGenerator[Book]:
    """Starts the services and waits until each takes work; at the end each must stop by itself, with exit code 0."""
    processes: dict[str, BaseProcess] = {}
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=f"{settings.http_scheme}://127.0.0.1:{settings.port}",
                timeout=30,
                verify=client_context(settings.ca) if settings.tls_cert else True,
            )
        )
        book = Book(settings, client, processes)
        client.headers["Authorization"] = f"Bearer {(await book.viewers())['all']}"
        try:
            for name in services:
                processes[name] = _FORKS.Process(
                    target=_serve, args=(name, as_environment(settings), settings.data_dir)
                )
                processes[name].start()
            await _ready(book, services)
            yield book
        finally:
            codes = await asyncio.to_thread(_stop, processes)
    assert codes == dict.fromkeys(processes, 0), _logs(settings, processes)


def _not_yet_there(answer: httpx.Response) -> bool:
    return answer.status_code == 503 and answer.json()["type"].endswith(":not_yet_there")


def _serve(name: str, environment: Mapping[str, str], data_dir: Path) -> None:
    """What `python -m services.serve NAME` does, in a fork."""
    log = os.open(data_dir / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for output in (1, 2):
        os.dup2(log, output)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["serve", name]
    main()


def _stop(processes: Mapping[str, BaseProcess]) -> dict[str, int | None]:
    for process in processes.values():
        process.terminate()
    codes: dict[str, int | None] = {}
    for name, process in processes.items():
        process.join(_STOPPED_WITHIN_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        codes[name] = process.exitcode
    return codes


async def _ready(book: Book, services: Sequence[str]) -> None:
    until = time.monotonic() + STARTED_WITHIN_S
    while True:
        ended = [name for name, process in book.processes.items() if process.exitcode is not None]
        assert not ended, f"ended: {ended}\n{_logs(book.settings, ended)}"
        try:
            answer = await book.client.get("/v1/status")
        except httpx.TransportError:
            pass
        else:
            if answer.status_code == 200:
                ready = {s["service"] for s in answer.json()["services"] if s["state"] == "ready"}
                if ready >= set(services):
                    return
        assert time.monotonic() < until, _logs(book.settings, services)
        await asyncio.sleep(_POLL_S)


def _logs(settings: Settings, names: Mapping[str, Any] | Sequence[str]) -> str:
    return "\n".join(f"--- {name}\n{(settings.data_dir / f'{name}.log').read_text()[-3000:]}" for name in names)
