"""What the ledger says of a relation, and of all that it was ever merged with: read once, looked at from any D and K.

D (`as_of`) is about when things happened: a date includes its whole day in Amsterdam. K (`known_at`) is about when the
book learned of them: an instant, or a position of the book. Both are included; None: no bound. A merge that is not in
sight shows the old relations, each by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Final

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection

from events import ledger
from events.errors import FieldError, Invalid, NotFound
from events.event_types import TYPES
from events.in_force import WITHDRAWAL, withdrawals
from events.recorded import Recorded, day_end
from projections import team_timeline
from projections.alert_sight import fold_sight, sight_tables
from projections.institution import INSTITUTION_KINDS
from projections.kin import ALL, KIN_KINDS, Kin, alias_table, fold_alias
from projections.rows import MemoryRows
from projections.sight import NO_RELATION
from projections.staff import STAFF_KINDS
from projections.viewer import Viewer

AsOf = date | datetime | None
KnownAt = datetime | int | None

_MICROSECOND: Final = timedelta(microseconds=1)
_YEARS: Final = (1900, 2200)
_LAST_POSITION: Final = 2**53 - 1
# What the institution lays down for all relations and a relation's own state rests on.
_SHARED_KINDS: Final = INSTITUTION_KINDS | STAFF_KINDS | {
    "satisfaction.instrument_defined", "satisfaction.round_closed", WITHDRAWAL,
}  # fmt: skip
_SHARED: Final = tuple(t.name for t in TYPES.values() if t.kind in _SHARED_KINDS)
_aliases: Final = MetaData()
alias_table(_aliases)
_sights: Final = MetaData()
sight_tables(_sights)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is in sight: facts that occurred at or before `as_of` and were recorded at or before `known_at`.

    Raises Invalid naming `/asOf` or `/knownAt` for what lies beyond all reckoning.
    """

    as_of: AsOf = None
    known_at: KnownAt = None

    def __post_init__(self) -> None:
        bounds = [("/asOf", self.as_of), ("/knownAt", None if isinstance(self.known_at, int) else self.known_at)]
        errors = [
            FieldError(pointer, f"must lie in the years {_YEARS[0]} to {_YEARS[1]}")
            for pointer, on in bounds
            if on is not None and not _YEARS[0] <= on.year <= _YEARS[1]
        ]
        if isinstance(self.known_at, int) and not 0 <= self.known_at <= _LAST_POSITION:
            errors.append(FieldError("/knownAt", "is no position of the book"))
        if errors:
            raise Invalid("schema", errors)

    @property
    def occurred(self) -> datetime | None:
        """The last instant of D."""
        if self.as_of is None or isinstance(self.as_of, datetime):
            return self.as_of
        return day_end(self.as_of) - _MICROSECOND

    def within(self, events: Iterable[Recorded]) -> list[Recorded]:
        """The events in sight, in the order given.

        A withdrawal says what the book knows and not what happened then: what was withdrawn by K did not take place,
        also as of a D before the withdrawal.
        """
        occurred, known_at = self.occurred, self.known_at
        seen = list(events)
        if isinstance(known_at, datetime):
            seen = [e for e in seen if e.recorded_at <= known_at]
        elif known_at is not None:
            seen = [e for e in seen if e.position <= known_at]
        if occurred is None:
            return seen
        gone = {position for position, by in withdrawals(seen).items() if by.occurred_at > occurred}
        return [e for e in seen if e.occurred_at <= occurred and e.position not in gone]


@dataclass(frozen=True)
class Past:
    """`events`: of `relation` and of every relation that a merge ever joined it to, in the order of the book; `merges`
    those that did. `shared`: what holds for all relations.
    """

    relation: str
    events: Sequence[Recorded]
    merges: Sequence[Recorded]
    shared: Sequence[Recorded]

    def members(self, bounds: Bounds | None = None) -> list[str]:
        """Who is one with the relation, the survivor first, by the merges in sight; without bounds: now."""
        return self._kin(bounds).members(self.relation)

    def seen_by(self, viewer: Viewer, bounds: Bounds) -> list[str]:
        """`members`, of those that this viewer may see now. A team that has one of merged relations has them all.

        Raises NotFound when the survivor is not among them.
        """
        members = self.members(bounds)
        if viewer.everything:
            return members
        teams: dict[str, set[str]] = {}
        for row in self.timeline.tables["assignment"].values():
            if row["assigned"]:
                teams.setdefault(row["relation"], set()).add(row["team"])
        now = self._kin(None)

        def seen(member: str) -> bool:
            mine = now.members(member)
            head = self.timeline.get("relation", mine[0])
            had = {team for one in mine for team in teams.get(one, ())}
            return viewer.shares(had, None if head is None else head["tier"])

        in_sight = [m for m in members if seen(m)]
        if in_sight[:1] != members[:1]:
            raise NotFound(NO_RELATION)
        return in_sight

    @cached_property
    def timeline(self) -> MemoryRows:
        """The timeline's rows of all facts but its entries: who has which relation, what became of each contact."""
        rows = MemoryRows(team_timeline.PROJECTION.metadata)
        team_timeline.fold_context(rows, self.events)
        return rows

    @cached_property
    def sight(self) -> MemoryRows:
        """How restricted its alerts and loops are (`alert_sight`)."""
        rows = MemoryRows(_sights)
        for event in self.events:
            fold_sight(rows, event)
        return rows

    def contacts_of(self, events: Iterable[Recorded]) -> MemoryRows:
        """Of `timeline` the contacts that these events are about, at the cost of those alone."""
        named = {(e.relation, e.data["contact"]) for e in events if team_timeline.role_of(e) is not None}
        rows = MemoryRows(team_timeline.PROJECTION.metadata)
        team_timeline.fold_context(
            rows,
            (
                e for e in self.events
                if e.withdraws is not None
                or (team_timeline.role_of(e) is not None and (e.relation, e.data["contact"]) in named)
            ),
        )  # fmt: skip
        return rows

    def _kin(self, bounds: Bounds | None) -> Kin:
        if not self.merges:
            return Kin({})
        rows = MemoryRows(_aliases)
        for event in self.merges if bounds is None else bounds.within(self.merges):
            fold_alias(rows, event)
        return Kin.of(rows.group("alias", ALL))


async def read_past(conn: AsyncConnection, relation: str) -> Past:
    """One query; a second one for a relation that was ever part of a merge."""
    mine, others = await ledger.read_with_shared(conn, relation, _SHARED)
    merges = [e for e in others if e.kind in KIN_KINDS]
    shared = [e for e in others if e.kind not in KIN_KINDS]
    joined = _ever_joined(relation, merges)
    if len(joined) > 1:
        mine = await ledger.read_relations(conn, sorted(joined))
    return Past(relation, mine, [e for e in merges if e.relation in joined], shared)


def _ever_joined(relation: str, merges: Iterable[Recorded]) -> set[str]:
    """All that merges, undone or not, ever connected with the relation, at any depth."""
    pairs = [{e.relation, e.absorbed or e.relation} for e in merges]
    joined = {relation}
    before = 0
    while len(joined) != before:
        before = len(joined)
        for pair in pairs:
            if not joined.isdisjoint(pair):
                joined |= pair
    return joined
