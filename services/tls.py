"""TLS 1.3, and nothing older, on connections to NATS and on the HTTP port (settings `ca`, `tls_cert`, `tls_key`).

With `tls://` a client begins the handshake before the server says a word. In NATS' usual order the server first says in
the clear whether it wants TLS, and nats-py believes it: whoever sits between them would get the connection unencrypted.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from nats.aio.client import Client

from events.errors import SetupError

_CLOSED_WITHIN_S: Final = 1.0


def client_context(ca: Path | None) -> ssl.SSLContext:
    """Checks the server's name and certificate against `ca` (PEM), or the system's authorities. Raises SetupError."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise SetupError(f"RELATIEBOEK_CA: {ca} is niet te lezen als PEM-bestand ({type(error).__name__})") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def nats_options(url: str, ca: Path | None) -> dict[str, Any]:
    """What a NATS client is told beside `servers`: nothing for `nats://`, TLS from the first byte for `tls://`."""
    if not url.startswith("tls://"):
        return {}
    return {"tls": client_context(ca), "tls_handshake_first": True}


async def give_up(client: Client) -> None:
    """Closes a client that could not connect. After a handshake that failed its stream never says that it is closed,
    and nats-py waits for that for ever."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSED_WITHIN_S):
            await client.close()


def server_blocks(directory: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A nats-server's `tls` blocks, of clients and of routes, with `server.pem`, `server.key`, `ca.pem` in `directory`.

    Clients of other makes may let the server speak first: it waits 200 ms for a handshake, then does. Between servers
    both sides show a certificate.
    """
    files = {"cert_file": f"{directory}/server.pem", "key_file": f"{directory}/server.key", "min_version": "1.3"}
    mutual = {**files, "ca_file": f"{directory}/ca.pem", "verify": True, "timeout": 5}
    return {**files, "timeout": 5, "handshake_first": "200ms"}, mutual
