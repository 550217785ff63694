"""Reading the loops: what was asked after bad scores, and what came of it. Personal values come out as tokens."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Table, and_, func, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import FieldError, Invalid
from events.recorded import iso, local_date
from projections.heads import root_of
from projections.page import Page, check_limit, decode_cursor, encode_cursor
from projections.sight import in_sight, open_to
from projections.store import live
from projections.viewer import Viewer, hidden_bits
from projections.workflows.projection import PROJECTION
from projections.workflows.terms_now import calendar_now
from projections.working_calendar import WorkingCalendar

Tables = Mapping[str, Table]
Query = Any  # a Select of labelled columns: their number makes its type a different one in each place

STATES: Final = ("open", "late", "closed", "all")
_CALENDAR: Final = WorkingCalendar()


class Found(NamedTuple):
    """A loop as it is shown, and the relation that it was recorded under: a survivor shows those of its members."""

    shown: dict[str, Any]
    relation: str


async def list_loops(
    conn: AsyncConnection,
    now: datetime,
    *,
    state: str | None = None,
    relation: str | None = None,
    team: str | None = None,
    owner_ref: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
    viewer: Viewer,
    calendar: WorkingCalendar = _CALENDAR,
) -> Page:
    """The loops that the viewer may see, last opened first. `state`: one of STATES (`late`: open after its due date);
    None: all. `relation`: a UUID; an absorbed one means its survivor. Raises Invalid for a bad state, cursor, limit."""
    check_limit(limit)
    tables = (await live(conn, PROJECTION)).tables
    loop, alias = tables["loop"], tables["alias"]
    query = _visible(_loops(tables), tables, viewer, team).where(*_in_state(loop, state, now))
    if owner_ref is not None:
        query = query.where(func.coalesce(loop.c.owner, tables["relation"].c.owner) == owner_ref)
    if relation is not None:
        query = query.where(func.coalesce(alias.c.root, loop.c.relation) == await root_of(conn, tables, relation))
    if cursor is not None:
        query = query.where(loop.c.position < decode_cursor("loops", cursor, [int])[0])
    rows = (await conn.execute(query.order_by(loop.c.position.desc()).limit(limit + 1))).mappings().all()
    working = await calendar_now(conn, tables, calendar)
    items = [_as_json(r, now, working) for r in rows[:limit]]
    return Page(items, encode_cursor("loops", [rows[limit - 1]["position"]]) if len(rows) > limit else None)


async def find_loop(
    conn: AsyncConnection,
    loop_id: str,
    now: datetime,
    viewer: Viewer,
    calendar: WorkingCalendar = _CALENDAR,
) -> Found | None:
    """One loop, as in the list; None when there is none that the viewer may see."""
    tables = (await live(conn, PROJECTION)).tables
    query = _visible(_loops(tables), tables, viewer, None).where(tables["loop"].c.loop == loop_id.lower())
    found = (await conn.execute(query)).mappings().first()
    if found is None:
        return None
    return Found(_as_json(found, now, await calendar_now(conn, tables, calendar)), found["relation"])


def _score_of(row: RowMapping) -> Sequence[Any] | None:
    entries: Mapping[str, Sequence[Any]] = row["entries"] or {}
    return entries.get("scored")


def _loops(tables: Tables) -> Query:
    loop, relation, alias, fact = (tables[name] for name in ("loop", "relation", "alias", "fact"))
    root = func.coalesce(alias.c.root, loop.c.relation)
    response = and_(fact.c.relation == loop.c.relation, fact.c.fact == "response", fact.c.id == loop.c.response)
    owner = func.coalesce(loop.c.owner, relation.c.owner).label("owner")
    columns = [c for c in loop.c if c.name != "owner"]
    return (
        select(*columns, root.label("root"), relation.c.name, relation.c.tier, owner, fact.c.entries)
        .select_from(loop)
        .outerjoin(alias, and_(alias.c.absorbed == loop.c.relation, alias.c.root.is_not(None)))
        .outerjoin(relation, relation.c.relation == root)
        .outerjoin(fact, response)
    )


def _visible(query: Query, tables: Tables, viewer: Viewer, team: str | None) -> Query:
    """Narrowed to relations of a team, and to what the viewer sees. Who has one of those that are one by merges has
    them all."""
    loop, alias, assignment, relation = (tables[n] for n in ("loop", "alias", "assignment", "relation"))
    above = alias.alias("above")
    root = func.coalesce(alias.c.root, loop.c.relation)

    def had_by(teams: Collection[str]) -> ColumnElement[bool]:
        joined = assignment.outerjoin(above, and_(above.c.absorbed == assignment.c.relation, above.c.root.is_not(None)))
        shares = select(func.coalesce(above.c.root, assignment.c.relation)).select_from(joined)
        return root.in_(shares.where(assignment.c.team.in_(teams), assignment.c.assigned))

    return query.where(open_to(loop.c.hidden, hidden_bits(viewer)), *in_sight(viewer, team, had_by, relation.c.tier))


def _in_state(loop: Table, state: str | None, now: datetime) -> list[ColumnElement[bool]]:
    match state:
        case None | "all":
            return []
        case "open" | "closed":
            return [loop.c.state == state]
        case "late":
            return [loop.c.state == "open", loop.c.due_on < local_date(now)]
        case _:
            raise Invalid("schema", [FieldError("/state", f"must be one of {', '.join(STATES)}")])


def _as_json(r: RowMapping, now: datetime, calendar: WorkingCalendar) -> dict[str, Any]:
    score = _score_of(r)
    scored: Mapping[str, Any] = {} if score is None else score[4]
    anonymous: bool = scored.get("anonymous", True)
    until: datetime = r["closed_at"] or now
    return {
        "id": r["loop"],
        "relation": r["root"],
        "relation_name": r["name"],
        "tier": r["tier"],
        # An anonymous score shows nowhere singly: that it was low is all that is told.
        "response": None if anonymous else r["response"],
        "instrument": r["instrument"],
        "anonymous": anonymous,
        "score": None if anonymous else scored.get("score"),
        "respondent": None if anonymous else scored.get("respondent"),
        "state": r["state"],
        "due_on": str(r["due_on"]),
        "working_days_late": calendar.working_days_between(r["due_on"], local_date(until)),
        "level": r["level"],
        "owner": r["owner"],
        "silent": r["silent"],
        "evidence": [] if anonymous else r["evidence"],
        "opened_at": iso(r["opened_at"]),
        "followed_up_at": None if r["followed_up_at"] is None else iso(r["followed_up_at"]),
        "note": r["note"],
        "closed_at": None if r["closed_at"] is None else iso(r["closed_at"]),
        "reason": r["reason"],
        "closing_evidence": r["closing_evidence"],
    }
