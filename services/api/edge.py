"""The outermost layer: headers on every answer, request times, and what is left of an unforeseen fault."""

from __future__ import annotations

import time
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.answering import problem_response
from services.api.security_log import SecurityLog, address_of
from services.problems import Refused, answer_to, refuse
from services.security_headers import HEADERS

_log = structlog.get_logger(__name__)

MAX_HEAD_BYTES: Final = 16 * 1024
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry, security: SecurityLog) -> None:
        self._app, self._security = app, security
        self._seconds = Histogram(
            "relatieboek_http_request_seconds",
            "From request to the end of the answer, by route template; of a live stream to its first byte.",
            ["method", "route", "status"],
            registry=registry,
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.08, 0.15, 0.3, 1, 3, 10),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = _Call(send)
        try:
            unfit = _unfit(scope)
            if unfit is not None:
                answer = answer_to(unfit)
                self._security.refused(unfit.code, answer.status, address_of(scope))
                await problem_response(answer)(scope, receive, call.send)
            else:
                await self._app(scope, receive, call.send)
        except ConnectionResetError:
            _log.info("http.reader_closed", route=_route(scope))
        except Exception as error:
            # The last edge: the type and the route are logged, never a value that came in.
            _log.error("http.fault", route=_route(scope), error=type(error).__name__, exc_info=call.status is None)
            if call.status is None:
                await problem_response(answer_to(error))(scope, receive, call.send)
            elif not call.ended:
                raise
        finally:
            self._observe(scope, call)

    def _observe(self, scope: Scope, call: _Call) -> None:
        until = call.began_at if call.streams and call.began_at is not None else time.perf_counter()
        method: str = scope["method"] if scope["method"] in _METHODS else "other"
        labels = self._seconds.labels(method, _route(scope), str(call.status or 499))
        labels.observe(until - call.called_at)


class _Call:
    """One request's answer as it goes out."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.called_at = time.perf_counter()
        self.began_at: float | None = None
        self.status: int | None = None
        self.ended = False
        self.streams = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.began_at = time.perf_counter()
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            self.streams = headers.get("content-type", "").startswith("text/event-stream")
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.ended = True
        await self._send(message)


def _unfit(scope: Scope) -> Refused | None:
    """A head that came whole though it is too large; and NUL is text nowhere in the book, and PostgreSQL takes it in no
    text."""
    head = len(scope["raw_path"]) + len(scope["query_string"]) + sum(len(n) + len(v) for n, v in scope["headers"])
    if head > MAX_HEAD_BYTES:
        detail = f"address and headers are larger than {MAX_HEAD_BYTES} bytes together"
        return refuse("head_too_large", "/header", detail)
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
        # A proxy before us may believe the other one of the two: what follows here could be half of somebody's request.
        refused = refuse("request", "/header/Content-Length", "say the body's length or send it in chunks, not both")
        refused.headers["Connection"] = "close"
        return refused
    if b"%00" in scope["query_string"]:
        return refuse("request", "/query", "holds a NUL character")
    if "\x00" in scope["path"]:
        return refuse("not_found", "/path", "There is nothing here.")
    return None


def _route(scope: Scope) -> str:
    """The template of the route that answered, so that the label has few values."""
    route: Any = scope.get("route")
    path: object = getattr(route, "path", None)
    return path if isinstance(path, str) else "unmatched"
