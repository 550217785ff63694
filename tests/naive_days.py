"""Working days and periods, counted day by day."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Collection, Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

from events.recorded import Recorded
from tests.naive import counting

DAY: Final = timedelta(days=1)
_EASTER: Final = {
    2023: date(2023, 4, 9), 2024: date(2024, 3, 31), 2025: date(2025, 4, 20), 2026: date(2026, 4, 5),
    2027: date(2027, 3, 28), 2028: date(2028, 4, 16), 2029: date(2029, 4, 1),
}  # fmt: skip


@lru_cache(maxsize=10_000)
def _is_free(on: date) -> bool:
    """A weekend, or a public holiday in the Netherlands."""
    easter, king = _EASTER[on.year], date(on.year, 4, 27)
    free = [
        date(on.year, 1, 1), easter + DAY, king - DAY if king.weekday() == 6 else king, easter + 39 * DAY,
        easter + 50 * DAY, date(on.year, 12, 25), date(on.year, 12, 26),
    ]  # fmt: skip
    if on.year % 5 == 0:
        free.append(date(on.year, 5, 5))
    return on.weekday() >= 5 or on in free


class WorkingDays:
    """The public holidays, and what the institution itself laid down: the last calendar of a year stands whole."""

    def __init__(self, events: Iterable[Recorded]) -> None:
        self._years: dict[int, Recorded] = {
            e.data["year"]: e for e in counting(events) if e.kind == "schedule.working_calendar_set"
        }

    def has(self, on: date) -> bool:
        own = self._years.get(on.year)
        if own is not None and on.isoformat() in own.data["open_on"]:
            return True
        return not _is_free(on) and not (own is not None and on.isoformat() in own.data["closed_on"])

    def first_from(self, on: date) -> date:
        while not self.has(on):
            on += DAY
        return on

    def after(self, on: date, days: int) -> date:
        while days:
            on += DAY
            days -= self.has(on)
        return on

    def before(self, on: date, days: int) -> date:
        while days:
            on -= DAY
            days -= self.has(on)
        return on

    def between(self, after: date, until: date, without: Collection[date] = ()) -> int:
        """How many there are after one day, up to and including another."""
        return sum(self.has(on) and on not in without for on in days_of(after + DAY, until + DAY))


def days_of(first: date, end: date) -> list[date]:
    """From the first day up to, not including, the end."""
    return [first + n * DAY for n in range((end - first).days)]


def months_after(on: date, months: int) -> date:
    year, month = divmod(on.year * 12 + on.month - 1 + months, 12)
    return date(year, month + 1, min(on.day, monthrange(year, month + 1)[1]))


def period_after(on: date, every: str) -> date:
    """Of the periods that the histories know: days, weeks or months."""
    count, unit = int(every[1:-1]), every[-1]
    return months_after(on, count) if unit == "M" else on + count * (7 if unit == "W" else 1) * DAY


def period_with(on: date, per: str) -> tuple[date, date]:
    """The first and last day of the calendar period with this day."""
    months = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}[per]
    first = date(on.year, (on.month - 1) // months * months + 1, 1)
    return first, months_after(first, months) - DAY


def year_before(on: date) -> date:
    """The day that the last twelve months begin after."""
    return months_after(on, -12)


def paused_days(pauses: Iterable[Any], until: date) -> set[date]:
    """The days of pauses [first day, first day after], overlapping ones once."""
    return {
        on
        for start, end in pauses
        for on in days_of(date.fromisoformat(start), min(date.fromisoformat(end), until + DAY))
    }
