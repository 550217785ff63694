"""What contact cost, summed a day and a month over all relations of one tier and kind: what question 6 reads.

A year holds more contacts than can be added up at reading. The sums belong to no one relation, so no fold can keep them
exact when a relation's rows are made again. PostgreSQL keeps them instead, by triggers, in the transaction that changes
the rows: after every statement they are what the rows of `contact` and `relation` say, however those came about. A
rebuild makes them anew, and the comparison of two builds includes them.

Merges do not show in here: an absorbed relation's contacts stand under its own tier and kind (see `attention`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Date,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    and_,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.rows import Later

Key = tuple[Any, ...]
Spent = tuple[Key, int, int]

SPENT: Final = "spent"
_PARTS: Final = ("span", "begins_on", "tier", "kind", "activity", "channel", "our_layers")
_DAY: Final = timedelta(days=1)


def spent_table(metadata: MetaData) -> Table:
    """The table `spent`; empty texts stand for what is not known. `our_layers`: bits, see layers.py."""
    return Table(
        SPENT,
        metadata,
        Column("span", Text, primary_key=True, comment="day or month; later: the sums are put off"),
        Column("begins_on", Date, primary_key=True, comment="its first day"),
        *(Column(name, Text, primary_key=True) for name in _PARTS[2:-1]),
        Column("our_layers", SmallInteger, primary_key=True, autoincrement=False),
        Column("contacts", Integer, nullable=False, comment="that count; never 0 once stored"),
        Column("minutes", BigInteger, nullable=False),
        Index("spent_none", "begins_on", postgresql_where=text("contacts = 0")),
        info={"apart": True},
    )


def within(spent: Table, since: date, until: date) -> ColumnElement[bool]:
    """The rows that cover the days after `since` up to and including `until` once: whole months, and the days beside
    them."""
    first = _month(since + _DAY)
    if first <= since:
        first = _next(first)
    end = _month(until + _DAY)  # first day that no whole month covers
    span, on = spent.c.span, spent.c.begins_on
    days = and_(span == "day", on > since, on <= until)
    if first >= end:
        return days
    return or_(
        and_(span == "month", on >= first, on < end),
        and_(span == "day", on > since, on < first),
        and_(span == "day", on >= end, on <= until),
    )


async def spent_by_all(conn: AsyncConnection, tables: Mapping[str, Table], since: date, until: date) -> list[Spent]:
    """What contact cost after `since` up to and including `until`: key (tier, kind, activity, channel, our layers),
    contacts, minutes. What absorbed relations cost stands under the tier and kind of their survivors."""
    relation, contact, spent, alias = (tables[n] for n in ("relation", "contact", SPENT, "alias"))
    key = [spent.c[name] for name in _PARTS[2:]]
    totals = (func.sum(spent.c.contacts), func.sum(spent.c.minutes))
    sums = select(*key).add_columns(*totals).where(within(spent, since, until))
    found: dict[Key, list[int]] = defaultdict(lambda: [0, 0])
    summed: Any = await conn.execute(sums.group_by(*key))
    for row in summed:
        _add(found, row[:5], row[5], row[6])
    own = relation.alias("own")
    moved = (
        select(own.c.name, own.c.tier, own.c.kind, relation.c.name, relation.c.tier, relation.c.kind)
        .add_columns(contact.c.activity, contact.c.channel, contact.c.our_layers)
        .add_columns(func.count(), func.sum(contact.c.minutes))
        .select_from(alias)
        .join(own, own.c.relation == alias.c.absorbed)
        .join(relation, relation.c.relation == alias.c.root)
        .join(contact, contact.c.relation == alias.c.absorbed)
        .where(alias.c.merged, contact.c.counted, contact.c.held_on > since, contact.c.held_on <= until)
        .group_by(own.c.relation, relation.c.relation, contact.c.activity, contact.c.channel, contact.c.our_layers)
    )
    for row in (await conn.execute(moved)).all():
        name, new_name, how, contacts, minutes = row[0], row[3], row[6:9], row[9], row[10]
        if name is not None:
            _add(found, (*row[1:3], *how), -contacts, -minutes)
        if new_name is not None:
            _add(found, (*row[4:6], *how), contacts, minutes)
    return [(key, contacts, minutes) for key, (contacts, minutes) in found.items() if contacts]


def _add(found: dict[Key, list[int]], key: Sequence[Any], contacts: int, minutes: int) -> None:
    cell = found[tuple(None if part == "" else part for part in key)]
    cell[0] += contacts
    cell[1] += int(minutes)


def _month(on: date) -> date:
    return on.replace(day=1)


def _next(month: date) -> date:
    return _month(month + timedelta(days=31))


_ADD: Final = """
    INSERT INTO {s}.spent AS t ({parts}, contacts, minutes)
    SELECT v.span, CASE v.span WHEN 'day' THEN c.held_on ELSE c.held_on - (extract(day FROM c.held_on)::int - 1) END,
        coalesce(c.tier, ''), coalesce(c.kind, ''), coalesce(c.activity, ''), coalesce(c.channel, ''), c.our_layers,
        sum(c.sign), sum(c.sign * c.minutes)
    FROM ({source}) c CROSS JOIN (VALUES ('day'), ('month')) AS v(span)
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    HAVING sum(c.sign) <> 0 OR sum(c.sign * c.minutes) <> 0
    ON CONFLICT ({parts}) DO UPDATE SET
        contacts = t.contacts + EXCLUDED.contacts, minutes = t.minutes + EXCLUDED.minutes;
"""
_CLEAN: Final = "    DELETE FROM {s}.spent WHERE contacts = 0;\n"
# Contacts of the statement, under the tier and kind that their relation has at this moment. LIMIT makes it a look into
# the index for each: the plan is made once for a connection, and one made for 5,000 contacts would cost 9 ms for one.
_OF_CONTACTS: Final = """
    SELECT r.tier, r.kind, x.held_on, x.activity, x.channel, x.our_layers, x.minutes, {sign} AS sign
    FROM {table} x CROSS JOIN LATERAL (
        SELECT tier, kind FROM {s}.relation WHERE relation = x.relation AND name IS NOT NULL LIMIT 1
    ) r WHERE x.counted
"""
_OF_ALL: Final = """
    SELECT r.tier, r.kind, x.held_on, x.activity, x.channel, x.our_layers, x.minutes, 1 AS sign
    FROM {s}.contact x JOIN {s}.relation r ON r.relation = x.relation AND r.name IS NOT NULL WHERE x.counted
"""
# All contacts of one relation, under the tier and kind of its row before or after.
_OF_RELATION: Final = """
    SELECT {row}.tier, {row}.kind, x.held_on, x.activity, x.channel, x.our_layers, x.minutes, {sign} AS sign
    FROM {s}.contact x WHERE x.relation = {row}.relation AND x.counted AND {row}.name IS NOT NULL
"""
_FUNCTION: Final = """
CREATE FUNCTION {s}.{name}() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF EXISTS (SELECT FROM {s}.spent WHERE span = 'later') THEN RETURN NULL; END IF;
{body}    RETURN NULL;
END $body$
"""
_ON_RELATION: Final = """
CREATE TRIGGER spent_{event} AFTER {event} ON {s}.relation FOR EACH ROW {when} EXECUTE FUNCTION {s}.relation_{event}()
"""
# INSERT … ON CONFLICT DO UPDATE calls the triggers of both, one of them often for no row.
_NONE: Final = "    IF NOT EXISTS (SELECT FROM {table}) THEN RETURN NULL; END IF;\n"
_PLUS: Final = (("gained", "NEW", 1),)
_MINUS: Final = (("lost", "OLD", -1),)
_WHEN: Final = {
    "insert": "WHEN (NEW.name IS NOT NULL)",
    "update": "WHEN (OLD.tier IS DISTINCT FROM NEW.tier OR OLD.kind IS DISTINCT FROM NEW.kind "
    "OR (OLD.name IS NULL) <> (NEW.name IS NULL))",
    "delete": "WHEN (OLD.name IS NOT NULL)",
}


def triggers(schema: str) -> Sequence[str]:
    """The statements that make `spent` say what `contact` and `relation` hold now, and then follow them.

    `schema` is quoted; the tables are there, `spent` is empty."""
    found = [_ADD.format(s=schema, parts=", ".join(_PARTS), source=_OF_ALL.format(s=schema))]
    for event, sides in (("insert", _PLUS), ("update", _MINUS + _PLUS), ("delete", _MINUS)):
        contacts = [_OF_CONTACTS.format(s=schema, table=table, sign=sign) for table, _, sign in sides]
        relation = [_OF_RELATION.format(s=schema, row=row, sign=sign) for _, row, sign in sides]
        clean = event != "insert"
        found += [
            _function(schema, f"contact_{event}", contacts, clean=clean, before=_NONE.format(table=sides[0][0])),
            f"CREATE TRIGGER spent_{event} AFTER {event} ON {schema}.contact REFERENCING "
            + " ".join(f"{row} TABLE AS {table}" for table, row, _ in sides)
            + f" FOR EACH STATEMENT EXECUTE FUNCTION {schema}.contact_{event}()",
            _function(schema, f"relation_{event}", relation, clean=clean),
            _ON_RELATION.format(s=schema, event=event, when=_WHEN[event]),
        ]
    return found


_PUT_OFF: Final = "INSERT INTO {s}.spent VALUES ('later', DATE '0001-01-01', '', '', '', '', 0, 1, 0)"
_IS_PUT_OFF: Final = "SELECT EXISTS (SELECT FROM {s}.spent WHERE span = 'later')"
_NOTHING: Final = "DELETE FROM {s}.spent"


def _make_up(schema: str) -> Sequence[str]:
    whole = _ADD.format(s=schema, parts=", ".join(_PARTS), source=_OF_ALL.format(s=schema))
    return _NOTHING.format(s=schema), whole


# While a first build reads years of events, keeping the sums would take as long as everything else together. A row of
# its own says that they are put off: the triggers look at it, and so does who reads.
SUMS_LATER: Final = Later(
    put_off=lambda schema: _PUT_OFF.format(s=schema),
    is_put_off=lambda schema: _IS_PUT_OFF.format(s=schema),
    make_up=_make_up,
)


async def sums_are_kept(conn: AsyncConnection, spent: Table) -> bool:
    """Whether `spent` says what the rows of this moment do; else it is put off, and `contact` must be added up."""
    return await conn.scalar(select(spent.c.span).where(spent.c.span == "later")) is None


def _function(schema: str, name: str, sources: Sequence[str], *, clean: bool, before: str = "") -> str:
    body = _ADD.format(s=schema, parts=", ".join(_PARTS), source=" UNION ALL ".join(sources))
    return _FUNCTION.format(s=schema, name=name, body=before + body + (_CLEAN.format(s=schema) if clean else ""))
