"""A coalition with an insurer and its five programmes, and agreements that run on, were renewed, end soon, or ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from services.demo.registers import Relation
from services.demo.story import Story
from services.demo.structure import Account

_ZORGVERKOOP: Final = "zorgverkoop"
_COALITION: Final = "coalitie-langer-thuis"
US: Final = "us"


@dataclass(frozen=True, slots=True)
class Programme:
    """One programme: its indicator, and (days ago, actual, judgement) of each report."""

    programme: str
    name: str
    indicator: str
    unit: str
    baseline: float
    target: float
    reports: tuple[tuple[int, float, str], ...]
    decision: tuple[int, str] | None = None


_PROGRAMMES: Final = (
    Programme("p1-ziekenhuis-thuis", "Ziekenhuiszorg thuis", "ligdagen", "dagen per jaar", 5200, 3900,
              ((190, 5000, "amber"), (100, 4600, "green"), (15, 4300, "green"))),
    Programme("p2-valpreventie", "Valpreventie in de wijk", "valincidenten", "per jaar", 640, 480,
              ((190, 630, "amber"), (100, 655, "red"), (18, 660, "red"))),
    Programme("p3-wachttijd", "Samen de wachttijd in", "wachttijd", "dagen", 42, 21,
              ((190, 40, "amber"), (100, 44, "red"), (16, 41, "red")),
              (9, "Eén aanmeldpunt voor de regio, met vaste overleguren van drie wijkteams")),
    Programme("p4-nazorg", "Nazorg na opname", "heropnames", "per jaar", 310, 240,
              ((190, 300, "green"), (100, 281, "green"), (20, 268, "green"))),
    Programme("p5-digitaal", "Digitaal overdragen", "aandeel-digitaal", "procent", 35, 90,
              ((260, 41, "green"), (230, 48, "amber"))),  # nobody has reported since: stale
)  # fmt: skip


def tell_coalition(story: Story, accounts: list[Account]) -> None:
    """The coalition under the first insurer with tier A, and agreements under other A relations."""
    insurer = _first(accounts, "health_insurer")
    parties = [US, insurer.subject, _first(accounts, "care_partner").subject, _first(accounts, "municipality").subject]
    begun, until = date(story.today.year - 1, 1, 1), date(story.today.year + 2, 12, 31)
    years = range(begun.year, until.year + 1)
    _sign(story, insurer, _COALITION, begun, until, {
        "type": "coalition", "name": "Coalitie Langer thuis", "parties": parties, "basis": "transformation",
        "frame": [
            {"year": y, "cents": 120_000_000 + 15_000_000 * n, "certainty": ("firm", "firm", "expected", "possible")[n]}
            for n, y in enumerate(years)
        ],
        "insured_share_pct": 62,
    })  # fmt: skip
    for programme in _PROGRAMMES:
        _tell_programme(story, insurer, programme, parties)
    _tell_agreements(story, accounts)


def _first(accounts: list[Account], kind: str) -> Relation:
    return next(a.relation for a in accounts if a.relation.kind == kind and a.tier == "A")


def _sign(story: Story, relation: Relation, agreement: str, begun: date, until: date, more: dict[str, Any]) -> None:
    # Signed some time before it holds, but not before the institution knew the relation.
    story.tell(_ZORGVERKOOP, "agreement.signed.v1", relation, {
        "agreement": agreement, **more, "from": begun.isoformat(), "until": until.isoformat(),
        "occurred_on": min(story.day(380), begun).isoformat(),
    }, story.day(380))  # fmt: skip


def _tell_programme(story: Story, insurer: Relation, programme: Programme, parties: list[str]) -> None:
    on = story.day(360)
    about: dict[str, Any] = {"programme": programme.programme}
    story.tell(_ZORGVERKOOP, "programme.started.v1", insurer, about | {
        "agreement": _COALITION, "name": programme.name, "starts_on": on.isoformat(),
        "ends_on": date(story.today.year + 2, 6, 30).isoformat(),
        "indicators": [{
            "indicator": programme.indicator, "baseline": programme.baseline, "target": programme.target,
            "unit": programme.unit,
        }],
        "occurred_on": on.isoformat(),
    }, on)  # fmt: skip
    for ago, actual, rag in programme.reports:
        reported = story.workday(ago)
        story.tell(_ZORGVERKOOP, "programme.progress_reported.v1", insurer, about | {
            "indicator": programme.indicator, "baseline": programme.baseline, "target": programme.target,
            "actual": actual, "rag": rag, "occurred_on": reported.isoformat(),
        }, reported)  # fmt: skip
    if programme.decision is not None:
        ago, decision = programme.decision
        taken = story.workday(ago)
        story.tell(_ZORGVERKOOP, "programme.steering_decision_taken.v1", insurer, about | {
            "decision": decision, "parties": parties[:2], "due_on": story.day(-30).isoformat(),
            "occurred_on": taken.isoformat(),
        }, taken)  # fmt: skip


def _tell_agreements(story: Story, accounts: list[Account]) -> None:
    """A contract a year with each municipality and care office of tier A; a few of them took another turn."""
    begun = date(story.today.year - 1, 1, 1)
    chosen = [a.relation for a in accounts if a.tier == "A" and a.relation.kind in {"municipality", "care_office"}]
    for number, relation in enumerate(chosen):
        agreement = f"contract-{begun.year}"
        until = story.day(-60 - 90 * (number % 5))
        _sign(story, relation, agreement, begun, until, {
            "type": "contract", "parties": [US, relation.subject], "basis": "volume_price",
            "frame": [{"year": story.today.year, "cents": 180_000_000 + 7_500_000 * number, "certainty": "firm"}],
        })  # fmt: skip
        if number % 4 == 1:
            on = story.workday(30)
            story.tell(_ZORGVERKOOP, "agreement.renewed.v1", relation, {
                "agreement": agreement, "until": date(until.year + 2, until.month, 1).isoformat(),
                "occurred_on": on.isoformat(),
            }, on)  # fmt: skip
        elif number == 3:
            on = story.workday(45)
            story.tell(_ZORGVERKOOP, "agreement.ended.v1", relation, {
                "agreement": agreement, "reason": "Overgegaan in de regionale afspraak", "occurred_on": on.isoformat(),
            }, on)  # fmt: skip
