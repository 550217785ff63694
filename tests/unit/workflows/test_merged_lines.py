"""Rule merged_lines_conflict: after a merge, lines for the same layers at several of the relations that are one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.workflow_trial import OTHER, RELATION, Trial, told

THIRD = str(UUID(int=3))


def _merge(trial: Trial, on: str, kind: str = "merged", *, survivor: str = RELATION, absorbed: str = OTHER) -> int:
    # As departments may send it: by an identifier. The book adds which relation that is.
    data = {"survivor": survivor, "absorbed": "gemeentecode:0457", "occurred_on": on}
    return trial.record(f"relation.{kind}", data, on=max(on, "2026-01-20"), relation=survivor, absorbed=absorbed)


def _end(trial: Trial, line: str, on: str, relation: str) -> int:
    data: dict[str, Any] = {"line": line, "occurred_on": on}
    return trial.record("schedule.line_ended", data, on=on, relation=relation)


def _two() -> Trial:
    """Both have a line of the board; the survivor's tier asks for nothing else."""
    trial = Trial()
    for relation in (RELATION, OTHER, THIRD):
        trial.register(relation, relation=relation)
    trial.record("relation.owner_assigned", {"employee": "ref~e1"}, on="2026-01-05")
    trial.line("l-3", on="2026-01-06")
    trial.line("oud-1", on="2026-01-07", relation=OTHER)
    return trial


def test_asked_at_once_of_the_survivors_owner_and_settled_when_one_has_ended() -> None:
    trial = _two()
    assert trial.tick("2026-01-20") == []
    # The merge is of the first of January; the book learns of it on the twentieth: then there is something to ask.
    merge = _merge(trial, "2026-01-01")
    (raised,) = trial.tick()
    assert (raised.kind, raised.relation) == ("alert.raised", RELATION)
    assert raised.data["rule"] == "merged_lines_conflict"
    assert raised.data["about"] == "layers:board:board"
    assert (raised.data["due_on"], raised.data["overdue_on"], raised.data["silent"]) == (
        "2026-01-20", "2026-01-20", False,
    )  # fmt: skip
    assert (raised.data["owner"], raised.data["evidence"]) == ("ref~e1", [5, 6, merge])
    assert trial.tick("2026-01-26") == []
    assert told(trial.tick("2026-01-27")) == [("alert.escalated", "1")]
    _end(trial, "oud-1", "2026-01-28", OTHER)
    assert told(trial.tick()) == [("alert.resolved", "settled")]
    assert trial.tick("2026-03-01") == []


def test_settled_when_the_merge_is_undone() -> None:
    trial = _two()
    _merge(trial, "2026-01-20")
    trial.tick()
    assert list(trial.open()) == ["merged_lines_conflict layers:board:board"]
    _merge(trial, "2026-01-21", "unmerged")
    assert told(trial.tick()) == [("alert.resolved", "settled")]
    assert trial.tick("2026-03-01") == []
    _merge(trial, "2026-03-02")
    assert told(trial.tick()) == [("alert.raised", "layers:board:board")]


def test_a_line_that_comes_after_the_merge_conflicts_from_that_day() -> None:
    trial = _two()
    _end(trial, "oud-1", "2026-01-10", OTHER)
    _merge(trial, "2026-01-20")
    assert trial.tick() == []
    trial.line("oud-2", on="2026-02-02", relation=OTHER)
    (raised,) = trial.tick()
    assert (raised.data["about"], raised.data["due_on"]) == ("layers:board:board", "2026-02-02")


def test_other_layers_or_two_lines_of_one_relation_are_no_conflict() -> None:
    trial = _two()
    _end(trial, "oud-1", "2026-01-10", OTHER)
    trial.line("l-4", on="2026-01-11")
    trial.line("oud-2", on="2026-01-11", our_layer="professional", relation=OTHER)
    _merge(trial, "2026-01-20")
    assert trial.tick() == []


def test_a_survivor_that_is_absorbed_itself_hands_the_question_on() -> None:
    trial = _two()
    _merge(trial, "2026-01-20")
    trial.tick()
    _merge(trial, "2026-01-22", survivor=THIRD, absorbed=RELATION)
    events = sorted((e.kind, e.relation, e.data.get("reason")) for e in trial.tick())
    assert events == [("alert.raised", THIRD, None), ("alert.resolved", RELATION, "merged")]
    # Two absorbed relations conflict as well where the survivor has no line of its own.
    assert trial.open(THIRD) == {"merged_lines_conflict layers:board:board": "2026-01-22"}
    _end(trial, "l-3", "2026-01-23", RELATION)
    assert told(trial.tick()) == [("alert.resolved", "settled")]
