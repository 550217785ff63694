"""How the entries of a timeline are found: conditions, order and the two steps of a page (see timeline_queries)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    Select,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    union,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from events.errors import FieldError, Invalid
from events.recorded import AMSTERDAM, day_end
from projections.kin import ALL
from projections.layers import LAYERS, layer_bit
from projections.sight import open_to
from projections.store import Live
from projections.team_timeline import INHERITING
from projections.timeline_tables import BESIDE_KEY
from projections.viewer import NAMED, Viewer, hidden_bits

# Rows taken of each relation at first. Few relations fill a page alone; those that might are asked again in full.
_FIRST_TAKE: Final = 8
MAX_FILTER_CHARS: Final = 200
_YEARS: Final = (1900, 2200)
# What the primary key's index holds of an entry: passing one over reads the index only.
_IN_INDEX: Final = ("relation", "occurred_at", "position", *BESIDE_KEY)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a reader asks for; None: everything. `from_` and `to` are local dates in Amsterdam, both included."""

    department: str | None = None
    family: str | None = None
    layer: str | None = None
    topic: str | None = None
    from_: date | None = None
    to: date | None = None

    def __post_init__(self) -> None:
        errors = [
            FieldError(f"/{name}", f"at most {MAX_FILTER_CHARS} characters, without NUL")
            for name in ("department", "family", "layer", "topic")
            if (value := getattr(self, name)) is not None and (len(value) > MAX_FILTER_CHARS or "\x00" in value)
        ]
        if self.layer is not None and self.layer not in LAYERS:
            errors.append(FieldError("/layer", f"must be one of {', '.join(LAYERS)}"))
        errors += [
            FieldError(f"/{name}", f"must lie in the years {_YEARS[0]} to {_YEARS[1]}")
            for name, on in (("from", self.from_), ("to", self.to))
            if on is not None and not _YEARS[0] <= on.year <= _YEARS[1]
        ]
        if errors:
            raise Invalid("schema", errors)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: of which build, by whom, for what, behind which entry."""

    build: Live
    viewer: Viewer
    filters: Filters = field(default_factory=Filters)
    before: tuple[datetime, int] | None = None


def members_of(build: Live, relation: str) -> Select[tuple[str]]:
    """The relation and all others that are one with it now; the relation alone when it is part of no merge."""
    known, alias = build.tables["relation"], build.tables["alias"]
    root = _root(build, relation)
    absorbed = select(alias.c.absorbed).where(alias.c.merged, alias.c.root == root)
    return select(known.c.relation).where(or_(known.c.relation == root, known.c.relation.in_(absorbed)))


def tier_of(build: Live, relation: str) -> ColumnElement[str]:
    """The tier of the relation, or of the one that it belongs to now."""
    known = build.tables["relation"]
    return select(known.c.tier).where(known.c.relation == _root(build, relation)).scalar_subquery()


def _root(build: Live, relation: str) -> ColumnElement[str]:
    alias = build.tables["alias"]
    of_root = select(alias.c.root).where(alias.c.whole == ALL, alias.c.absorbed == relation, alias.c.merged)
    return func.coalesce(of_root.scalar_subquery(), relation)


def shared_by(build: Live, teams: Collection[str]) -> Select[tuple[str]]:
    """The relations that one of the teams has now, with all that are one with them."""
    assignment, alias = build.tables["assignment"], build.tables["alias"]
    other = alias.alias("other")
    absorbed = and_(other.c.whole == ALL, other.c.absorbed == assignment.c.relation, other.c.merged)
    roots = (
        select(func.coalesce(other.c.root, assignment.c.relation).label("relation"))
        .select_from(assignment.outerjoin(other, absorbed))
        .where(assignment.c.team.in_(teams), assignment.c.assigned)
        .cte("roots")
    )
    under = select(alias.c.absorbed).join(roots, alias.c.root == roots.c.relation).where(alias.c.merged)
    both = union(select(roots.c.relation), under).subquery("both")
    return select(both.c.relation)


async def newest_of(conn: AsyncConnection, asked: Asked, relations: Any, wanted: int) -> Sequence[Row[Any]]:
    """The newest `wanted` entries of all these relations.

    Takes a few of each relation first (an index range a relation). A relation of which all that were taken are among
    the newest may have more of those: it is asked again for a whole page. At most `wanted / _FIRST_TAKE` are.
    """
    each = min(_FIRST_TAKE, wanted)
    rows = await take(conn, asked, relations, each, wanted)
    if each == wanted:
        return rows
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.relation] = counts.get(row.relation, 0) + 1
    full = {relation for relation, count in counts.items() if count == each}
    if not full:
        return rows
    known = asked.build.tables["relation"]
    again = await take(conn, asked, select(known.c.relation).where(known.c.relation.in_(full)), wanted, wanted)
    merged = [*again, *(row for row in rows if row.relation not in full)]
    return sorted(merged, key=lambda r: (r.occurred_at, r.position), reverse=True)[:wanted]


async def take(conn: AsyncConnection, asked: Asked, relations: Any, each: int, wanted: int) -> Sequence[Row[Any]]:
    """The newest `wanted` of at most `each` entries of every relation."""
    entry = asked.build.tables["entry"]
    shared = relations.subquery("shared")
    in_order = (
        select(*(entry.c[name] for name in (*_IN_INDEX, *(["topics"] if asked.filters.topic is not None else []))))
        .where(entry.c.relation == shared.c.relation, *_within(asked, entry))
        .order_by(entry.c.occurred_at.desc(), entry.c.position.desc())
        # Keeps the conditions out, so that it is read in the order of the index until enough were found, and not
        # fetched whole and sorted where the planner expects few to match.
        .offset(literal_column("0"))
        .correlate(shared)
        .lateral("in_order")
    )
    newest = (
        select(in_order.c.relation, in_order.c.occurred_at, in_order.c.position)
        .where(*matching(asked, in_order))
        .limit(each)
        .lateral("newest")
    )
    keys = (
        select(newest.c.relation, newest.c.occurred_at, newest.c.position)
        .select_from(shared.join(newest, true()))
        .order_by(newest.c.occurred_at.desc(), newest.c.position.desc())
        .limit(wanted)
        .cte("keys")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    joined = keys.join(
        entry,
        and_(
            entry.c.relation == keys.c.relation,
            entry.c.occurred_at == keys.c.occurred_at,
            entry.c.position == keys.c.position,
        ),
    )
    page = with_context(asked, joined).order_by(entry.c.occurred_at.desc(), entry.c.position.desc())
    return (await conn.execute(page)).all()


def _of_contact(asked: Asked, entry: FromClause, column: str) -> ColumnElement[Any]:
    """A column of the contact that the entry is about, looked up only where the condition comes to need it.

    A join would be made for every entry that is passed over.
    """
    contact = asked.build.tables["contact"]
    row = select(contact.c[column]).where(contact.c.relation == entry.c.relation, contact.c.contact == entry.c.contact)
    return row.correlate(entry).scalar_subquery()


def with_context(asked: Asked, source: Any) -> Any:
    """Entries with what stands elsewhere: the relation's name, what became of the contact, and which one it is."""
    entry, contact, relation, alias, same = (
        asked.build.tables[name] for name in ("entry", "contact", "relation", "alias", "same")
    )
    canonical = contact.alias("canonical")
    return select(
        entry,
        relation.c.name.label("relation_name"),
        alias.c.root.label("survivor"),
        _restricted(asked, entry).label("effective"),
        contact.c.employees,
        contact.c.held,
        contact.c.planned,
        contact.c.corrected,
        contact.c.retracted,
        contact.c.off,
        func.coalesce(canonical.c.held, canonical.c.planned).label("same_as"),
    ).select_from(
        source.outerjoin(
            contact, and_(contact.c.relation == entry.c.relation, contact.c.contact == entry.c.contact)
        )
        .outerjoin(
            same,
            and_(
                same.c.relation == entry.c.relation,
                same.c.contact == entry.c.contact,
                same.c.canonical != entry.c.contact,
            ),
        )
        .outerjoin(
            canonical, and_(canonical.c.relation == entry.c.relation, canonical.c.contact == same.c.canonical)
        )
        .outerjoin(relation, relation.c.relation == entry.c.relation)
        .outerjoin(alias, and_(alias.c.whole == ALL, alias.c.absorbed == entry.c.relation, alias.c.merged))
    )  # fmt: skip


def _inherits(entry: FromClause) -> ColumnElement[bool]:
    return entry.c.role.in_(sorted(INHERITING))


def _restricted(asked: Asked, entry: FromClause) -> ColumnElement[int]:
    """The entry's restriction bits; what is about another fact of the contact inherits the narrowest."""
    inherited = entry.c.restricted.bitwise_or(func.coalesce(_of_contact(asked, entry, "restricted"), 0))
    return case((_inherits(entry), inherited), else_=entry.c.restricted)


def _open_to(asked: Asked, entry: FromClause, hidden: int) -> ColumnElement[bool]:
    """The viewer satisfies every restriction; that to the contact's own employees by being one of them."""
    restricted, employee = _restricted(asked, entry), asked.viewer.employee
    if employee is None:
        return open_to(restricted, hidden)
    own = _of_contact(asked, entry, "employees").op("@>")(cast([employee], JSONB))
    return and_(open_to(restricted, hidden & ~NAMED), or_(open_to(restricted, NAMED), func.coalesce(own, False)))


def _within(asked: Asked, entry: FromClause) -> list[ColumnElement[bool]]:
    """The range of the order that is asked for."""
    filters = asked.filters
    found: list[ColumnElement[bool]] = []
    if asked.before is not None:
        occurred_at, position = asked.before
        found.append(tuple_(entry.c.occurred_at, entry.c.position) < tuple_(literal(occurred_at), literal(position)))
    if filters.from_ is not None:
        found.append(entry.c.occurred_at >= datetime.combine(filters.from_, time(), AMSTERDAM).astimezone(UTC))
    if filters.to is not None:
        found.append(entry.c.occurred_at < day_end(filters.to))
    return found


def matching(asked: Asked, entry: FromClause) -> list[ColumnElement[bool]]:
    """What the reader asks for and may see."""
    filters = asked.filters
    matches: list[ColumnElement[bool]] = []
    about: list[ColumnElement[bool]] = []
    if filters.family is not None:
        matches.append(entry.c.family == filters.family)
    if filters.department is not None:
        about.append(entry.c.department == filters.department)
    if filters.layer is not None:
        bit = layer_bit(filters.layer)
        of_contact = _of_contact(asked, entry, "layers").bitwise_and(bit) != 0
        about.append(or_(entry.c.layers.bitwise_and(bit) != 0, and_(_inherits(entry), of_contact)))
    if filters.topic is not None:
        topic = [filters.topic]
        of_contact = _of_contact(asked, entry, "topics").op("@>")(cast(topic, JSONB))
        about.append(or_(entry.c.topics.contains(topic), and_(_inherits(entry), of_contact)))
    hidden = hidden_bits(asked.viewer)
    if hidden:
        readable = _open_to(asked, entry, hidden)
        # A contact that was retracted or withdrawn did not take place: there is nothing left to show the date of.
        shown_by_date = and_(
            entry.c.role == "held", entry.c.withdrawn.is_(None), _of_contact(asked, entry, "retracted").is_(None)
        )
        about.append(readable if about else or_(readable, shown_by_date))
    return [*matches, *about]
