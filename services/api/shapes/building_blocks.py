"""What every family of shapes rests on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

StateOfLine = Literal[
    "ended", "paused", "not_started", "vacant", "snoozed", "escalated", "overdue", "planned", "due", "never_contacted",
    "on_track",
]  # fmt: skip
Rag = Literal["red", "amber", "green"]
Evidence = Annotated[list[int], Field(description="positions of the events that it rests on")]


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


class Cadence(Shape):
    """How often contact is asked for: `every` period, or so many `times` `per` calendar period."""

    mode: Literal["rolling", "quota"]
    every: str | None = Field(None, description="ISO 8601: P3M, P6W")
    times: int | None = None
    per: Literal["month", "quarter", "half_year", "year"] | None = None


class LayerPair(Shape):
    our_layer: str
    their_layer: str


class Party(Shape):
    organisation: str = Field(description="`us`, a UUID, or the name as given where the book knows none")
    name: str | None = Field(description="null: unknown, or not for this viewer")
