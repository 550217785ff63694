"""The shapes of answers, as the OpenAPI document tells them. Answers are not built from these; a test compares them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

StateOfLine = Literal[
    "ended", "paused", "not_started", "vacant", "snoozed", "escalated", "overdue", "planned", "due", "never_contacted",
    "on_track",
]  # fmt: skip


class Shape(BaseModel):
    """A shape may grow new members; those that are named stay."""

    model_config = ConfigDict(extra="allow", frozen=True)


class FieldProblem(Shape):
    pointer: str = Field(description="JSON pointer into the event or body, or /query/…, /header/…")
    detail: str


class Problem(Shape):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []


class Verdict(Shape):
    id: str | None
    source: str | None
    verdict: Literal["accepted", "duplicate", "parked", "rejected", "busy"]
    sequence: str | None = Field(None, description="position, 20 digits", pattern=r"^[0-9]{20}$")
    relation: str | None = None
    version: int | None = Field(None, description="the relation's event count")
    leaf_hash: str | None = None
    survivor: str | None = None
    problem: Problem | None = None
    retry_after_s: float | None = None


class VerdictProblem(Problem):
    """An error on publishing: a problem that also has a verdict's fields."""

    id: str | None = None
    source: str | None = None
    verdict: Literal["rejected", "busy"]
    problem: Problem | None = None
    retry_after_s: float | None = None


class Identifier(Shape):
    scheme: str
    value: str


class LayerPair(Shape):
    our_layer: str
    their_layer: str
    contacts: int
    last_at: datetime | None


class ScheduleLine(Shape):
    line: str
    our_layer: str
    their_layer: str
    state: StateOfLine
    anchor_on: date | None
    due_on: date | None
    overdue_on: date | None
    owner: str | None


class Satisfaction(Shape):
    instrument: str
    wording_version: int
    n: int
    mean: float | None = Field(description="None where fewer than min_n answered")
    nps: float | None
    low_share: float | None


class Plan(Shape):
    plan: str | None
    answered: int
    actions_open: int
    actions_late: int
    approved_on: date | None
    age_days: int | None


class Knowledge(Shape):
    complete: int
    of: int
    stale: int


class RelationSummary(Shape):
    id: str
    name: str
    kind: str
    region: str | None
    identifiers: list[Identifier]
    tier: str | None
    version: int
    last_contact_at: datetime | None
    contacts_total: int
    contacts_12m: int
    minutes_12m: int
    open_alerts: list[dict[str, Any]]
    teams: list[str]


class Relation(RelationSummary):
    tier_arguments: list[dict[str, Any]] | None
    contacts_by_channel: dict[str, int]
    contacts_by_layer_pair: list[LayerPair]
    schedule: list[ScheduleLine]
    satisfaction: list[Satisfaction]
    plan: Plan
    knowledge: Knowledge
    position: int


class Alert(Shape):
    id: str
    rule: str
    rule_version: int
    relation: str
    line: str | None
    state: Literal["open", "resolved"]
    raised_at: datetime
    due_on: date
    overdue_on: date
    working_days_overdue: int
    owner: str | None
    level: int
    evidence: list[int] = Field(description="positions")
    resolved_at: datetime | None
    resolution: str | None


class TimelineEntry(Shape):
    position: int
    relation: str
    relation_name: str | None
    type: str
    department: str | None
    occurred_at: str = Field(description="date-time with offset; of a restricted contact the date only")
    recorded_at: datetime | None
    title: str
    detail: dict[str, Any] | None
    visibility: str
    corrects: int | None
    corrected_by: int | None
    retracted_by: int | None


class HistoryEntry(Shape):
    position: int
    version: int
    type: str
    title: str
    occurred_at: str
    recorded_at: datetime | None
    department: str | None
    visibility: str
    data: dict[str, Any] | None


class Item(Shape):
    """An entry of an answer to a question."""


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


class Status(Shape):
    log: LogStatus
    projections: list[ProjectionStatus]
    intake: IntakeStatus
    departments: list[DepartmentStatus]
    healthy: bool
