"""Satisfaction of relations and of our own units."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from services.api.shapes.building_blocks import Evidence, Shape


class Band(Shape):
    name: str
    n: int


class Scores(Shape):
    n: int
    mean: float | None = Field(description="on the instrument's own scale; null where fewer than `min_n` answered")
    nps: float | None = Field(description="from -100 to 100, of kinds nps and enps only")
    low_share: float | None = Field(description="from 0 to 1: the part in the low band")


class QuarterScores(Scores):
    quarter: str = Field(description="2026-Q3")


class LayerScores(Scores):
    layer: str


class Figures(Scores):
    """Of one instrument and wording; never across wordings."""

    instrument: str
    kind: str
    wording_version: int
    min_n: int
    bands: list[Band] | None = Field(description="how many answers in each band")
    trend: list[QuarterScores]
    direction: Literal["up", "down", "same"] | None = Field(
        description="the last quarter with a figure against the one before; null: nothing to compare"
    )


class Satisfaction(Figures):
    layers: list[LayerScores]
    evidence: Evidence


class SatisfactionLoop(Shape):
    """What was promised to whom scored low. Of an anonymous answer neither the answer nor evidence is told."""

    loop: str
    state: str
    instrument: str
    response: str | None
    due_on: date | None
    late: bool
    level: int
    owner: str | None
    opened_on: date
    followed_up_on: date | None
    closed_on: date | None
    reason: str | None
    evidence: Evidence


class Complaints(Shape):
    period: str
    count: int
    resolved: int
    evidence: Evidence


class Outcome(Shape):
    indicator: str
    period: str
    value: float
    unit: Literal["days", "count"]
    n: int | None
    evidence: Evidence


class Round(Scores):
    """A closed round of an instrument, with this relation's own figures in it."""

    round: str
    instrument: str
    wording_version: int
    closed_on: date
    invited: int | None
    evidence: Evidence


class RelationSatisfaction(Shape):
    relation: str
    relation_name: str
    tier: str | None
    items: list[Satisfaction]
    next: None
    loops: list[SatisfactionLoop] = Field(description="the open ones first")
    loops_open: int
    loops_late: int
    complaints: list[Complaints]
    outcomes: list[Outcome]
    rounds: list[Round]
    absorbed: list[str]
    position: int


class StaffSatisfaction(Shape):
    unit: str
    period: str
    n: int
    score: float | None = Field(description="null where fewer than five answered")
    retention_pct: float | None
    evidence: Evidence
