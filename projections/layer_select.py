"""The statements of question 2, on the rows of the contact alerts: lines that ask for contact, and contact without."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Date,
    FromClause,
    Table,
    Text,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    true,
)
from sqlalchemy import cast as as_type

from projections.alert_select import Query, Tables, owner_of
from projections.contact_alerts import PROJECTION
from projections.store import versioned

LayerState = Literal["all", "open", "gap", "vacant", "covered", "extra"]


class Stream(NamedTuple):
    """A statement without its order; `key` says which that is, `home` is the row of the survivor. It wants `:today` and
    `:since`, the day that twelve months begin after."""

    query: Query
    home: FromClause
    key: tuple[ColumnElement[Any], ...]


@lru_cache(maxsize=32)
def lines(version: int, state: LayerState) -> Stream:
    """The lines of a build that ask for contact today and are in this state.

    Made once: making the statement costs as much as a page of it.
    """
    tables = versioned(PROJECTION, version)
    line, home = tables["line"], tables["relation"].alias("home")
    today, since = _days()
    vacant = line.c.vacant_on <= today
    taken = or_(line.c.vacant_on.is_(None), line.c.vacant_on > today)
    # A contact after today does not count yet; only then the contacts before it are looked at.
    last_on = case((line.c.last_on > today, _newest_until(tables, today)), else_=line.c.last_on)
    # Says less than what comes after it, but is cheap: PostgreSQL looks at it before pauses and contacts.
    maybe_gap = or_(line.c.last_on.is_(None), line.c.last_on <= since, line.c.last_on > today)
    gap = func.coalesce(last_on, since) <= since
    within: dict[LayerState, tuple[ColumnElement[bool], ...]] = {
        "all": (),
        "open": (or_(vacant, maybe_gap), or_(vacant, gap)),
        "gap": (taken, maybe_gap, gap),
        "vacant": (vacant,),
        "covered": (taken, line.c.last_on > since, not_(gap)),
    }
    query: Query = (
        select(
            home.c.relation.label("root"), home.c.name, home.c.name_key, home.c.kind, home.c.tier,
            line.c.relation, line.c.line, line.c.pair, line.c.their_person, line.c.cadence, line.c.channels,
            line.c.starts_on, line.c.vacant_on, line.c.positions,
            owner_of(tables, [line.c.owner], home, today).label("owner"),
        )
        .join_from(line, home, home.c.relation == line.c.root)
        .where(home.c.name.is_not(None), *_owed(line, today), *within[state])
    )  # fmt: skip
    # Where most lines are asked for PostgreSQL goes through the relations by their index of names. Where few are, it
    # must not: it expects a sixth of what there are, and would compare 254,000 lines at 5,000 relations.
    name = home.c.name_key if state in {"all", "covered"} else func.coalesce(home.c.name_key, "")
    return Stream(query, home, (name, home.c.relation, line.c.line, line.c.relation))


@lru_cache(maxsize=8)
def extras(version: int) -> Stream:
    """The layers that had contact in twelve months though no line asks for it today."""
    tables = versioned(PROJECTION, version)
    line, bucket = tables["line"], tables["bucket"]
    home, member = tables["relation"].alias("home"), tables["relation"].alias("member")
    today, since = _days()
    last = _day(bucket.c.dates[-1][0])
    one = func.jsonb_array_elements(bucket.c.dates).table_valued("value", name="held")
    on = as_type(literal_column("held.value ->> 0", Text), Date)
    asked = exists(
        select(1).where(line.c.root == home.c.relation, line.c.pair == bucket.c.pair, *_owed(line, today))
    ).correlate(home, bucket)
    met = (
        select(bucket.c.pair)
        .distinct()
        .join_from(member, bucket, bucket.c.relation == member.c.relation)
        .where(
            member.c.root == home.c.relation,
            last > since,
            not_(asked),
            or_(last <= today, exists(select(1).select_from(one).where(on > since, on <= today))),
        )
        .correlate(home)
        .lateral("met")
    )
    none = {"line": Text, "relation": Text, "their_person": Text, "owner": Text, "starts_on": Date, "vacant_on": Date}
    query: Query = (
        select(
            home.c.relation.label("root"), home.c.name, home.c.name_key, home.c.kind, home.c.tier, met.c.pair,
            *(as_type(null(), kind).label(name) for name, kind in none.items()),
            *(null().label(name) for name in ("cadence", "channels", "positions")),
        )
        .select_from(home.join(met, true()))
        # What was absorbed is nobody's root, so it has no `met`. To say so here would make PostgreSQL expect 25
        # relations of 5,000, and sort them all instead of stopping at a page.
        .where(home.c.name.is_not(None))
    )  # fmt: skip
    return Stream(query, home, (home.c.name_key, home.c.relation, met.c.pair))


def _days() -> tuple[ColumnElement[date], ColumnElement[date]]:
    return bindparam("today", type_=Date), bindparam("since", type_=Date)


def _owed(line: Table, today: ColumnElement[date]) -> tuple[ColumnElement[bool], ...]:
    """The line asks for contact today: it is set, has begun, has not ended and is not paused."""
    return (
        line.c.our_layer.is_not(None),
        line.c.starts_on <= today,
        or_(line.c.ended_on.is_(None), line.c.ended_on > today),
        not_(_paused(line.c.pauses, today)),
    )


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


def _day(value: Any) -> ColumnElement[date]:
    return as_type(value.astext, Date)
