"""The numbers in the rules that an institution may set; each is a setting `RELATIEBOEK_<NAME>` (docs/operations.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from projections.institution import Institution
from projections.rows import Row
from projections.working_calendar import WorkingCalendar


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Defaults as in SPEC section 5. `…_working_days` count working days, `…_months` calendar months."""

    loop_due_working_days: int = 2
    loop_escalation_working_days: str = "2,5"
    loop_max_age_days: int = 90
    alert_escalation_working_days: str = "5,10"
    incomplete_grace_working_days: int = 20
    satisfaction_months: int = 12
    satisfaction_fall_pct: float = 5.0
    neglected_after_months: int = 3
    neglected_min_others: int = 5
    plan_review_months: int = 12
    agreement_notice_months: int = 6
    programme_stale_months: int = 3
    programme_decision_working_days: int = 10
    guarantor_working_days: int = 10
    schedule_working_days: int = 10


class Terms(NamedTuple):
    """What a rule is judged by beside the facts.

    `calendar`: the public holidays, or with the institution's own days what `under` makes of them; `laid_down`: the
    position of the last event that set one of those days. `switched_at`, `switched_on`: the last position that the
    build before this one held, and the day on which this one took its place (0 and None: there was none before).
    """

    thresholds: Thresholds
    calendar: WorkingCalendar
    laid_down: int = 0
    switched_at: int = 0
    switched_on: date | None = None

    def under(self, rows: Sequence[Row]) -> Terms:
        """These terms with the working calendars of the institution, rows of `institution`."""
        if not rows:
            return self
        calendar = Institution.of(rows, self.calendar).calendar
        return self._replace(calendar=calendar, laid_down=max(row["position"] for row in rows))

    def is_difference(self, from_on: date, cause: int) -> bool:
        """Whether what should be open since a day is news only because other rules or thresholds came into force: the
        build before this one knew every fact of it, and its time had come. People are not told of that."""
        return self.switched_on is not None and from_on <= self.switched_on and cause <= self.switched_at


def steps_of(text: str) -> tuple[int, ...]:
    """Escalation steps as they are written in a setting: working days, ascending, with commas."""
    return tuple(int(part) for part in text.split(",") if part)
