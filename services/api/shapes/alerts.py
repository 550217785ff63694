"""Alerts, loops, and the questions about what is lacking."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from services.api.shapes.building_blocks import Cadence, Evidence, Shape, StateOfLine


class Alert(Shape):
    id: str
    rule: str
    rule_version: int
    policy_version: int | None = Field(description="of the contact policy that it keeps")
    relation: str
    relation_name: str | None
    recorded_under: str | None = Field(None, description="relation whose history has it, where that was absorbed since")
    tier: str | None
    line: str | None
    about: str | None = Field(description="what it is about where the relation has no line of its own for it")
    our_layer: str | None
    their_layer: str | None
    state: Literal["open", "resolved"]
    raised_at: datetime
    due_on: date
    last_ok_on: date = Field(description="last day in time, grace included")
    overdue_on: date
    working_days_overdue: int
    owner: str | None
    unowned: bool
    level: int
    asked: str = Field(description="who is asked at this level")
    escalated_at: datetime | None
    evidence: Evidence
    silent: bool = Field(description="raised without a word to anybody, as after an import of the past")
    silent_sources: list[str] = Field(description="departments behind it of which nothing was heard for long")
    acknowledged_at: datetime | None
    snoozed_until: date | None
    snoozes: int = Field(description="how often it was put off")
    resolved_at: datetime | None
    resolution: str | None
    resolution_evidence: Evidence


class RuleOfAlert(Shape):
    name: str
    version: int
    policy_version: int | None


class Computation(Shape):
    """How the days of a line were counted."""

    cadence: Cadence
    channels: list[str] | None
    starts_on: date
    grace_working_days: int
    pauses: list[tuple[date, date | None]] = Field(description="first day, and first day after; null: still paused")
    anchor_on: date
    due_on: date
    last_ok_on: date
    overdue_on: date
    working_days_overdue: int
    closed_days: list[date]
    open_days: list[date]
    escalation_working_days: list[int]
    next_level_on: date | None
    conflict: bool


class EvidenceEvent(Shape):
    position: int
    type: str
    title: str = Field(description="Dutch")
    title_en: str
    department: str | None
    occurred_at: str = Field(description="date-time with offset; of a restricted contact the date only")
    recorded_at: datetime | None


class Source(Shape):
    department: str
    last_event_at: datetime | None
    working_days_silent: int | None
    silent: bool


class Explanation(Shape):
    """Why an alert exists, and how fresh its sources are."""

    question: Literal[10]
    alert: Alert
    rule: RuleOfAlert
    computation: Computation | None = Field(description="how a line's days were counted; null: no line's alert")
    explanation: list[str] = Field(description="the same in Dutch words")
    explanation_en: list[str]
    evidence: list[EvidenceEvent] = Field(description="the events behind it, by position")
    sources: list[Source]


class Loop(Shape):
    id: str
    relation: str
    relation_name: str | None
    tier: str | None
    response: str | None = Field(description="null: anonymous")
    instrument: str
    anonymous: bool
    score: float | None = Field(description="null: anonymous")
    respondent: str | None = Field(description="null: anonymous, or not told")
    state: Literal["open", "closed"]
    due_on: date
    working_days_late: int
    level: int
    owner: str | None
    silent: bool
    evidence: Evidence
    opened_at: datetime
    followed_up_at: datetime | None
    note: str | None
    closed_at: datetime | None
    reason: Literal["followed_up", "withdrawn", "relation_ended", "manual"] | None
    closing_evidence: Evidence


class OverdueLine(Shape):
    relation: str
    relation_name: str
    recorded_under: str | None = Field(None, description="relation whose line it is, where that was absorbed since")
    tier: str | None
    line: str
    our_layer: str
    their_layer: str
    cadence: Cadence
    state: StateOfLine
    anchor_on: date
    due_on: date
    last_ok_on: date
    overdue_on: date
    working_days_overdue: int
    owner: str | None = Field(description="who has it now; null: nobody, and `unowned`")
    unowned: bool
    alert: str | None = Field(description="its open alert")
    level: int
    policy_version: int | None = Field(description="of the policy that asks for it")
    evidence: Evidence


class LayerContact(Shape):
    """A line that asks for contact today, or layers that met without one."""

    relation: str
    relation_name: str
    kind: str | None
    tier: str | None
    line: str | None = Field(description="`policy:…`: asked for by the policy of the tier; null: nothing asks for it")
    our_layer: str
    their_layer: str
    their_person: str | None = Field(description="whom the line names")
    cadence: Cadence | None
    starts_on: date | None
    state: Literal["covered", "gap", "vacant", "extra"] = Field(
        description="vacant: the person that it names is gone, whenever the last contact was; gap: none in a year; "
        "extra: contact in a year, and no line"
    )
    vacant_on: date | None
    last_on: date | None = Field(description="of the last contact that qualifies")
    contacts_12m: int = Field(description="contacts that qualify, in twelve months")
    owner: str | None = Field(description="who has it now; null: nobody")
    evidence: list[int] = Field(
        description="positions of what set the line, of what made it vacant, and of the last contact"
    )


class Lack(Shape):
    what: Literal["schedule", "board_line", "plan", "knowledge", "satisfaction"]
    since: date | None = Field(description="first day without; null: there never was any")
    missing: list[str] = Field(description="items of knowledge that are not there, or the first to be out of date")
    evidence: Evidence


class Falling(Shape):
    instrument: str
    since: date
    before: float
    after: float
    evidence: Evidence


class IncompleteRelation(Shape):
    relation: str
    relation_name: str
    tier: str | None
    owner: str | None
    lacks: list[Lack]
    satisfaction_falling: Falling | None
