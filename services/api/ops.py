"""The state of the book on `live.ops`, every few seconds: a short status for dashboards of operations."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import orjson
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.bus import NatsBus
from services.status import status
from services.telemetry import brief

log = structlog.get_logger(__name__)

EVERY_S: Final = 5.0
_WITHIN_S: Final = 8.0


def brief_status(document: dict[str, Any]) -> dict[str, Any]:
    """What goes on `live.ops`: counts, positions and the names of services and read models, never of departments.

    Bounded: as many services and read models as there are, one line each.
    """
    return {
        "type": "status",
        "position": document["log"]["head"],
        "healthy": document["healthy"],
        "log": document["log"],
        "intake": document["intake"],
        "projections": [
            {name: one[name] for name in ("name", "version", "state", "position", "lag", "lag_seconds", "parked")}
            for one in document["projections"]
        ],
        "services": [{"service": one["service"], "state": one["state"]} for one in document["services"]],
    }


async def tell_operations(engine: AsyncEngine, bus: NatsBus, every_s: float = EVERY_S) -> None:
    """Publishes the status again and again, for as long as the api lives; with an engine out it waits for the next."""
    while True:
        try:
            async with asyncio.timeout(_WITHIN_S):
                document = await status(engine, bus)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.info("status not told", reason=brief(error))
        else:
            await bus.tell("live.ops", orjson.dumps(brief_status(document)))
        await asyncio.sleep(every_s)
