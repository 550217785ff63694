"""Chains, read off the facts: who is in which phase, what was paid, saved and shared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from events.recorded import Recorded
from tests.naive import Row, Table, bits, counting, day, grouped, last, newest, on, party, positions


def chains(events: Iterable[Recorded]) -> Table:
    found: Table = {}
    for key, mine in grouped(events, ["chain"], "chain.defined", "chain.sharing_key_agreed").items():
        defined, key_agreed = last(mine, "chain.defined"), last(mine, "chain.sharing_key_agreed")
        found[key] = {
            "name": None if defined is None else defined.data["name"],
            "phases": [] if defined is None else defined.data["phases"],
            "defined_on": None if defined is None else day(defined),
            "sharing_key": [] if key_agreed is None else _named(key_agreed.data["shares"]),
            "sharing_key_on": None if key_agreed is None else day(key_agreed),
            "hidden": 0 if defined is None else bits(defined),
            "positions": positions(mine),
        }
    return found


def _named(shares: Iterable[Row]) -> list[Row]:
    return [{**one, "organisation": party(one["organisation"])} for one in shares]


def partners(events: Iterable[Recorded]) -> Table:
    """Who is in a phase, or was replaced there: the last fact that names them."""
    found: Table = {}
    for e in counting(events):
        if e.kind not in ("chain.partner_assigned", "chain.partner_replaced"):
            continue
        about: Row = {"since_on": day(e), "hidden": bits(e), "position": e.position}
        phase = (e.relation, e.data["chain"], e.data["phase"])
        comes = party(e.data["organisation"])
        if e.kind == "chain.partner_replaced":
            goes, comes = comes, party(e.data["by"])
            found[*phase, goes] = {**about, "financing_system": None, "present": False, "replaced_by": comes}
        found[*phase, comes] = {
            **about, "financing_system": e.data["financing_system"], "present": True, "replaced_by": None,
        }  # fmt: skip
    return found


def guarantees(events: Iterable[Recorded]) -> Table:
    """Each organisation's by itself; its replacement as a partner, when that is later, ends it."""
    found: Table = {}
    kinds = ("chain.phase_guaranteed", "chain.partner_replaced")
    for (*phase, organisation), mine in _by_party(events, kinds).items():
        given, gone = last(mine, kinds[0]), last(mine, kinds[1])
        found[*phase, organisation] = {
            "given_on": None if given is None else day(given),
            "until_on": None if given is None else on(given.data.get("until")),
            "position": None if given is None else given.position,
            "gone_on": None if gone is None else day(gone),
            "gone_position": None if gone is None else gone.position,
            "replaced": given is not None and mine[-1].kind == kinds[1], "hidden": bits(*mine),
        }  # fmt: skip
    return found


def _by_party(events: Iterable[Recorded], kinds: tuple[str, ...]) -> dict[tuple[Any, ...], list[Recorded]]:
    """The facts of these kinds by phase and organisation, by stamp."""
    found: dict[tuple[Any, ...], list[Recorded]] = {}
    for e in counting(events):
        if e.kind in kinds:
            key = e.relation, e.data["chain"], e.data["phase"], party(e.data["organisation"])
            found.setdefault(key, []).append(e)
    return found


def flows(events: Iterable[Recorded]) -> Table:
    kinds = {"invested_cents": "chain.investment_recorded", "returned_cents": "chain.return_recorded"}
    fields = ["chain", "organisation", "financing_system", "period"]
    return {
        (relation, chain, party(organisation), *more): {
            **{name: sum(e.data["cents"] for e in mine if e.kind == kind) for name, kind in kinds.items()},
            "positions": positions(mine),
        }
        for (relation, chain, organisation, *more), mine in grouped(events, fields, *kinds.values()).items()
    }


def baselines(events: Iterable[Recorded]) -> Table:
    def row(e: Recorded) -> Row:
        return {
            "cents": e.data["cents"], "parties": [party(p) for p in e.data["parties"]], "agreed_on": day(e),
            "hidden": bits(e), "position": e.position,
        }  # fmt: skip

    return newest(events, ["chain", "indicator", "period"], "chain.baseline_agreed", row)


def savings(events: Iterable[Recorded]) -> Table:
    found: Table = {}
    kinds = ("chain.savings_assessed", "chain.savings_distributed")
    for key, mine in grouped(events, ["chain", "assessment"], *kinds).items():
        assessed, divided = last(mine, kinds[0]), last(mine, kinds[1])
        data: dict[str, Any] = {} if assessed is None else assessed.data
        found[key] = {
            **{name: data.get(name) for name in ("period", "saving_cents", "quality_met")},
            "assessed_on": None if assessed is None else day(assessed),
            "amounts": [] if divided is None else _named(divided.data["amounts"]),
            "distributed_on": None if divided is None else day(divided),
            "hidden": bits(*mine), "positions": positions(mine),
        }  # fmt: skip
    return found


def pockets(events: Iterable[Recorded]) -> dict[tuple[str, str, str | None], tuple[int, int, int, int]]:
    """Invested, returned, shared and net cents by relation, organisation and financing system (of one chain)."""
    facts = [e for e in counting(events) if e.family == "chain"]
    placed = partners(facts)
    found: dict[tuple[str, str, str | None], list[int]] = {}
    for n, kind in enumerate(("chain.investment_recorded", "chain.return_recorded")):
        for e in facts:
            if e.kind == kind:
                cell = found.setdefault((e.relation, e.data["organisation"], e.data["financing_system"]), [0, 0, 0])
                cell[n] += e.data["cents"]
    for (relation, *_), saving in savings(facts).items():
        for amount in saving["amounts"] if saving["assessed_on"] is not None else ():
            organisation = amount["organisation"]
            systems = {
                row["financing_system"] for (of, _, _, who), row in placed.items()
                if (of, who) == (relation, organisation) and row["financing_system"] is not None
            } | {
                e.data["financing_system"] for e in facts
                if e.kind in ("chain.investment_recorded", "chain.return_recorded")
                and (e.relation, party(e.data["organisation"])) == (relation, organisation)
            }  # fmt: skip
            system = systems.pop() if len(systems) == 1 else None
            found.setdefault((relation, organisation, system), [0, 0, 0])[2] += amount["cents"]
    return {key: (i, r, s, r + s - i) for key, (i, r, s) in found.items()}
