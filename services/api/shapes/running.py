"""How the book is doing, and who asks."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from services.api.shapes.building_blocks import Shape


class LogStatus(Shape):
    head: int = Field(description="last position of the ledger")
    stream: int | None = Field(description="last sequence of the stream; null: out of reach")
    rate_1m: float = Field(description="events per second over the last minute")


class ProjectionStatus(Shape):
    name: str
    version: int
    state: Literal["live", "building", "paused"]
    position: int
    lag: int
    lag_seconds: float
    parked: int
    detail: str | None = Field(None, description="why it is paused")


class IntakeStatus(Shape):
    pending: int
    accepted: int
    duplicates: int
    rejected: int
    parked: int


class DepartmentStatus(Shape):
    name: str
    last_event_at: datetime | None
    accepted: int
    rejected: int
    late: int
    duplicates: int


class Session(Shape):
    name: str
    everything: bool = Field(description="sees every relation, whatever its teams")
    roles: list[str]
    teams: list[str]
    department: str | None
    csrf: str | None = Field(description="goes as X-CSRF-Token with a change; null with a token instead of a cookie")


class ServiceStatus(Shape):
    service: str
    state: str
    detail: str | None = None


class Status(Shape):
    log: LogStatus
    projections: list[ProjectionStatus]
    intake: IntakeStatus
    departments: list[DepartmentStatus]
    services: list[ServiceStatus]
    clock: datetime | None = Field(description="null: the system's own; else the book's clock stands still at this")
    healthy: bool
