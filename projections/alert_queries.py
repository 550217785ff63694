"""Reading the contact alerts: the list of alerts, and one alert. Beside it question 1, and the lines to look at.

Every query reads the live build on the connection that it is given. Personal values come out as stored tokens. What
depends on today (working days overdue, a line's state) is computed here, from stored dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, func, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import FieldError, Invalid
from events.recorded import iso, local_date
from projections.alert_line import set_line
from projections.alert_select import (
    Query,
    Tables,
    labelled,
    load_institution,
    owner_of,
    part,
    visible,
)
from projections.alert_sources import SILENT_WORKING_DAYS, feeding, sources, told_by
from projections.contact_alerts import PROJECTION
from projections.due import Due, working_days_overdue
from projections.heads import root_of
from projections.page import Page, check_limit, decode_cursor, encode_cursor
from projections.rows import Row
from projections.sight import open_to
from projections.store import live
from projections.viewer import Viewer, hidden_bits
from projections.working_calendar import WorkingCalendar

STATES: Final = ("open", "acknowledged", "snoozed", "escalated", "resolved", "all")
_CALENDAR: Final = WorkingCalendar()
# Who is asked at each level of escalation.
ASKED: Final = ("owner", "team_lead", "board", "board")


async def list_alerts(
    conn: AsyncConnection,
    *,
    state: str | None = None,
    owner_ref: str | None = None,
    team: str | None = None,
    tier: str | None = None,
    relation: str | None = None,
    rule: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
    now: datetime,
    viewer: Viewer,
    calendar: WorkingCalendar = _CALENDAR,
    silent_after: int = SILENT_WORKING_DAYS,
) -> Page:
    """The alerts that the viewer may see, last raised first. `state`: one of STATES; None or `all`: every alert.

    `owner_ref` is the owner's token, None for no filter. Raises Invalid for a state, cursor or limit that is none.
    """
    check_limit(limit)
    tables = (await live(conn, PROJECTION)).tables
    alert, home = tables["alert"], tables["relation"].alias("home")
    query = _alerts(tables, home, local_date(now)).where(*_in_state(tables, state, now))
    query = visible(query, tables, home, viewer, team, tier).where(*_shown_to(tables, viewer))
    if owner_ref is not None:
        query = query.where(_alert_owner(tables, home, local_date(now)) == owner_ref)
    if relation is not None:
        query = query.where(home.c.relation == await root_of(conn, tables, relation))
    if rule is not None:
        query = query.where(alert.c.rule == rule)
    if cursor is not None:
        query = query.where(alert.c.position < decode_cursor("alerts", cursor, [int])[0])
    rows = (await conn.execute(query.order_by(alert.c.position.desc()).limit(limit + 1))).mappings().all()
    items = await _alerts_json(conn, rows[:limit], tables, now, calendar, silent_after)
    more = encode_cursor("alerts", [part(rows[limit - 1], alert)["position"]]) if len(rows) > limit else None
    return Page(items, more)


async def show_alert(
    conn: AsyncConnection,
    alert_id: str,
    now: datetime,
    viewer: Viewer,
    calendar: WorkingCalendar = _CALENDAR,
    silent_after: int = SILENT_WORKING_DAYS,
) -> dict[str, Any] | None:
    """One alert, as in the list; None when there is none that the viewer may see."""
    tables = (await live(conn, PROJECTION)).tables
    alert, home = tables["alert"], tables["relation"].alias("home")
    query = visible(_alerts(tables, home, local_date(now)), tables, home, viewer, None, None)
    query = query.where(alert.c.alert == alert_id.lower(), *_shown_to(tables, viewer))
    rows = (await conn.execute(query)).mappings().all()
    items = await _alerts_json(conn, rows[:1], tables, now, calendar, silent_after)
    return items[0] if items else None


async def version_of(conn: AsyncConnection, relation: str) -> int:
    """The version of the relation's last event that its alerts follow from: `expectedversion` of an act on one."""
    home = (await live(conn, PROJECTION)).tables["relation"]
    return (await conn.execute(select(home.c.version).where(home.c.relation == relation))).scalar_one()


def _alerts(tables: Tables, home: FromClause, today: date) -> Query:
    alert, line, of = tables["alert"], tables["line"], tables["relation"]
    return (
        select(*labelled(alert, line), home.c.relation.label("home"), home.c.name, home.c.tier)
        .add_columns(_alert_owner(tables, home, today).label("owner"))
        .join_from(alert, of, of.c.relation == alert.c.relation)
        .join(home, home.c.relation == of.c.root)
        .outerjoin(line, (line.c.relation == alert.c.line_relation) & (line.c.line == alert.c.line))
    )


def _shown_to(tables: Tables, viewer: Viewer) -> list[ColumnElement[bool]]:
    """Its facts are open to the viewer, and so are those of its line: whose that is now and its layers show with it."""
    hidden = hidden_bits(viewer)
    return [open_to(tables["alert"].c.hidden, hidden), open_to(func.coalesce(tables["line"].c.hidden, 0), hidden)]


def _alert_owner(tables: Tables, home: FromClause, today: date) -> Any:
    """Whose an alert is: the line's owner now, else whose it was when it was raised; from there on as any line's."""
    return owner_of(tables, [func.coalesce(tables["line"].c.owner, tables["alert"].c.owner)], home, today)


def _in_state(tables: Tables, state: str | None, now: datetime) -> list[Any]:
    alert = tables["alert"]
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
        case "escalated":
            return [is_open, alert.c.level > 0]
        case _:
            raise Invalid("schema", [FieldError("/state", f"must be one of {', '.join(STATES)}")])


async def _alerts_json(
    conn: AsyncConnection,
    rows: Sequence[RowMapping],
    tables: Tables,
    now: datetime,
    calendar: WorkingCalendar,
    silent_after: int,
) -> list[dict[str, Any]]:
    if not rows:
        return []
    working = (await load_institution(conn, tables, calendar)).calendar
    told = await told_by(conn, (p for r in rows for p in part(r, tables["alert"])["evidence"]))
    fed = [feeding([told[p] for p in part(r, tables["alert"])["evidence"] if p in told]) for r in rows]
    known = await sources(conn, tables, sorted({d for ds in fed for d in ds}), now, working, silent_after)
    return [
        {**alert_json(r, tables, now, working), "silent_sources": [d for d in ds if known[d].silent]}
        for r, ds in zip(rows, fed, strict=True)
    ]


def alert_json(found: RowMapping, tables: Tables, now: datetime, calendar: WorkingCalendar) -> dict[str, Any]:
    """The JSON of an alert. It shows under the survivor; `recorded_under` names the relation whose history has it,
    where that is another one."""
    alert, row = part(found, tables["alert"]), part(found, tables["line"])
    until: datetime = alert["resolved_at"] or now
    moved = alert["relation"] != found["home"]
    return {
        "id": alert["alert"],
        "rule": alert["rule"],
        "rule_version": alert["rule_version"],
        "policy_version": alert["policy_version"],
        "relation": found["home"],
        "relation_name": found["name"],
        **({"recorded_under": alert["relation"]} if moved else {}),
        "tier": found["tier"],
        "line": alert["line"],
        "about": alert["about"],
        "our_layer": row["our_layer"],
        "their_layer": row["their_layer"],
        "state": alert["state"],
        "raised_at": iso(alert["raised_at"]),
        "due_on": str(alert["due_on"]),
        "last_ok_on": str(alert["last_ok_on"]),
        "overdue_on": str(alert["overdue_on"]),
        "working_days_overdue": _days_overdue(alert, row, local_date(until), calendar),
        "owner": found["owner"],
        "unowned": found["owner"] is None,
        "level": alert["level"],
        "asked": ASKED[min(alert["level"], len(ASKED) - 1)],
        "escalated_at": None if alert["escalated_at"] is None else iso(alert["escalated_at"]),
        "evidence": alert["evidence"],
        "silent": alert["silent"],
        "acknowledged_at": None if alert["acknowledged_at"] is None else iso(alert["acknowledged_at"]),
        "snoozed_until": None if alert["snoozed_until"] is None else str(alert["snoozed_until"]),
        "snoozes": alert["snoozes"],
        "resolved_at": None if alert["resolved_at"] is None else iso(alert["resolved_at"]),
        "resolution": alert["resolution"],
        "resolution_evidence": alert["resolution_evidence"],
    }


def _days_overdue(alert: Row, row: Row, until: date, calendar: WorkingCalendar) -> int:
    if alert["resolution"] == "late_evidence":
        return 0
    line = set_line(row) if alert["line"] is not None else None
    if line is None:
        return calendar.working_days_between(alert["last_ok_on"], until)
    due = Due(alert["due_on"], alert["due_on"], alert["last_ok_on"], alert["overdue_on"])
    return max(0, working_days_overdue(line, due, until, calendar))
