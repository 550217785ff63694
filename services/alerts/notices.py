"""From alert events to notices, and from notices to one mail a working day for each recipient.

Silent alerts make no notice, nor does an escalation that only catches up with the day on which an alert was silently
raised: an import or a rebuild tells nobody about the past. Only A relations and escalations interrupt; everything else
waits for the digest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Table, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import AMSTERDAM, TYPE_PREFIX, Recorded, decode, local_date
from events.tables import entry
from projections.alert_select import load_institution, owner_of, team_lead_of
from projections.institution import BOARD_TIER, TEAM_LEAD_LEVEL
from projections.store import Live
from projections.working_calendar import WorkingCalendar
from services.alerts.effects import mail, notice, progress

BOARD: Final = "board"
_NAME: Final = "notices"
_KINDS: Final = ("alert.raised", "alert.reopened", "alert.escalated")
_TYPES: Final = tuple(f"{TYPE_PREFIX}{kind}.v1" for kind in _KINDS)
# Positions looked at in one go: bounded, whatever the book holds.
MOST_POSITIONS: Final = 20_000
MOST_NOTICES: Final = 20_000
# What could be told to nobody for so long is not told any more.
_OLD: Final = timedelta(days=30)


class Interruption(NamedTuple):
    """What is told at once: position, relation and type of the event, and nothing else."""

    position: int
    relation: str
    type: str


async def note(conn: AsyncConnection, build: Live, now: datetime) -> list[Interruption]:
    """Looks at the alert events that came since the last time, in one transaction; what interrupts of the new ones.

    A book that is older than this ledger of effects begins at its present end: nobody is told of its past.
    """
    began = await conn.scalar(select(progress.c.position).where(progress.c.name == _NAME).with_for_update())
    if began is None:
        first = insert(progress).values(name=_NAME, position=build.position).on_conflict_do_nothing()
        await conn.execute(first)
        return []
    upto = min(build.position, began + MOST_POSITIONS)
    if upto <= began:
        return []
    query = select(entry.c.payload, entry.c.version).where(
        entry.c.position > began, entry.c.position <= upto, entry.c.type.in_(_TYPES)
    )
    events = [decode(r.payload, r.version) for r in await conn.execute(query.order_by(entry.c.position))]
    interruptions = await _note(conn, build.tables, events, now)
    await conn.execute(update(progress).where(progress.c.name == _NAME).values(position=upto))
    return interruptions


async def make_mails(conn: AsyncConnection, build: Live, now: datetime, calendar: WorkingCalendar, *, hour: int) -> int:
    """Makes today's mails of what waits, on a working day from `hour` o'clock in Amsterdam on; how many.

    Who has had a mail today gets the next one on the next working day. What was resolved meanwhile is dropped; what is
    put off, or has nobody to go to, waits.
    """
    institution = await load_institution(conn, build.tables, calendar)
    local = now.astimezone(AMSTERDAM)
    if local.hour < hour or not institution.calendar.is_working_day(local.date()):
        return 0
    today = local.date()
    by_recipient: dict[str, list[str]] = defaultdict(list)
    dropped: list[str] = []
    for row in await _waiting(conn, build.tables, now):
        if row["state"] != "open" or row["noted_at"] < now - _OLD:
            dropped.append(row["cause"])
        elif row["snoozed_until"] is None or row["snoozed_until"] <= today:
            recipient = _recipient(row)
            if recipient is not None:
                by_recipient[recipient].append(row["cause"])
    if dropped:
        await conn.execute(update(notice).where(notice.c.cause.in_(dropped)).values(state="dropped"))
    made = 0
    for recipient, causes in sorted(by_recipient.items()):
        new = (
            insert(mail)
            .values(recipient=recipient, for_on=today, state="waiting", attempts=0, next_at=func.now())
            .on_conflict_do_nothing(index_elements=["recipient", "for_on"])
            .returning(mail.c.mail_id)
        )
        mail_id = await conn.scalar(new)
        if mail_id is not None:
            mailed = update(notice).where(notice.c.cause.in_(causes)).values(state="mailed", mail_id=mail_id)
            await conn.execute(mailed)
            made += 1
    return made


async def _note(
    conn: AsyncConnection, tables: Mapping[str, Table], events: Sequence[Recorded], now: datetime
) -> list[Interruption]:
    if not events:
        return []
    known = await _alerts(conn, tables, [e.data["alert"] for e in events])
    rows: dict[str, dict[str, Any]] = {}
    for event in events:
        alert = known.get(event.data["alert"])
        if alert is None or _of_the_past(event, alert):
            continue
        transition = event.kind.removeprefix("alert.")
        rows[f"{event.data['alert']}:{transition}:{event.position}"] = {
            "position": event.position, "relation": event.relation, "alert": event.data["alert"],
            "transition": transition, "level": event.data.get("level", 0), "noted_at": now, "state": "waiting",
            "interrupts": alert["tier"] == BOARD_TIER or transition == "escalated",
        }  # fmt: skip
    if not rows:
        return []
    values = [{"cause": cause, **row} for cause, row in rows.items()]
    added = await conn.scalars(insert(notice).values(values).on_conflict_do_nothing().returning(notice.c.cause))
    new = [rows[cause] for cause in added if rows[cause]["interrupts"]]
    return [
        Interruption(row["position"], row["relation"], f"{TYPE_PREFIX}alert.{row['transition']}.v1")
        for row in sorted(new, key=lambda row: row["position"])
    ]


def _of_the_past(event: Recorded, alert: Mapping[str, Any]) -> bool:
    if event.kind != "alert.escalated":
        return bool(event.data["silent"])
    return bool(alert["silent"]) and local_date(event.recorded_at) == local_date(alert["turned_at"])


async def _alerts(
    conn: AsyncConnection, tables: Mapping[str, Table], alerts: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    alert, of, home = tables["alert"], tables["relation"], tables["relation"].alias("home")
    query = (
        select(alert.c.alert, alert.c.silent, alert.c.turned_at, home.c.tier)
        .join_from(alert, of, of.c.relation == alert.c.relation)
        .join(home, home.c.relation == of.c.root)
        .where(alert.c.alert.in_(set(alerts)))
    )
    return {r["alert"]: dict(r) for r in (await conn.execute(query)).mappings()}


async def _waiting(conn: AsyncConnection, tables: Mapping[str, Table], now: datetime) -> list[Mapping[str, Any]]:
    alert, line, of, home = tables["alert"], tables["line"], tables["relation"], tables["relation"].alias("home")
    today = local_date(now)
    owner = owner_of(tables, [func.coalesce(line.c.owner, alert.c.owner)], home, today)
    query = (
        select(notice.c.cause, notice.c.level, notice.c.noted_at, alert.c.state, alert.c.snoozed_until)
        .add_columns(owner.label("owner"), team_lead_of(tables, home, today).label("lead"))
        .join_from(notice, alert, (alert.c.relation == notice.c.relation) & (alert.c.alert == notice.c.alert))
        .join(of, of.c.relation == alert.c.relation)
        .join(home, home.c.relation == of.c.root)
        .outerjoin(line, (line.c.relation == alert.c.line_relation) & (line.c.line == alert.c.line))
        .where(notice.c.state == "waiting")
        .order_by(notice.c.position)
        .limit(MOST_NOTICES)
    )
    return [dict(r) for r in (await conn.execute(query)).mappings()]


def _recipient(row: Mapping[str, Any]) -> str | None:
    """Owner, then the team lead (the owner where there is none), then the board."""
    if row["level"] > TEAM_LEAD_LEVEL:
        return BOARD
    return (row["lead"] or row["owner"]) if row["level"] == TEAM_LEAD_LEVEL else row["owner"]
