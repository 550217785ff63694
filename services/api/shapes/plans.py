"""Plans of a relation."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from services.api.shapes.building_blocks import Problem, Shape

StateOfPlan = Literal["drafted", "approved", "superseded"]


class PlanAnswer(Shape):
    question: str
    answer: str | None
    answered_on: date | None


class PlanAction(Shape):
    action: str
    what: str
    owner: str | None
    due_on: date | None
    state: str
    late: bool
    marketing: bool | None
    deferred_on: date | None
    ended_on: date | None
    reason: str | None


class Plan(Shape):
    """The plan begun last that nothing replaced, or the one that is asked for."""

    plan: str | None = Field(description="null: there is none")
    state: StateOfPlan | None
    template: str | None
    horizon_on: date | None
    drafted_on: date | None
    answered: int = Field(description="of the ten questions")
    actions_open: int
    actions_late: int
    approved_on: date | None
    superseded_on: date | None
    superseded_by: str | None
    age_days: int | None = Field(description="since approval, else since its start")
    questions: list[PlanAnswer]
    actions: list[PlanAction]


class PlanInShort(Shape):
    plan: str
    started_on: date
    state: StateOfPlan
    superseded_by: str | None


class AnswerVersion(Shape):
    """One answer to a question of the plan, the one that stands first."""

    question: str
    answer: str | None
    answered_on: date
    recorded_at: datetime
    department: str | None
    actor: str | None
    stands: bool
    position: int
    changes: list[str] = Field([], description="a unified diff, line by line, against the answer before it")


class RelationPlan(Plan):
    relation: str
    plans: list[PlanInShort] = Field(description="all of the relation")
    history: list[AnswerVersion]
    position: int


class PlanQuestion(Shape):
    """One question of a plan as it stands in the book. Its ETag changes whenever the question does."""

    relation: str
    plan: str
    question: str
    answer: str | None = Field(description="null: not answered, or not for this viewer")
    answered_on: date | None
    department: str | None = Field(description="who published the answer; `relatieboek` for an editor over HTTP")
    actor: str | None
    recorded_at: datetime | None
    version: int = Field(description="`expectedversion` for a change by an event")
    position: int
    etag: str


class ConflictingEvent(Shape):
    """The event that was first."""

    sequence: str = Field(description="position, 20 digits")
    version: int | None
    type: str | None
    department: str | None
    actor: str | None = None
    source: str | None
    id: str | None


class PlanConflict(Problem):
    """Someone else was first: what stands now, and by which event."""

    current: PlanQuestion | None = None
    conflicting: ConflictingEvent | None = None
