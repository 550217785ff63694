"""Municipalities that really merged: registered as they were, absorbed on the day on which they went on in another."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from services.demo.institution import TEAMS, employee
from services.demo.registers import Merger, Relation, mergers, relations
from services.demo.story import Story

_ZORGVERKOOP: Final = "zorgverkoop"
_KNOWN_SINCE: Final = date(2019, 3, 1)
# Two of the new municipalities are looked after, by these teams; so their old halves are too.
_TEAM_OF: Final = {"gm1979": "wmo-noordoost", "gm1992": "wmo-west"}
_STILL_OLD: Final = "gm0457"


def known_since(relation: Relation) -> date | None:
    """When the institution came to know a municipality that is part of a merger: as it was then; None for others."""
    new = [m.on for m in mergers() if m.survivor == relation.key]
    if relation.key in _TEAM_OF:
        return min(new)  # it did not exist before
    return _KNOWN_SINCE if new else None


def tell_former(story: Story) -> None:
    """The former municipalities themselves, and what was agreed with some of them."""
    for merger in mergers():
        on = _KNOWN_SINCE.isoformat()
        story.tell(
            _ZORGVERKOOP, "relation.registered.v1", merger.absorbed, merger.absorbed.data | {"occurred_on": on},
            _KNOWN_SINCE,
        )  # fmt: skip
    survivors = {r.key: r for r in relations() if r.key in _TEAM_OF}
    for key, relation in survivors.items():
        team = next(t for t in TEAMS if t.team == _TEAM_OF[key])
        for one in (relation, *(m.absorbed for m in mergers() if m.survivor == key)):
            assigned = known_since(one) or _KNOWN_SINCE
            day = assigned.isoformat()
            story.tell(
                _ZORGVERKOOP, "team.relation_assigned.v1", one, {"team": team.team, "occurred_on": day}, assigned
            )
        _tell_tier(story, relation, known_since(relation) or _KNOWN_SINCE)
        _tell_lines(story, key, relation, employee(team, "tactical_management"))


def _tell_tier(story: Story, relation: Relation, on: date) -> None:
    story.tell(_ZORGVERKOOP, "relation.tier_assigned.v1", relation, {
        "tier": "B",
        "arguments": [{"criterion": "strategic_fit", "evidence": "nieuwe gemeente, inkoop begint opnieuw"}],
        "occurred_on": on.isoformat(),
    }, on)  # fmt: skip


def _tell_lines(story: Story, key: str, relation: Relation, owner: str) -> None:
    """The new municipality has a line, and under the old code of another there still is one between the same layers: a
    person has to say which of the two holds."""
    old = next(m.absorbed for m in mergers() if m.survivor == key)
    for one, line, every, on in (
        (relation, "l-3", "P4M", story.day(100)), (old, "oud-1", "P6M", story.day(170)),
    ):  # fmt: skip
        data: dict[str, Any] = {
            "line": line, "our_layer": "tactical_management", "their_layer": "tactical_management",
            "cadence": {"mode": "rolling", "every": every}, "starts_on": on.isoformat(), "grace_working_days": 5,
            "owner": owner, "occurred_on": on.isoformat(),
        }  # fmt: skip
        story.tell(_ZORGVERKOOP, "schedule.line_set.v1", one, data, on)


def tell_mergers(story: Story) -> None:
    """Talks with the old municipalities, the mergers, and one who still uses an old code."""
    for merger in mergers():
        if merger.on >= story.today - timedelta(days=30):
            continue  # the book's clock stands before it
        before = merger.on - timedelta(days=120)
        survivor = next(r for r in relations() if r.key == merger.survivor)
        _held(story, merger, story.moment(before - timedelta(days=max(0, before.weekday() - 4))))
        story.tell(_ZORGVERKOOP, "relation.merged.v1", survivor, {
            "survivor": survivor.identifier, "absorbed": merger.absorbed.identifier,
            "reason": "Gemeentelijke herindeling", "occurred_on": merger.on.isoformat(),
        }, merger.on)  # fmt: skip
        if merger.absorbed.key == _STILL_OLD:
            _held(story, merger, story.moment(story.workday(24)), "communicatie")
        elif merger.survivor in _TEAM_OF:
            _held(story, merger, story.moment(story.workday(40 + int(merger.absorbed.value) % 30)), "communicatie")


def _held(story: Story, merger: Merger, at: Any, department: str = _ZORGVERKOOP) -> None:
    late = department != _ZORGVERKOOP
    number = story.number(f"merger contact {merger.absorbed.key}")
    story.tell(department, "contact.held.v1", merger.absorbed, {
        "contact": f"{department[:2]}-h{number}", "occurred_at": at.isoformat(), "duration_min": 20 if late else 60,
        "channel": "email" if late else "meeting", "activity": "conversation",
        "topics": ["herindeling", "wmo"], "ours": [{"layer": "professional" if late else "tactical_management"}],
        "theirs": [{"layer": "professional" if late else "tactical_management"}],
        "summary": "Nog met de oude gemeente in de adreslijst." if late else "Gesproken over de komende herindeling.",
    }, at)  # fmt: skip
