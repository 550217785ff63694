"""A relation's history as it was at D, as known at K: folded from the ledger, not from a read model (question 3).

D (`as_of`) is about when things happened: a date includes its whole day in Amsterdam. K (`known_at`) is about when the
book learned of them: an instant, or a position of the book. Both are included; None: no bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from events import ledger
from events.clock import book_now
from events.errors import FieldError, Invalid, NotFound
from events.recorded import AMSTERDAM, ORGANISATION, Recorded, day_end, local_date
from projections import relation_view, team_timeline
from projections.line_state import DEFAULT_RULES, Rules
from projections.relation_present import present
from projections.rows import MemoryRows, fold
from projections.timeline_titles import RESTRICTED, Language, title
from projections.viewer import EVERYTHING, Viewer, hidden_bits, restriction, visibility_of

AsOf = date | datetime | None
KnownAt = datetime | int | None

_MICROSECOND: Final = timedelta(microseconds=1)
_YEARS: Final = (1900, 2200)
_LAST_POSITION: Final = 2**53 - 1
_ANONYMOUS_KEEPS: Final = ("instrument", "anonymous")


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

    def hold(self, event: Recorded) -> bool:
        occurred = self.occurred
        if occurred is not None and event.occurred_at > occurred:
            return False
        if self.known_at is None:
            return True
        if isinstance(self.known_at, datetime):
            return event.recorded_at <= self.known_at
        return event.position <= self.known_at


async def history(
    conn: AsyncConnection,
    relation: str,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    *,
    viewer: Viewer = EVERYTHING,
    language: Language = "nl",
) -> list[dict[str, Any]]:
    """The relation's entries in the order of the book: position, version, type, title, occurred_at (Amsterdam),
    recorded_at (UTC), department, visibility, data (personal fields are tokens).

    An anonymous score keeps its place, so that versions have no gap, but shows neither score nor answerer. A team's
    viewer sees a restricted contact by its date only and no other restricted fact. Raises NotFound when the book has
    no such relation within the bounds, or the viewer's team has it not now.
    """
    bounds = Bounds(as_of, known_at)
    events = await ledger.read_relation(conn, relation)
    rows = _allowed(events, viewer)
    seen = [event for event in events if bounds.hold(event)]
    if not seen or relation == ORGANISATION:
        raise NotFound(f"relation {relation}")
    entries = (_entry(event, rows, viewer, language) for event in seen)
    return [entry for entry in entries if entry is not None]


async def relation_as_of(
    conn: AsyncConnection,
    relation: str,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    *,
    viewer: Viewer = EVERYTHING,
    rules: Rules = DEFAULT_RULES,
) -> dict[str, Any] | None:
    """The relation view (as `GET /v1/relations/{id}`) as it was at D, as known at K; None when there was none.

    What depends on today is as of the end of D; without D as of K; without both as of the book's now. `position` is
    that of the last fact in sight. Raises NotFound when the viewer's team does not have the relation now.
    """
    bounds = Bounds(as_of, known_at)
    mine = await ledger.read_relation(conn, relation)
    _allowed(mine, viewer)
    # Instruments are defined for the whole organisation.
    shared = await ledger.read_relation(conn, ORGANISATION)
    events = sorted((e for e in [*mine, *shared] if bounds.hold(e)), key=lambda e: e.position)
    own = [e for e in events if e.relation == relation]
    if not own or relation == ORGANISATION:
        return None
    now = bounds.occurred or await _known_instant(conn, known_at, own)
    return present(fold(relation_view.PROJECTION, events), relation, now, position=own[-1].position, rules=rules)


async def _known_instant(conn: AsyncConnection, known_at: KnownAt, own: Sequence[Recorded]) -> datetime:
    if isinstance(known_at, datetime):
        return known_at
    if known_at is None:
        return await book_now(conn)
    at = await ledger.read(conn, known_at - 1, 1)
    # A position that the book has not reached yet: all that is known is now.
    return at[0].recorded_at if at else max(own[-1].recorded_at, await book_now(conn))


def _allowed(events: Sequence[Recorded], viewer: Viewer) -> MemoryRows:
    """The timeline's rows of all the relation's facts: who shares it now and how restricted each contact is."""
    rows = fold(team_timeline.PROJECTION, events)
    if not viewer.everything and not any(
        row["assigned"] and row["team"] == viewer.team for row in rows.tables["assignment"].values()
    ):
        raise NotFound("relation")
    return rows


def _entry(event: Recorded, rows: MemoryRows, viewer: Viewer, language: Language) -> dict[str, Any] | None:
    contact = rows.get("contact", event.relation, event.data.get("contact"))
    role = team_timeline.role_of(event)
    restricted = restriction(event.visibility)
    if role in team_timeline.INHERITING and contact is not None:
        restricted |= contact["restricted"]
    entry: dict[str, Any] = {
        "position": event.position,
        "version": event.version,
        "type": event.type,
        "visibility": visibility_of(restricted),
    }
    if restricted & hidden_bits(viewer):
        if role != "held" or contact is None or contact["retracted"] is not None:
            return None
        return {
            **entry,
            "title": RESTRICTED[language], "occurred_at": local_date(event.occurred_at).isoformat(),
            "recorded_at": None, "department": None, "data": None,
        }  # fmt: skip
    data = event.data
    heading = title(event.kind, data, language)
    if team_timeline.is_anonymous(event):
        data = {name: data[name] for name in _ANONYMOUS_KEEPS}
        heading = title("satisfaction.scored", {**data, "score": "–"}, language)
    return {
        **entry,
        "title": heading,
        "occurred_at": event.occurred_at.astimezone(AMSTERDAM).isoformat(),
        "recorded_at": event.recorded_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "department": event.department,
        "data": data,
    }
