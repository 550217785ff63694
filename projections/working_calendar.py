"""Working days in the Netherlands (SPEC section 5): no weekends, no public holidays.

The days come from the library `holidays`. Good Friday, which the library counts as public, is a working day unless
configured; 5 May is free in lustrum years only, as in the library. Years outside its range (1966 to 2100) have
weekends only.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import date, timedelta
from functools import cache
from typing import Final

import holidays
from dateutil.easter import easter

_SATURDAY: Final = 5
_FIRST_YEAR, _LAST_YEAR = date.min.year, date.max.year


@cache
def public_holidays(year: int, *, good_friday_free: bool = False) -> frozenset[date]:
    """The public holidays of one year, weekends included."""
    found: Iterable[date] = holidays.country_holidays("NL", years=year).keys()
    good_friday = easter(year) - timedelta(days=2)
    return frozenset(day for day in found if good_friday_free or day != good_friday)


class WorkingCalendar:
    """Which days are working days. Immutable; equal settings make equal calendars. Each year is computed once.

    `closed`: days on which the institution does not work beside weekends and holidays; `opened`: days on which it
    does although the others do not. A day that is in both is open.
    """

    __slots__ = ("_hash", "_years", "closed", "good_friday_free", "opened")

    def __init__(
        self, *, good_friday_free: bool = False, closed: Iterable[date] = (), opened: Iterable[date] = ()
    ) -> None:
        self.good_friday_free = good_friday_free
        self.closed, self.opened = frozenset(closed), frozenset(opened)
        self._hash = hash((WorkingCalendar, good_friday_free, self.closed, self.opened))
        self._years: dict[int, list[int]] = {}

    def with_days(self, *, closed: Iterable[date], opened: Iterable[date]) -> WorkingCalendar:
        """This calendar with an institution's own closed and open days."""
        return WorkingCalendar(good_friday_free=self.good_friday_free, closed=closed, opened=opened)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, WorkingCalendar)
            and other.good_friday_free == self.good_friday_free
            and other.closed == self.closed
            and other.opened == self.opened
        )

    def __hash__(self) -> int:
        return self._hash

    def is_working_day(self, on: date) -> bool:
        if on in self.opened:
            return True
        free = on in self.closed or on in public_holidays(on.year, good_friday_free=self.good_friday_free)
        return on.weekday() < _SATURDAY and not free

    def next_working_day(self, on: date) -> date:
        """`on` itself when it is a working day, else the first one after it."""
        return on if self.is_working_day(on) else self.add_working_days(on, 1)

    def add_working_days(self, on: date, days: int) -> date:
        """The `days`-th working day after `on`, or before it when negative; `on` itself, working day or not, for 0."""
        if days == 0:
            return on
        year, ordinal, left = on.year, on.toordinal(), abs(days)
        while _FIRST_YEAR <= year <= _LAST_YEAR:
            working = self._working(year)
            if days > 0:
                start = bisect_right(working, ordinal)
                if len(working) - start >= left:
                    return date.fromordinal(working[start + left - 1])
                left -= len(working) - start
                year += 1
            else:
                start = bisect_left(working, ordinal)
                if start >= left:
                    return date.fromordinal(working[start - left])
                left -= start
                year -= 1
        raise OverflowError(f"{days} working days from {on} is outside the calendar")

    def working_days_between(self, after: date, until: date) -> int:
        """Working days after `after` up to and including `until`; 0 when `until` is not later."""
        if until <= after:
            return 0
        low, high = after.toordinal(), until.toordinal()
        count = 0
        for year in range(after.year, until.year + 1):
            working = self._working(year)
            count += bisect_right(working, high) - bisect_right(working, low)
        return count

    def _working(self, year: int) -> list[int]:
        """The ordinals of the year's working days, ascending."""
        known = self._years.get(year)
        if known is None:
            free = {d.toordinal() for d in public_holidays(year, good_friday_free=self.good_friday_free) | self.closed}
            opened = {d.toordinal() for d in self.opened}
            first = date(year, 1, 1).toordinal()
            days = range(first, date(year, 12, 31).toordinal() + 1)
            # Ordinal 1 was a Monday.
            known = self._years[year] = [o for o in days if o in opened or ((o - 1) % 7 < _SATURDAY and o not in free)]
        return known
