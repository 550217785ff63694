"""What the demo's events are collected in: one seeded random, one now, ids in the order of telling."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any, Final

from events.recorded import AMSTERDAM, local_date
from services.demo.institution import DEPARTMENTS
from services.demo.registers import Relation
from services.send import cloudevent

SEED: Final = 20261122
ORGANISATION: Final = "organisation"


@dataclass(frozen=True, slots=True)
class Told:
    """One event, the department that publishes it, and the instant by which its department's events are ordered."""

    at: datetime
    department: str
    event: dict[str, Any]


@dataclass(slots=True)
class Story:
    """The events so far. The same `now` and institution tell the same story, to the byte."""

    now: datetime
    institution: str
    random: Random = field(default_factory=lambda: Random(SEED))  # noqa: S311  a story, no secret
    told: list[Told] = field(default_factory=list[Told])
    _numbers: Counter[str] = field(default_factory=Counter[str])

    @property
    def today(self) -> date:
        return local_date(self.now)

    def day(self, ago: int) -> date:
        """The day that many days ago; negative is ahead."""
        return self.today - timedelta(days=ago)

    def workday(self, ago: int) -> date:
        """The same, moved back to a Friday when it is a weekend day."""
        on = self.day(ago)
        return on - timedelta(days=max(0, on.weekday() - 4))

    def moment(self, on: date) -> datetime:
        """A moment in office hours on that day, with Amsterdam's offset."""
        hour, minute = self.random.randrange(9, 16), self.random.choice((0, 15, 30, 45))
        return datetime.combine(on, time(hour, minute), AMSTERDAM)

    def number(self, of: str) -> int:
        """1, 2, 3 … per `of`."""
        self._numbers[of] += 1
        return self._numbers[of]

    def tell(
        self, department: str, type_: str, relation: Relation | None, data: dict[str, Any], at: date | datetime, *,
        visibility: str | None = None, logged_at: datetime | None = None,
    ) -> None:  # fmt: skip
        """Adds one event of `department`; `at` is when it happened. `logged_at` is for what was registered late."""
        instant = at if isinstance(at, datetime) else datetime.combine(at, time(8), AMSTERDAM)
        about = relation.key if relation is not None else ORGANISATION
        subject = relation.subject if relation is not None else ORGANISATION
        id_ = f"demo-{about}-{type_.rsplit('.', 1)[0]}-{self.number(f'{department} {about} {type_}')}"
        source = next(d for d in DEPARTMENTS if d.name == department).source(self.institution)
        logged = (logged_at or instant).isoformat()
        event = cloudevent(type_, id_, source, subject, data, time=logged, visibility=visibility)
        self.told.append(Told(instant, department, event))
