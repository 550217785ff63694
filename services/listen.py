"""An HTTP port inside a service: uvicorn without its own ideas about signals, ports and logs, and within bounds.

uvicorn waits for ever for the rest of a request's head, and for a reader that stopped reading. Here a head has a time
to be complete in, a reader a time to go on in, and there are so many connections and no more.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import h11
import orjson
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from events.errors import SetupError
from services.problems import PROBLEM_JSON, Answer, answer_to, refuse
from services.security_headers import HEADERS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence
    from pathlib import Path

    # Told of what was refused before it was a request: its problem's code, the status that was answered (none in a
    # handshake of TLS), and the address, where it is known.
    Refusals = Callable[[str, int | None, str | None], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """`head_bytes` for the request line and all headers together; times from the first byte that is waited for."""

    connections: int = 1_000
    head_s: float = 10.0
    head_bytes: int = 16 * 1024
    reader_s: float = 30.0


_LIMITS: Final = Limits()
_BACKLOG: Final = 512


def _untold(code: str, status: int | None, address: str | None) -> None:
    """For a port whose refusals nobody wants to hear of."""


def _protocol(limits: Limits, refused: Refusals) -> type[H11Protocol]:
    class Bounded(H11Protocol):
        _head_timer: asyncio.TimerHandle | None = None
        _reader_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                self._turn_away("busy", "There are too many connections; try again.")
            else:
                self._head_timer = self.loop.call_later(limits.head_s, self._head_too_slow)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._head_timer = _stopped(self._head_timer)
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(limits.head_s, self._head_too_slow)

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_timer, self._reader_timer = _stopped(self._head_timer), _stopped(self._reader_timer)
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._reader_timer = self.loop.call_later(limits.reader_s, self.transport.abort)

        def resume_writing(self) -> None:
            self._reader_timer = _stopped(self._reader_timer)
            super().resume_writing()

        def send_400_response(self, msg: str) -> None:
            del msg  # uvicorn's own words, as text
            detail = f"This is no HTTP, or its head is larger than {limits.head_bytes} bytes."
            self._turn_away("request", detail)

        def _head_too_slow(self) -> None:
            self._turn_away("slow", f"The request did not come within {limits.head_s:g} seconds.")

        def _turn_away(self, code: str, detail: str) -> None:
            """The last answer on this connection, without the application."""
            if not self.transport.is_closing():
                answer = answer_to(refuse(code, "", detail))
                # Browsers open connections that they may need, and say nothing on them.
                if code != "slow" or self.conn.trailing_data[0]:
                    refused(code, answer.status, self.client[0] if self.client else None)
                self.transport.write(_last_answer(answer))
                self.transport.close()

    return Bounded


def _handshake(refused: Refusals) -> type[ssl.SSLObject]:
    """asyncio says nothing of a handshake that failed."""

    class Handshake(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError:
                refused("tls", None, None)
                raise

    return Handshake


def _stopped(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _last_answer(answer: Answer) -> bytes:
    body = orjson.dumps(answer.problem)
    headers = {**HEADERS, "Content-Type": PROBLEM_JSON, "Content-Length": str(len(body)), "Connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **answer.headers}.items())
    return f"HTTP/1.1 {answer.status} {answer.problem['title']}\r\n{lines}\r\n".encode() + body


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # The service has one handler that ends all of it; uvicorn's would take the signal and leave the rest running.
        yield


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket (port 0: any free one). `SetupError` when the port is taken or not allowed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise SetupError(f"Poort {port} op {host} is niet vrij ({error.strerror}); kies een andere poort") from error
    return sock


@asynccontextmanager
async def listening(
    app: Any,
    host: str,
    port: int,
    *,
    cert: Path | None = None,
    key: Path | None = None,
    limits: Limits = _LIMITS,
    proxies: Sequence[str] = (),
    refused: Refusals = _untold,
) -> AsyncGenerator[int]:
    """Serves an ASGI app while the block runs; yields the port. Open requests get 5 seconds to end.

    With a certificate it speaks TLS 1.3 only. X-Forwarded-For and X-Forwarded-Proto say where a request comes from when
    it is from one of `proxies` (addresses or networks), and else are not read. `refused` is told of what never became a
    request. Raises SetupError when port or certificate cannot be used.
    """
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, lifespan="off", timeout_graceful_shutdown=5,
        ssl_certfile=cert, ssl_keyfile=key, http=_protocol(limits, refused),
        h11_max_incomplete_event_size=limits.head_bytes, backlog=_BACKLOG,
        proxy_headers=bool(proxies), forwarded_allow_ips=list(proxies), ws="none",
    )  # fmt: skip
    try:
        config.load()
    except OSError as error:
        raise SetupError(f"RELATIEBOEK_TLS_CERT of _KEY is niet te gebruiken ({type(error).__name__})") from error
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
        config.ssl.sslobject_class = _handshake(refused)
    sock = bind(host, port)
    sock.listen(_BACKLOG)  # whoever connects before uvicorn has come so far waits, and is not refused
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]), name="http")
    try:
        yield int(sock.getsockname()[1])
    finally:
        server.should_exit = True
        await asyncio.wait({task})
        sock.close()
    task.result()
