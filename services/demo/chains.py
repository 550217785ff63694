"""A care chain with a hospital: phases, partners, one phase without guarantor, money in two pockets, savings."""

from __future__ import annotations

from typing import Any, Final

from services.demo.coalition import US
from services.demo.registers import Relation
from services.demo.story import Story
from services.demo.structure import Account

_ZORGVERKOOP: Final = "zorgverkoop"
_FINANCE: Final = "finance"
_CHAIN: Final = "beroertezorg"
_PHASES: Final = (
    ("acuut", "Acute opname"), ("revalidatie", "Revalidatie"), ("thuis", "Terug naar huis"),
    ("leven", "Leven met gevolgen"),
)  # fmt: skip
# The phase for which nobody warrants that it goes on.
_UNSURE: Final = "leven"


def tell_chain(story: Story, accounts: list[Account]) -> None:
    """The chain under the first hospital of tier A, with an insurer, a care office and a municipality."""
    hospital, insurer, office, town = (
        next(a.relation for a in accounts if a.relation.kind == kind and a.tier == "A")
        for kind in ("care_partner", "health_insurer", "care_office", "municipality")
    )
    _set_up(story, hospital, {
        "acuut": (hospital, "zvw"), "revalidatie": (None, "wlz"), "thuis": (town, "wmo"), "leven": (None, "wmo"),
    })  # fmt: skip
    _money(story, hospital, insurer, office)
    _savings(story, hospital, insurer)


def _name(relation: Relation | None) -> str:
    return US if relation is None else relation.subject


def _tell(story: Story, department: str, event: str, hospital: Relation, ago: int, **data: Any) -> None:
    on = story.day(ago)
    about = {"chain": _CHAIN, **data, "occurred_on": on.isoformat()}
    story.tell(department, f"chain.{event}.v1", hospital, about, on)


def _set_up(story: Story, hospital: Relation, partners: dict[str, tuple[Relation | None, str]]) -> None:
    phases = [{"phase": phase, "name": name} for phase, name in _PHASES]
    _tell(story, _ZORGVERKOOP, "defined", hospital, 350, name="Beroertezorg", phases=phases)
    for phase, (partner, system) in partners.items():
        who = _name(partner)
        _tell(story, _ZORGVERKOOP, "partner_assigned", hospital, 348, phase=phase, organisation=who,
              financing_system=system)  # fmt: skip
        if phase != _UNSURE:
            _tell(story, _ZORGVERKOOP, "phase_guaranteed", hospital, 340, phase=phase, organisation=who,
                  until=story.day(-500).isoformat())  # fmt: skip
    before = _name(partners["thuis"][0])
    _tell(story, _ZORGVERKOOP, "partner_replaced", hospital, 120, phase="thuis", organisation=before, by=US,
          financing_system="wlz")  # fmt: skip
    _tell(story, _ZORGVERKOOP, "phase_guaranteed", hospital, 119, phase="thuis", organisation=US)


def _money(story: Story, hospital: Relation, insurer: Relation, office: Relation) -> None:
    """We and the hospital invest, the insurer and the care office gain: the wrong pocket."""
    year = story.today.year - 1
    for event, who, system, cents, period in (
        ("investment_recorded", US, "wlz", 18_000_000, f"{year}-H2"),
        ("investment_recorded", US, "wlz", 24_000_000, f"{year + 1}-H1"),
        ("investment_recorded", hospital.subject, "zvw", 9_500_000, f"{year + 1}-H1"),
        ("return_recorded", insurer.subject, "zvw", 47_000_000, f"{year + 1}-H1"),
        ("return_recorded", office.subject, "wlz", 12_500_000, f"{year + 1}-H1"),
        ("return_recorded", US, "wlz", 4_000_000, f"{year + 1}-H1"),
    ):
        _tell(story, _FINANCE, event, hospital, 60, organisation=who, financing_system=system, cents=cents,
              period=period)  # fmt: skip


def _savings(story: Story, hospital: Relation, insurer: Relation) -> None:
    """A saving that was divided by the key, and a later one where quality was not met, so that nothing is."""
    year = story.today.year - 1
    shares = {US: 50, insurer.subject: 30, hospital.subject: 20}
    _tell(story, _ZORGVERKOOP, "baseline_agreed", hospital, 345, indicator="kosten-per-jaar", cents=410_000_000,
          period=str(year), parties=list(shares))  # fmt: skip
    _tell(story, _ZORGVERKOOP, "sharing_key_agreed", hospital, 344,
          shares=[{"organisation": who, "share_pct": part} for who, part in shares.items()])  # fmt: skip
    saving = 26_000_000
    _tell(story, _FINANCE, "savings_assessed", hospital, 58, assessment="b-1", period=f"{year + 1}-H1",
          saving_cents=saving, quality_met=True)  # fmt: skip
    _tell(story, _FINANCE, "savings_distributed", hospital, 40, assessment="b-1",
          amounts=[{"organisation": who, "cents": saving * part // 100} for who, part in shares.items()])  # fmt: skip
    _tell(story, _FINANCE, "savings_assessed", hospital, 12, assessment="b-2", period=f"{year + 1}-Q3",
          saving_cents=7_400_000, quality_met=False)  # fmt: skip
