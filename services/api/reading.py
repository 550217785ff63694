"""Bodies, read within bounds of size and time."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request

from services.problems import Refused, refuse

BODY_TIMEOUT_S: Final = 30.0


def said_bytes(request: Request) -> int | None:
    """How large the body says it is; None where it does not say."""
    said = request.headers.get("content-length", "")
    return int(said[:19]) if said.isascii() and said.isdigit() else None


def declared_bytes(request: Request, most: int) -> int:
    """How large the body says it is, or `most` where it does not say. Raises Refused (413) above that."""
    said = said_bytes(request)
    if said is not None and said > most:
        raise _too_large(most)
    return most if said is None else said


def _too_large(most: int) -> Refused:
    return refuse("too_large", "", f"the body is larger than {most} bytes")


async def read_body(request: Request, most: int, *, keep: bool = True) -> bytes:
    """The body, at most `most` bytes: stops reading where it grows above. Raises Refused (413, 408, 415).

    Nothing here unpacks a compressed body, so none can be larger than it looks. Without `keep` it is only counted, and
    nothing comes back: who is not known may not fill our memory either.
    """
    declared_bytes(request, most)
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                size += len(piece)
                if size > most:
                    raise _too_large(most)
                if keep:
                    body += piece
    except TimeoutError:
        raise refuse("slow", "", f"the body did not come within {BODY_TIMEOUT_S:.0f} seconds") from None
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise refuse("unsupported_media_type", "/header/Content-Encoding", "send the body as it is, not compressed")
    return bytes(body)
