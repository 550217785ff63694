"""Interests, performances, promises, opportunities, and who contributes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from services.api.shapes.building_blocks import Evidence, Shape

Side = Literal["us", "them"]


class Acknowledgement(Shape):
    by: Side
    on: date


class Known(Shape):
    text: str | None
    known: bool
    known_since: date | None
    acknowledged: bool = Field(description="the other side said so")
    acknowledged_by: list[Acknowledgement]
    evidence: Evidence


class Interest(Known):
    interest: str
    holder: Literal["ours", "theirs", "shared"]


class Performance(Known):
    performance: str
    by: Side
    period: str | None


class Commitment(Shape):
    commitment: str
    by: Side
    what: str | None
    made_on: date
    due_on: date | None
    state: Literal["open", "fulfilled", "broken", "released"]
    ended_on: date | None
    late: bool
    days_late: int
    evidence: Evidence


class Promise(Commitment):
    relation: str
    relation_name: str
    tier: str | None


class RelationPartnership(Shape):
    relation: str
    relation_name: str
    tier: str | None
    interests: list[Interest]
    performances: list[Performance]
    commitments: list[Commitment]
    absorbed: list[str]
    position: int


class FiguresThen(Shape):
    instrument: str
    wording_version: int
    n: int
    mean: float | None
    nps: float | None


class RelationThen(Shape):
    tier: str | None
    last_contact_at: datetime | None
    contacts_12m: int
    minutes_12m: int
    position: int
    lines: int
    lines_overdue: int
    open_alerts: int
    plan_approved_on: date | None
    knowledge_complete: int
    knowledge_stale: int
    satisfaction: list[FiguresThen]


class Opportunity(Shape):
    opportunity: str
    title: str
    state: Literal["announced", "offered", "won", "lost"]
    value_cents: int | None
    announced_on: date
    closes_on: date | None
    offered_on: date | None
    decided_on: date | None
    reason: str | None
    relation_then: RelationThen | None = Field(description="the relation's state when it was won or lost")
    evidence: Evidence


class ProfileCount(Shape):
    profile: str
    stage: str
    people: int


class Asked(Shape):
    tier: str | None
    our_layer: str
    lines: int
    contacts_per_year: float


class Contributors(Shape):
    contributors: list[ProfileCount] = Field(description="people by commercial profile and stage; never an employee")
    asked: list[Asked] = Field(description="lines and contacts a year by tier and our layer")
