"""A trial of the contact alerts in memory: record facts, let time pass, see which alert events come of it.

Stands in for nothing: it is the projection's own fold and the rule's own decision, in the order in which the book and
the ticker would call them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Final
from uuid import UUID

from events.recorded import AMSTERDAM, Recorded
from projections.alert_line import united_bucket
from projections.alert_rule import Transition, decide
from projections.contact_alerts import PROJECTION
from projections.institution import ALL, Institution
from projections.kin import Kin
from projections.rows import MemoryRows, Row, fold
from projections.working_calendar import WorkingCalendar

RELATION: Final = str(UUID(int=1))
CALENDAR: Final = WorkingCalendar()
INSTITUTION: Final = Institution(CALENDAR)


def at(text: str) -> datetime:
    """An instant: with offset as it says, a date at noon in Amsterdam."""
    if len(text) == 10:
        return datetime.combine(date.fromisoformat(text), time(12), AMSTERDAM)
    return datetime.fromisoformat(text)


class Trial:
    """One book with its alerts. Positions count from 1; `now` moves by `record(on=…)` and `tick`."""

    def __init__(self) -> None:
        self.rows = MemoryRows(PROJECTION.metadata)
        self.log: list[Recorded] = []
        self.now = at("2026-01-01")
        self._versions: dict[str, int] = {}

    def take(self, events: Iterable[Recorded], now: datetime) -> None:
        """A book that holds these events already, at `now`, before any tick."""
        self.log, self.now = list(events), now
        self._versions = {e.relation: e.version for e in self.log}
        self.rows = fold(PROJECTION, self.log)

    def hear(self, event: Recorded) -> None:
        """The next event of the book."""
        self.log.append(event)
        self._versions[event.relation] = event.version
        PROJECTION.evolve(self.rows, event)
        PROJECTION.settle(self.rows, [event.relation])

    def record(
        self, kind: str, data: Mapping[str, Any], *, on: str | None = None, relation: str = RELATION,
        sent: str | None = None, id: str | None = None, absorbed: str | None = None, withdraws: int | None = None,
    ) -> int:  # fmt: skip
        """Accepts an event `on` a day or instant; its position."""
        if on is not None:
            self.now = max(self.now, at(on))
        position = len(self.log) + 1
        version = self._versions[relation] = self._versions.get(relation, 0) + 1
        event = Recorded(
            position=position, version=version, relation=relation, type=f"nl.relatieboek.{kind}.v1", source="urn:test",
            id=id or f"e-{position:06d}", subject=relation, department="zorg", recorded_at=self.now.astimezone(UTC),
            data=dict(data), time=sent, absorbed=absorbed, withdraws=withdraws,
        )  # fmt: skip
        self.hear(event)
        return position

    def tick(self, now: str | None = None) -> list[Transition]:
        """Lets the clock stand at `now` and ticks until there is nothing to do; the events that came of it."""
        if now is not None:
            self.now = max(self.now, at(now))
        done: list[Transition] = []
        for _ in range(10):
            found = self.due()
            if not found:
                return done
            for transition in found:
                self.record(transition.kind, transition.data, relation=transition.relation, id=transition.event_id)
            done += found
        raise AssertionError(f"the ticks do not come to rest: {[t.kind for t in done]}")

    def due(self) -> list[Transition]:
        """What the alert service would tell now."""
        found: list[Transition] = []
        institution = Institution.of(self.rows.group("institution", ALL), CALENDAR)
        kin = Kin.of(self.rows.group("alias", ALL))
        for row in list(self.rows.tables["line"].values()):
            bucket = None
            if row["pair"] is not None:
                members = kin.members(row["relation"])
                bucket = united_bucket(self.rows.get("bucket", member, row["pair"]) for member in members)
            transition = decide(row, bucket, self._versions[row["target"]], self.now, institution)
            waiting = row["check_at"] is not None and row["check_at"] <= self.now
            # A wake-up too many is harmless only after a standstill; one too few is an alert that never comes.
            assert transition is None or waiting, f"{transition.kind} is due, but nobody would look: {row}"
            if transition is not None:
                found.append(transition)
        return found

    # The events of INTERFACE section 3, with what a test does not care about filled in.

    def line(self, line: str = "l-1", *, on: str = "2026-01-06", **changes: Any) -> int:
        data: dict[str, Any] = {
            "line": line, "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"},
            "starts_on": "2026-01-01", "grace_working_days": 5, "owner": "ref~e12", "occurred_on": on[:10], **changes,
        }  # fmt: skip
        return self.record("schedule.line_set", data, on=on)

    def held(self, contact: str, occurred: str, *, on: str | None = None, **changes: Any) -> int:
        data: dict[str, Any] = {
            "contact": contact, "occurred_at": _morning(occurred), "duration_min": 60, "channel": "meeting",
            "activity": "conversation", "topics": [], "ours": [{"layer": "board"}], "theirs": [{"layer": "board"}],
            **changes,
        }  # fmt: skip
        return self.record("contact.held", data, on=on or occurred)

    def planned(self, contact: str, starts_at: str, ends_at: str, *, on: str, **changes: Any) -> int:
        data: dict[str, Any] = {
            "contact": contact, "starts_at": starts_at, "ends_at": ends_at, "channel": "meeting",
            "ours": [{"layer": "board"}], "theirs": [{"layer": "board"}], **changes,
        }  # fmt: skip
        return self.record("contact.planned", data, on=on)

    def corrected(self, contact: str, on: str, **changes: Any) -> int:
        data = {"contact": contact, "changes": changes, "reason": "enc~x", "occurred_at": _morning(on)}
        return self.record("contact.corrected", data, on=on)

    def retracted(self, contact: str, on: str) -> int:
        data = {"contact": contact, "reason": "enc~x", "occurred_at": _morning(on)}
        return self.record("contact.retracted", data, on=on)

    def paused(self, start: str, until: str, *, on: str, line: str = "l-1") -> int:
        return self.record("schedule.line_paused", {"line": line, "until": until, "occurred_on": start}, on=on)

    def ended(self, occurred: str, *, on: str | None = None, line: str = "l-1") -> int:
        return self.record("schedule.line_ended", {"line": line, "occurred_on": occurred}, on=on or occurred)

    def withdraw(self, gone: Recorded, on: str) -> None:
        """Takes an event back: everything is as if it had not been."""
        said = {"source": gone.source, "id": gone.id, "occurred_at": _morning(on)}
        self.record("correction.withdrawn", said, on=on, relation=gone.relation, withdraws=gone.position)
        self.take(self.log, self.now)

    def alerts(self) -> list[Row]:
        """The alerts of the relation, in the order in which they were raised."""
        return sorted(self.rows.group("alert", RELATION), key=lambda row: row["position"])

    def open(self) -> list[str]:
        """The due dates of the alerts that are open."""
        return [str(row["due_on"]) for row in self.alerts() if row["state"] == "open"]


def _morning(day: str) -> str:
    return f"{day}T08:00:00+01:00" if len(day) == 10 else day
