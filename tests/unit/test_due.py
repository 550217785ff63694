"""The due rules against worked cases, tests/cases/due.toml."""

from __future__ import annotations

import tomllib
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest

from events.recorded import AMSTERDAM
from projections.due import Line, Meeting, Pause, Qualifying, Quota, Rolling, evaluate, qualifies
from projections.periods import add_period, period_of, times_a_year
from projections.working_calendar import WorkingCalendar

CASES: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent.parent / "cases" / "due.toml").read_text(encoding="utf-8")
)["case"]


def _line(case: dict[str, Any]) -> Line:
    cadence = Rolling(case["every"]) if "every" in case else Quota(case["times"], case["per"])
    channels = case.get("channels")
    return Line(
        line="l-1", our_layer="board", their_layer="board", cadence=cadence,
        channels=None if channels is None else frozenset(channels), starts_on=case["starts_on"],
        grace_working_days=case.get("grace", 5), ended_on=case.get("ended_on"),
        pauses=tuple(Pause(*p) for p in case.get("pauses", ())), vacant_on=case.get("vacant_on"),
    )  # fmt: skip


def _meeting(starts_at: str, ends_at: str, channel: str = "meeting", layer: str = "board") -> Meeting:
    pairs = frozenset({(layer, layer)})
    return Meeting("c", datetime.fromisoformat(starts_at), datetime.fromisoformat(ends_at), channel, pairs)


def _now(today: str) -> datetime:
    if len(today) > 10:
        return datetime.fromisoformat(today)
    return datetime.combine(date.fromisoformat(today), time(12), AMSTERDAM)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_worked_case(case: dict[str, Any]) -> None:
    state = evaluate(
        _line(case),
        [Qualifying(on, n) for n, on in enumerate(case.get("contacts", ()), 1)],
        [_meeting(*m) for m in case.get("meetings", ())],
        _now(case["today"]),
        WorkingCalendar(good_friday_free=case.get("good_friday_free", False)),
        escalated=case.get("escalated", False),
        snoozed_until=case.get("snoozed_until"),
    )

    found = {name: getattr(state, name) for name in case["expect"]}
    assert found == case["expect"]
    assert state.overdue_on == case["expect"].get("overdue_on")
    assert state.remaining == case["expect"].get("remaining")


def test_there_are_enough_cases_and_none_twice() -> None:
    assert len(CASES) >= 40
    assert len({case["name"] for case in CASES}) == len(CASES)
    assert all(case["why"] for case in CASES)


def test_a_contact_counts_when_both_layers_meet_over_an_accepted_channel() -> None:
    line = Line("l", "board", "professional", Rolling("P1M"), frozenset({"meeting", "video"}), date(2026, 1, 1), 0)
    anywhere = Line("l", "board", "professional", Rolling("P1M"), None, date(2026, 1, 1), 0)

    assert qualifies(line, [("board", "board"), ("board", "professional")], "video")
    assert not qualifies(line, [("professional", "board")], "video")
    assert not qualifies(line, [("board", "professional")], "email")
    assert qualifies(anywhere, [("board", "professional")], "email")


def test_a_pause_without_end_lasts_and_moves_due_on_day_by_day() -> None:
    pauses = (Pause(date(2026, 3, 2), None),)
    line = Line("l", "board", "board", Rolling("P3M"), None, date(2026, 1, 1), 5, pauses=pauses)
    contacts = [Qualifying(date(2026, 2, 3), 1)]
    calendar = WorkingCalendar()

    first = evaluate(line, contacts, [], _now("2026-03-02"), calendar)
    much_later = evaluate(line, contacts, [], _now("2027-03-02"), calendar)

    assert (first.state, first.due_on) == ("paused", date(2026, 5, 5))
    assert (much_later.state, much_later.working_days_overdue) == ("paused", 0)


@pytest.mark.parametrize("text", ["P", "PT1H", "3M", "P1.5M", "-P1M", "P1M2Y", ""])
def test_what_is_no_period(text: str) -> None:
    with pytest.raises(ValueError, match="period"):
        add_period(date(2026, 1, 31), text)


@pytest.mark.parametrize(
    ("period", "times"), [("P1M", 12), ("P3M", 4), ("P1Y", 1), ("P1Y6M", 0.67), ("P2W", 26.07), ("P30D", 12.17)]
)
def test_how_often_a_period_goes_into_a_year(period: str, times: float) -> None:
    assert times_a_year(period) == times


def test_calendar_periods() -> None:
    on = date(2028, 2, 29)
    assert period_of("month", on) == (date(2028, 2, 1), date(2028, 2, 29))
    assert period_of("quarter", on) == (date(2028, 1, 1), date(2028, 3, 31))
    assert period_of("half_year", on) == (date(2028, 1, 1), date(2028, 6, 30))
    assert period_of("half_year", date(2028, 7, 1)) == (date(2028, 7, 1), date(2028, 12, 31))
    assert period_of("year", on) == (date(2028, 1, 1), date(2028, 12, 31))
