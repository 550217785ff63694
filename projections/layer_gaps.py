"""Question 2: the lines that ask for contact and have none, or nobody to have it with. Read from the contact alerts.

Those have the lines that a policy asks for beside those that a department set (docs/decisions/0008), the day of the
newest contact of each over all relations that are one by merges, and who has a line now.
"""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Date,
    FromClause,
    Text,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy import cast as as_type
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import local_date
from projections.alert_select import Query, Tables, owner_of, visible
from projections.contact_alerts import PROJECTION
from projections.page import Page, check_limit, decode_cursor, encode_cursor
from projections.relation_present import year_before
from projections.store import live, versioned
from projections.viewer import Viewer

_SCOPE: Final = "gaps"


async def gaps(
    conn: AsyncConnection,
    now: datetime,
    *,
    tier: str | None = None,
    team: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
    viewer: Viewer,
) -> Page:
    """Lines that ask for contact today and are vacant, or had none that qualifies in twelve months, by relation name
    and line: those for which the matrix of a relation says `gap`.

    An item: relation, relation_name, kind, tier, line (`policy:…`: asked for by the policy of the tier), our_layer,
    their_layer, cadence, starts_on, state (`vacant`: the person that it names is gone, whenever the last contact was;
    else `gap`), vacant_on, last_on, owner (who has it now, as in question 1; None: nobody), evidence (positions of what
    set the line, or of the policy, and of what made it vacant). Who does have contact with whom is in the matrix of a
    relation. Raises Invalid naming `/cursor` or `/limit`.
    """
    build = await live(conn, PROJECTION)
    query, home, key = _gaps(build.version)
    query = visible(query, build.tables, home, viewer, team, tier)
    if cursor is not None:
        query = query.where(tuple_(*key) > tuple_(*decode_cursor(_SCOPE, cursor, (str, str, str, str))))
    today = local_date(now)
    asked = query.order_by(*key).limit(check_limit(limit) + 1)
    found = (await conn.execute(asked, {"today": today, "since": year_before(today)})).all()
    items = [_item(r, today) for r in found[:limit]]
    if len(found) <= limit:
        return Page(items)
    end = found[limit - 1]
    return Page(items, encode_cursor(_SCOPE, (end.name_key, end.root, end.line, end.relation)))


def _item(r: Any, today: date) -> dict[str, Any]:
    vacant_on: date | None = None if r.vacant_on is None or r.vacant_on > today else r.vacant_on
    evidence = [r.positions["set"]] if vacant_on is None else [r.positions["set"], r.positions["vacant"]]
    return {
        "relation": r.root, "relation_name": r.name, "kind": r.kind, "tier": r.tier, "line": r.line,
        "our_layer": r.our_layer, "their_layer": r.their_layer, "cadence": r.cadence,
        "starts_on": r.starts_on.isoformat(), "state": "gap" if vacant_on is None else "vacant",
        "vacant_on": vacant_on and vacant_on.isoformat(), "last_on": r.last_on and r.last_on.isoformat(),
        "owner": r.owner, "evidence": sorted(evidence),
    }  # fmt: skip


class _Asked(NamedTuple):
    query: Query
    home: FromClause
    key: tuple[ColumnElement[Any], ...]


@lru_cache(maxsize=8)
def _gaps(version: int) -> _Asked:
    """The gaps of a build on `:today`: vacant, or without a contact after `:since`; the survivors' rows, and the order.

    Made once: making the statement costs as much as a page of it.
    """
    tables = versioned(PROJECTION, version)
    line, home = tables["line"], tables["relation"].alias("home")
    today, since = bindparam("today", type_=Date), bindparam("since", type_=Date)
    vacant = line.c.vacant_on <= today
    # A contact after today does not count yet; only then the contacts before it are looked at.
    last_on = case((line.c.last_on > today, _newest_until(tables, today)), else_=line.c.last_on)
    query: Query = (
        select(
            home.c.relation.label("root"), home.c.name, home.c.name_key, home.c.kind, home.c.tier,
            line.c.relation, line.c.line, line.c.our_layer, line.c.their_layer, line.c.cadence, line.c.starts_on,
            line.c.vacant_on, line.c.positions, last_on.label("last_on"),
            owner_of(tables, [line.c.owner], home, today).label("owner"),
        )
        .join_from(line, home, home.c.relation == line.c.root)
        .where(
            home.c.name.is_not(None),
            line.c.our_layer.is_not(None),
            # Says less than the last condition, but is cheap: PostgreSQL looks at it before pauses and contacts.
            or_(vacant, line.c.last_on.is_(None), line.c.last_on <= since, line.c.last_on > today),
            line.c.starts_on <= today,
            or_(line.c.ended_on.is_(None), line.c.ended_on > today),
            not_(_paused(line.c.pauses, today)),
            or_(vacant, func.coalesce(last_on, since) <= since),
        )
    )  # fmt: skip
    # Not the column itself: PostgreSQL would go through all relations by their index of names and look for the lines of
    # each among the gaps, of which it expects a sixth of what there are: 254,000 comparisons at 5,000 relations.
    name = func.coalesce(home.c.name_key, "")
    return _Asked(query, home, (name, home.c.relation, line.c.line, line.c.relation))


def _newest_until(tables: Tables, today: ColumnElement[Any]) -> ColumnElement[Any]:
    """The day of the newest contact of a line's layers up to today, of all relations that are one with its own."""
    line, bucket, member = tables["line"], tables["bucket"], tables["relation"].alias("member")
    held = func.jsonb_array_elements(bucket.c.dates).table_valued("value", name="held")
    held_on = as_type(literal_column("held.value ->> 0", Text), Date)
    channel: ColumnElement[Any] = literal_column("(held.value -> 2)")
    return (
        select(func.max(held_on))
        .select_from(member)
        .join(bucket, bucket.c.relation == member.c.relation)
        .join(held, true())
        .where(
            member.c.root == line.c.root,
            bucket.c.pair == line.c.pair,
            held_on <= today,
            or_(line.c.channels.is_(None), line.c.channels.contains(channel)),
        )
        .correlate(line)
        .scalar_subquery()
    )


def _paused(pauses: ColumnElement[Any], today: ColumnElement[Any]) -> ColumnElement[bool]:
    pause = func.jsonb_array_elements(pauses).table_valued("value", name="pause")
    start = as_type(literal_column("pause.value ->> 0", Text), Date)
    until = as_type(literal_column("pause.value ->> 1", Text), Date)
    return exists(select(1).select_from(pause).where(start <= today, or_(until.is_(None), until > today)))
