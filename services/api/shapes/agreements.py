"""Agreements, coalitions and their programmes."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from services.api.shapes.building_blocks import Evidence, Party, Rag, Shape


class FrameYear(Shape):
    year: int
    cents: int
    certainty: Literal["firm", "expected", "possible"]


class Renewal(Shape):
    on: date
    until: date
    position: int


class Agreed(Shape):
    agreement: str
    type: Literal["contract", "covenant", "chain", "coalition"]
    name: str | None
    state: Literal["coming", "running", "expired", "ended"]
    from_: date = Field(alias="from")
    until: date = Field(description="the last day, as renewed")
    ends_in_days: int | None
    basis: str | None
    frame: list[FrameYear]
    insured_share_pct: float | None
    signed_on: date | None
    renewals: list[Renewal]
    ended_on: date | None
    end_reason: str | None
    evidence: Evidence


class Agreement(Agreed):
    parties: list[str] = Field(description="`us` and names of relations, as given")


class SignedAgreement(Agreed):
    parties: list[Party]


class RelationAgreement(SignedAgreement):
    programmes: list[str]


class IndicatorReport(Shape):
    reported_on: date
    baseline: float | None
    target: float | None
    actual: float | None
    rag: Rag | None
    position: int


class Indicator(Shape):
    indicator: str
    unit: str | None
    baseline: float | None
    target: float | None
    actual: float | None
    rag: Rag | None
    red_since: date | None
    reported_on: date | None
    position: int | None
    reports: list[IndicatorReport]


class SteeringDecision(Shape):
    decision: str | None
    parties: list[Party]
    taken_on: date
    due_on: date
    due_passed: bool
    position: int


class Programme(Shape):
    programme: str
    agreement: str | None
    name: str
    state: Literal["coming", "running", "past"]
    starts_on: date
    ends_on: date
    ends_in_days: int | None
    rag: Rag | None = Field(description="the worst of its indicators")
    reported_on: date | None
    stale: bool = Field(description="running, and without a report for three months")
    red_since: date | None
    red_without_decision: bool
    indicators: list[Indicator]
    decisions: list[SteeringDecision] = Field(description="the newest first")
    evidence: Evidence


class RelationAgreements(Shape):
    relation: str
    relation_name: str
    tier: str | None
    agreements: list[RelationAgreement]
    programmes: list[Programme]
    absorbed: list[str]
    position: int


class ProgrammeAnswer(Shape):
    """A programme, or a coalition without one: then what a programme has is null."""

    relation: str
    relation_name: str
    tier: str | None
    programme: str | None = Field(description="null: a coalition without a programme")
    agreement: str | None
    name: str | None
    state: Literal["coming", "running", "past"] | None
    starts_on: date | None
    ends_on: date
    ends_in_days: int
    rag: Rag | None
    reported_on: date | None
    stale: bool | None
    red_since: date | None
    red_without_decision: bool | None
    indicators: list[Indicator] | None
    decisions: list[SteeringDecision] | None
    coalition: SignedAgreement | None = Field(description="the agreement that it is part of")
    evidence: Evidence
