"""What a tick has to look at: the lines of the contact alerts whose moment has come."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Date, DateTime, Integer, Text, bindparam, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import local_date
from projections.alert_select import (
    Query,
    bucket_part,
    labelled,
    load_institution,
    owner_of,
    part,
    united,
)
from projections.contact_alerts import PROJECTION
from projections.institution import Institution
from projections.rows import Row
from projections.store import Live, versioned
from projections.working_calendar import WorkingCalendar

_CALENDAR: Final = WorkingCalendar()


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
