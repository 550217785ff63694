"""Alerts over time against worked cases, tests/cases/alerts.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from events.recorded import ORGANISATION, Recorded, local_date
from projections.alert_line import open_of
from projections.alert_rule import Transition, evidence_of
from projections.schedule_line import Due, Line, Pause, Qualifying, Quota
from tests.alert_trial import RELATION, Trial, at
from tests.unit.test_due import CASES as DUE_CASES

ABSORBED = str(UUID(int=2))
SIDE = [{"layer": "board"}]
CASES: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent.parent / "cases" / "alerts.toml").read_text(encoding="utf-8")
)["case"]


class Story:
    """Tells a case's steps to a trial."""

    def __init__(self, tier: str | None) -> None:
        self.trial, self.ends = Trial(), list[Recorded]()
        self.trial.record("relation.registered", {"name": "R", "occurred_on": "2026-01-01"}, on="2026-01-02")
        if tier is not None:
            self.tier("2026-01-06", tier)

    def step(self, when: str, what: str, *said: Any) -> list[str] | None:
        if what == "tick":
            return [_named(t) for t in self.trial.tick(when)]
        getattr(self, what)(when, *said)
        return None

    def line(self, when: str, terms: dict[str, Any]) -> None:
        cadence = {"mode": "rolling", "every": terms.get("every", "P3M")}
        if "times" in terms:
            cadence = {"mode": "quota", "times": terms["times"], "per": terms["per"]}
        data = {
            "line": "l-1", "our_layer": "board", "their_layer": "board", "cadence": cadence, "owner": "ref~e12",
            "starts_on": terms.get("starts_on", "2026-01-01"), "grace_working_days": terms.get("grace", 5),
            "occurred_on": when, **({"their_person": terms["their_person"]} if "their_person" in terms else {}),
        }  # fmt: skip
        self.trial.record("schedule.line_set", data, on=when, relation=_relation(terms.get("of")))

    def held(self, when: str, contact: str, of: str | None = None) -> None:
        self.told(when, contact, when, of)

    def told(self, when: str, contact: str, day: str, of: str | None = None) -> None:
        data = {
            "contact": contact, "occurred_at": f"{day}T08:00:00+01:00", "duration_min": 60, "channel": "meeting",
            "activity": "conversation", "topics": [], "ours": SIDE, "theirs": SIDE,
        }  # fmt: skip
        self.trial.record("contact.held", data, on=when, relation=_relation(of))

    def planned(self, when: str, contact: str, starts_at: str, ends_at: str) -> None:
        self.trial.planned(contact, starts_at, ends_at, on=when)

    def cancelled(self, when: str, contact: str) -> None:
        self.trial.record("contact.cancelled", {"contact": contact, "occurred_at": when}, on=when)

    def corrected(self, when: str, contact: str, day: str) -> None:
        self.trial.corrected(contact, when, occurred_at=f"{day}T08:00:00+01:00")

    def retracted(self, when: str, contact: str) -> None:
        self.trial.retracted(contact, when)

    def paused(self, when: str, until: str) -> None:
        self.trial.paused(when, until, on=when)

    def ended(self, when: str) -> None:
        self.trial.ended(when)

    def relation_ended(self, when: str, day: str | None = None, of: str | None = None) -> None:
        data = {"occurred_on": day or when}
        position = self.trial.record("relation.ended", data, on=when, relation=_relation(of))
        self.ends.append(self.trial.log[position - 1])

    def withdrawn(self, when: str) -> None:
        """The last end of a relation is taken back."""
        self.trial.withdraw(self.ends.pop(), when)

    def snoozed(self, when: str, until: str) -> None:
        opened = next(a for row in self.trial.rows.tables["line"].values() if (a := open_of(row)) is not None)
        said = {"alert": opened["alert"], "until": until, "occurred_at": f"{when}T09:00:00+02:00"}
        self.trial.record("alert.snoozed", said, on=when, relation=opened["relation"])

    def departed(self, when: str, person: str) -> None:
        self.trial.record("counterpart.departed", {"person": person, "occurred_on": when}, on=when)

    def tier(self, when: str, tier: str) -> None:
        self.trial.record("relation.tier_assigned", {"tier": tier, "occurred_on": when}, on=when)

    def merged(self, when: str, verb: str = "merged") -> None:
        data = {"survivor": RELATION, "absorbed": ABSORBED, "occurred_on": when}
        self.trial.record(f"relation.{verb}", data, on=when, absorbed=ABSORBED)

    def unmerged(self, when: str) -> None:
        self.merged(when, "unmerged")

    def policy(self, when: str, said: dict[str, Any]) -> None:
        asked = {
            "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": said["every"]},
            "grace_working_days": 5,
        }  # fmt: skip
        data = {
            "tier": "A", "policy_version": said["version"], "lines": [asked], "effective_on": said["effective_on"],
            "occurred_on": when,
        }  # fmt: skip
        self.trial.record("schedule.policy_set", data, on=when, relation=ORGANISATION)

    def closed(self, when: str, *days: str) -> None:
        data: dict[str, Any] = {"closed_on": list(days), "open_on": [], "occurred_on": when}
        self.trial.record("schedule.working_calendar_set", data, on=when, relation=ORGANISATION)


def _relation(of: str | None) -> str:
    return ABSORBED if of == "absorbed" else RELATION


def _named(transition: Transition) -> str:
    data = transition.data
    told = next((str(data[n]) for n in ("level", "reason", "due_on") if data.get(n)), "")
    words = [transition.kind.removeprefix("alert."), told, "silent" if data.get("silent") else ""]
    return " ".join(word for word in words if word)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_worked_case(case: dict[str, Any]) -> None:
    story = Story(case.get("tier"))
    steps: Sequence[Sequence[Any]] = case["story"]
    for when, what, *said in steps:
        found = story.step(when, what, *said)
        assert found is None or found == said[0], f"on {when}"


def test_there_are_enough_cases_and_they_are_told_in_order() -> None:
    assert len(CASES) + len(DUE_CASES) >= 80
    assert len({case["name"] for case in CASES}) == len(CASES)
    for case in CASES:
        days = [local_date(at(step[0])) for step in case["story"]]
        assert case["why"]
        assert days == sorted(days), case["name"]


def test_where_there_are_too_many_causes_contacts_go_and_no_pause() -> None:
    """A contact restricts nothing; what else an alert does not name would no longer decide who sees it."""
    year = date(2026, 1, 1), date(2026, 12, 31)
    line = Line(
        "l-1", "board", "board", Quota(40, "year"), None, year[0], 5, pauses=(Pause(year[0], date(2026, 1, 9)),)
    )
    contacts = [Qualifying(date(2026, 3, 1), n) for n in range(10, 40)]
    row = {"positions": {"set": 1, "pauses": [3]}, "cause_position": 39}
    due = Due(year[0], date(2026, 12, 17), year[1], date(2027, 1, 1))
    assert evidence_of(row, line, contacts, due) == [1, 3, *range(23, 40)]
