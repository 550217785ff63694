"""What a reader sees of one relation's chains: a pure function of its rows and the book's now.

The "wrong pocket": one organisation invests, another gains. The matrix says who does which, per organisation and
financing system, over all periods and per period.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from events.recorded import local_date
from projections.heads import iso_day, shown
from projections.rows import Row, Rows

# Figures and what follows from all facts count those that a reader may not see, too.
_COUNTED: Final = frozenset({"flow", "guarantee"})


def present_chains(rows: Rows, relation: str, now: datetime, *, hidden: int) -> dict[str, Any] | None:
    """{relation, relation_name, tier, chains}; None when the relation is not registered.

    A chain: chain, name, phases [{phase, name, partners, left, guarantors [{organisation, given_on, until, replaced_on,
    holds, evidence}], without_guarantor}], matrix [{organisation,
    financing_system, invested_cents, returned_cents, shared_cents, net_cents, role, periods, evidence}], baseline,
    sharing_key, savings [{assessment, period, saving_cents, quality_met, amounts, distributed_on}], evidence.
    """
    head = rows.get("relation", relation)
    if head is None or head["name"] is None:
        return None
    today = local_date(now)
    tables = {
        name: rows.group(name, relation) for name in ("partner", "guarantee", "flow", "baseline", "saving")
    }  # fmt: skip
    chains = [
        _chain(c, tables, today, hidden)
        for c in rows.group("chain", relation)
        if c["name"] is not None and shown(c, hidden)
    ]
    return {"relation": relation, "relation_name": head["name"], "tier": head["tier"], "chains": chains}


def _chain(chain: Row, tables: Mapping[str, Sequence[Row]], today: date, hidden: int) -> dict[str, Any]:
    key = (chain["relation"], chain["chain"])
    mine = {name: [r for r in rows if (r["relation"], r["chain"]) == key] for name, rows in tables.items()}
    seen = {name: [r for r in rows if name in _COUNTED or shown(r, hidden)] for name, rows in mine.items()}
    savings = [_saving(s) for s in seen["saving"] if s["period"] is not None]
    return {
        "chain": chain["chain"], "name": chain["name"], "defined_on": iso_day(chain["defined_on"]),
        "phases": [_phase(p, seen, today, hidden) for p in chain["phases"]],
        "matrix": matrix_of(seen["flow"], seen["saving"], seen["partner"]),
        "baseline": [
            {
                "indicator": b["indicator"], "period": b["period"], "cents": b["cents"], "parties": b["parties"],
                "agreed_on": iso_day(b["agreed_on"]), "evidence": [b["position"]],
            }
            for b in sorted(seen["baseline"], key=lambda b: (b["indicator"], b["period"]))
        ],
        "sharing_key": chain["sharing_key"], "sharing_key_on": iso_day(chain["sharing_key_on"]),
        "savings": sorted(savings, key=lambda s: (s["period"], s["assessment"])),
        "evidence": chain["positions"],
    }  # fmt: skip


def _phase(phase: Mapping[str, Any], seen: Mapping[str, Sequence[Row]], today: date, hidden: int) -> dict[str, Any]:
    partners = [p for p in seen["partner"] if p["phase"] == phase["phase"]]
    given = [g for g in seen["guarantee"] if g["phase"] == phase["phase"] and g["given_on"] is not None]
    told = [_guarantor(g, today) for g in given if shown(g, hidden)]
    return {
        "phase": phase["phase"], "name": phase["name"],
        "partners": [
            {
                "organisation": p["organisation"], "financing_system": p["financing_system"],
                "since_on": iso_day(p["since_on"]), "evidence": [p["position"]],
            }
            for p in partners if p["present"]
        ],
        "left": [
            {
                "organisation": p["organisation"], "replaced_by": p["replaced_by"], "left_on": iso_day(p["since_on"]),
                "evidence": [p["position"]],
            }
            for p in partners if not p["present"]
        ],
        "guarantors": sorted(told, key=lambda g: (not g["holds"], g["given_on"], g["organisation"])),
        # As the rule `chain_phase_without_guarantor` has it, which counts what this reader may not see.
        "without_guarantor": not any(_last_day(g) >= today for g in given),
    }  # fmt: skip


def _last_day(guarantee: Row) -> date:
    """The last day that it warrants."""
    ends = (guarantee["until_on"], guarantee["gone_on"] if guarantee["replaced"] else None)
    return min((on for on in ends if on is not None), default=date.max)


def _guarantor(row: Row, today: date) -> dict[str, Any]:
    return {
        "organisation": row["organisation"], "given_on": iso_day(row["given_on"]), "until": iso_day(row["until_on"]),
        "replaced_on": iso_day(row["gone_on"]) if row["replaced"] else None, "holds": _last_day(row) >= today,
        "evidence": [row["position"], row["gone_position"]] if row["replaced"] else [row["position"]],
    }  # fmt: skip


def _saving(row: Row) -> dict[str, Any]:
    return {
        "assessment": row["assessment"], "period": row["period"], "saving_cents": row["saving_cents"],
        "quality_met": row["quality_met"], "assessed_on": iso_day(row["assessed_on"]), "amounts": row["amounts"],
        "distributed_on": iso_day(row["distributed_on"]), "evidence": row["positions"],
    }  # fmt: skip


def matrix_of(flows: Iterable[Row], savings: Iterable[Row], partners: Iterable[Row]) -> list[dict[str, Any]]:
    """Who invests and who gains, per organisation and financing system, with every period by itself.

    A distribution names organisations only: it counts for the one financing system that the organisation has in the
    chain, and under None where there is none or more than one. `net_cents` = returned + shared - invested; `role` is
    `gains`, `invests` or `even` by its sign.
    """
    systems: dict[str, set[str]] = defaultdict(set)
    cells: dict[tuple[str, str | None], dict[str, Any]] = {}

    def cell(organisation: str, system: str | None) -> dict[str, Any]:
        blank: dict[str, Any] = {
            "organisation": organisation, "financing_system": system, "invested_cents": 0, "returned_cents": 0,
            "shared_cents": 0, "periods": {}, "evidence": set[int](),
        }  # fmt: skip
        return cells.setdefault((organisation, system), blank)

    def add(one: dict[str, Any], period: str, **cents: int) -> None:
        within = one["periods"].setdefault(period, {"invested_cents": 0, "returned_cents": 0, "shared_cents": 0})
        for name, amount in cents.items():
            one[name] += amount
            within[name] += amount

    for partner in partners:
        if partner["financing_system"] is not None:
            systems[partner["organisation"]].add(partner["financing_system"])
    for flow in flows:
        systems[flow["organisation"]].add(flow["financing_system"])
        one = cell(flow["organisation"], flow["financing_system"])
        add(one, flow["period"], invested_cents=flow["invested_cents"], returned_cents=flow["returned_cents"])
        one["evidence"].update(flow["positions"])
    for saving in savings:
        period: str | None = saving["period"]
        for amount in saving["amounts"] if period is not None else ():
            known = systems.get(amount["organisation"], set())
            one = cell(amount["organisation"], next(iter(known)) if len(known) == 1 else None)
            add(one, str(period), shared_cents=amount["cents"])
            one["evidence"].update(saving["positions"])
    return [finished(cells[key]) for key in sorted(cells, key=lambda k: (k[0], k[1] or ""))]


def finished(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell with what follows from its sums, its periods as a list."""
    net = cell["returned_cents"] + cell["shared_cents"] - cell["invested_cents"]
    return {
        **cell,
        "net_cents": net,
        "role": "gains" if net > 0 else "invests" if net < 0 else "even",
        "periods": [{"period": period, **cents} for period, cents in sorted(cell["periods"].items())],
        "evidence": sorted(cell["evidence"]),
    }
