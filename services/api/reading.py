"""Bodies, read within bounds of size and time."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request

from services.problems import refuse

BODY_TIMEOUT_S: Final = 30.0


async def read_body(request: Request, most: int) -> bytes:
    """The body, at most `most` bytes: stops reading where it grows above. Raises Refused (413, 408)."""
    too_large = refuse("too_large", "", f"the body is larger than {most} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:19]) > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise too_large
    except TimeoutError:
        raise refuse("slow", "", f"the body did not come within {BODY_TIMEOUT_S:.0f} seconds") from None
    return bytes(body)
