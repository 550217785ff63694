"""What the institution lays down for all relations: its working days, and its contact policy per tier. Pure.

Both are facts about no relation. Of the working calendars the newest stamp stands whole; one that names a year stands
for that year only. Of the policies of a tier the newest stamp among those in force on a day is the policy of that day
(docs/decisions/0008): a pair of layers that it asks for is a schedule line of every relation of the tier that has
no line of its own for that pair. A `Run` is the time in which the same terms hold without a break; nothing is counted
from before its first day, so a policy makes nothing late that was not late by the policy in force then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from events.recorded import Recorded
from projections.rows import Need, One, Row, Rows
from projections.working_calendar import WorkingCalendar

ALL: Final = "all"
INSTITUTION_KINDS: Final = frozenset({"schedule.policy_set", "schedule.working_calendar_set"})
# Level 1 after so many working days overdue, level 2 after so many, where no policy says otherwise (SPEC section 5).
ESCALATION_WORKING_DAYS: Final = (5, 10)
# Who hears of each level: the owner, the team lead, the board; the board for this tier only.
BOARD_TIER: Final = "A"
TEAM_LEAD_LEVEL: Final = 1


def institution_table(metadata: MetaData) -> Table:
    """The table `institution` of a read model: every calendar and policy that was ever set, some dozens of rows."""
    return Table(
        "institution",
        metadata,
        Column("whole", Text, primary_key=True, comment="the constant 'all': one group for a fold"),
        Column("kind", Text, primary_key=True),
        Column("key", Text, primary_key=True, comment="the stamp as text"),
        Column("tier", Text),
        Column("stamp", JSONB, nullable=False),
        Column("position", BigInteger, nullable=False),
        Column("recorded_at", DateTime(timezone=True), nullable=False),
        Column("body", JSONB, nullable=False),
    )


def institution_needs(event: Recorded) -> list[Need]:
    """What `fold_institution` reads of this event; nothing for other kinds."""
    return [One("institution", _key(event))] if event.kind in INSTITUTION_KINDS else []


def fold_institution(rows: Rows, event: Recorded) -> None:
    """Keeps a policy or a working calendar as it was set. Any order gives the same rows."""
    whole, kind, key = _key(event)
    row: Row = {
        "whole": whole, "kind": kind, "key": key, "tier": event.data.get("tier"), "stamp": event.stamp,
        "position": event.position, "recorded_at": event.recorded_at, "body": dict(event.data),
    }  # fmt: skip
    rows.put("institution", row)


def _key(event: Recorded) -> tuple[str, str, str]:
    return ALL, event.kind, " ".join(event.stamp)


class Terms(NamedTuple):
    """What a policy asks for one pair of layers."""

    our_layer: str
    their_layer: str
    cadence: Mapping[str, Any]
    channels: tuple[str, ...] | None
    grace_working_days: int


@dataclass(frozen=True, slots=True)
class Policy:
    """One `schedule.policy_set`."""

    tier: str
    version: int
    effective_on: date
    steps: tuple[int, ...]
    terms: tuple[Terms, ...]
    position: int
    recorded_at: datetime
    stamp: tuple[str, ...]

    @classmethod
    def of(cls, row: Row) -> Policy:
        body: Mapping[str, Any] = row["body"]
        steps = tuple(body.get("escalation_working_days") or ESCALATION_WORKING_DAYS)
        terms: dict[tuple[str, str], Terms] = {}
        for line in body["lines"]:
            channels = line.get("channels")
            pair = (line["our_layer"], line["their_layer"])
            accepted = None if channels is None else tuple(sorted(channels))
            terms.setdefault(pair, Terms(*pair, line["cadence"], accepted, line["grace_working_days"]))
        return cls(
            row["tier"], body["policy_version"], date.fromisoformat(body["effective_on"][:10]), steps,
            tuple(terms.values()), row["position"], row["recorded_at"], tuple(row["stamp"]),
        )  # fmt: skip


class Run(NamedTuple):
    """The same terms of a tier, held without a break from `starts_on` up to, not including, `ended_on`.

    `line` is its id as a schedule line of any relation of the tier; `version`, `position` and `recorded_at` are those
    of the policy that began it.
    """

    line: str
    terms: Terms
    starts_on: date
    ended_on: date | None
    version: int
    position: int
    recorded_at: datetime


class Institution:
    """Working days and policies, as rows of `institution` say. Immutable; what is asked for is kept."""

    def __init__(self, calendar: WorkingCalendar, policies: Iterable[Policy] = ()) -> None:
        self.calendar = calendar
        self._policies: dict[str, list[Policy]] = {}
        for policy in policies:
            self._policies.setdefault(policy.tier, []).append(policy)
        self._runs: dict[str, tuple[Run, ...]] = {}

    @classmethod
    def of(cls, rows: Iterable[Row], base: WorkingCalendar) -> Institution:
        """`base` has the public holidays; the rows may come in any order."""
        rows = list(rows)
        calendars = [r for r in rows if r["kind"] == "schedule.working_calendar_set"]
        policies = (Policy.of(r) for r in rows if r["kind"] == "schedule.policy_set")
        return cls(_calendar(calendars, base), policies)

    def policy(self, tier: str | None, on: date) -> Policy | None:
        """The policy of a tier in force on a day: the newest stamp of those that had begun."""
        begun = [p for p in self._policies.get(tier or "", ()) if p.effective_on <= on]
        return max(begun, key=_stamp, default=None)

    def steps(self, tier: str | None, version: int | None) -> tuple[int, ...]:
        """The steps of escalation under a version of a tier's policy, in working days overdue, for levels 1, 2, …

        Levels above the team lead's are the board's: for tier A only (SPEC section 5).
        """
        named = [p for p in self._policies.get(tier or "", ()) if p.version == version]
        newest = max(named, key=_stamp, default=None)
        steps = ESCALATION_WORKING_DAYS if newest is None else newest.steps
        return steps if tier == BOARD_TIER else steps[:TEAM_LEAD_LEVEL]

    def runs(self, tier: str | None) -> tuple[Run, ...]:
        """What the policies of a tier ask for, each pair of layers in order of time."""
        if tier is None or tier not in self._policies:
            return ()
        known = self._runs.get(tier)
        if known is None:
            known = self._runs[tier] = tuple(_runs(tier, self._policies[tier]))
        return known

    def run(self, line: str, tiers: Iterable[str]) -> Run | None:
        """The run of this id of one of these tiers; None where the policies, as they are now, make none."""
        return next((run for tier in tiers for run in self.runs(tier) if run.line == line), None)


def _stamp(policy: Policy) -> tuple[str, ...]:
    return policy.stamp


def _runs(tier: str, policies: Sequence[Policy]) -> Iterable[Run]:
    days = sorted({p.effective_on for p in policies})
    in_force = [(on, max((p for p in policies if p.effective_on <= on), key=_stamp)) for on in days]
    pairs = sorted({(t.our_layer, t.their_layer) for p in policies for t in p.terms})
    for pair in pairs:
        begun: tuple[date, Terms, Policy] | None = None
        for on, policy in in_force:
            asked = next((t for t in policy.terms if (t.our_layer, t.their_layer) == pair), None)
            if begun is not None and asked != begun[1]:
                yield _run(tier, begun, on)
                begun = None
            if begun is None and asked is not None:
                begun = (on, asked, policy)
        if begun is not None:
            yield _run(tier, begun, None)


def _run(tier: str, begun: tuple[date, Terms, Policy], ended_on: date | None) -> Run:
    on, terms, policy = begun
    line = f"policy:{tier}:{terms.our_layer}:{terms.their_layer}:{on}"
    return Run(line, terms, on, ended_on, policy.version, policy.position, policy.recorded_at)


def _calendar(rows: Sequence[Row], base: WorkingCalendar) -> WorkingCalendar:
    closed: set[date] = set()
    opened: set[date] = set()
    years: set[int] = set()
    for row in sorted(rows, key=lambda r: r["stamp"], reverse=True):
        body: Mapping[str, Any] = row["body"]
        year = body.get("year")
        if year in years:
            continue
        for name, days in (("closed_on", closed), ("open_on", opened)):
            days.update(on for on in map(date.fromisoformat, body.get(name) or ()) if on.year not in years)
        if year is None:
            break
        years.add(year)
    return base.with_days(closed=closed, opened=opened) if closed or opened else base
