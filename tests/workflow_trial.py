"""A trial of the workflows in memory: record facts, let time pass, see which events come of it.

Stands in for nothing: it is the projection's own fold and the rules' own decision, in the order in which the book and
the ticker would call them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from events.recorded import ORGANISATION, Recorded, local_date
from projections.kin import ALL, Kin
from projections.rows import MemoryRows, Row, fold
from projections.transition import Transition
from projections.workflows.merged import Group, group_transitions
from projections.workflows.projection import build
from projections.workflows.reconcile import Basis, transition
from projections.workflows.thresholds import Terms, Thresholds
from projections.working_calendar import WorkingCalendar
from tests.alert_trial import at

RELATION: Final = str(UUID(int=1))
OTHER: Final = str(UUID(int=2))
NPS: Final[dict[str, Any]] = {
    "instrument": "nps-2026", "kind": "nps", "scale_min": 0, "scale_max": 10,
    "bands": [
        {"name": "low", "from": 0, "to": 6}, {"name": "middle", "from": 7, "to": 8},
        {"name": "high", "from": 9, "to": 10},
    ],
    "min_n": 2, "wording_version": 1, "occurred_on": "2026-01-01",
}  # fmt: skip


class Trial:
    """One book with its workflows. Positions count from 1; `now` moves by `record(on=…)` and `tick`."""

    def __init__(self, **thresholds: Any) -> None:
        self._terms = Terms(Thresholds(**thresholds), WorkingCalendar())
        self.projection = build(self._terms.calendar, self._terms.thresholds)
        self.rows = MemoryRows(self.projection.metadata)
        self.log: list[Recorded] = []
        self.now = at("2026-01-01")
        self._versions: dict[str, int] = {}

    @property
    def terms(self) -> Terms:
        """As a tick has them: with the institution's own working days."""
        return self._terms.under(self.rows.group("institution", ALL))

    def switch(self, on: str, **thresholds: Any) -> None:
        """A new build under other thresholds takes the place of the one before: the same facts, folded again."""
        self.now = max(self.now, at(on))
        self._terms = Terms(
            Thresholds(**thresholds), WorkingCalendar(), switched_at=len(self.log), switched_on=self.now.date()
        )
        self.projection = build(self._terms.calendar, self._terms.thresholds)
        self.rows = fold(self.projection, self.log)

    def take(self, events: Iterable[Recorded], now: datetime) -> None:
        """A book that holds these events already, at `now`, before any tick."""
        self.log, self.now = list(events), now
        self._versions = {e.relation: e.version for e in self.log}
        self.rows = fold(self.projection, self.log)

    def hear(self, event: Recorded) -> None:
        """The next event of the book."""
        self.log.append(event)
        self._versions[event.relation] = event.version
        if self.projection.takes(event):
            self.projection.evolve(self.rows, event)
            self.projection.settle(self.rows, [event.relation])

    def record(
        self, kind: str, data: Mapping[str, Any], *, on: str | None = None, relation: str = RELATION,
        id: str | None = None, absorbed: str | None = None,
    ) -> int:  # fmt: skip
        """Accepts an event `on` a day or instant; its position. Without an occurred time of its own: that day."""
        if on is not None:
            self.now = max(self.now, at(on))
        position = len(self.log) + 1
        version = self._versions[relation] = self._versions.get(relation, 0) + 1
        known = dict(data)
        if "occurred_on" not in known and "occurred_at" not in known:
            known["occurred_on"] = str(self.now.date())
        event = Recorded(
            position=position, version=version, relation=relation, type=f"nl.relatieboek.{kind}.v1", source="urn:test",
            id=id or f"e-{position:06d}", subject=relation, department="zorg", recorded_at=self.now.astimezone(UTC),
            data=known, absorbed=absorbed,
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
            for event in found:
                self.record(event.kind, event.data, relation=event.relation, id=event.event_id)
            done += found
        raise AssertionError(f"the ticks do not come to rest: {[t.kind for t in done]}")

    def due(self) -> list[Transition]:
        """What the workflows would tell now."""
        return [*self._single(), *self._merged()]

    def _single(self) -> list[Transition]:
        found: list[Transition] = []
        for row in list(self.rows.tables["duty"].values()):
            if len(self._kin().members(row["relation"])) > 1:
                continue
            relation = self.rows.tables["relation"][(row["relation"],)]
            basis = Basis(
                row["relation"], relation["version"], relation["cause_position"], relation["tier"], relation["owner"]
            )
            event = transition(row, basis, self.now, self.terms)
            waiting = row["check_at"] is not None and row["check_at"] <= self.now
            # One look too few is an alert that never comes. One too many is looked at for ever: it may be so only after
            # a standstill, of what was over before anybody looked.
            over = row["wanted"] is not None and (row["wanted"]["until_on"] or "9999") <= str(local_date(self.now))
            assert (event is not None) == waiting or (event is None and over), (event, row)
            if event is not None:
                found.append(event)
        return found

    def _kin(self) -> Kin:
        return Kin.of(self.rows.group("alias", ALL))

    def _merged(self) -> list[Transition]:
        found: list[Transition] = []
        kin = self._kin()
        aliases = {row["absorbed"]: int(row["stamp"][1]) for row in self.rows.group("alias", ALL) if row["root"]}
        for root in sorted({kin.root(absorbed) for absorbed in aliases}):
            members = kin.members(root)
            rows = {name: [r for m in members for r in self.rows.group(name, m)] for name in ("fact", "duty")}
            relations: dict[str, Row] = {
                m: self.rows.tables["relation"][(m,)] for m in members if (m,) in self.rows.tables["relation"]
            }
            merges = {m: aliases[m] for m in members if m in aliases}
            found += group_transitions(
                Group(members, merges, relations, rows["fact"], rows["duty"]), self.now, self.terms
            )
        return found

    # The events, with what a test does not care about filled in.

    def register(self, name: str = "Gemeente Den Haag", *, on: str = "2026-01-05", relation: str = RELATION) -> int:
        data: dict[str, Any] = {"name": name, "kind": "municipality", "identifiers": [], "occurred_on": on}
        return self.record("relation.registered", data, on=on, relation=relation)

    def tier(self, tier: str, *, on: str, relation: str = RELATION) -> int:
        return self.record("relation.tier_assigned", {"tier": tier, "occurred_on": on}, on=on, relation=relation)

    def line(self, line: str = "l-1", *, on: str, our_layer: str = "board", relation: str = RELATION) -> int:
        data: dict[str, Any] = {"line": line, "our_layer": our_layer, "their_layer": "board", "occurred_on": on}
        return self.record("schedule.line_set", data, on=on, relation=relation)

    def instrument(self, **changes: Any) -> int:
        return self.record("satisfaction.instrument_defined", {**NPS, **changes}, relation=ORGANISATION)

    def score(self, response: str, score: float, *, on: str, recorded: str | None = None, **changes: Any) -> int:
        relation = changes.pop("relation", RELATION)
        data: dict[str, Any] = {
            "response": response, "instrument": "nps-2026", "score": score, "anonymous": False, "occurred_on": on,
            **changes,
        }  # fmt: skip
        return self.record("satisfaction.scored", data, on=recorded or on, relation=relation)

    def held(self, contact: str, on: str, *, topics: tuple[str, ...] = (), relation: str = RELATION) -> int:
        data: dict[str, Any] = {
            "contact": contact, "occurred_at": f"{on}T10:00:00+01:00", "duration_min": 60, "channel": "meeting",
            "topics": list(topics), "ours": [{"layer": "board"}], "theirs": [{"layer": "board"}],
        }  # fmt: skip
        return self.record("contact.held", data, on=on, relation=relation)

    def open(self, relation: str = RELATION) -> dict[str, str]:
        """What is open: the due date by rule and subject."""
        rows = self.rows.group("duty", relation)
        return {f"{r['rule']} {r['about']}": r["open"]["due_on"] for r in rows if r["open"] is not None}


def told(events: list[Transition]) -> list[tuple[str, str]]:
    """Kind, and what it is about or why."""
    return [
        (e.kind, str(e.data.get("about") or e.data.get("reason") or e.data.get("level") or e.data.get("response", "")))
        for e in events
    ]
