"""What is about the institution itself: policies per tier, closed days, profiles of our people, staff and rounds."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from services.demo.institution import LAYERS, TEAMS, members
from services.demo.story import Story

_ZORGVERKOOP: Final = "zorgverkoop"
_KWALITEIT: Final = "kwaliteit"
_PROFILES: Final = ("klantenbinder", "relatiemanager", "marktontwikkelaar", "innovator")
_STAGES: Final = ("professionals", "tactical", "awareness")
_POLICY: Final[dict[str, tuple[tuple[str, dict[str, Any], int], ...]]] = {
    "A": (
        ("board", {"mode": "rolling", "every": "P6M"}, 10),
        ("senior_management", {"mode": "rolling", "every": "P3M"}, 5),
        ("tactical_management", {"mode": "rolling", "every": "P2M"}, 5),
        ("professional", {"mode": "quota", "times": 2, "per": "quarter"}, 5),
    ),
    "B": (
        ("tactical_management", {"mode": "rolling", "every": "P4M"}, 5),
        ("professional", {"mode": "quota", "times": 1, "per": "half_year"}, 5),
    ),
}  # fmt: skip


def tell_policies(story: Story, on: date) -> None:
    """What relations of each tier are owed, and the days on which the institution is closed."""
    for tier, lines in _POLICY.items():
        story.tell(_ZORGVERKOOP, "schedule.policy_set.v1", None, {
            "tier": tier, "policy_version": 1, "escalation_working_days": [5, 10] if tier == "A" else [10],
            "lines": [
                {"our_layer": layer, "their_layer": layer, "cadence": cadence, "grace_working_days": grace}
                for layer, cadence, grace in lines
            ],
            "effective_on": on.isoformat(), "occurred_on": on.isoformat(),
        }, on)  # fmt: skip
    years = (story.today.year - 1, story.today.year, story.today.year + 1)
    story.tell(_ZORGVERKOOP, "schedule.working_calendar_set.v1", None, {
        "closed_on": [date(y, 12, d).isoformat() for y in years for d in (24, 31)], "open_on": [],
        "occurred_on": on.isoformat(),
    }, on)  # fmt: skip


def tell_people(story: Story, on: date) -> None:
    """A commercial profile for everybody who speaks with relations."""
    told: set[str] = set()
    for n, team in enumerate(TEAMS):
        for layer, who in zip(LAYERS, members(team), strict=True):
            if who in told:
                continue
            told.add(who)
            k = n + LAYERS.index(layer)
            story.tell(_ZORGVERKOOP, "contributor.profiled.v1", None, {
                "employee": who, "profile": _PROFILES[k % len(_PROFILES)], "stage": _STAGES[k % len(_STAGES)],
                "occurred_on": on.isoformat(),
            }, on)  # fmt: skip


def quarter_before(on: date) -> str:
    """The quarter that was over on that day."""
    quarter = (on.month + 2) // 3 - 1
    return f"{on.year}-Q{quarter}" if quarter else f"{on.year - 1}-Q4"


def tell_reports(story: Story, nps: str) -> None:
    """Staff figures of three units in four quarters, and the end of a survey's round."""
    for n, unit in enumerate(("Wijkteams", "Verblijf", "Behandeling")):
        for quarter in range(1, 5):
            on = story.workday(380 - 90 * quarter)
            story.tell(_KWALITEIT, "satisfaction.staff_reported.v1", None, {
                "period": quarter_before(on), "unit": unit, "n": 80 + 35 * n,
                "score": round(6.9 + 0.2 * n + 0.1 * quarter, 1), "retention_pct": 86 + 2 * n,
                "occurred_on": on.isoformat(),
            }, on)  # fmt: skip
    closed = story.workday(40)
    story.tell(_KWALITEIT, "satisfaction.round_closed.v1", None, {
        "round": f"{nps}-najaar", "instrument": nps, "wording_version": 1, "invited": 640,
        "occurred_on": closed.isoformat(),
    }, closed)  # fmt: skip
