"""An HTTP port inside a service: uvicorn without its own ideas about signals, ports and logs."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

from events.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path


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
    app: Any, host: str, port: int, *, cert: Path | None = None, key: Path | None = None
) -> AsyncGenerator[int]:
    """Serves an ASGI app while the block runs; yields the port. Open requests get 5 seconds to end.

    With a certificate it speaks TLS 1.3 only. Raises SetupError when port or certificate cannot be used.
    """
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, lifespan="off", timeout_graceful_shutdown=5,
        ssl_certfile=cert, ssl_keyfile=key,
    )  # fmt: skip
    try:
        config.load()
    except OSError as error:
        raise SetupError(f"RELATIEBOEK_TLS_CERT of _KEY is niet te gebruiken ({type(error).__name__})") from error
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    sock = bind(host, port)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]), name="http")
    try:
        yield int(sock.getsockname()[1])
    finally:
        server.should_exit = True
        await asyncio.wait({task})
        sock.close()
    task.result()
