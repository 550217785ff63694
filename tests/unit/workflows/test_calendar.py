"""The workflows count working days as the institution has them: extra closed days, and holidays on which it works."""

from __future__ import annotations

from typing import Any

from events.recorded import ORGANISATION
from projections.rows import fold
from tests.workflow_trial import OTHER, RELATION, Trial, told


def _calendar(trial: Trial, *closed: str, on: str, opened: tuple[str, ...] = ()) -> int:
    data: dict[str, Any] = {"closed_on": list(closed), "open_on": list(opened), "occurred_on": on}
    return trial.record("schedule.working_calendar_set", data, on=on, relation=ORGANISATION)


def _two_a_relations() -> Trial:
    """Tier A since Tuesday 6 January, without a schedule: ten working days are over on the 20th."""
    trial = Trial(incomplete_grace_working_days=500)
    for relation in (RELATION, OTHER):
        trial.register(relation, relation=relation)
        trial.tier("A", on="2026-01-06", relation=relation)
    return trial


def test_closed_days_of_the_institution_are_no_working_days() -> None:
    trial = _two_a_relations()
    _calendar(trial, "2026-01-08", "2026-01-09", on="2026-01-07")
    assert trial.tick("2026-01-22") == []
    events = trial.tick("2026-01-23")
    assert [(e.relation, e.data["due_on"]) for e in events] == [(RELATION, "2026-01-22"), (OTHER, "2026-01-22")]
    # Escalation counts them too: five working days after the 23rd, of which the 26th is none.
    _calendar(trial, "2026-01-08", "2026-01-09", "2026-01-26", on="2026-01-24")
    assert trial.tick("2026-01-30") == []
    assert told(trial.tick("2026-02-02")) == [("alert.escalated", "1")] * 2


def test_a_change_moves_the_due_dates_of_all_relations_and_back_again() -> None:
    trial = _two_a_relations()
    trial.tick("2026-01-21")
    assert trial.open() == {"tier_without_schedule schedule": "2026-01-20"}
    names: set[str] = set()
    for closed, due_on, kind in (
        (("2026-01-08",), "2026-01-21", []),
        ((), "2026-01-20", ["alert.reopened"]),
        (("2026-01-08",), "2026-01-21", []),
        ((), "2026-01-20", ["alert.reopened"]),
    ):
        position = _calendar(trial, *closed, on="2026-01-21")
        events = trial.tick()
        for relation in (RELATION, OTHER):
            mine = [e for e in events if e.relation == relation]
            assert [e.kind for e in mine] == [*(["alert.resolved"] if closed else []), *kind], due_on
        resolved = [e.data for e in events if e.kind == "alert.resolved"]
        assert all((d["reason"], d["evidence"]) == ("recomputed", [position]) for d in resolved)
        assert not names & {e.event_id for e in events}
        names |= {e.event_id for e in events}


def test_the_rows_are_those_of_one_fold_of_everything() -> None:
    trial = _two_a_relations()
    _calendar(trial, "2026-01-08", on="2026-01-07")
    trial.tick("2026-01-22")
    _calendar(trial, "2026-01-12", on="2026-01-23", opened=("2026-04-06",))
    trial.tick()
    assert fold(trial.projection, trial.log).tables == trial.rows.tables


def test_a_calendar_that_is_withdrawn_counts_no_more() -> None:
    trial = _two_a_relations()
    _calendar(trial, "2026-01-08", on="2026-01-07")
    event = trial.log[-1]
    withdrawn = trial.record(
        "correction.withdrawn", {"source": event.source, "id": event.id}, on="2026-01-08", relation=ORGANISATION
    )
    told_of = [e for e in trial.log if e.position != withdrawn]
    rows = fold(trial.projection, told_of)
    trial.projection.evolve_withdrawn(rows, event, trial.log[-1])
    assert rows.get("pending", "all", "calendar") is not None
