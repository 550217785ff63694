"""Question 10: why does this alert exist, and how fresh are its sources?

In numbers and in words: the rule, the policy that it keeps, how its days were counted, the events that it was computed
from, and for each department behind them when it was last heard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import AMSTERDAM, Recorded, decode, iso
from events.tables import entry
from projections.alert_line import RULE, contacts_of, open_of, set_line
from projections.alert_queries import show_alert
from projections.alert_rule import anchor_on
from projections.alert_select import load_institution, united
from projections.alert_sources import SILENT_WORKING_DAYS, Source, feeding, sources, told_by
from projections.contact_alerts import PROJECTION
from projections.escalation import next_level_on, steps_of
from projections.institution import Institution
from projections.line_state import line_of
from projections.rows import Row
from projections.rule_names import alert_name
from projections.schedule_line import Line
from projections.store import live
from projections.team_timeline import is_anonymous
from projections.timeline_queries import readable
from projections.timeline_titles import RESTRICTED, title
from projections.title_words import Language, on, word
from projections.viewer import Viewer
from projections.working_calendar import WorkingCalendar

_CALENDAR: Final = WorkingCalendar()
# Contacts of the line beside those in the evidence whose departments count as sources.
_RECENT: Final = 20


async def explain(
    conn: AsyncConnection,
    alert_id: str,
    now: datetime,
    viewer: Viewer,
    calendar: WorkingCalendar = _CALENDAR,
    silent_after: int = SILENT_WORKING_DAYS,
) -> dict[str, Any] | None:
    """Everything that an alert rests on; None when there is none that the viewer may see."""
    alert = await show_alert(conn, alert_id, now, viewer, calendar, silent_after)
    if alert is None:
        return None
    tables = (await live(conn, PROJECTION)).tables
    institution = await load_institution(conn, tables, calendar)
    row, bucket = await _line(conn, tables, alert["id"])
    line = None if row is None else set_line(row)
    recent: list[int] = []
    if line is not None:
        recent = [c.position for c in contacts_of(line, bucket)[-_RECENT:]]
    told = await told_by(conn, {*alert["evidence"], *recent})
    departments = feeding(told.values())
    fresh = await sources(conn, tables, departments, now, institution.calendar, silent_after)
    return {
        "question": 10,
        "alert": alert,
        "rule": {"name": alert["rule"], "version": alert["rule_version"], "policy_version": alert["policy_version"]},
        "computation": None if line is None else _computation(row or {}, line, bucket, alert, institution, now),
        "explanation": _words(alert, line, list(fresh.values()), "nl"),
        "explanation_en": _words(alert, line, list(fresh.values()), "en"),
        "evidence": await _evidence(conn, alert["evidence"], viewer),
        "sources": [fresh[name].as_json() for name in departments],
    }


async def _line(conn: AsyncConnection, tables: Mapping[str, Table], alert_id: str) -> tuple[Row | None, Row | None]:
    alert, line, bucket = tables["alert"], tables["line"], tables["bucket"]
    wanted = select(line).join_from(
        alert, line, (line.c.relation == alert.c.line_relation) & (line.c.line == alert.c.line)
    )
    found = (await conn.execute(wanted.where(alert.c.alert == alert_id))).mappings().first()
    if found is None:
        return None, None
    row = dict(found)
    own = select(bucket).where(bucket.c.relation == row["relation"], bucket.c.pair == row["pair"])
    known = (await conn.execute(own)).mappings().first()
    (together,) = await united(conn, tables, [(row, None if known is None else dict(known))])
    return row, together


def _computation(
    row: Row, line: Line, bucket: Row | None, alert: Mapping[str, Any], institution: Institution, now: datetime
) -> dict[str, Any]:
    last_ok, due = date.fromisoformat(alert["last_ok_on"]), date.fromisoformat(alert["due_on"])
    opened = open_of(row)
    here = opened is not None and opened["alert"] == alert["id"]
    kept = opened["anchor_on"] if here and opened is not None else None
    following = None
    steps: Sequence[int] = ()
    if here and opened is not None:
        steps = steps_of(row, opened, institution)
        following = next_level_on(row, line_of(row), opened, now.date(), institution)
    return {
        "cadence": row["cadence"],
        "channels": row["channels"],
        "starts_on": str(line.starts_on),
        "grace_working_days": line.grace_working_days,
        "pauses": row["pauses"],
        "anchor_on": kept or str(anchor_on(row, bucket, due, last_ok)),
        "due_on": alert["due_on"],
        "last_ok_on": alert["last_ok_on"],
        "overdue_on": alert["overdue_on"],
        "working_days_overdue": alert["working_days_overdue"],
        "closed_days": sorted(str(on) for on in institution.calendar.closed),
        "open_days": sorted(str(on) for on in institution.calendar.opened),
        "escalation_working_days": list(steps),
        "next_level_on": None if following is None else str(following),
        "conflict": row["conflict"],
    }


async def _evidence(conn: AsyncConnection, positions: Sequence[int], viewer: Viewer) -> list[dict[str, Any]]:
    query = select(entry.c.payload, entry.c.version).where(entry.c.position.in_(positions)).order_by(entry.c.position)
    events = [decode(r.payload, r.version) for r in await conn.execute(query)]
    closed = set[int]() if viewer.everything else {e.position for e in events if e.family == "contact"}
    if closed:
        # What the timeline does not have yet shows by its date only: how restricted that is nobody can say.
        closed -= await readable(conn, viewer, closed)
    return [_shown(event, hidden=event.position in closed) for event in events]


def _shown(event: Recorded, *, hidden: bool) -> dict[str, Any]:
    """One event of the evidence; of a restricted contact its date, as in timelines. Other facts of an alert that shows
    are open to whoever it shows to."""
    data = {**event.data, "score": "–"} if is_anonymous(event) else event.data
    titles: Mapping[Language, str] = RESTRICTED
    if not hidden:
        titles = {"nl": title(event.kind, data, "nl"), "en": title(event.kind, data, "en")}
    occurred_at = event.occurred_at.astimezone(AMSTERDAM)
    return {
        "position": event.position,
        "type": event.type,
        "title": titles["nl"],
        "title_en": titles["en"],
        "department": None if hidden else event.department,
        "occurred_at": occurred_at.date().isoformat() if hidden else occurred_at.isoformat(),
        "recorded_at": None if hidden else iso(event.recorded_at),
    }


def _words(alert: Mapping[str, Any], line: Line | None, found: Sequence[Source], language: Language) -> list[str]:
    dutch = language == "nl"
    days = alert["working_days_overdue"]
    due, ok = (on(date.fromisoformat(alert[name]), language) for name in ("due_on", "last_ok_on"))
    said: list[str] = []
    if alert["rule"] == RULE and line is not None:
        said.append(
            f"Het contact moest uiterlijk op {due} zijn geweest. Met de extra tijd erbij was {ok} de laatste dag."
            if dutch
            else f"Contact was due on {due}. With the days of grace {ok} was the last day in time."
        )
    else:
        name = alert_name(alert["rule"], alert["about"], language)
        said.append(f"{name[:1].upper()}{name[1:]}.")
        said.append(f"Dit moest op {due} klaar zijn." if dutch else f"This was due on {due}.")
    if alert["state"] == "open":
        said.append(f"Dat is nu {days} werkdagen te laat." if dutch else f"It is {days} working days overdue now.")
    else:
        why = word(alert["resolution"], language)
        said.append(f"Het signaal is gesloten ({why})." if dutch else f"The alert was resolved ({why}).")
    if alert["policy_version"] is not None:
        version = alert["policy_version"]
        said.append(f"Het beleid met versie {version} geldt." if dutch else f"Policy version {version} holds.")
    if alert["level"]:
        said.append(
            f"Het signaal is doorgezet (stap {alert['level']})."
            if dutch
            else f"It was escalated (level {alert['level']})."
        )
    said.extend(_silence(source, language) for source in found if source.silent)
    return said


def _silence(source: Source, language: Language) -> str:
    name, days = source.department, source.silent_working_days
    if language == "nl":
        return f"Let op: van afdeling {name} is al {days} werkdagen niets ontvangen."
    return f"Mind: nothing was heard of department {name} for {days} working days."
