"""What all rules share: ids, merges, and that a rule's thresholds are settings."""

from __future__ import annotations

from dataclasses import fields
from datetime import date

import pytest

from projections.rows import fold
from projections.transition import MAX_EVIDENCE
from projections.viewer import restriction
from projections.workflows.facts import HIDDEN, Entry, put_entry
from projections.workflows.projection import PROJECTION
from projections.workflows.rule import positions
from projections.workflows.rulebook import KEEPS, RULES
from projections.workflows.thresholds import Thresholds
from services.rules import thresholds_of
from services.settings import Settings
from tests.given import DELFT, Book
from tests.samples import golden
from tests.workflow_trial import OTHER, RELATION, Trial, told


def _made(trial: Trial, relation: str, commitment: str = "k-1") -> int:
    data = {"commitment": commitment, "by": "us", "due_on": "2026-04-01", "occurred_on": "2026-01-10"}
    return trial.record("commitment.made", data, on="2026-01-10", relation=relation)


def _merge(trial: Trial, kind: str, on: str) -> int:
    data = {"survivor": RELATION, "absorbed": OTHER, "occurred_on": on}
    return trial.record(f"relation.{kind}", data, on=on, absorbed=OTHER)


def test_every_threshold_is_a_setting_with_the_same_default() -> None:
    assert thresholds_of(Settings()) == Thresholds()
    assert {f.name for f in fields(Thresholds)} <= set(Settings.model_fields)


def test_every_rule_has_its_name_once_and_keeps_what_it_needs() -> None:
    assert len(RULES) == 10
    assert {"commitment.made", "chain.defined", "satisfaction.scored", "plan.approved"} <= set(KEEPS)


def test_the_same_facts_give_the_same_events() -> None:
    def told_once() -> list[str]:
        trial = Trial()
        _made(trial, RELATION)
        return [e.event_id for e in trial.tick("2026-04-02")]

    assert told_once() == told_once()


def test_a_fact_undone_and_redone_is_another_event() -> None:
    trial = Trial()
    _made(trial, RELATION)
    (raised,) = trial.tick("2026-04-02")
    agreed = {"plan": "2026", "action": "a-1", "owner": "ref~e2", "due_on": "2026-04-01"}
    trial.record("plan.action_agreed", agreed, on="2026-04-02")
    (second,) = trial.tick()
    assert raised.event_id != second.event_id


def test_merged_alerts_end_and_the_survivor_is_asked() -> None:
    trial = Trial()
    trial.register()
    trial.register("Gemeente Delft", relation=OTHER)
    _made(trial, RELATION)
    _made(trial, OTHER)
    trial.tick("2026-04-02")
    merge = _merge(trial, "merged", "2026-04-03")

    events = trial.tick()

    assert [(e.kind, e.relation) for e in events] == [("alert.raised", RELATION), ("alert.resolved", OTHER)]
    assert events[0].data["about"] == f"commitment:k-1@{OTHER[:8]}"
    assert (events[1].data["reason"], events[1].data["evidence"]) == ("merged", [merge])
    assert len(trial.open()) == 2
    assert trial.open(OTHER) == {}


def test_late_facts_of_the_absorbed_count_for_the_survivor_and_unmerging_restores() -> None:
    trial = Trial()
    trial.register()
    trial.register("Gemeente Delft", relation=OTHER)
    _made(trial, OTHER)
    _merge(trial, "merged", "2026-02-01")
    assert [(e.kind, e.relation) for e in trial.tick("2026-04-02")] == [("alert.raised", RELATION)]

    _merge(trial, "unmerged", "2026-04-03")
    assert sorted((e.kind, e.relation) for e in trial.tick()) == [("alert.raised", OTHER), ("alert.resolved", RELATION)]

    _merge(trial, "merged", "2026-04-04")
    assert sorted((e.kind, e.relation) for e in trial.tick()) == [
        ("alert.reopened", RELATION), ("alert.resolved", OTHER),
    ]  # fmt: skip
    ended = {"commitment": "k-1", "occurred_on": "2026-04-05"}
    trial.record("commitment.fulfilled", ended, on="2026-04-05", relation=OTHER)
    assert told(trial.tick()) == [("alert.resolved", "settled")]


def test_a_line_of_the_absorbed_is_a_line_of_the_survivor() -> None:
    trial = Trial()
    trial.register()
    trial.tier("A", on="2026-01-06")
    trial.register("Gemeente Delft", relation=OTHER)
    trial.line(on="2026-01-06", relation=OTHER)
    trial.tick("2026-01-21")
    assert "tier_without_schedule schedule" in trial.open()
    _merge(trial, "merged", "2026-01-22")
    assert told(trial.tick()) == [("alert.resolved", "settled")]


def test_a_loop_stays_with_the_relation_of_its_score() -> None:
    trial = Trial()
    trial.register()
    trial.register("Gemeente Delft", relation=OTHER)
    trial.instrument()
    trial.score("r-1", 3, on="2026-02-06", relation=OTHER)
    trial.tick()
    _merge(trial, "merged", "2026-02-09")
    assert trial.tick() == []
    trial.held("c-1", "2026-02-09", topics=("opvolging",))
    assert [(e.kind, e.relation) for e in trial.tick()] == [("loop.closed", OTHER)]


def test_of_many_facts_it_names_one_of_each_restriction() -> None:
    """What an event names decides who sees it: what is left out may not be what restricts it."""
    day = date(2026, 2, 3)

    def entry(position: int, hidden: int = 0) -> Entry:
        return Entry([], day, position, day, {HIDDEN: hidden} if hidden else {})

    few = [entry(1, 8), entry(2), entry(3)]
    assert positions(few) == [1, 2, 3]
    many = [entry(1, 8), entry(2, 8), entry(3, 16), *(entry(n) for n in range(4, 40)), entry(40, 32), entry(41)]
    assert positions(reversed(many)) == [2, 3, *range(24, 42)]
    assert len(positions(many)) == MAX_EVIDENCE


@pytest.mark.parametrize("kind", sorted(kind for kind in KEEPS if not kind.startswith("loop.")))
def test_every_fact_that_a_rule_keeps_has_its_restriction(kind: str) -> None:
    """Whatever is made of its payload: of more evidence than an event may name it says which is left out. What the book
    says of loops itself has no restriction of its own."""
    book = Book()
    event = book.tell(kind, golden(kind)["data"], visibility="department", absorbed=DELFT)
    stored = fold(PROJECTION, book.events).tables["fact"].values()
    kept = [entry[4] for row in stored for entry in row["entries"].values() if entry[2] == event.position]
    assert kept
    assert [data.get(HIDDEN) for data in kept] == [restriction(event)] * len(kept)


def test_a_fact_keeps_its_restriction_unless_it_is_a_contact() -> None:
    book = Book()
    scored = {"response": "r-1", "instrument": "nps", "score": 3, "anonymous": True, "occurred_on": "2026-02-03"}
    open_, closed = (book.tell("satisfaction.scored", scored, visibility=v) for v in ("organisation", "department"))
    contact = book.held("c-1", "2026-02-03T10:00:00+01:00", visibility="department")
    kept = [(put_entry({}, "x", event, ()) or {})["x"][4] for event in (open_, closed, contact)]
    assert kept == [{}, {HIDDEN: restriction(closed)}, {}]
