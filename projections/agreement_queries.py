"""Queries of the agreement view: one relation's agreements, and how every coalition's programmes do (question 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, Literal

from sqlalchemy import (
    ColumnElement,
    Date,
    Row,
    Select,
    Table,
    Text,
    and_,
    exists,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from events.recorded import local_date
from projections.agreement_facts import agreement_json
from projections.agreement_present import present_agreements, programme_json
from projections.agreement_view import PROJECTION
from projections.heads import of_root, own_relations, read_columns, rows_of, scope
from projections.loading import load_united
from projections.page import Page, bad_cursor, check_limit, decode_cursor, encode_cursor
from projections.parties import Parties, parties
from projections.sight import open_to
from projections.store import Live, live
from projections.viewer import Viewer, hidden_bits, rows_of_agreements

Rag = Literal["red", "amber", "green"]
ProgrammeState = Literal["coming", "running", "past"]

_Listed = Select[*tuple[Any, ...]]

_SCOPE: Final = "programmes"


async def agreements(conn: AsyncConnection, relation: str, now: datetime, viewer: Viewer) -> dict[str, Any] | None:
    """What `present_agreements` gives, with the parties by name and `position`; None: not there for this viewer."""
    build = await live(conn, PROJECTION)
    loaded = await load_united(conn, PROJECTION, build, relation, viewer)
    if loaded is None:
        return None
    seen = present_agreements(loaded.rows, loaded.relation, now, hidden=hidden_bits(viewer))
    if seen is None:
        return None
    return {
        **await with_parties(conn, seen, viewer, build), "absorbed": loaded.members[1:], "position": build.position,
    }  # fmt: skip


async def with_parties(
    conn: AsyncConnection, seen: dict[str, Any], viewer: Viewer, build: Live | None = None
) -> dict[str, Any]:
    """What `present_agreements` gave, with the parties by the name and UUID that they have now."""
    tables, viewer = (build or await live(conn, PROJECTION)).tables, rows_of_agreements(viewer)
    decided = [d for p in seen["programmes"] for d in p["decisions"]]
    named = [*seen["agreements"], *decided]
    _name(await parties(conn, tables, {p for one in named for p in one["parties"]}, viewer), named)
    return seen


async def programmes(
    conn: AsyncConnection, now: datetime, *, relation: str | None = None, tier: str | None = None,
    team: str | None = None, rag: Rag | None = None, state: ProgrammeState | None = None,
    ends_before: date | None = None, cursor: str | None = None, limit: int = 100, viewer: Viewer,
) -> Page:  # fmt: skip
    """Question 8: every programme, and every coalition without one, the first to end first.

    An item: relation, relation_name, tier, `ends_on` (of the programme, else of the coalition), `coalition` (the
    agreement that it is part of, as `agreement_json`, or None), and the fields of `programme_json` (None where a
    coalition has no programme). Raises Invalid naming `/cursor` or `/limit`.
    """
    build = await live(conn, PROJECTION)
    tables, today, hidden = build.tables, local_date(now), hidden_bits(viewer)
    viewer = rows_of_agreements(viewer)
    conditions = [*scope(tables, viewer, team=team, tier=tier)]
    own = await own_relations(conn, tables, viewer, team=team, relation=relation)

    def of(fact: Table) -> list[ColumnElement[bool]]:
        return [*conditions, *([] if own is None else [fact.c.relation.in_(own)])]

    parts = [_programmes(tables, of(tables["programme"]), today, hidden, rag, state)]
    if rag is None and state is None:
        parts.append(_coalitions(tables, of(tables["agreement"]), hidden))
    listed = union_all(*parts).subquery("listed")
    wanted = select(listed)
    if ends_before is not None:
        wanted = wanted.where(listed.c.ends_on < ends_before)
    order = (listed.c.ends_on, listed.c.own, listed.c.kind, listed.c.id)
    if cursor is not None:
        on, *rest = decode_cursor(_SCOPE, cursor, (str, str, str, str))
        try:
            after = date.fromisoformat(on)
        except ValueError as error:
            bad_cursor(error)
        wanted = wanted.where(tuple_(*order) > tuple_(literal(after), *map(literal, rest)))
    found = (await conn.execute(wanted.order_by(*order).limit(check_limit(limit) + 1))).all()
    page = found[:limit]
    items = await _items(conn, tables, page, today, hidden, viewer)
    end = page[-1] if len(found) > limit else None
    following = None if end is None else encode_cursor(_SCOPE, (end.ends_on.isoformat(), end.own, end.kind, end.id))
    return Page(items, following)


def _programmes(
    tables: Mapping[str, Table], conditions: Sequence[ColumnElement[bool]], today: date, hidden: int,
    rag: Rag | None, state: ProgrammeState | None,
) -> _Listed:  # fmt: skip
    programme, head = tables["programme"], tables["relation"]
    when: dict[ProgrammeState, ColumnElement[bool]] = {
        "coming": programme.c.starts_on > today,
        "running": and_(programme.c.starts_on <= today, programme.c.ends_on >= today),
        "past": programme.c.ends_on < today,
    }
    return (
        select(
            head.c.relation, head.c.name, head.c.tier, programme.c.relation.label("own"),
            literal("programme").label("kind"), programme.c.programme.label("id"), programme.c.agreement,
            programme.c.ends_on,
        )
        .select_from(of_root(tables, programme))
        .where(
            programme.c.name.is_not(None), open_to(programme.c.hidden, hidden), *conditions,
            *([] if rag is None else [programme.c.rag == rag]), *([] if state is None else [when[state]]),
        )
    )  # fmt: skip


def _coalitions(tables: Mapping[str, Table], conditions: Sequence[ColumnElement[bool]], hidden: int) -> _Listed:
    agreement, programme, head = tables["agreement"], tables["programme"], tables["relation"]
    has_one = exists().where(
        programme.c.relation == agreement.c.relation, programme.c.agreement == agreement.c.agreement,
        programme.c.name.is_not(None),
    )  # fmt: skip
    return (
        select(
            head.c.relation, head.c.name, head.c.tier, agreement.c.relation.label("own"),
            literal("agreement").label("kind"), agreement.c.agreement.label("id"), agreement.c.agreement,
            func.least(agreement.c.until_on, func.coalesce(agreement.c.ended_on, agreement.c.until_on), type_=Date)
            .label("ends_on"),
        )
        .select_from(of_root(tables, agreement))
        .where(
            agreement.c.type == "coalition", open_to(agreement.c.hidden, hidden), ~has_one, *conditions,
        )
    )  # fmt: skip


async def _items(
    conn: AsyncConnection, tables: Mapping[str, Table], page: Sequence[Row[Any]], today: date, hidden: int,
    viewer: Viewer,
) -> list[dict[str, Any]]:  # fmt: skip
    """The page's items: four queries and one for names, whatever its length."""
    signed_by_key = {k: a for k, (a,) in (await _by_key(conn, tables["agreement"], page, "agreement")).items()}
    by_agreement = {k: a for k, a in signed_by_key.items() if not a["hidden"] & hidden}
    started = [r for r in page if r.kind == "programme"]
    by_programme = {k: p for k, (p,) in (await _by_key(conn, tables["programme"], started, "id")).items()}
    reports = await _by_key(conn, tables["report"], started, "id")
    decisions = await _by_key(conn, tables["decision"], started, "id")
    items: list[dict[str, Any]] = []
    for r in page:
        signed = by_agreement.get((r.own, r.agreement))
        coalition = None if signed is None or signed["type"] is None else agreement_json(signed, today)
        programme = by_programme.get((r.own, r.id)) if r.kind == "programme" else None
        shown: dict[str, Any] = dict.fromkeys(_FIELDS)
        if programme is not None:
            key = (r.own, r.id)
            shown = programme_json(programme, reports.get(key, ()), decisions.get(key, ()), today, hidden=hidden)
        evidence = {*(shown["evidence"] or ()), *(coalition["evidence"] if coalition else ())}
        items.append(
            {
                "relation": r.relation, "relation_name": r.name, "tier": r.tier, **shown,
                "ends_on": r.ends_on.isoformat(), "ends_in_days": (r.ends_on - today).days, "coalition": coalition,
                "evidence": sorted(evidence),
            }
        )  # fmt: skip
    named = [
        one for item in items for one in [*(item["decisions"] or ()), *filter(None, [item["coalition"]])]
    ]  # fmt: skip
    _name(await parties(conn, tables, {p for one in named for p in one["parties"]}, viewer), named)
    return items


async def _by_key(
    conn: AsyncConnection, table: Table, page: Sequence[Row[Any]], id_: str
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The rows of a table under the first two columns of their key, of those that the page names in `own` and `id_`."""
    keys = {(r.own, getattr(r, id_)) for r in page}
    first, second = list(table.primary_key.columns)[:2]
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    if keys:
        # Two arrays, not a list of pairs: the statement is the same one however long the page is.
        asked = sorted(k for k in keys if k[1])
        pairs = (func.unnest(literal([k[n] for k in asked], ARRAY(Text))) for n in range(2))
        query = select(*read_columns(table)).where(tuple_(first, second).in_(select(*pairs)))
        for row in await rows_of(conn, query):
            found.setdefault((row[first.name], row[second.name]), []).append(row)
    return found


_FIELDS: Final = (
    "programme", "agreement", "name", "state", "starts_on", "ends_on", "ends_in_days", "rag", "reported_on", "stale",
    "red_since", "red_without_decision", "indicators", "decisions", "evidence",
)  # fmt: skip


def _name(who: Parties, documents: Sequence[dict[str, Any]]) -> None:
    for document in documents:
        document["parties"] = [who.told(p) for p in document["parties"]]
