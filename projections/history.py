"""A relation's history as it was at D, as known at K: folded from the ledger, not from a read model (question 3).

D and K as in `projections.past`. Merged relations are one from the day of the merge on: their entries stand together,
and their state is the survivor's. As of an earlier day each is shown by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from itertools import islice
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import NotFound
from events.in_force import withdrawals
from events.recorded import AMSTERDAM, ORGANISATION, Recorded, local_date
from projections import relation_view, team_timeline
from projections.alert_sight import bits_of
from projections.line_state import DEFAULT_RULES, Rules
from projections.page import Page, decode_cursor, encode_cursor
from projections.past import AsOf, Bounds, KnownAt, Past, read_past
from projections.past_rows import rows_then
from projections.relation_present import present
from projections.rows import MemoryRows
from projections.sight import NO_RELATION
from projections.timeline_titles import RESTRICTED, Language, title, told
from projections.viewer import Viewer, hidden_bits, restriction, visibility_of

_SCOPE: Final = "history"
_ANONYMOUS_KEEPS: Final = ("instrument", "anonymous")


async def history(
    conn: AsyncConnection,
    relation: str,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    *,
    viewer: Viewer,
    language: Language = "nl",
) -> list[dict[str, Any]]:
    """The entries of `history_of`."""
    _, entries = await history_of(conn, relation, as_of, known_at, viewer=viewer, language=language)
    return entries


async def history_of(
    conn: AsyncConnection,
    relation: str,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    *,
    viewer: Viewer,
    language: Language = "nl",
) -> tuple[str, list[dict[str, Any]]]:
    """Whom the relation belongs to by the merges in sight (itself, for most), and the entries in the order of the book:
    position, relation, version, type, title, occurred_at (Amsterdam), recorded_at (UTC), department, visibility, data
    (personal fields are tokens). Of merged relations the entries of all of them; each names its own and counts the
    versions of that one.

    An anonymous score keeps its place, so that versions have no gap, but shows neither score nor answerer. A team's
    viewer sees a restricted contact by its date only and no other restricted fact. Raises NotFound when the book has
    no such relation within the bounds, or the viewer's team has it not now.
    """
    survivor, page = await history_page(conn, relation, as_of, known_at, viewer=viewer, language=language)
    return survivor, page.items


async def history_page(
    conn: AsyncConnection,
    relation: str,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    *,
    cursor: str | None = None,
    limit: int | None = None,
    viewer: Viewer,
    language: Language = "nl",
) -> tuple[str, Page]:
    """`history_of`, a page of at most `limit` entries (None: all) after the cursor. Also raises Invalid naming
    `/cursor`."""
    bounds = Bounds(as_of, known_at)
    past = await read_past(conn, relation)
    members = past.seen_by(viewer, bounds)
    seen = [e for e in bounds.within(past.events) if e.relation in members]
    if not seen or relation == ORGANISATION:
        raise NotFound(NO_RELATION)
    after = 0 if cursor is None else decode_cursor(_SCOPE, cursor, [int])[0]
    left = [e for e in seen if e.position > after]
    if limit is None:
        return members[0], Page([*_shown(past, seen, left, max(1, len(left)), viewer, language)])
    shown = _shown(past, seen, left, limit + 1, viewer, language)
    items = [*islice(shown, limit)]
    more = next(shown, None) is not None
    return members[0], Page(items, encode_cursor(_SCOPE, [items[-1]["position"]]) if more else None)


def _shown(
    past: Past, seen: Sequence[Recorded], left: Sequence[Recorded], at_once: int, viewer: Viewer, language: Language
) -> Iterator[dict[str, Any]]:
    """The entries of `left`, made so many at once as they are asked for."""
    gone, by_position = withdrawals(seen), {e.position: e for e in past.events}
    for start in range(0, len(left), at_once):
        some = left[start : start + at_once]
        rows = past.contacts_of(some)
        for event in some:
            restricted = bits_of(past.sight, event)
            entry = _entry(event, restricted, rows, viewer, language, gone, by_position)
            if entry is not None:
                yield entry


async def relation_as_of(
    conn: AsyncConnection,
    relation: str,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    *,
    viewer: Viewer,
    rules: Rules = DEFAULT_RULES,
) -> dict[str, Any] | None:
    """The relation view (as `GET /v1/relations/{id}`) as it was at D, as known at K; None when there was none.

    What depends on today is as of the end of D; without D as of K; without both as of the book's now. `position` is
    that of the last fact in sight. Raises NotFound when the viewer's team does not have the relation now.
    """
    states = await relation_states(conn, relation, [Bounds(as_of, known_at)], viewer=viewer, rules=rules)
    return states[0]


async def relation_states(
    conn: AsyncConnection,
    relation: str,
    looks: Sequence[Bounds],
    *,
    viewer: Viewer,
    rules: Rules = DEFAULT_RULES,
) -> list[dict[str, Any] | None]:
    """`relation_as_of` of several pairs of D and K; the ledger is read and decoded once for all of them."""
    found: list[dict[str, Any] | None] = []
    for then in await rows_then(conn, relation, looks, relation_view.PROJECTION, viewer=viewer):
        if then is None:
            found.append(None)
        else:
            rows, now, position = then
            hidden = hidden_bits(viewer)
            found.append(present(rows, relation, now, position=position, rules=rules, hidden=hidden))
    return found


def _entry(
    event: Recorded, restricted: int, rows: MemoryRows, viewer: Viewer, language: Language,
    gone: Mapping[int, Recorded], book: Mapping[int, Recorded],
) -> dict[str, Any] | None:  # fmt: skip
    contact = rows.get("contact", event.relation, event.data.get("contact"))
    role = team_timeline.role_of(event)
    if role in team_timeline.INHERITING and contact is not None:
        restricted |= contact["restricted"]
    if (
        event.withdraws is not None and event.withdraws in book
    ):  # what is said about a fact is as restricted as the fact
        restricted |= restriction(book[event.withdraws])
    withdrawal = gone.get(event.position)
    entry: dict[str, Any] = {
        "position": event.position,
        "relation": event.relation,
        "version": event.version,
        "type": event.type,
        "visibility": visibility_of(restricted),
        "retracted_by": None if withdrawal is None else withdrawal.position,
    }
    if restricted & hidden_bits(viewer, () if contact is None else contact["employees"]):
        if role != "held" or contact is None or contact["retracted"] is not None or withdrawal is not None:
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
        "data": told(event.kind, data),
    }
