"""Family `chain`: phases of the patient's journey over organisations and financing systems, and who pays and gains."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

from pydantic import Field, ValidationInfo, field_validator

from events.contracts.party import Parties, same_party, twice
from events.fields import (
    CalendarPeriod,
    Cents,
    Closed,
    Day,
    FinancingSystem,
    Flag,
    Ident,
    Maybe,
    Name,
    OccurredOn,
    Party,
    Payload,
    Percentage,
    told,
)
from events.values import refuse

_OFFICE = "the chain coordinator"
_FINANCE = "the financial administration of the organisation"

Chain = Annotated[Ident, told("Id of the chain, unique within the relation", origin=_OFFICE)]
PhaseId = Annotated[Ident, told("Id of the phase, one of the chain's", origin=_OFFICE)]
Organisation = Annotated[Party, told("The organisation: 'us' or a relation", origin=_OFFICE)]
System = Annotated[FinancingSystem, told("The law or scheme that pays", origin=_FINANCE)]
Period = Annotated[CalendarPeriod, told("The year, half year, quarter or month", origin=_FINANCE)]
Assessment = Annotated[Ident, told("Id of the assessment, unique within the relation", origin=_OFFICE)]


class Phase(Closed):
    """One step of the patient's journey."""

    phase: Annotated[Ident, told("Id of the phase, unique within the chain", origin=_OFFICE)]
    name: Annotated[Name, told("What the phase is called", origin=_OFFICE)]


class Defined(Payload):
    """A chain is set up, with its phases in order."""

    chain: Chain
    name: Annotated[Name, told("What the chain is called", origin=_OFFICE)]
    phases: Annotated[
        tuple[Phase, ...], Field(min_length=1, max_length=20), told("Its phases, in order, each once", origin=_OFFICE)
    ]
    occurred_on: OccurredOn

    @field_validator("phases")
    @classmethod
    def _each_once(cls, phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
        if len({p.phase for p in phases}) < len(phases):
            raise refuse("A phase stands in the list twice; name each once.")
        return phases


class PartnerAssigned(Payload):
    """An organisation takes part in a phase, paid out of one financing system."""

    chain: Chain
    phase: PhaseId
    organisation: Organisation
    financing_system: System
    occurred_on: OccurredOn


class PartnerReplaced(Payload):
    """Another organisation takes over in a phase."""

    chain: Chain
    phase: PhaseId
    organisation: Annotated[Party, told("The organisation that stops: 'us' or a relation", origin=_OFFICE)]
    by: Annotated[Party, told("The organisation that takes over: 'us' or a relation", origin=_OFFICE)]
    financing_system: Annotated[FinancingSystem, told("The law or scheme that pays the new one", origin=_FINANCE)]
    occurred_on: OccurredOn

    @field_validator("by")
    @classmethod
    def _another(cls, by: str, info: ValidationInfo) -> str:
        before = info.data.get("organisation")
        if isinstance(before, str) and same_party(before) == same_party(by):
            raise refuse("An organisation cannot be replaced by itself; name the one that takes over.")
        return by


class PhaseGuaranteed(Payload):
    """An organisation warrants that the phase goes on."""

    chain: Chain
    phase: PhaseId
    organisation: Organisation
    until: Annotated[
        Maybe[Day], told("Last day of the guarantee; open-ended when left out", origin="the guarantee")
    ] = None
    occurred_on: OccurredOn


class InvestmentRecorded(Payload):
    """An organisation put money into the chain."""

    chain: Chain
    organisation: Organisation
    financing_system: System
    cents: Annotated[Cents, told("What it put in", unit="euro cents", origin=_FINANCE)]
    period: Period
    occurred_on: OccurredOn


class ReturnRecorded(Payload):
    """The chain brought an organisation money, or spared it."""

    chain: Chain
    organisation: Organisation
    financing_system: System
    cents: Annotated[Cents, told("What it gained", unit="euro cents", origin=_FINANCE)]
    period: Period
    occurred_on: OccurredOn


class BaselineAgreed(Payload):
    """The parties agree what the chain costs without the change: savings are held against it."""

    chain: Chain
    indicator: Annotated[Ident, told("Id of the cost that is held against it", origin=_OFFICE)]
    cents: Annotated[Cents, told("The cost in the period", unit="euro cents", origin=_FINANCE)]
    period: Period
    parties: Annotated[Parties, told("Who agreed: 'us' and relations, each once", origin=_OFFICE)]
    occurred_on: OccurredOn


class SavingsAssessed(Payload):
    """What a chain saved in a period, and whether quality held."""

    chain: Chain
    assessment: Assessment
    period: Period
    saving_cents: Annotated[Cents, told("What was saved", unit="euro cents", origin=_FINANCE)]
    quality_met: Annotated[
        Flag, told("Whether the quality agreed was met; without it nothing is shared", origin=_OFFICE)
    ]
    occurred_on: OccurredOn


class Share(Closed):
    """The part of the savings that one organisation gets."""

    organisation: Organisation
    share_pct: Annotated[Percentage, told("Its part of the savings", unit="percent", origin="the sharing key")]


class SharingKeyAgreed(Payload):
    """How savings are divided from now on. The shares sum to 100 percent."""

    chain: Chain
    shares: Annotated[
        tuple[Share, ...],
        Field(min_length=2, max_length=40),
        told("Who gets which part; together 100 percent, each organisation once", origin="the sharing key"),
    ]
    occurred_on: OccurredOn

    @field_validator("shares")
    @classmethod
    def _whole(cls, shares: tuple[Share, ...]) -> tuple[Share, ...]:
        if twice(s.organisation for s in shares):
            raise refuse("An organisation stands in the key twice; name each once.")
        # as written, in decimals: 33.33 + 33.33 + 33.34 is 100, though not in binary fractions
        total = sum((Decimal(repr(s.share_pct)) for s in shares), Decimal(0))
        if total != 100:
            raise refuse(f"The shares sum to {total.normalize():f} percent; let them sum to 100.")
        return shares


class Gain(Closed):
    """What one organisation gets of a saving."""

    organisation: Organisation
    cents: Annotated[Cents, told("What it gets", unit="euro cents", origin=_FINANCE)]


class SavingsDistributed(Payload):
    """A saving is divided. The amounts sum to the saving that was assessed; without quality nothing is shared."""

    chain: Chain
    assessment: Assessment
    amounts: Annotated[
        tuple[Gain, ...],
        Field(min_length=1, max_length=40),
        told("Who gets what, each organisation once; together the saving", origin="the sharing key"),
    ]
    occurred_on: OccurredOn

    @field_validator("amounts")
    @classmethod
    def _each_once(cls, amounts: tuple[Gain, ...]) -> tuple[Gain, ...]:
        if twice(a.organisation for a in amounts):
            raise refuse("An organisation stands in the distribution twice; add its amounts up.")
        return amounts


MODELS: Final[dict[str, type[Payload]]] = {
    "defined.v1": Defined,
    "partner_assigned.v1": PartnerAssigned,
    "partner_replaced.v1": PartnerReplaced,
    "phase_guaranteed.v1": PhaseGuaranteed,
    "investment_recorded.v1": InvestmentRecorded,
    "return_recorded.v1": ReturnRecorded,
    "baseline_agreed.v1": BaselineAgreed,
    "savings_assessed.v1": SavingsAssessed,
    "sharing_key_agreed.v1": SharingKeyAgreed,
    "savings_distributed.v1": SavingsDistributed,
}
