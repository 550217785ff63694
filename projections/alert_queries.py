"""Reading the contact alerts: the list of alerts, one alert, the overdue lines (question 1), the lines to look at.

Every query reads the live build on the connection that it is given. Personal values come out as stored tokens. What
depends on today (working days overdue, a line's state) is computed here, from stored dates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Table, func, select, tuple_
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import FieldError, Invalid
from events.recorded import iso, local_date
from projections.alert_rule import contacts_of, evidence_of, meetings_of, set_line
from projections.contact_alerts import PROJECTION
from projections.due import LEAD_WORKING_DAYS, Due, evaluate, working_days_overdue
from projections.page import Page, check_limit, decode_cursor, encode_cursor
from projections.rows import Row
from projections.store import live
from projections.viewer import EVERYTHING, Viewer
from projections.working_calendar import WorkingCalendar

Tables = Mapping[str, Table]
Query = Any  # a Select of labelled columns: their number makes its type a different one in each place

STATES: Final = ("open", "acknowledged", "snoozed", "resolved", "all")
_OVERDUE_STATES: Final = frozenset({"overdue", "escalated", "snoozed"})
_CALENDAR: Final = WorkingCalendar()


class Candidate(NamedTuple):
    """A line that may need an event: its row, its bucket, and the relation's version that both stand at."""

    line: Row
    bucket: Row | None
    version: int

    @property
    def key(self) -> tuple[datetime, str, str]:
        return self.line["check_at"], self.line["relation"], self.line["line"]


async def lines_to_check(
    conn: AsyncConnection, tables: Tables, now: datetime, after: tuple[datetime, str, str] | None, limit: int
) -> list[Candidate]:
    """The lines whose `check_at` has come, the longest waiting first, after a candidate's key; at most `limit`.

    Reads the index on `check_at`: costs what is due, not what exists.
    """
    line, bucket, relation = tables["line"], tables["bucket"], tables["relation"]
    key = (line.c.check_at, line.c.relation, line.c.line)
    query: Query = (
        select(*_labelled(line, bucket), relation.c.version)
        .join_from(line, relation, relation.c.relation == line.c.relation)
        .outerjoin(bucket, (bucket.c.relation == line.c.relation) & (bucket.c.pair == line.c.pair))
        .where(line.c.check_at <= now)
    )
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*after))
    rows = (await conn.execute(query.order_by(*key).limit(limit))).mappings()
    return [Candidate(_part(r, line), _bucket(r, bucket), r["version"]) for r in rows]


async def list_alerts(
    conn: AsyncConnection,
    *,
    state: str | None = None,
    owner_ref: str | None = None,
    team: str | None = None,
    tier: str | None = None,
    relation: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
    now: datetime,
    viewer: Viewer = EVERYTHING,
    calendar: WorkingCalendar = _CALENDAR,
) -> Page:
    """The alerts that the viewer may see, last raised first. `state`: one of STATES; None or `all`: every alert.

    `owner_ref` is the owner's token, None for no filter. Raises Invalid for a state, cursor or limit that is none.
    """
    check_limit(limit)
    tables = (await live(conn, PROJECTION)).tables
    alert = tables["alert"]
    query = _visible(_alerts(tables), tables, alert.c.relation, viewer, team, tier).where(*_in_state(alert, state, now))
    if owner_ref is not None:
        query = query.where(_owner(tables) == owner_ref)
    if relation is not None:
        query = query.where(alert.c.relation == relation)
    if cursor is not None:
        query = query.where(alert.c.position < decode_cursor("alerts", cursor, [int])[0])
    rows = (await conn.execute(query.order_by(alert.c.position.desc()).limit(limit + 1))).mappings().all()
    items = [_alert_json(r, tables, now, calendar) for r in rows[:limit]]
    more = encode_cursor("alerts", [_part(rows[limit - 1], alert)["position"]]) if len(rows) > limit else None
    return Page(items, more)


async def show_alert(
    conn: AsyncConnection,
    alert_id: str,
    now: datetime,
    viewer: Viewer = EVERYTHING,
    calendar: WorkingCalendar = _CALENDAR,
) -> dict[str, Any] | None:
    """One alert, as in the list; None when there is none that the viewer may see."""
    tables = (await live(conn, PROJECTION)).tables
    alert = tables["alert"]
    query = _visible(_alerts(tables), tables, alert.c.relation, viewer, None, None)
    found = (await conn.execute(query.where(alert.c.alert == alert_id.lower()))).mappings().first()
    return None if found is None else _alert_json(found, tables, now, calendar)


async def overdue_lines(
    conn: AsyncConnection,
    now: datetime,
    *,
    owner_ref: str | None = None,
    team: str | None = None,
    tier: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
    viewer: Viewer = EVERYTHING,
    calendar: WorkingCalendar = _CALENDAR,
    lead_working_days: int = LEAD_WORKING_DAYS,
) -> Page:
    """Question 1: the lines that are overdue at `now`, the longest overdue first, with days, owner and evidence.

    Snoozed and escalated lines are overdue too. A line without an owner falls to the relation's; `unowned` tells that
    there is neither. Lines that are paused, ended or vacant are left out. Raises Invalid for a bad cursor or limit.
    """
    check_limit(limit)
    tables = (await live(conn, PROJECTION)).tables
    line, bucket, relation, alert = (tables[n] for n in ("line", "bucket", "relation", "alert"))
    key = (line.c.overdue_on, line.c.relation, line.c.line)
    owner = func.coalesce(line.c.owner, relation.c.owner)
    opened = (alert.c.relation == line.c.relation) & (alert.c.alert == line.c.open["alert"].astext)
    query: Query = (
        select(*_labelled(line, bucket, alert), relation.c.name, relation.c.tier, owner.label("owner"))
        .join_from(line, relation, relation.c.relation == line.c.relation)
        .outerjoin(bucket, (bucket.c.relation == line.c.relation) & (bucket.c.pair == line.c.pair))
        .outerjoin(alert, opened)
        .where(line.c.overdue_on <= local_date(now), line.c.overdue_from <= now)
    )
    query = _visible(query, tables, line.c.relation, viewer, team, tier)
    if owner_ref is not None:
        query = query.where(owner == owner_ref)
    after: list[Any] | None = None
    if cursor is not None:
        on, at_relation, at_line = decode_cursor("overdue_lines", cursor, [str, str, str])
        after = [_cursor_date(on), at_relation, at_line]
    items: list[dict[str, Any]] = []
    while True:
        page = query if after is None else query.where(tuple_(*key) > tuple_(*after))
        rows = (await conn.execute(page.order_by(*key).limit(limit + 1))).mappings().all()
        for r in rows:
            if len(items) == limit:
                last: Sequence[Any] = after or ()
                return Page(items, encode_cursor("overdue_lines", [str(part) for part in last]))
            row = _part(r, line)
            item = _line_json(r, row, _bucket(r, bucket), _part(r, alert), now, calendar, lead_working_days)
            if item is not None:
                items.append(item)
            after = [row["overdue_on"], row["relation"], row["line"]]
        if len(rows) <= limit:
            return Page(items)


def _alerts(tables: Tables) -> Query:
    alert, line, relation = tables["alert"], tables["line"], tables["relation"]
    owner = _owner(tables).label("owner")
    return (
        select(*_labelled(alert, line), relation.c.name, relation.c.tier, owner)
        .join_from(alert, relation, relation.c.relation == alert.c.relation)
        .outerjoin(line, (line.c.relation == alert.c.relation) & (line.c.line == alert.c.line))
    )


def _owner(tables: Tables) -> Any:
    """Whose an alert is: the line's owner now, else the relation's, else whose it was when it was raised."""
    return func.coalesce(tables["line"].c.owner, tables["relation"].c.owner, tables["alert"].c.owner)


def _visible(query: Query, tables: Tables, of: Any, viewer: Viewer, team: str | None, tier: str | None) -> Query:
    """Narrowed to relations of a tier and a team, and to those that the viewer's team has now."""
    assignment = tables["assignment"]
    teams = [name for name in (team, None if viewer.everything else viewer.team or "") if name is not None]
    for name in teams:
        shares = select(assignment.c.relation).where(assignment.c.team == name, assignment.c.assigned)
        query = query.where(of.in_(shares))
    return query if tier is None else query.where(tables["relation"].c.tier == tier)


def _in_state(alert: Table, state: str | None, now: datetime) -> list[Any]:
    is_open = alert.c.state == "open"
    match state:
        case None | "all":
            return []
        case "open" | "resolved":
            return [alert.c.state == state]
        case "acknowledged":
            return [is_open, alert.c.acknowledged_at.is_not(None)]
        case "snoozed":
            return [is_open, alert.c.snoozed_until > local_date(now)]
        case _:
            raise Invalid("schema", [FieldError("/state", f"must be one of {', '.join(STATES)}")])


def _alert_json(found: RowMapping, tables: Tables, now: datetime, calendar: WorkingCalendar) -> dict[str, Any]:
    alert, row = _part(found, tables["alert"]), _part(found, tables["line"])
    until: datetime = alert["resolved_at"] or now
    line = set_line(row)
    due = Due(alert["due_on"], alert["due_on"], alert["last_ok_on"], alert["overdue_on"])
    in_time = line is None or alert["resolution"] == "late_evidence"
    days = 0 if line is None or in_time else max(0, working_days_overdue(line, due, local_date(until), calendar))
    return {
        "id": alert["alert"],
        "rule": alert["rule"],
        "rule_version": alert["rule_version"],
        "relation": alert["relation"],
        "relation_name": found["name"],
        "tier": found["tier"],
        "line": alert["line"],
        "our_layer": row["our_layer"],
        "their_layer": row["their_layer"],
        "state": alert["state"],
        "raised_at": iso(alert["raised_at"]),
        "due_on": str(alert["due_on"]),
        "last_ok_on": str(alert["last_ok_on"]),
        "overdue_on": str(alert["overdue_on"]),
        "working_days_overdue": days,
        "owner": found["owner"],
        "level": alert["level"],
        "evidence": alert["evidence"],
        "silent": alert["silent"],
        "acknowledged_at": None if alert["acknowledged_at"] is None else iso(alert["acknowledged_at"]),
        "snoozed_until": None if alert["snoozed_until"] is None else str(alert["snoozed_until"]),
        "resolved_at": None if alert["resolved_at"] is None else iso(alert["resolved_at"]),
        "resolution": alert["resolution"],
        "resolution_evidence": alert["resolution_evidence"],
    }


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
    return {
        "relation": row["relation"],
        "relation_name": found["name"],
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
        "evidence": evidence_of(row, line, contacts, due),
    }


def _cursor_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Invalid("schema", [FieldError("/cursor", "this cursor does not belong to this list")]) from error


def _labelled(*tables: Table) -> list[Any]:
    return [c.label(f"{t.name}__{c.name}") for t in tables for c in t.c]


def _part(found: RowMapping, table: Table) -> Row:
    return {c.name: found[f"{table.name}__{c.name}"] for c in table.c}


def _bucket(found: RowMapping, bucket: Table) -> Row | None:
    row = _part(found, bucket)
    return None if row["relation"] is None else row
