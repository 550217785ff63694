"""Merges, ends, policies and calendars: however the events are cut into batches, the rows of the alerts are the same,
every open alert is under the survivor, none is open for a relation that ended, and no transition is sent under an id
that was used before."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from events.recorded import ORGANISATION, Recorded
from projections.alert_line import open_of
from projections.contact_alerts import PROJECTION
from projections.kin import Kin
from projections.rows import fold
from tests.alert_trial import RELATION, Trial
from tests.property.test_rows_split import fold_in_batches

RELATIONS = (RELATION, str(UUID(int=2)), str(UUID(int=3)))
PAIR = {"our_layer": "board", "their_layer": "board"}

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("line"), st.integers(0, 2), st.sampled_from(["P1M", "P3M"])),
        st.tuples(st.just("end"), st.integers(0, 2), st.just("")),
        st.tuples(st.just("held"), st.integers(0, 2), st.integers(0, 60)),
        st.tuples(st.just("tier"), st.integers(0, 2), st.sampled_from("AB")),
        st.tuples(st.just("merge"), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("unmerge"), st.integers(0, 2), st.just("")),
        st.tuples(st.just("policy"), st.integers(0, 40), st.sampled_from(["P1M", "P2M", ""])),
        st.tuples(st.just("calendar"), st.integers(0, 60), st.just("")),
        st.tuples(st.just("over"), st.integers(0, 2), st.integers(-20, 20)),
        st.tuples(st.just("go on"), st.integers(0, 2), st.just("")),
        st.tuples(st.just("wait"), st.sampled_from([1, 5, 30, 90]), st.just("")),
    ),
    min_size=3,
    max_size=22,
)


class Story:
    """Plays steps into a trial, leaving out what the book would refuse."""

    def __init__(self) -> None:
        self.trial = Trial()
        self.today = date(2026, 1, 5)
        self.parents: dict[str, str] = {}
        self.lines: set[str] = set()
        self.ends: dict[str, Recorded] = {}
        self.count = 0
        for relation in RELATIONS:
            self.tell("relation.registered", {"name": relation[-1]}, relation)

    def tell(self, kind: str, data: dict[str, Any], relation: str, absorbed: str | None = None) -> None:
        self.count += 1
        data = {"occurred_on": str(self.today), **data}
        self.trial.record(kind, data, on=str(self.today), relation=relation, absorbed=absorbed)

    def play(self, what: str, n: int, how: Any) -> None:
        relation = RELATIONS[n % 3]
        match what:
            case "line":
                self.lines.add(relation)
                cadence = {"mode": "rolling", "every": how}
                more = {"starts_on": "2026-01-01", "grace_working_days": 2, "owner": "ref~1", "line": "l-1"}
                self.tell("schedule.line_set", {**PAIR, **more, "cadence": cadence}, relation)
            case "end" if relation in self.lines:
                self.tell("schedule.line_ended", {"line": "l-1"}, relation)
            case "held":
                on = self.today - timedelta(days=how)
                who = {"ours": [{"layer": "board"}], "theirs": [{"layer": "board"}], "channel": "meeting"}
                at = f"{on}T09:00:00+01:00"
                contact = {"contact": f"c-{self.count}", "occurred_at": at, "duration_min": 30, **who}
                self.tell("contact.held", contact, relation)
            case "tier":
                self.tell("relation.tier_assigned", {"tier": how}, relation)
            case "merge":
                self.merge(RELATIONS[int(how)], relation)
            case "unmerge" if relation in self.parents:
                survivor = self.parents.pop(relation)
                self.tell("relation.unmerged", {"survivor": survivor, "absorbed": relation}, survivor, relation)
            case "over" if relation not in self.ends:
                self.tell("relation.ended", {"occurred_on": str(self.today + timedelta(days=how))}, relation)
                self.ends[relation] = self.trial.log[-1]
            case "go on" if relation in self.ends:
                self.count += 1
                self.trial.withdraw(self.ends.pop(relation), str(self.today))
            case "policy":
                lines = [{**PAIR, "cadence": {"mode": "rolling", "every": how}, "grace_working_days": 1}] if how else []
                on = str(self.today + timedelta(days=n - 20))
                policy = {"tier": "A", "policy_version": self.count, "lines": lines, "effective_on": on}
                self.tell("schedule.policy_set", policy, ORGANISATION)
            case "calendar":
                closed = [str(self.today + timedelta(days=n))]
                self.tell("schedule.working_calendar_set", {"closed_on": closed, "open_on": []}, ORGANISATION)
            case "wait":
                self.today += timedelta(days=n)
            case _:
                return
        self.trial.tick(str(self.today))

    def merge(self, survivor: str, absorbed: str) -> None:
        kin = Kin(self.parents)
        if absorbed in self.parents or kin.root(survivor) == absorbed or survivor == absorbed:
            return
        self.parents[absorbed] = survivor
        self.tell("relation.merged", {"survivor": survivor, "absorbed": absorbed}, survivor, absorbed)


@example([("tier", 0, "A"), ("policy", 0, "P1M"), ("wait", 90, ""), ("tier", 0, "B")], [1])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_merges_policies_and_calendars(steps: list[tuple[str, int, Any]], sizes: list[int]) -> None:
    story = Story()
    for what, n, how in steps:
        story.play(what, n, how)
    log = story.trial.log

    whole = fold(PROJECTION, log)
    assert story.trial.rows.tables == whole.tables
    stored = asyncio.run(fold_in_batches(PROJECTION, log, sizes, 20, 1))
    assert stored.tables == whole.tables

    kin = Kin(story.parents)
    for (relation, _), row in whole.tables["line"].items():
        opened = open_of(row)
        root = kin.root(relation)
        over = root in story.ends and story.ends[root].data["occurred_on"] <= str(story.today)
        assert opened is None or (opened["relation"] == root and not over)
    ids = [event.id for event in log]
    assert len(ids) == len(set(ids))
    for row in whole.tables["alert"].values():
        survivor = kin.root(row["relation"])
        assert row["state"] == "resolved" or row["relation"] == survivor
