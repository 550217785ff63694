"""What holds within one event of the families of issue 3: the cases on the line, taken and refused.

The corpus of malformed events has the plain mistakes; here stand the borders.
"""

from __future__ import annotations

from typing import Any

import pytest

from events.catalog import check
from events.contracts.agreement import Renewed, Signed, year_after
from events.contracts.schedule import PolicySet, WorkingCalendarSet
from events.errors import Invalid
from tests.samples import golden, with_attributes, with_data

UUID = "3f2a1b6c-5a4d-4c3d-8e9f-0a1b2c3d4e5f"


def _problems(event: Any, **how: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        check(event, **how)
    return {e.pointer: e.detail for e in refused.value.errors}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("agreement.signed", {"until": "2027-01-02"}),  # a year and a day
        ("agreement.signed", {"from": "2024-02-29", "until": "2025-03-01"}),
        ("agreement.signed", {"type": "contract", "until": "2026-01-02"}),
        ("agreement.signed", {"parties": [f"kvk:{n:08}" for n in range(40)]}),
        ("agreement.signed", {"frame": [{"year": 2026, "cents": 1, "certainty": c} for c in ("firm", "possible")]}),
        ("agreement.signed", {"frame": []}),
        ("chain.sharing_key_agreed", {"shares": [{"organisation": o, "share_pct": p} for o, p in
                                                 (("us", 33.33), (UUID, 33.33), ("kvk:27184233", 33.34))]}),
        ("chain.sharing_key_agreed", {"shares": [{"organisation": o, "share_pct": p} for o, p in
                                                 (("us", 0.1), (UUID, 0.2), ("kvk:27184233", 99.7))]}),
        ("chain.savings_assessed", {"saving_cents": 0}),
        ("chain.investment_recorded", {"cents": 10_000_000_000_000}),
        ("chain.phase_guaranteed", {"organisation": UUID}),
        ("satisfaction.complaints_reported", {"count": 0, "resolved": 0}),
        ("satisfaction.outcome_reported", {"indicator": "falls", "value": 3}),
        ("satisfaction.outcome_reported", {"indicator": "falls", "value": 3.0}),
        ("satisfaction.outcome_reported", {"indicator": "length_of_stay", "value": 5.25}),
        ("satisfaction.staff_reported", {"period": "2026"}),
        ("satisfaction.staff_reported", {"period": "2026-H2", "score": -20}),
        ("satisfaction.staff_reported", {"period": "2026-Q4"}),
        ("satisfaction.staff_reported", {"period": "2026-12"}),
        ("schedule.policy_set", {"lines": []}),
        ("schedule.policy_set", {"escalation_working_days": [1, 2, 260]}),
        ("schedule.policy_set", {"effective_on": "2025-01-01"}),
        ("contact.declared_same", {"contacts": [f"c-{n}" for n in range(20)], "canonical": "c-19"}),
        ("plan.drafted", {"horizon_on": "2026-01-06"}),
        ("programme.started", {"ends_on": "2026-02-02", "indicators": []}),
        ("programme.progress_reported", {"actual": -3.5, "target": -10, "baseline": 0}),
        ("knowledge.position_measured", {"share_pct": 0, "revenue_cents": 0}),
        ("knowledge.position_measured", {"share_pct": 100}),
        ("relation.merged", {"survivor": UUID.upper(), "absorbed": "gemeentecode:0518"}),
        ("person.erased", {"person": "p-81"}),
        ("loop.opened", {"owner": "e-12"}),
        ("loop.closed", {"evidence": []}),
    ],
)  # fmt: skip
def test_on_the_right_side_of_the_line(kind: str, changes: dict[str, Any]) -> None:
    assert check(with_data(kind, **changes))


@pytest.mark.parametrize(
    ("kind", "changes", "pointer", "words"),
    [
        ("agreement.signed", {"until": "2027-01-01"}, "until", "more than a year"),
        ("agreement.signed", {"from": "2024-02-29", "until": "2025-02-28"}, "until", "more than a year"),
        ("agreement.signed", {"parties": ["us", UUID, UUID.upper()]}, "parties", "twice"),
        ("agreement.signed", {"parties": [f"kvk:{n:08}" for n in range(41)]}, "parties", "at most 40"),
        ("agreement.signed", {"parties": ["us"]}, "parties", "at least 2"),
        ("chain.sharing_key_agreed",
         {"shares": [{"organisation": o, "share_pct": 33.33} for o in ("us", UUID, "kvk:27184233")]},
         "shares", "sum to 99.99 percent"),
        ("chain.partner_replaced", {"organisation": UUID, "by": UUID.upper()}, "by", "by itself"),
        ("chain.investment_recorded", {"cents": 10_000_000_000_001}, "cents", "at most"),
        ("relation.merged", {"survivor": UUID.upper(), "absorbed": UUID}, "absorbed", "itself"),
        ("satisfaction.outcome_reported", {"indicator": "falls", "value": 2.5}, "value", "whole number"),
        ("schedule.policy_set", {"escalation_working_days": [5, 5]}, "escalation_working_days", "ascend"),
        ("contact.declared_same", {"canonical": "c-9"}, "canonical", "not in the list"),
        ("plan.drafted", {"horizon_on": "2026-01-05"}, "horizon_on", "looks back"),
        ("alert.raised", {"about": "agreement:zk-2026"}, "about", "not both"),
    ],
)  # fmt: skip
def test_on_the_wrong_side_of_the_line(kind: str, changes: dict[str, Any], pointer: str, words: str) -> None:
    problems = _problems(with_data(kind, **changes))
    assert list(problems) == [f"/data/{pointer}"]
    assert words in problems[f"/data/{pointer}"]


@pytest.mark.parametrize(
    ("day", "later"), [("2026-01-01", "2027-01-01"), ("2024-02-29", "2025-02-28"), ("2023-02-28", "2024-02-28")]
)
def test_a_year_after(day: str, later: str) -> None:
    signed = check(with_data("agreement.signed", **{"from": day, "until": "2099-01-01"})).payload
    assert isinstance(signed, Signed)
    assert year_after(signed.from_).isoformat() == later


@pytest.mark.parametrize("given", ["name", "kind", "region", "parent"])
def test_one_change_of_a_relation_is_enough(given: str) -> None:
    others = {"name", "kind", "region", "parent"} - {given}
    assert check(with_data("relation.details_changed", *others))


@pytest.mark.parametrize("given", ["name", "function", "layer", "decision_role"])
def test_one_change_of_a_counterpart_is_enough(given: str) -> None:
    others = {"name", "function", "layer", "decision_role"} - {given}
    assert check(with_data("counterpart.moved", *others))


def test_a_relation_never_becomes_a_client() -> None:
    for kind in ("relation.registered", "relation.details_changed"):
        with pytest.raises(Invalid) as refused:
            check(with_data(kind, kind="patient"))
        assert refused.value.code == "patient_data"


def test_an_alert_is_about_a_line_or_about_something_else() -> None:
    assert check(with_data("alert.raised", "line", "policy_version", about="agreement:zk-2026"))
    assert check(with_data("alert.raised", "line", about="a" * 120))
    problems = _problems(with_data("alert.raised", "line"))
    assert "about" in problems["/data/line"]


def test_escalation_steps_are_five_and_ten_days_when_left_out() -> None:
    policy = check(with_data("schedule.policy_set", "escalation_working_days")).payload
    assert isinstance(policy, PolicySet)
    assert policy.escalation_working_days == (5, 10)


def test_the_tier_of_a_policy_is_one_of_the_institution() -> None:
    event = with_data("schedule.policy_set", tier="C")
    assert list(_problems(event)) == ["/data/tier"]
    assert check(event, tiers=frozenset({"A", "B", "C"}))


def test_a_working_calendar_may_be_emptied() -> None:
    calendar = check(with_data("schedule.working_calendar_set", "year", "closed_on", "open_on")).payload
    assert isinstance(calendar, WorkingCalendarSet)
    assert (calendar.closed_on, calendar.open_on) == ((), ())
    assert check(with_data("schedule.working_calendar_set", "year", closed_on=["2026-12-24", "2027-12-24"]))


def test_a_renewal_without_a_frame_leaves_the_frame() -> None:
    renewed = check(with_data("agreement.renewed", "frame")).payload
    assert isinstance(renewed, Renewed)
    assert renewed.frame is None


@pytest.mark.parametrize("subject", ["organisation", "gemeentecode:0518", UUID])
def test_a_withdrawal_has_the_subject_of_what_it_withdraws(subject: str) -> None:
    assert check(with_attributes("correction.withdrawn", subject=subject)).subject == subject


@pytest.mark.parametrize(("kind", "field"), [("loop.opened", "owner"), ("person.erased", "person")])
def test_the_book_may_send_back_its_own_token(kind: str, field: str) -> None:
    assert golden(kind)["data"][field].startswith("ref~")
    assert check(golden(kind))
    other = "response" if kind == "loop.opened" else "occurred_on"
    assert f"/data/{other}" in _problems(with_data(kind, **{other: "ref~" + "0" * 32}))
