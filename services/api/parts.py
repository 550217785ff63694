"""What every route needs, made once at start."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, cast

from fastapi import Request
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events.privacy import Privacy
from projections.line_state import Rules
from projections.working_calendar import WorkingCalendar
from services.access import Access
from services.access_log.writer import Writer
from services.api.live import Hub
from services.api.security_log import SecurityLog
from services.api.waits import Waits
from services.bus import Bus
from services.fair import Room
from services.identity.oidc import Oidc
from services.settings import Settings

# Bodies that publishers have under way, in all: 16 of the largest, of which one department alone may have eight.
_MOST_BODY_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Parts:
    settings: Settings
    engine: AsyncEngine
    bus: Bus
    access: Access
    access_log: Writer
    privacy: Privacy
    hub: Hub
    waits: Waits
    calendar: WorkingCalendar
    registry: CollectorRegistry
    oidc: Oidc | None = None
    security: SecurityLog = field(default_factory=SecurityLog)
    refusals: SecurityLog = field(default_factory=lambda: SecurityLog(lines=600, of_one=60))  # of departments
    bodies: Room = field(default_factory=lambda: Room(_MOST_BODY_BYTES))

    @property
    def rules(self) -> Rules:
        """The due rules as this institution has them, for every state that is shown."""
        return Rules(self.calendar, self.settings.default_lead_days)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """One read-only transaction with one view of the data: position and rows of an answer belong together."""
        async with self.engine.connect() as conn:
            await conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield conn


async def parts_of(request: Request) -> Parts:
    """The parts of the application that serves this request. Not `def`: FastAPI sends that through a thread."""
    return cast(Parts, request.app.state.parts)
