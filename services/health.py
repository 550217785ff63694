"""Whether a service takes work: what it says itself, and whether its two engines really answer now."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

StateName = Literal["ready", "starting", "paused", "diverged"]

_PROBE_TIMEOUT_S: Final = 1.0
_PROBE_FOR_S: Final = 1.0


@dataclass(slots=True)
class ServiceState:
    """What a service says of itself. `opened` is set by the wiring once every subscriber is live."""

    service: str
    state: StateName = "starting"
    detail: str | None = None
    opened: bool = False

    def set(self, state: StateName, detail: str | None = None) -> None:
        """`detail` is one English sentence for an operator, without ids or personal data."""
        self.state = state
        self.detail = detail

    def effective(self) -> tuple[StateName, str | None]:
        if self.state == "ready" and not self.opened:
            return "starting", "doors not open yet"
        return self.state, self.detail


@dataclass(slots=True)
class Health:
    """The truth at this moment: `ready` only when the service says so, NATS is connected and PostgreSQL answers."""

    state: ServiceState
    engine: AsyncEngine
    nats_connected: Callable[[], bool]
    registry: CollectorRegistry
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _database_up: bool = False
    _asked_at: float = float("-inf")

    def __post_init__(self) -> None:
        gauge = Gauge("relatieboek_ready", "1 when the service takes work", registry=self.registry)
        gauge.set_function(lambda: float(self.state.effective()[0] == "ready" and self.nats_connected()))

    async def report(self) -> dict[str, Any]:
        """`{"service", "state", "detail"?}`. Answers within about a second, also with an engine out."""
        state, detail = self.state.effective()
        if not self.nats_connected():
            state, detail = ("starting" if state == "starting" else "paused"), "NATS is not connected"
        elif not await self._database():
            state, detail = ("starting" if state == "starting" else "paused"), "PostgreSQL does not answer"
        out: dict[str, Any] = {"service": self.state.service, "state": state}
        if detail:
            out["detail"] = detail
        return out

    async def _database(self) -> bool:
        # One question at a time and one a second: whoever asks for health must not load the engine.
        async with self._asking:
            if time.monotonic() - self._asked_at > _PROBE_FOR_S:
                self._database_up = await engine_answers(self.engine)
                self._asked_at = time.monotonic()
            return self._database_up


async def engine_answers(engine: AsyncEngine) -> bool:
    """Whether PostgreSQL answers a query within a second. A full pool of connections counts as no."""
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S), engine.connect() as conn:
            await conn.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError, TimeoutError):
        return False
    return True


def http_app(health: Health) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """A small ASGI app: `/healthz` (the process lives), `/readyz` (200 or 503) and `/metrics`."""

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        status, kind, body = 404, "text/plain; charset=utf-8", b"not found\n"
        match scope["path"] if scope["method"] in {"GET", "HEAD"} else "":
            case "/healthz":
                status, body = 200, b"ok\n"
            case "/readyz":
                report = await health.report()
                status, kind = (200 if report["state"] == "ready" else 503), "application/json"
                body = orjson.dumps(report)
            case "/metrics":
                status, kind, body = 200, CONTENT_TYPE_LATEST, generate_latest(health.registry)
            case _:
                pass
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        headers.append((b"cache-control", b"no-store"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app
