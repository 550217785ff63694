"""Dutch working days: which days are free, and counting over them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from projections.working_calendar import WorkingCalendar, public_holidays

CALENDAR = WorkingCalendar()


@pytest.mark.parametrize(
    ("year", "free"),
    [
        (
            2026,  # Easter 5 April; Koningsdag on a Monday; no lustrum
            ["01-01", "04-05", "04-06", "04-27", "05-14", "05-24", "05-25", "12-25", "12-26"],
        ),
        (
            2025,  # Easter 20 April; 27 April is a Sunday, so Koningsdag is the 26th; lustrum
            ["01-01", "04-20", "04-21", "04-26", "05-05", "05-29", "06-08", "06-09", "12-25", "12-26"],
        ),
        (
            2027,  # Easter 28 March
            ["01-01", "03-28", "03-29", "04-27", "05-06", "05-16", "05-17", "12-25", "12-26"],
        ),
        (
            2030,  # Easter 21 April; lustrum
            ["01-01", "04-21", "04-22", "04-27", "05-05", "05-30", "06-09", "06-10", "12-25", "12-26"],
        ),
    ],
)
def test_the_public_holidays_of_a_year(year: int, free: list[str]) -> None:
    assert sorted(public_holidays(year)) == [date.fromisoformat(f"{year}-{day}") for day in free]


@pytest.mark.parametrize("good_friday", [date(2025, 4, 18), date(2026, 4, 3), date(2027, 3, 26)])
def test_good_friday_is_a_working_day_unless_configured(good_friday: date) -> None:
    assert CALENDAR.is_working_day(good_friday)
    assert not WorkingCalendar(good_friday_free=True).is_working_day(good_friday)


def test_weekends_are_free() -> None:
    assert [CALENDAR.is_working_day(date(2026, 2, day)) for day in range(2, 9)] == [True] * 5 + [False] * 2


def test_next_working_day_is_the_day_itself_or_the_first_after() -> None:
    assert CALENDAR.next_working_day(date(2026, 4, 3)) == date(2026, 4, 3)
    assert CALENDAR.next_working_day(date(2026, 4, 4)) == date(2026, 4, 7)
    assert CALENDAR.next_working_day(date(2026, 12, 25)) == date(2026, 12, 28)


@pytest.mark.parametrize(
    ("on", "days", "wanted"),
    [
        ("2026-05-04", 5, "2026-05-11"),
        ("2026-05-03", 1, "2026-05-04"),
        ("2026-05-03", 0, "2026-05-03"),
        ("2026-05-04", 61, "2026-07-30"),
        ("2026-12-31", 1, "2027-01-04"),
        ("2026-06-30", -10, "2026-06-16"),
        ("2026-05-31", -1, "2026-05-29"),
        ("2027-01-04", -1, "2026-12-31"),
    ],
)
def test_adding_working_days(on: str, days: int, wanted: str) -> None:
    assert CALENDAR.add_working_days(date.fromisoformat(on), days) == date.fromisoformat(wanted)


def test_working_days_in_a_pause() -> None:
    # SPEC section 5: paused from 1 March to 1 June 2026 is 61 working days.
    assert CALENDAR.working_days_between(date(2026, 2, 28), date(2026, 5, 31)) == 61
    assert CALENDAR.working_days_between(date(2026, 5, 31), date(2026, 2, 28)) == 0


def test_counting_and_adding_agree_with_looking_at_each_day() -> None:
    start = date(2024, 12, 20)
    days = [start + timedelta(days=n) for n in range(1, 800)]
    working = [day for day in days if CALENDAR.is_working_day(day)]
    for n, day in enumerate(working, 1):
        assert CALENDAR.add_working_days(start, n) == day
        assert CALENDAR.working_days_between(start, day) == n


def test_the_end_of_the_calendar_is_an_error_not_a_loop() -> None:
    with pytest.raises(OverflowError):
        CALENDAR.add_working_days(date(9999, 12, 30), 10)
