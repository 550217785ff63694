"""What a tick asks: the duties whose instant has come, merged relations, and the survey of attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from dateutil.relativedelta import relativedelta
from sqlalchemy import Table, and_, exists, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import local_date
from projections.kin import Kin, load_kin
from projections.rows import Row
from projections.transition import MAX_EVIDENCE, Transition
from projections.workflows import neglected
from projections.workflows.facts import Entry
from projections.workflows.merged import Group, group_transitions
from projections.workflows.neglected import Attention, Judged, is_neglected, usual
from projections.workflows.reconcile import Basis, act, blank, transition
from projections.workflows.thresholds import Terms

Tables = Mapping[str, Table]
Query = Any  # a Select of labelled columns: their number makes its type a different one in each place


class Candidate(NamedTuple):
    """A duty that may need an event, and what a decision about it rests on."""

    duty: Row
    basis: Basis

    @property
    def key(self) -> tuple[datetime, str, str, str]:
        return self.duty["check_at"], self.duty["relation"], self.duty["rule"], self.duty["about"]


async def duties_to_check(
    conn: AsyncConnection, tables: Tables, now: datetime, after: tuple[datetime, str, str, str] | None, limit: int
) -> list[Candidate]:
    """The duties whose `check_at` has come, the longest waiting first, after a candidate's key; at most `limit`.

    Reads the index on `check_at`: costs what is due, not what exists. Those of merged relations are not among them.
    """
    duty, relation, alias = tables["duty"], tables["relation"], tables["alias"]
    key = (duty.c.check_at, duty.c.relation, duty.c.rule, duty.c.about)
    merged = exists().where(
        alias.c.root.is_not(None), or_(alias.c.absorbed == duty.c.relation, alias.c.root == duty.c.relation)
    )
    basis = (relation.c.version, relation.c.cause_position, relation.c.tier, relation.c.owner)
    query: Query = (
        select(duty, *basis)
        .join_from(duty, relation, relation.c.relation == duty.c.relation)
        .where(duty.c.check_at <= now, ~merged)
    )
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*after))
    found: list[Candidate] = []
    for r in (await conn.execute(query.order_by(*key).limit(limit))).mappings():
        row: Row = {c.name: r[c.name] for c in duty.c}
        of = Basis(r["relation"], r["version"], r["cause_position"], r["tier"], r["owner"])
        found.append(Candidate(row, of))
    return found


class MergedGroups:
    """Judges groups of merged relations, and remembers which of them asked for nothing: until one of their relations
    or the terms change or a day passes, they need not be looked at again. What it remembers may be lost at any time."""

    def __init__(self) -> None:
        self._quiet: dict[str, tuple[Any, ...]] = {}

    async def judge(
        self, conn: AsyncConnection, tables: Tables, now: datetime, terms: Terms
    ) -> tuple[int, list[Transition]]:
        """How many groups were looked at, and the events that they want."""
        kin = await load_kin(conn, tables)
        if not kin:
            return 0, []
        merges = await _merges(conn, tables)
        groups = {root: kin.members(root) for root in {kin.root(absorbed) for absorbed in merges}}
        state = await _state(conn, tables, [m for members in groups.values() for m in members])
        found: list[Transition] = []
        looked = 0
        for root, members in sorted(groups.items()):
            mark = (local_date(now), terms, *((m, merges.get(m), state.get(m)) for m in members))
            if self._quiet.get(root) == mark:
                continue
            looked += 1
            group = await _group(conn, tables, members, merges)
            wanted = group_transitions(group, now, terms)
            found += wanted
            if not wanted:
                self._quiet[root] = mark
        return looked, found


async def _merges(conn: AsyncConnection, tables: Tables) -> dict[str, int]:
    alias = tables["alias"]
    rows = await conn.execute(select(alias.c.absorbed, alias.c.stamp).where(alias.c.root.is_not(None)))
    return {r.absorbed: int(r.stamp[1]) for r in rows}


async def _state(conn: AsyncConnection, tables: Tables, relations: Sequence[str]) -> dict[str, int]:
    relation = tables["relation"]
    rows = await conn.execute(
        select(relation.c.relation, relation.c.position).where(relation.c.relation.in_(relations))
    )
    return {r.relation: r.position for r in rows}


async def _group(conn: AsyncConnection, tables: Tables, members: Sequence[str], merges: Mapping[str, int]) -> Group:
    rows = {name: await rows_of(conn, tables[name], members) for name in ("relation", "fact", "duty")}
    here = {m: merges[m] for m in members if m in merges}
    return Group(members, here, {r["relation"]: r for r in rows["relation"]}, rows["fact"], rows["duty"])


async def rows_of(conn: AsyncConnection, table: Table, relations: Sequence[str]) -> list[Row]:
    """The rows of these relations, in the order in which the relations are given, then by key."""
    order = {relation: n for n, relation in enumerate(relations)}
    found = (await conn.execute(select(table).where(table.c.relation.in_(relations)))).mappings()
    keys = [c.name for c in table.primary_key.columns]
    rows: list[Row] = [dict(r) for r in found]
    return sorted(rows, key=lambda r: (order[r["relation"]], *(r[k] for k in keys[1:])))


async def neglected_relations(
    conn: AsyncConnection, tables: Tables, now: datetime, terms: Terms
) -> tuple[int, list[Transition]]:
    """The survey of `neglected`: how many A relations were judged, and the events that it wants.

    One look over the contacts of twelve months; those of absorbed relations count for the survivor.
    """
    today, kin = local_date(now), await load_kin(conn, tables)
    attention = await _attention(conn, tables, today)
    relation, fact, duty = tables["relation"], tables["fact"], tables["duty"]
    tiers = select(relation.c.relation, relation.c.tier).where(
        relation.c.name.is_not(None), relation.c.tier.in_(("A", "B")),
        or_(relation.c.ended_on.is_(None), relation.c.ended_on > today),
    )  # fmt: skip
    by_tier: dict[str, list[str]] = {"A": [], "B": []}
    for r in await conn.execute(tiers):
        if not kin.absorbed(r.relation):
            by_tier[r.tier].append(r.relation)
    none = Attention(0, 0)
    terms_of = usual([attention.get(b, none) for b in by_tier["B"]], terms.thresholds)
    own = and_(fact.c.relation == relation.c.relation, fact.c.fact == "relation", fact.c.id == "")
    mine = and_(duty.c.relation == relation.c.relation, duty.c.rule == neglected.NAME, duty.c.about == neglected.ABOUT)
    asked = (
        select(relation, fact.c.entries["tier"].label("tier_entry"), duty.c.open, duty.c.past)
        .join_from(relation, fact, own)
        .outerjoin(duty, mine)
        .where(or_(relation.c.relation.in_(by_tier["A"]), duty.c.open.is_not(None)))
        .order_by(relation.c.relation)
    )
    found: list[tuple[Row, Basis]] = []
    judged = 0
    a_relations = set(by_tier["A"])
    for r in (await conn.execute(asked)).mappings():
        if kin.absorbed(r["relation"]):
            continue
        judged += 1
        row = blank(r["relation"], neglected.NAME, neglected.ABOUT)
        if r["past"] is not None:
            row |= {"open": r["open"], "past": r["past"]}
        tier = _entry(r["tier_entry"])
        got = attention.get(r["relation"], none)
        if r["relation"] in a_relations and is_neglected(
            Judged(r["relation"], tier, got), terms_of, today, terms.thresholds
        ):
            row["wanted"] = _wanted(tier, today, row["open"])
        if act(row, r["tier"], now, terms) is not None:
            basis = Basis(r["relation"], r["version"], r["cause_position"], r["tier"], r["owner"], str(today))
            found.append((row, basis))
    evidence = await _last_contacts(conn, tables, kin, [basis.relation for _, basis in found])
    events: list[Transition] = []
    for row, basis in found:
        if row["wanted"] is not None:
            known = {*row["wanted"]["evidence"], *evidence.get(basis.relation, ())}
            row["wanted"]["evidence"] = sorted(known)
        event = transition(row, basis, now, terms)
        if event is not None:
            events.append(event)
    return judged, events


def _entry(stored: Sequence[Any]) -> Entry:
    stamp, on, position, recorded_on, data = stored
    return Entry(stamp, date.fromisoformat(on), position, date.fromisoformat(recorded_on), data)


def _wanted(tier: Entry, today: date, opened: Mapping[str, Any] | None) -> dict[str, Any]:
    """What should be open: what is, as long as it holds; else from today, for this month."""
    due_on = str(today.replace(day=1)) if opened is None else opened["due_on"]
    return {
        "due_on": due_on, "last_ok_on": str(today - timedelta(days=1)), "from_on": str(today), "until_on": None,
        "done": None, "ended": None, "evidence": [tier.position], "known_on": str(today), "owner": None, "more": {},
    }  # fmt: skip


async def _attention(conn: AsyncConnection, tables: Tables, today: date) -> dict[str, Attention]:
    contact, alias = tables["contact"], tables["alias"]
    root = func.coalesce(alias.c.root, contact.c.relation).label("root")
    since = today - relativedelta(years=1)
    query = (
        select(root, func.count().label("contacts"), func.sum(contact.c.minutes).label("minutes"))
        .select_from(contact)
        .outerjoin(alias, and_(alias.c.absorbed == contact.c.relation, alias.c.root.is_not(None)))
        .where(contact.c.held_on > since, contact.c.held_on <= today)
        .group_by(root)
    )
    return {r.root: Attention(r.contacts, int(r.minutes)) for r in await conn.execute(query)}


async def _last_contacts(
    conn: AsyncConnection, tables: Tables, kin: Kin, relations: Sequence[str]
) -> dict[str, list[int]]:
    """The positions of the last contacts of each relation, as many as fit into an event beside the tier's."""
    contact = tables["contact"]
    members = {member: relation for relation in relations for member in kin.members(relation)}
    if not members:
        return {}
    number = func.row_number().over(partition_by=contact.c.relation, order_by=contact.c.held_on.desc())
    ranked = (
        select(contact.c.relation, contact.c.position, number.label("n"))
        .where(contact.c.relation.in_(members), contact.c.held_on.is_not(None))
        .subquery()
    )
    found: dict[str, list[int]] = {}
    for r in await conn.execute(select(ranked).where(ranked.c.n < MAX_EVIDENCE)):
        found.setdefault(members[r.relation], []).append(r.position)
    return {relation: sorted(positions)[-(MAX_EVIDENCE - 1) :] for relation, positions in found.items()}
