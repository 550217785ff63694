"""From notices to one mail a working day for each recipient, and what `live.alerts` says of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Table, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import AMSTERDAM
from projections.alert_select import load_institution, owner_of, team_lead_of
from projections.institution import TEAM_LEAD_LEVEL
from projections.working_calendar import WorkingCalendar
from services.alerts.effects import mail, notice
from services.alerts.notices import Builds

BOARD: Final = "board"
MOST_NOTICES: Final = 20_000
# A message holds so many positions at most (some 10 kB), and so many messages go out in one round.
MOST_TOLD: Final = 1_000
_AT_ONCE: Final = 100
# What could be told to nobody for so long is not told any more.
_OLD: Final = timedelta(days=30)


class Digest(NamedTuple):
    """What `live.alerts` is told of a mail. `positions`: of the events that its recipient may see, ascending."""

    mail_id: int
    recipient: str
    for_on: date
    positions: Sequence[int]

    def as_json(self) -> dict[str, Any]:
        """The message: `id` tells duplicates, `recipient` is a reference or the constant for the board, and of more
        than MOST_TOLD events it names the first."""
        return {
            "type": "digest", "id": mail_name(self.mail_id, self.for_on), "recipient": self.recipient,
            "on": str(self.for_on), "count": len(self.positions), "positions": list(self.positions[:MOST_TOLD]),
        }  # fmt: skip


def mail_name(mail_id: int, for_on: date) -> str:
    """What a mail is called outside: for ever the same, and of no other mail."""
    return f"mail-{mail_id}-{for_on}"


async def make_mails(
    conn: AsyncConnection, builds: Builds, now: datetime, calendar: WorkingCalendar, *, hour: int
) -> int:
    """Makes today's mails of what waits, on a working day from `hour` o'clock in Amsterdam on; how many.

    Who has had a mail today gets the next one on the next working day. What was resolved or closed meanwhile is
    dropped; what is put off, or has nobody to go to, waits.
    """
    institution = await load_institution(conn, builds.alerts.tables, calendar)
    local = now.astimezone(AMSTERDAM)
    if local.hour < hour or not institution.calendar.is_working_day(local.date()):
        return 0
    today = local.date()
    by_recipient: dict[str, list[str]] = defaultdict(list)
    dropped: list[str] = []
    for row in [*await _alerts(conn, builds, today), *await _loops(conn, builds, today)]:
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
            .values(recipient=recipient, for_on=today, state="waiting", attempts=0, next_at=func.now(), announced=False)
            .on_conflict_do_nothing(index_elements=["recipient", "for_on"])
            .returning(mail.c.mail_id)
        )
        mail_id = await conn.scalar(new)
        if mail_id is not None:
            mailed = update(notice).where(notice.c.cause.in_(causes)).values(state="mailed", mail_id=mail_id)
            await conn.execute(mailed)
            made += 1
    return made


async def unannounced(conn: AsyncConnection) -> list[tuple[int, str, date]]:
    """(mail_id, recipient, for_on) of the mails of which nobody was told on `live.alerts`, oldest first; a bounded
    number of them."""
    query = select(mail.c.mail_id, mail.c.recipient, mail.c.for_on).where(~mail.c.announced)
    return [(*row,) for row in await conn.execute(query.order_by(mail.c.mail_id).limit(_AT_ONCE))]


async def set_announced(conn: AsyncConnection, mail_ids: Collection[int]) -> None:
    """Notes that these were told."""
    if mail_ids:
        await conn.execute(update(mail).where(mail.c.mail_id.in_(mail_ids)).values(announced=True))


async def _alerts(conn: AsyncConnection, builds: Builds, today: date) -> list[Mapping[str, Any]]:
    alert, line = builds.alerts.tables["alert"], builds.alerts.tables["line"]
    of, home = builds.alerts.tables["relation"], builds.alerts.tables["relation"].alias("home")
    query = (
        _waiting(builds.alerts.tables, "alert", func.coalesce(line.c.owner, alert.c.owner), home, today)
        .add_columns(alert.c.state, alert.c.snoozed_until)
        .join_from(notice, alert, (alert.c.relation == notice.c.relation) & (alert.c.alert == notice.c.alert))
        .join(of, of.c.relation == alert.c.relation)
        .join(home, home.c.relation == of.c.root)
        .outerjoin(line, (line.c.relation == alert.c.line_relation) & (line.c.line == alert.c.line))
    )
    return [dict(r) for r in (await conn.execute(query)).mappings()]


async def _loops(conn: AsyncConnection, builds: Builds, today: date) -> list[Mapping[str, Any]]:
    if builds.workflows is None:
        return []
    loop = builds.workflows.tables["loop"]
    of, home = builds.alerts.tables["relation"], builds.alerts.tables["relation"].alias("home")
    query = (
        _waiting(builds.alerts.tables, "loop", loop.c.owner, home, today)
        .add_columns(loop.c.state)
        .join_from(notice, loop, (loop.c.relation == notice.c.relation) & (loop.c.loop == notice.c.alert))
        .join(of, of.c.relation == loop.c.relation)
        .join(home, home.c.relation == of.c.root)
    )
    return [{**r, "snoozed_until": None} for r in (await conn.execute(query)).mappings()]


def _waiting(
    tables: Mapping[str, Table], what: str, owner: ColumnElement[Any], home: FromClause, today: date
) -> Any:  # a Select of labelled columns
    whose = owner_of(tables, [owner], home, today)
    return (
        select(notice.c.cause, notice.c.level, notice.c.noted_at)
        .add_columns(whose.label("owner"), team_lead_of(tables, home, today).label("lead"))
        .where(notice.c.state == "waiting", notice.c.what == what)
        .order_by(notice.c.position)
        .limit(MOST_NOTICES)
    )


def _recipient(row: Mapping[str, Any]) -> str | None:
    """Owner, then the team lead (the owner where there is none), then the board."""
    if row["level"] > TEAM_LEAD_LEVEL:
        return BOARD
    return (row["lead"] or row["owner"]) if row["level"] == TEAM_LEAD_LEVEL else row["owner"]
