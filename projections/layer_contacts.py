"""Question 2: who has contact with whom on which layer, and where are the gaps. Read from the contact alerts.

Those have the lines that a policy asks for beside those that a department set (docs/decisions/0008), the contacts
between two layers of all relations that are one by merges, and who has a line now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from heapq import merge
from typing import Any, Final, NamedTuple

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import local_date
from projections.alert_select import Tables, visible
from projections.contact_alerts import PROJECTION
from projections.layer_select import LayerState, Stream, extras, lines
from projections.layers import pairs_in
from projections.page import Page, bad_cursor, check_limit, decode_cursor, encode_cursor
from projections.relation_present import year_before
from projections.sight import open_to
from projections.store import live
from projections.viewer import Viewer, hidden_bits

__all__ = ["LayerState", "layer_contacts"]

_SCOPE: Final = "layers"


class _Cursor(NamedTuple):
    """The last item of a page. `line` is empty for layers that no line asks for, `own` then their pair."""

    name: str
    root: str
    line: str
    own: str


async def layer_contacts(
    conn: AsyncConnection, now: datetime, *, viewer: Viewer, state: LayerState = "all", relation: str | None = None,
    tier: str | None = None, team: str | None = None, cursor: str | None = None, limit: int = 100,
) -> Page:  # fmt: skip
    """The lines that ask for contact today, and the layers that met in twelve months without one, by relation name;
    of a relation the latter first. As the matrix of a relation has them.

    An item: relation, relation_name, kind, tier, line (`policy:…`: asked for by the policy of the tier; None: nothing
    asks for it), our_layer, their_layer, their_person, cadence, starts_on, state, vacant_on, last_on, contacts_12m
    (both of contacts that qualify for the line), owner (who has it now, as in question 1; None: nobody), evidence
    (positions of what set the line, or of the policy, of what made it vacant, and of the last contact).

    `state` of an item: `vacant` (the person that the line names is gone, whenever the last contact was), else `gap`
    (none in twelve months), else `covered`; without a line `extra`. `open` asks for `gap` and `vacant`. A line that is
    restricted is no item for who may not see it, nor are its layers then `extra`. Raises Invalid naming `/cursor` or
    `/limit`.
    """
    build = await live(conn, PROJECTION)
    today = local_date(now)
    size = check_limit(limit) + 1
    after = None if cursor is None else _Cursor(*decode_cursor(_SCOPE, cursor, (str, str, str, str)))
    days = {"today": today, "since": year_before(today)}

    async def read(stream: Stream, *beyond: Any) -> Sequence[Any]:
        query = visible(stream.query, build.tables, stream.home, viewer, team, tier, relation).where(*beyond)
        if after is not None:
            # Says less than `beyond`, of one table alone: so it is where PostgreSQL begins in the index of names.
            query = query.where(tuple_(*stream.key[:2]) >= tuple_(after.name, after.root))
        return (await conn.execute(query.order_by(*stream.key).limit(size), days)).all()

    asked: Sequence[Any] = []
    if state != "extra":
        stream = lines(build.version, state)
        seen = open_to(build.tables["line"].c.hidden, hidden_bits(viewer))
        asked = await read(stream, seen, *([] if after is None else [tuple_(*stream.key) > tuple_(*after)]))
    others: Sequence[Any] = []
    if state in {"all", "extra"}:
        stream = extras(build.version)
        name, root, pair = stream.key
        beyond: list[Any] = []
        if after is not None and after.line:
            beyond = [tuple_(name, root) > tuple_(after.name, after.root)]
        elif after is not None:
            beyond = [tuple_(name, root, pair) > tuple_(after.name, after.root, _pair(after.own))]
        if len(asked) == size:
            # What comes after the page's lines is not on the page: else all relations are gone through for it.
            beyond.append(tuple_(name, root) <= tuple_(asked[-1].name_key, asked[-1].root))
        others = await read(stream, *beyond)
    found = [*merge(others, asked, key=lambda r: (r.name_key, r.root))]
    page = found[:limit]
    held = await _held(conn, build.tables, {(r.root, r.pair) for r in page}, today)
    items = [_item(r, held[r.root, r.pair], today) for r in page]
    if len(found) <= limit:
        return Page(items)
    end = page[-1]
    key = _Cursor(end.name_key, end.root, end.line or "", end.relation if end.line else str(end.pair))
    return Page(items, encode_cursor(_SCOPE, key))


def _pair(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 16:
        bad_cursor()
    return int(text)


# Day, position and channel of a contact that counts, as a bucket has them: texts, since a page has thousands.
_Held = tuple[str, int, str | None]


async def _held(
    conn: AsyncConnection, tables: Tables, wanted: Iterable[tuple[str, int]], today: date
) -> Mapping[tuple[str, int], list[_Held]]:
    """The contacts up to today between these layers, of all relations that are one; none for what is not there."""
    member, bucket = tables["relation"], tables["bucket"]
    found: dict[tuple[str, int], list[_Held]] = defaultdict(list)
    asked = frozenset(wanted)
    query = (
        select(member.c.root, bucket.c.pair, bucket.c.dates)
        .join_from(member, bucket, bucket.c.relation == member.c.relation)
        .where(member.c.root.in_(sorted({root for root, _ in asked})))
    )
    until = today.isoformat()
    for root, pair, dates in await conn.execute(query):
        if (root, pair) in asked:
            found[root, pair] += [(on, position, channel) for on, position, channel in dates if on <= until]
    return found


def _item(r: Any, held: Sequence[_Held], today: date) -> dict[str, Any]:
    counts = [(on, position) for on, position, channel in held if r.channels is None or channel in r.channels]
    last_on, last_position = max(counts, default=(None, None))
    since = year_before(today).isoformat()
    vacant_on: date | None = None if r.vacant_on is None or r.vacant_on > today else r.vacant_on
    state = "extra" if r.line is None else "covered"
    if vacant_on is not None:
        state = "vacant"
    elif last_on is None or last_on <= since:
        state = "gap"
    positions: Mapping[str, int] = r.positions or {}
    evidence = {positions[what] for what in ("set", "vacant") if what in positions and (what == "set" or vacant_on)}
    if last_position is not None:
        evidence.add(last_position)
    ((our_layer, their_layer),) = pairs_in(r.pair)
    return {
        "relation": r.root, "relation_name": r.name, "kind": r.kind, "tier": r.tier, "line": r.line,
        "our_layer": our_layer, "their_layer": their_layer, "their_person": r.their_person, "cadence": r.cadence,
        "starts_on": r.starts_on and r.starts_on.isoformat(), "state": state,
        "vacant_on": vacant_on and vacant_on.isoformat(), "last_on": last_on,
        "contacts_12m": sum(1 for on, _ in counts if on > since), "owner": r.owner, "evidence": sorted(evidence),
    }  # fmt: skip
