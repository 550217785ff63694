"""The access log, and what is held about a person."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from services.api.shapes.building_blocks import Shape


class AccessRecord(Shape):
    """One record of the access log (NEN 7513)."""

    position: int
    at: datetime = Field(description="the system's clock, UTC")
    actor: str = Field(description="the viewer or account; of a command the operating system's user")
    kind: Literal["person", "system", "command_line"]
    roles: list[str]
    acting_for: dict[str, str] = Field(description="department, teams; `claimed` is what the caller said")
    event: Literal["page", "search", "export", "stream", "act", "session", "command"]
    action: Literal["C", "R", "U", "D", "E"] = Field(description="create, read, update, delete, execute")
    operation: str
    route: str | None
    team: str | None
    alert: str | None
    filters: list[str] = Field(description="names of the filters that were used, never their values")
    relations: int = Field(description="how many relations it was about")
    persons: int = Field(description="how many persons and employees the answer named")
    objects: list[str] = Field(description="what else it was about, as `rejected:17`, `department:zorg`")
    certain: bool = Field(description="false: it was about more than is listed, and may have been about this one")
    outcome: Literal["granted", "denied", "failed"]
    status: int | None = Field(description="of HTTP")
    items: int | None
    address: str | None
    client: str | None


class PersonNamed(Shape):
    """Whom an export is about."""

    ref: str = Field(description="the reference that stands for them in events")
    kind: Literal["person", "employee"]
    id: str | None = Field(description="as departments send it; null once erased")
    erased: bool


class PersonEvent(Shape):
    """An event that names the person, its texts readable."""

    position: int
    type: str
    relation: str
    relation_name: str | None
    occurred_at: datetime
    recorded_at: datetime
    department: str
    visibility: str
    as_: list[str] = Field(alias="as", description="JSON pointers of the fields that name them")
    data: dict[str, Any]


class AccountHeld(Shape):
    """An account of the person, to sign in with."""

    name: str
    roles: list[str]
    teams: list[str]
    department: str | None
    created_at: datetime
    disabled_at: datetime | None


class KeptEvent(Shape):
    """An event beside the book."""

    state: Literal["parked", "rejected"]
    department: str
    type: str | None
    at: datetime
    sent: str = Field(description="as it was sent")


class HoldPlaced(Shape):
    """Why they may not be erased."""

    hold_id: int
    ref: str
    reason: str
    placed_at: datetime
    released_at: datetime | None


class MailSent(Shape):
    for_on: date
    state: str
    sent_at: datetime | None


class SessionHeld(Shape):
    """Where they are signed in; `profile` is what a provider elsewhere said of them."""

    began_at: datetime
    seen_at: datetime
    account: str | None
    profile: dict[str, Any] | None


class PersonExport(Shape):
    """Everything that is held about a person (AVG, article 15)."""

    person: PersonNamed
    known_at: datetime
    position: int = Field(description="up to which the book was looked through")
    events: list[PersonEvent]
    read_models: dict[str, dict[str, list[dict[str, Any]]]] = Field(description="rows with their reference, by table")
    kept: list[KeptEvent] = Field(description="parked and rejected events that name them")
    seen: list[AccessRecord] = Field(description="who was shown them, the newest first")
    accounts: list[AccountHeld] = Field(description="of theirs in this book; none once erased")
    sessions: list[SessionHeld] = Field(description="of theirs, those that are open; none once erased")
    looked: list[AccessRecord] = Field(description="what was done with those accounts, the newest first")
    holds: list[HoldPlaced]
    mails: list[MailSent]
