"""Queries of the chain view: one relation's chains, and who invests and who gains over all of them (question 9)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from projections.chain_present import finished, matrix_of, present_chains
from projections.chain_view import PROJECTION
from projections.heads import of_root, own_relations, read_columns, root_of, rows_of, scope
from projections.loading import load_united
from projections.page import Page, check_limit, decode_cursor, encode_cursor
from projections.parties import Parties, parties
from projections.sight import open_to
from projections.store import Live, live
from projections.viewer import Viewer, hidden_bits

_SCOPE: Final = "pockets"
_SUMS: Final = ("invested_cents", "returned_cents", "shared_cents")


async def chains(conn: AsyncConnection, relation: str, now: datetime, viewer: Viewer) -> dict[str, Any] | None:
    """What `present_chains` gives, organisations by their UUID and name, and `position`; None: not there for this
    viewer."""
    build = await live(conn, PROJECTION)
    loaded = await load_united(conn, PROJECTION, build, relation, viewer)
    if loaded is None:
        return None
    seen = present_chains(loaded.rows, loaded.relation, now, hidden=hidden_bits(viewer))
    if seen is None:
        return None
    return {
        **await with_parties(conn, seen, viewer, build), "absorbed": loaded.members[1:], "position": build.position,
    }  # fmt: skip


async def with_parties(
    conn: AsyncConnection, seen: dict[str, Any], viewer: Viewer, build: Live | None = None
) -> dict[str, Any]:
    """What `present_chains` gave, with every organisation by the UUID and name that it has now."""
    tables = (build or await live(conn, PROJECTION)).tables
    return _told(await parties(conn, tables, _named(seen["chains"]), viewer), seen)


async def pockets(
    conn: AsyncConnection, *, relation: str | None = None, chain: str | None = None, organisation: str | None = None,
    financing_system: str | None = None, period: str | None = None, tier: str | None = None, team: str | None = None,
    cursor: str | None = None, limit: int = 100, viewer: Viewer,
) -> Page:  # fmt: skip
    """Question 9: who invests and who gains, per organisation and financing system, over the chains of all relations
    that this viewer sees.

    An item: organisation, organisation_name, financing_system, invested_cents, returned_cents, shared_cents, net_cents,
    role, periods, evidence (as `chain_present.matrix_of`), and `chains` [{relation, relation_name, chain, chain_name,
    share_pct, the sums}]: what came of it where, and by which key savings are shared there. `period` takes `2026` for
    everything within that year. Raises Invalid naming `/cursor` or `/limit`.
    """
    build = await live(conn, PROJECTION)
    tables, hidden = build.tables, hidden_bits(viewer)
    own = await own_relations(conn, tables, viewer, team=team, relation=relation)
    within = _Within(conn, tables, scope(tables, viewer, team=team, tier=tier), own, chain, hidden)
    savings = await within.rows("saving", period)
    if organisation is not None:
        organisation = await root_of(conn, tables, organisation)
    # Who there is at all comes first: sums are made for the organisations of this page only.
    named = {amount["organisation"] for saving in savings for amount in saving["amounts"]}
    named |= await within.organisations()
    known = await within.rows("chain")
    who = await parties(conn, tables, {*named, *(s["organisation"] for c in known for s in c["sharing_key"])}, viewer)
    after = ("", "") if cursor is None else tuple(decode_cursor(_SCOPE, cursor, (str, str)))
    there = sorted({who.key(name) for name in named})
    there = [one for one in there if one >= after[0] and (organisation is None or one == organisation)]
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    size = check_limit(limit) + 2  # organisations at a time: each has a pocket, but for those that a filter empties
    for start in range(0, len(there), size):
        some = set(there[start : start + size])
        names = {name for name in named if who.key(name) in some}
        found = _by_pocket({**await within.money(names, savings, period), "chain": known}, who)
        cells |= {k: c for k, c in found.items() if k > after and financing_system in {None, k[1]}}
        if len(cells) > limit:
            break
    keys = sorted(cells)
    page = keys[:limit]
    following = encode_cursor(_SCOPE, page[-1]) if len(keys) > limit else None
    return Page([_item(who, cells[key]) for key in page], following)


@dataclass(frozen=True, slots=True)
class _Within:
    """The rows that a question is about."""

    conn: AsyncConnection
    tables: Mapping[str, Table]
    scope: Sequence[ColumnElement[bool]]
    own: Sequence[str] | None
    chain: str | None
    hidden: int

    def _where(self, table: Table) -> list[ColumnElement[bool]]:
        return [
            *self.scope,
            *([] if self.own is None else [table.c.relation.in_(self.own)]),
            *([] if self.chain is None else [table.c.chain == self.chain]),
            *([] if "hidden" not in table.c else [open_to(table.c.hidden, self.hidden)]),
        ]

    async def organisations(self) -> set[str]:
        """Everyone who invests or gains by any flow."""
        flow = self.tables["flow"]
        query = select(flow.c.organisation).select_from(of_root(self.tables, flow)).where(*self._where(flow)).distinct()
        return set(await self.conn.scalars(query))

    async def rows(
        self, name: str, period: str | None = None, organisations: Collection[str] | None = None
    ) -> list[dict[str, Any]]:  # fmt: skip
        table, head = self.tables[name], self.tables["relation"]
        query = (
            select(*read_columns(table), head.c.relation.label("root"), head.c.name.label("relation_name"))
            .select_from(of_root(self.tables, table))
            .where(*self._where(table))
        )
        if period is not None:
            query = query.where(table.c.period.startswith(period, autoescape=True))
        if organisations is not None:
            query = query.where(table.c.organisation.in_(sorted(organisations)))
        return await rows_of(self.conn, query)

    async def money(
        self, names: Collection[str], savings: Sequence[dict[str, Any]], period: str | None
    ) -> dict[str, list[dict[str, Any]]]:
        """What concerns these organisations."""
        return {
            "flow": await self.rows("flow", period, names),
            "partner": await self.rows("partner", None, names),
            "saving": [
                {**saving, "amounts": amounts}
                for saving in savings
                if (amounts := [a for a in saving["amounts"] if a["organisation"] in names])
            ],
        }


def _by_pocket(
    rows: Mapping[str, Sequence[Mapping[str, Any]]], who: Parties
) -> dict[tuple[str, str], dict[str, Any]]:  # fmt: skip
    """(organisation, financing system or "") → the sums over all chains, each chain by itself in `chains`."""
    by_chain: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = defaultdict(
        lambda: {"flow": [], "saving": [], "partner": []}
    )
    for name in ("flow", "saving", "partner"):
        for row in rows[name]:
            one = dict(row)
            if "organisation" in one:
                one["organisation"] = who.key(one["organisation"])
            if "amounts" in one:
                one["amounts"] = [{**a, "organisation": who.key(a["organisation"])} for a in one["amounts"]]
            by_chain[row["relation"], row["chain"]][name].append(one)
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    # What is earned in a chain that this viewer may not see by name is still counted, but not told apart.
    known = {(c["relation"], c["chain"]): c for c in rows["chain"] if c["name"] is not None}
    for key in sorted(by_chain):
        about, parts = known.get(key), by_chain[key]
        shares = {} if about is None else {who.key(s["organisation"]): s["share_pct"] for s in about["sharing_key"]}
        for cell in matrix_of(parts["flow"], parts["saving"], parts["partner"]):
            total = cells.setdefault((cell["organisation"], cell["financing_system"] or ""), {
                "organisation": cell["organisation"], "financing_system": cell["financing_system"],
                **dict.fromkeys(_SUMS, 0), "periods": {}, "evidence": set[int](), "chains": [],
            })  # fmt: skip
            for name in _SUMS:
                total[name] += cell[name]
            for within in cell["periods"]:
                summed = total["periods"].setdefault(within["period"], dict.fromkeys(_SUMS, 0))
                for name in _SUMS:
                    summed[name] += within[name]
            total["evidence"].update(cell["evidence"])
            if about is not None:
                total["evidence"].update(about["positions"])
                total["chains"].append({
                    "relation": about["root"], "relation_name": about["relation_name"], "chain": about["chain"],
                    "chain_name": about["name"], "share_pct": shares.get(cell["organisation"]),
                    **{name: cell[name] for name in _SUMS}, "net_cents": cell["net_cents"],
                })  # fmt: skip
    return cells


def _item(who: Parties, cell: dict[str, Any]) -> dict[str, Any]:
    done = finished(cell)
    return {"organisation": done.pop("organisation"), "organisation_name": who.name(cell["organisation"]), **done}


def _named(found: Iterable[dict[str, Any]]) -> set[str]:
    """Every organisation that documents of chains name, however deep."""
    names: set[str] = set()
    for part in found:
        for key, value in part.items():
            if key in {"organisation", "replaced_by"}:
                names |= {value} - {None}
            elif key == "parties":
                names |= {*value}
            else:
                names |= _named(_documents(value))
    return names


def _documents(value: Any) -> list[dict[str, Any]]:
    inner: list[Any] = value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]
    return [one for one in inner if isinstance(one, dict)]


def _told(who: Parties, document: dict[str, Any]) -> dict[str, Any]:
    """The document with every organisation by its UUID, and `organisation_name` beside it."""
    out: dict[str, Any] = {}
    for key, value in document.items():
        if key == "organisation":
            out |= {"organisation": who.key(value), "organisation_name": who.name(value)}
        elif key == "replaced_by":
            out["replaced_by"] = None if value is None else who.key(value)
        elif key == "parties":
            out["parties"] = [who.told(p) for p in value]
        elif inner := _documents(value):
            told = [_told(who, one) for one in inner]
            out[key] = told if isinstance(value, list) else told[0]
        else:
            out[key] = value
    return out
