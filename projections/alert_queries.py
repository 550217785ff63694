"""Reading the contact alerts: the list of alerts, one alert, the overdue lines (question 1), the lines to look at.

Every query reads the live build on the connection that it is given. Personal values come out as stored tokens. What
depends on today (working days overdue, a line's state) is computed here, from stored dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Date, DateTime, FromClause, Integer, Text, bindparam, func, select, tuple_
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import FieldError, Invalid
from events.recorded import iso, local_date
from projections.alert_line import contacts_of, meetings_of, set_line
from projections.alert_rule import evidence_of
from projections.alert_select import (
    Query,
    Tables,
    bucket_part,
    labelled,
    load_institution,
    owner_of,
    part,
    united,
    visible,
)
from projections.alert_sources import SILENT_WORKING_DAYS, feeding, sources, told_by
from projections.contact_alerts import PROJECTION
from projections.due import LEAD_WORKING_DAYS, Due, evaluate, working_days_overdue
from projections.heads import root_of
from projections.institution import Institution
from projections.page import Page, check_limit, decode_cursor, encode_cursor
from projections.rows import Row
from projections.sight import open_to
from projections.store import Live, live, versioned
from projections.viewer import Viewer, hidden_bits
from projections.working_calendar import WorkingCalendar

STATES: Final = ("open", "acknowledged", "snoozed", "escalated", "resolved", "all")
_OVERDUE_STATES: Final = frozenset({"overdue", "escalated", "snoozed"})
_CALENDAR: Final = WorkingCalendar()
# Who is asked at each level of escalation.
ASKED: Final = ("owner", "team_lead", "board", "board")


class Candidate(NamedTuple):
    """A line that may need an event: its row (with whose it is now as `owner`), the contacts and meetings of its
    layers, the version of the relation that the event would be about, and the institution's rules."""

    line: Row
    bucket: Row | None
    version: int
    institution: Institution

    @property
    def key(self) -> tuple[datetime, str, str]:
        return self.line["check_at"], self.line["relation"], self.line["line"]


async def lines_to_check(
    conn: AsyncConnection,
    build: Live,
    now: datetime,
    after: tuple[datetime, str, str] | None,
    limit: int,
    calendar: WorkingCalendar = _CALENDAR,
) -> list[Candidate]:
    """The lines whose `check_at` has come, the longest waiting first, after a candidate's key; at most `limit`.

    Reads the index on `check_at`: costs what is due, not what exists.
    """
    tables = build.tables
    line, bucket = tables["line"], tables["bucket"]
    asked: dict[str, Any] = {"now": now, "today": local_date(now), "most": limit}
    if after is not None:
        asked |= zip(("after_at", "after_relation", "after_line"), after, strict=True)
    query = _lines_to_check(build.version, from_start=after is None)
    rows = (await conn.execute(query, asked)).mappings().all()
    if not rows:
        return []
    institution = await load_institution(conn, tables, calendar)
    found = [({**part(r, line), "owner": r["owner"]}, bucket_part(r, bucket)) for r in rows]
    buckets = await united(conn, tables, found)
    return [
        Candidate(row, known, r["version"], institution)
        for r, (row, _), known in zip(rows, found, buckets, strict=True)
    ]


@lru_cache(maxsize=8)
def _lines_to_check(version: int, *, from_start: bool) -> Query:
    """Made once: a tick that finds nothing due would spend half its time on making it."""
    tables = versioned(PROJECTION, version)
    line, bucket, home = tables["line"], tables["bucket"], tables["relation"].alias("home")
    target = tables["relation"].alias("target")
    key = (line.c.check_at, line.c.relation, line.c.line)
    owner = owner_of(tables, [line.c.owner], home, bindparam("today", type_=Date))
    query: Query = (
        select(*labelled(line, bucket), target.c.version, owner.label("owner"))
        .join_from(line, home, home.c.relation == line.c.root)
        .join(target, target.c.relation == line.c.target)
        .outerjoin(bucket, (bucket.c.relation == line.c.relation) & (bucket.c.pair == line.c.pair))
        .where(line.c.check_at <= bindparam("now", type_=DateTime(timezone=True)))
    )
    if not from_start:
        after = (
            bindparam("after_at", type_=DateTime(timezone=True)),
            bindparam("after_relation", type_=Text),
            bindparam("after_line", type_=Text),
        )
        query = query.where(tuple_(*key) > tuple_(*after))
    return query.order_by(*key).limit(bindparam("most", type_=Integer))


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
