"""Question 1: the lines of the contact alerts that are overdue.

The query reads the live build on the connection that it is given. Personal values come out as stored tokens. What
depends on today (working days overdue, a line's state) is computed here, from stored dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Date, DateTime, FromClause, bindparam, func, select, tuple_
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import FieldError, Invalid
from events.recorded import local_date
from projections.alert_line import contacts_of, meetings_of, set_line
from projections.alert_rule import evidence_of
from projections.alert_select import (
    Query,
    bucket_part,
    labelled,
    load_institution,
    owner_of,
    part,
    united,
    visible,
)
from projections.contact_alerts import PROJECTION
from projections.due import LEAD_WORKING_DAYS, Due, evaluate
from projections.page import Page, check_limit, decode_cursor, encode_cursor
from projections.rows import Row
from projections.sight import open_to
from projections.store import live, versioned
from projections.viewer import Viewer, hidden_bits
from projections.working_calendar import WorkingCalendar

_OVERDUE_STATES: Final = frozenset({"overdue", "escalated", "snoozed"})
_CALENDAR: Final = WorkingCalendar()


async def overdue_lines(
    conn: AsyncConnection,
    now: datetime,
    *,
    owner_ref: str | None = None,
    unowned: bool | None = None,
    relation: str | None = None,
    team: str | None = None,
    tier: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
    viewer: Viewer,
    calendar: WorkingCalendar = _CALENDAR,
    lead_working_days: int = LEAD_WORKING_DAYS,
) -> Page:
    """Question 1: the lines that are overdue at `now`, the longest overdue first, with days, owner and evidence.

    Snoozed and escalated lines are overdue too. A line whose owner has left falls to the relation's owner, then to the
    lead of its first team; `unowned` tells that there is nobody. Lines that are paused, ended or vacant are left out,
    and those that are restricted for who may not see them.
    Raises Invalid for a bad cursor or limit.
    """
    check_limit(limit)
    build = await live(conn, PROJECTION)
    tables = build.tables
    line, bucket, alert = (tables[n] for n in ("line", "bucket", "alert"))
    query, home, owner = _overdue(build.version)
    at = {"today": local_date(now), "now": now}
    key = (line.c.overdue_on, line.c.relation, line.c.line)
    query = visible(query, tables, home, viewer, team, tier, relation)
    hidden = hidden_bits(viewer)
    query = query.where(open_to(line.c.hidden, hidden))
    if owner_ref is not None:
        query = query.where(owner == owner_ref)
    if unowned is not None:
        query = query.where(owner.is_(None) if unowned else owner.is_not(None))
    after: list[Any] | None = None
    if cursor is not None:
        on, at_relation, at_line = decode_cursor("overdue_lines", cursor, [str, str, str])
        after = [_cursor_date(on), at_relation, at_line]
    institution = await load_institution(conn, tables, calendar)
    items: list[dict[str, Any]] = []
    while True:
        page = query if after is None else query.where(tuple_(*key) > tuple_(*after))
        rows = (await conn.execute(page.order_by(*key).limit(limit + 1), at)).mappings().all()
        found = [(part(r, line), bucket_part(r, bucket)) for r in rows]
        buckets = await united(conn, tables, found)
        for r, (row, _), known in zip(rows, found, buckets, strict=True):
            if len(items) == limit:
                last: Sequence[Any] = after or ()
                return Page(items, encode_cursor("overdue_lines", [str(p) for p in last]))
            of = part(r, alert)
            if (of["hidden"] or 0) & hidden:
                of = dict.fromkeys(of)  # the line is overdue for this viewer too; what became of that alert is not
            item = _line_json(r, row, known, of, now, institution.calendar, lead_working_days)
            if item is not None:
                items.append(item)
            after = [row["overdue_on"], row["relation"], row["line"]]
        if len(rows) <= limit:
            return Page(items)


@lru_cache(maxsize=8)
def _overdue(version: int) -> tuple[Query, FromClause, Any]:
    """The overdue lines of a build at `:today` and `:now`, the survivors' rows and the owner in it: made once, since
    making so large a statement costs as much as answering it."""
    tables = versioned(PROJECTION, version)
    line, bucket, alert = (tables[n] for n in ("line", "bucket", "alert"))
    home, today = tables["relation"].alias("home"), bindparam("today", type_=Date)
    owner = owner_of(tables, [line.c.owner], home, today)
    opened = func.coalesce(line.c.open["alert"].astext, line.c.hosted["open"]["alert"].astext)
    query: Query = (
        select(*labelled(line, bucket, alert), home.c.relation.label("home"), home.c.name, home.c.tier)
        .add_columns(owner.label("owner"))
        .join_from(line, home, home.c.relation == line.c.root)
        .outerjoin(bucket, (bucket.c.relation == line.c.relation) & (bucket.c.pair == line.c.pair))
        .outerjoin(alert, (alert.c.relation == line.c.target) & (alert.c.alert == opened))
        .where(line.c.overdue_on <= today, line.c.overdue_from <= bindparam("now", type_=DateTime(timezone=True)))
    )
    return query, home, owner


def _line_json(
    found: RowMapping,
    row: Row,
    bucket: Row | None,
    alert: Row,
    now: datetime,
    calendar: WorkingCalendar,
    lead_working_days: int,
) -> dict[str, Any] | None:
    line = set_line(row)
    if line is None:
        return None
    contacts = contacts_of(line, bucket)
    state = evaluate(
        line, contacts, meetings_of(line, bucket, now), now, calendar, escalated=bool(alert["level"]),
        snoozed_until=alert["snoozed_until"], lead_working_days=lead_working_days,
    )  # fmt: skip
    if state.state not in _OVERDUE_STATES or state.overdue_on is None:
        return None
    due = Due(state.anchor_on, state.due_on, state.last_ok_on, state.overdue_on)
    moved = row["relation"] != found["home"]
    return {
        "relation": found["home"],
        "relation_name": found["name"],
        **({"recorded_under": row["relation"]} if moved else {}),
        "tier": found["tier"],
        "line": line.line,
        "our_layer": line.our_layer,
        "their_layer": line.their_layer,
        "cadence": row["cadence"],
        "state": state.state,
        "anchor_on": str(state.anchor_on),
        "due_on": str(state.due_on),
        "last_ok_on": str(state.last_ok_on),
        "overdue_on": str(state.overdue_on),
        "working_days_overdue": state.working_days_overdue,
        "owner": found["owner"],
        "unowned": found["owner"] is None,
        "alert": alert["alert"],
        "level": alert["level"] or 0,
        "policy_version": row["policy_version"],
        "evidence": evidence_of(row, line, contacts, due),
    }


def _cursor_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Invalid("schema", [FieldError("/cursor", "this cursor does not belong to this list")]) from error
