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
    conflict: bool = Field(False, description="after a merge another line for these layers stands: a person decides")


class Satisfaction(Shape):
    instrument: str
    wording_version: int
    n: int
    mean: float | None = Field(description="None where fewer than min_n answered")
    nps: float | None
    low_share: float | None
    bands: list[dict[str, Any]] | None = Field(None, description="how many answers in each band")
    trend: list[dict[str, Any]] = Field([], description="n, mean, nps and low_share of each quarter")
    direction: Literal["up", "down", "same"] | None = Field(None, description="the last quarter against the one before")


class Agreement(Shape):
    agreement: str
    type: Literal["contract", "covenant", "chain", "coalition"]
    name: str | None
    parties: list[Any]
    state: Literal["coming", "running", "expired", "ended"]
    from_: date = Field(alias="from")
    until: date
    ends_in_days: int | None
    basis: str
    frame: list[dict[str, Any]]
    insured_share_pct: float | None
    renewals: list[dict[str, Any]]
    ended_on: date | None
    evidence: list[int] = Field(description="positions")


class Programme(Shape):
    programme: str
    agreement: str | None
    name: str
    state: Literal["coming", "running", "past"]
    starts_on: date
    ends_on: date
    rag: Literal["red", "amber", "green"] | None
    reported_on: date | None
    stale: bool
    red_without_decision: bool
    indicators: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    evidence: list[int] = Field(description="positions")


class RelationAgreements(Shape):
    relation: str
    relation_name: str
    agreements: list[Agreement]
    programmes: list[Programme]
    position: int


class ProgrammeAnswer(Shape):
    relation: str
    relation_name: str
    tier: str | None
    programme: str | None = Field(description="null: a coalition without a programme")
    ends_on: date
    ends_in_days: int
    rag: Literal["red", "amber", "green"] | None
    coalition: Agreement | None = Field(description="the agreement that it is part of")
    evidence: list[int] = Field(description="positions")


class Cell(Shape):
    organisation: str = Field(description="`us`, a UUID, or the name as given where the book knows none")
    organisation_name: str | None
    financing_system: str | None
    invested_cents: int
    returned_cents: int
    shared_cents: int
    net_cents: int
    role: Literal["gains", "invests", "even"]
    periods: list[dict[str, Any]]
    evidence: list[int] = Field(description="positions")


class Pocket(Cell):
    chains: list[dict[str, Any]]


class Chain(Shape):
    chain: str
    name: str
    phases: list[dict[str, Any]]
    matrix: list[Cell]
    baseline: list[dict[str, Any]]
    sharing_key: list[dict[str, Any]]
    savings: list[dict[str, Any]]
    evidence: list[int] = Field(description="positions")


class RelationChains(Shape):
    relation: str
    relation_name: str
    chains: list[Chain]
    position: int


class Commitment(Shape):
    commitment: str
    by: Literal["us", "them"]
    what: str | None
    made_on: date
    due_on: date | None
    state: Literal["open", "fulfilled", "broken", "released"]
    ended_on: date | None
    late: bool
    days_late: int
    evidence: list[int] = Field(description="positions")


class Promise(Commitment):
    relation: str
    relation_name: str
    tier: str | None


class RelationPartnership(Shape):
    relation: str
    relation_name: str
    interests: list[dict[str, Any]]
    performances: list[dict[str, Any]]
    commitments: list[Commitment]
    position: int


class Opportunity(Shape):
    opportunity: str
    title: str
    state: Literal["announced", "offered", "won", "lost"]
    value_cents: int | None
    announced_on: date
    closes_on: date | None
    decided_on: date | None
    relation_then: dict[str, Any] | None = Field(description="the relation's state when it was won or lost")
    evidence: list[int] = Field(description="positions")


class Contributors(Shape):
    contributors: list[dict[str, Any]] = Field(description="people by commercial profile and stage")
    asked: list[dict[str, Any]] = Field(description="lines and contacts a year by tier and our layer")


class StaffSatisfaction(Shape):
    unit: str
    period: str
    n: int
    score: float | None = Field(description="None where fewer than five answered")
    retention_pct: float | None
    evidence: list[int] = Field(description="positions")


class Plan(Shape):
    plan: str | None
    answered: int
    actions_open: int
    actions_late: int
    approved_on: date | None
    age_days: int | None


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


class PlanConflict(Problem):
    """Someone else was first: what stands now, and by which event."""

    current: PlanQuestion | None = None
    conflicting: dict[str, Any] | None = None


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
    absorbed: list[str] = Field(description="the relations that merges made part of this one, sorted")
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
    policy_version: int | None = Field(None, description="of the contact policy that it keeps")
    relation: str
    recorded_under: str | None = Field(None, description="relation whose history has it, where that was absorbed since")
    line: str | None
    about: str | None = Field(None, description="what it is about where the relation has no line of its own for it")
    state: Literal["open", "resolved"]
    raised_at: datetime
    due_on: date
    overdue_on: date
    working_days_overdue: int
    owner: str | None
    level: int
    evidence: list[int] = Field(description="positions")
    silent_sources: list[str] = Field([], description="departments behind it of which nothing was heard for long")
    acknowledged_at: datetime | None = None
    snoozed_until: date | None = None
    snoozes: int = Field(0, description="how often it was put off")
    escalated_at: datetime | None = None
    resolved_at: datetime | None
    resolution: str | None


class Explanation(Shape):
    """Why an alert exists, and how fresh its sources are."""

    question: Literal[10]
    alert: Alert
    rule: dict[str, Any] = Field(description="name, version, policy_version")
    computation: dict[str, Any] | None = Field(description="how a line's days were counted; null: no line's alert")
    explanation: list[str] = Field(description="the same in Dutch words")
    explanation_en: list[str]
    evidence: list[dict[str, Any]] = Field(description="the events behind it, with their titles, by position")
    sources: list[dict[str, Any]] = Field(description="department, last_event_at, working_days_silent, silent")


class RelationMatrix(Shape):
    """Who has contact with whom, layer by layer."""

    relation: str
    relation_name: str
    tier: str | None
    since: date = Field(description="after this day")
    layers: list[str]
    cells: list[dict[str, Any]] = Field(description="pairs of layers with a line or contact; covered, late, gap, extra")
    gaps: list[dict[str, Any]] = Field(description="the cells that are a gap")
    counterparts: list[dict[str, Any]] = Field(description="layer, people")
    position: int


class Loop(Shape):
    id: str
    relation: str
    relation_name: str | None
    tier: str | None
    response: str
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
    evidence: list[int] = Field(description="positions")
    opened_at: datetime
    followed_up_at: datetime | None
    note: str | None
    closed_at: datetime | None
    reason: Literal["followed_up", "withdrawn", "manual"] | None
    closing_evidence: list[int] = Field(description="positions")


class Lack(Shape):
    what: Literal["schedule", "board_line", "plan", "knowledge", "satisfaction"]
    since: date | None = Field(description="first day without; null: there never was any")
    missing: list[str] = Field(description="items of knowledge that are not there, or the first to be out of date")
    evidence: list[int] = Field(description="positions")


class OverdueLine(Shape):
    relation: str
    relation_name: str
    recorded_under: str | None = Field(None, description="relation whose line it is, where that was absorbed since")
    tier: str | None
    line: str
    our_layer: str
    their_layer: str
    cadence: dict[str, Any]
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
    evidence: list[int] = Field(description="positions")


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
    cadence: dict[str, Any] | None
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


class IncompleteRelation(Shape):
    relation: str
    relation_name: str
    tier: str | None
    owner: str | None
    lacks: list[Lack]
    satisfaction_falling: dict[str, Any] | None = Field(description="instrument, since, before, after, evidence")


class Spent(Shape):
    """What contact cost in twelve months. Each part has its name, contacts, minutes."""

    tier: str | None
    since: date = Field(description="after this day")
    until: date
    position: int = Field(description="the sums hold every event of the book up to this one")
    contacts: int
    minutes: int
    by_kind: list[dict[str, Any]]
    by_channel: list[dict[str, Any]]
    by_relation_kind: list[dict[str, Any]]
    by_layer: list[dict[str, Any]] = Field(description="ours; a contact of two layers counts for both")


class Attention(Spent):
    """Of the relations of one tier."""

    relations: int


class RelationAttention(Spent):
    """Of one relation."""

    relation: str
    relation_name: str


class TimelineEntry(Shape):
    position: int
    relation: str
    relation_name: str | None
    survivor: str | None = Field(None, description="where the relation was absorbed: whose it is now")
    type: str
    department: str | None
    occurred_at: str = Field(description="date-time with offset; of a restricted contact the date only")
    recorded_at: datetime | None
    title: str
    detail: dict[str, Any] | None
    visibility: str
    corrects: int | None
    corrected_by: int | None
    retracted_by: int | None = Field(description="position of the retraction, or of the withdrawal of this very fact")
    same_as: int | None = Field(description="position of the contact that counts for this one, declared the same")


class HistoryEntry(Shape):
    position: int
    relation: str = Field(description="whose entry it is: of merged relations the one that it was recorded under")
    version: int
    type: str
    title: str
    occurred_at: str
    recorded_at: datetime | None
    department: str | None
    visibility: str
    retracted_by: int | None = Field(description="position of the withdrawal of this very entry")
    data: dict[str, Any] | None


class Difference(Shape):
    pointer: str = Field(description="a JSON pointer; an object in a list stands under what identifies it")
    before: Any
    after: Any


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


class Session(Shape):
    name: str
    everything: bool = Field(description="sees every relation, whatever its teams")
    roles: list[str]
    teams: list[str]
    department: str | None
    csrf: str | None = Field(description="goes as X-CSRF-Token with a change; null with a token instead of a cookie")


class Status(Shape):
    log: LogStatus
    projections: list[ProjectionStatus]
    intake: IntakeStatus
    departments: list[DepartmentStatus]
    healthy: bool


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


class PersonExport(Shape):
    """Everything that is held about a person (AVG, article 15)."""

    person: PersonNamed
    known_at: datetime
    position: int = Field(description="up to which the book was looked through")
    events: list[PersonEvent]
    read_models: dict[str, dict[str, list[dict[str, Any]]]] = Field(description="rows with their reference, by table")
    kept: list[dict[str, Any]] = Field(description="parked and rejected events that name them, as sent")
    seen: list[AccessRecord] = Field(description="who was shown them, the newest first")
    accounts: list[AccountHeld] = Field(description="of theirs in this book; none once erased")
    looked: list[AccessRecord] = Field(description="what was done with those accounts, the newest first")
    holds: list[dict[str, Any]]
    mails: list[dict[str, Any]]
