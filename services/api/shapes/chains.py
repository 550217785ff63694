"""Chains and who invests and gains in them."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from services.api.shapes.building_blocks import Evidence, Party, Shape


class Named(Shape):
    organisation: str = Field(description="`us`, a UUID, or the name as given where the book knows none")
    organisation_name: str | None


class Partner(Named):
    financing_system: str | None
    since_on: date | None
    evidence: Evidence


class LeftPartner(Named):
    replaced_by: str | None
    left_on: date | None
    evidence: Evidence


class Guarantor(Named):
    given_on: date
    until: date | None
    replaced_on: date | None
    holds: bool
    evidence: Evidence


class Phase(Shape):
    phase: str
    name: str | None
    partners: list[Partner]
    left: list[LeftPartner]
    guarantors: list[Guarantor]
    without_guarantor: bool


class Money(Shape):
    invested_cents: int
    returned_cents: int
    shared_cents: int


class PeriodMoney(Money):
    period: str


class Cell(Named, Money):
    financing_system: str | None
    net_cents: int = Field(description="returned + shared - invested")
    role: Literal["gains", "invests", "even"]
    periods: list[PeriodMoney]
    evidence: Evidence


class ChainMoney(Money):
    """What came of it in one chain."""

    relation: str
    relation_name: str
    chain: str
    chain_name: str
    share_pct: float | None = Field(description="by which key savings are shared there")
    net_cents: int


class Pocket(Cell):
    chains: list[ChainMoney]


class Baseline(Shape):
    indicator: str
    period: str
    cents: int | None
    parties: list[Party]
    agreed_on: date
    evidence: Evidence


class Share(Named):
    share_pct: float


class SharedAmount(Named):
    cents: int


class Saving(Shape):
    assessment: str
    period: str
    saving_cents: int
    quality_met: bool
    assessed_on: date
    amounts: list[SharedAmount]
    distributed_on: date | None
    evidence: Evidence


class Chain(Shape):
    chain: str
    name: str
    defined_on: date | None
    phases: list[Phase]
    matrix: list[Cell]
    baseline: list[Baseline]
    sharing_key: list[Share]
    sharing_key_on: date | None
    savings: list[Saving]
    evidence: Evidence


class RelationChains(Shape):
    relation: str
    relation_name: str
    tier: str | None
    chains: list[Chain]
    absorbed: list[str]
    position: int
