"""Calendar arithmetic of cadences: ISO 8601 periods after a date, and the calendar periods of quotas."""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, Literal

from dateutil.relativedelta import relativedelta

Per = Literal["month", "quarter", "half_year", "year"]

_MONTHS: Final[dict[Per, int]] = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}
_PERIOD: Final = re.compile(r"P(?=\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?")


@lru_cache(maxsize=1_000)
def _length(period: str) -> relativedelta:
    match = _PERIOD.fullmatch(period)
    if match is None:
        raise ValueError("a period of years, months, weeks and days, as in P3M or P6W, is wanted")
    years, months, weeks, days = (int(part or 0) for part in match.groups())
    return relativedelta(years=years, months=months, weeks=weeks, days=days)


def add_period(on: date, period: str) -> date:
    """`on` plus an ISO 8601 period (P3M, P6W, P1Y2M10D). Months first, clipped to the month's end: 31 January + P1M is
    28 or 29 February. Raises ValueError for what is no such period."""
    return on + _length(period)


def times_a_year(period: str) -> float:
    """How often a period goes into a year: P3M 4 times, P2W 26.07 (in 365 days). Raises ValueError as `add_period`."""
    length = _length(period)
    months = length.years * 12 + length.months + length.days * 12 / 365
    return round(12 / max(months, 12 / 365), 2)


@lru_cache(maxsize=10_000)
def period_of(per: Per, on: date) -> tuple[date, date]:
    """The first and the last day of the calendar month, quarter, half year or year that contains `on`."""
    months = _MONTHS[per]
    first = date(on.year, (on.month - 1) // months * months + 1, 1)
    return first, first + relativedelta(months=months) - timedelta(days=1)
