"""One relation: its view, schedule, matrix, attention, timeline and history."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from services.api.shapes.agreements import Agreement
from services.api.shapes.building_blocks import Cadence, Evidence, LayerPair, Shape, StateOfLine
from services.api.shapes.plans import Plan
from services.api.shapes.satisfaction import Figures, SatisfactionLoop


class Identifier(Shape):
    scheme: str
    value: str
    department: str | None = Field(None, description="whose scheme it is, of a local one")


class LayerPairContacts(LayerPair):
    contacts: int
    last_at: datetime | None


class ScheduleLine(LayerPair):
    line: str = Field(description="`policy:…`: asked for by the policy of the tier")
    cadence: Cadence
    channels: list[str] | None = Field(description="null: any")
    state: StateOfLine
    anchor_on: date | None
    due_on: date | None
    last_ok_on: date | None = Field(description="last day in time, grace included")
    overdue_on: date | None
    working_days_overdue: int
    remaining: int | None = Field(description="of a quota: contacts still to come in this period")
    last_contact_on: date | None
    contacts: int = Field(description="that qualify")
    owner: str | None
    conflict: bool = Field(description="after a merge another line for these layers stands: a person decides")


class TierArgument(Shape):
    criterion: str
    evidence: str


class PlannedContact(Shape):
    contact: str
    starts_at: datetime
    ends_at: datetime | None
    channel: str | None
    layer_pairs: list[LayerPair]


class OpenAlert(Shape):
    id: str
    rule: str
    about: str | None
    line: str | None
    due_on: date | None
    overdue_on: date | None
    raised_on: date | None
    level: int
    acknowledged: bool
    snoozed_until: date | None


class KnowledgeItem(Shape):
    item: str
    present: bool
    stale: bool = Field(description="past `valid_until`")
    recorded_on: date | None
    valid_until: date | None
    text: str | None


class Knowledge(Shape):
    complete: int
    of: int
    stale: int
    items: list[KnowledgeItem]


class PositionMeasured(Shape):
    year: int
    revenue_cents: int | None
    share_pct: float | None = Field(description="which part of the relation's spending that is")
    measured_on: date
    evidence: Evidence


class OpenCommitment(Shape):
    commitment: str
    by: Literal["us", "them"]
    what: str | None
    due_on: date | None
    late: bool


class MatrixPair(LayerPair):
    required: bool
    lines: list[str]
    contacts_12m: int
    minutes_12m: int
    vacant: bool
    covered: bool | None = Field(description="null: nothing is asked for")


class PolicyPair(LayerPair):
    cadence: Cadence
    covered: bool


class CoveragePolicy(Shape):
    """What the tier's policy of today asks for."""

    tier: str
    policy_version: int
    effective_on: date
    pairs: list[PolicyPair]
    evidence: Evidence


class LinkCounts(Shape):
    none: int
    thin: int
    adequate: int
    strong: int


class Link(Shape):
    """How good the contact of one of us with one of them is, as it was assessed."""

    ours: str
    theirs: str
    coverage: Literal["none", "thin", "adequate", "strong"]
    basis: str | None
    assessed_on: date
    evidence: Evidence


class Coverage(Shape):
    required: int = Field(description="pairs of layers that are asked for")
    covered: int = Field(description="of those: with contact in twelve months")
    vacant: int
    share: float | None = Field(description="null: nothing is asked for")
    policy: CoveragePolicy | None
    link_counts: LinkCounts
    links: list[Link]


class Counterpart(Shape):
    person: str
    name: str | None
    function: str | None
    layer: str | None
    decision_role: str | None


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
    open_alerts: list[OpenAlert]
    teams: list[str]


class Relation(RelationSummary):
    absorbed: list[str] = Field(description="the relations that merges made part of this one, sorted")
    parent: str | None = Field(description="the relation that it is a part of")
    tier_arguments: list[TierArgument] | None
    tier_review_on: date | None
    tier_on: date | None = Field(description="since when it has its tier")
    owner: str | None
    ended_on: date | None
    end_reason: str | None
    contacts_by_channel: dict[str, int]
    last_contact_by_channel: dict[str, datetime]
    contacts_by_layer_pair: list[LayerPairContacts]
    schedule: list[ScheduleLine]
    next_due_on: date | None
    planned: list[PlannedContact]
    satisfaction: list[Figures]
    open_loops: list[SatisfactionLoop]
    plan: Plan
    knowledge: Knowledge
    position_measured: list[PositionMeasured] = Field(description="the last year first")
    commitments: list[OpenCommitment]
    agreements: list[Agreement]
    matrix: list[MatrixPair]
    coverage: Coverage
    counterparts: list[Counterpart]
    position: int = Field(description="how far the read model is")


class RequiredLine(Shape):
    line: str
    cadence: Cadence
    channels: list[str] | None
    state: StateOfLine
    due_on: date | None
    overdue_on: date | None
    last_contact_on: date | None
    owner: str | None


class MatrixCell(LayerPair):
    state: Literal["covered", "late", "gap", "extra"]
    required: list[RequiredLine]
    contacts_12m: int
    minutes_12m: int
    last_at: datetime | None


class LayerPeople(Shape):
    layer: str
    people: list[Counterpart]


class RelationMatrix(Shape):
    """Who has contact with whom, layer by layer."""

    relation: str
    relation_name: str
    tier: str | None
    since: date = Field(description="after this day")
    layers: list[str]
    cells: list[MatrixCell] = Field(description="pairs of layers with a line or contact")
    gaps: list[MatrixCell] = Field(description="the cells that are a gap")
    counterparts: list[LayerPeople]
    position: int


class Cost(Shape):
    contacts: int
    minutes: int


class KindCost(Cost):
    kind: str


class ChannelCost(Cost):
    channel: str


class RelationKindCost(Cost):
    relation_kind: str | None


class LayerCost(Cost):
    layer: str


class Spent(Cost):
    """What contact cost in twelve months."""

    tier: str | None
    since: date = Field(description="after this day")
    until: date
    position: int = Field(description="the sums hold every event of the book up to this one")
    by_kind: list[KindCost]
    by_channel: list[ChannelCost]
    by_relation_kind: list[RelationKindCost]
    by_layer: list[LayerCost] = Field(description="ours; a contact of two layers counts for both")


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
    detail: dict[str, Any] | None = Field(description="the event's own data, as its type in the AsyncAPI document")
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
    data: dict[str, Any] | None = Field(description="as its type in the AsyncAPI document")


class Difference(Shape):
    pointer: str = Field(description="a JSON pointer; an object in a list stands under what identifies it")
    before: Any
    after: Any
