"""Chain view: phases and partners, who invests and who gains, what was saved and how that is shared.

Tables in chain_tables, reading in chain_present. Money adds up per organisation, financing system and period: each
event is one more payment. All else are registers by `Recorded.stamp`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from events.recorded import Recorded, local_date
from projections.agreement_facts import party_key
from projections.chain_tables import metadata
from projections.heads import HEAD_KINDS, fold_head, head_needs
from projections.registers import day, later, put_newest
from projections.rows import Need, One, Projection, Row, Rows
from projections.viewer import restriction

_FLOWS: Final = {"chain.investment_recorded": "invested_cents", "chain.return_recorded": "returned_cents"}
CHAIN_KINDS: Final = frozenset(_FLOWS) | {
    f"chain.{k}"
    for k in (
        "defined", "partner_assigned", "partner_replaced", "phase_guaranteed", "baseline_agreed", "savings_assessed",
        "sharing_key_agreed", "savings_distributed",
    )
}  # fmt: skip


def needs(event: Recorded) -> Iterable[Need]:
    if event.kind not in CHAIN_KINDS:
        return head_needs(event)
    data, chain = event.data, (event.relation, event.data["chain"])
    match event.kind:
        case "chain.partner_assigned":
            return [One("partner", (*chain, data["phase"], party_key(data["organisation"])))]
        case "chain.partner_replaced":
            gone, by = ((*chain, data["phase"], party_key(data[who])) for who in ("organisation", "by"))
            return [One("partner", gone), One("partner", by), One("guarantee", gone)]
        case "chain.phase_guaranteed":
            return [One("guarantee", (*chain, data["phase"], party_key(data["organisation"])))]
        case "chain.baseline_agreed":
            return [One("baseline", (*chain, data["indicator"], data["period"]))]
        case "chain.savings_assessed" | "chain.savings_distributed":
            return [One("saving", (*chain, data["assessment"]))]
        case kind if kind in _FLOWS:
            return [One("flow", (*chain, party_key(data["organisation"]), data["financing_system"], data["period"]))]
        case _:
            return [One("chain", chain)]


def evolve(rows: Rows, event: Recorded) -> None:
    if event.kind not in CHAIN_KINDS:
        fold_head(rows, event)
        return
    data = event.data
    own: Row = {"relation": event.relation, "chain": data["chain"]}
    about: Row = {"hidden": restriction(event), "position": event.position, "stamp": event.stamp}
    on = local_date(event.occurred_at)
    match event.kind:
        case "chain.partner_assigned":
            _put_partner(rows, {**own, "phase": data["phase"], "present": True, "since_on": on, "replaced_by": None,
                                "organisation": party_key(data["organisation"]),
                                "financing_system": data["financing_system"], **about})  # fmt: skip
        case "chain.partner_replaced":
            phase, gone, by = data["phase"], party_key(data["organisation"]), party_key(data["by"])
            _put_partner(rows, {**own, "phase": phase, "organisation": gone, "present": False, "since_on": on,
                                "financing_system": None,
                                "replaced_by": by, **about})  # fmt: skip
            _put_partner(rows, {**own, "phase": phase, "organisation": by, "present": True, "since_on": on,
                                "financing_system": data["financing_system"], "replaced_by": None,
                                **about})  # fmt: skip
            _guarantee(rows, event, own)
        case "chain.phase_guaranteed":
            _guarantee(rows, event, own)
        case "chain.baseline_agreed":
            row: Row = {
                **own, "indicator": data["indicator"], "period": data["period"], "cents": data["cents"],
                "parties": [party_key(p) for p in data["parties"]], "agreed_on": on, **about,
            }  # fmt: skip
            put_newest(rows, "baseline", row, event.relation, data["chain"], data["indicator"], data["period"])
        case "chain.savings_assessed" | "chain.savings_distributed":
            _saving(rows, event, own)
        case kind if kind in _FLOWS:
            _flow(rows, event, own)
        case _:
            _chain(rows, event, own)


def _put_partner(rows: Rows, row: Row) -> None:
    put_newest(rows, "partner", row, row["relation"], row["chain"], row["phase"], row["organisation"])


def _guarantee(rows: Rows, event: Recorded, own: Row) -> None:
    """Each organisation's guarantee stands by itself; its replacement as a partner, when that is later, ends it."""
    data, on = event.data, local_date(event.occurred_at)
    phase, organisation = data["phase"], party_key(data["organisation"])
    row: Row = dict(rows.get("guarantee", event.relation, data["chain"], phase, organisation) or {
        **own, "phase": phase, "organisation": organisation, "given_on": None, "until_on": None, "position": None,
        "gone_on": None, "gone_position": None, "replaced": False, "hidden": 0, "facts": {},
    })  # fmt: skip
    facts: dict[str, Any] = dict(row["facts"])
    if later(facts, event.kind, event.stamp):
        if event.kind == "chain.phase_guaranteed":
            row.update(given_on=on, until_on=day(data.get("until")), position=event.position)
        else:
            row.update(gone_on=on, gone_position=event.position)
    given, gone = facts.get("chain.phase_guaranteed"), facts.get("chain.partner_replaced")
    row["replaced"] = given is not None and gone is not None and gone > given
    row["hidden"] |= restriction(event)
    rows.put("guarantee", {**row, "facts": facts})


def _chain(rows: Rows, event: Recorded, own: Row) -> None:
    data, on = event.data, local_date(event.occurred_at)
    row: Row = dict(rows.get("chain", event.relation, data["chain"]) or {
        **own, "name": None, "phases": [], "defined_on": None, "sharing_key": [], "sharing_key_on": None, "hidden": 0,
        "positions": [], "facts": {},
    })  # fmt: skip
    facts: dict[str, Any] = dict(row["facts"])
    if later(facts, event.kind, event.stamp):
        if event.kind == "chain.defined":
            row.update(
                name=data["name"], phases=data["phases"], defined_on=on, hidden=restriction(event)
            )  # fmt: skip
        else:
            shares = [
                {"organisation": party_key(s["organisation"]), "share_pct": s["share_pct"]} for s in data["shares"]
            ]
            row.update(sharing_key=shares, sharing_key_on=on)
    rows.put("chain", {**row, "positions": sorted([*row["positions"], event.position]), "facts": facts})


def _flow(rows: Rows, event: Recorded, own: Row) -> None:
    data = event.data
    key = (party_key(data["organisation"]), data["financing_system"], data["period"])
    row: Row = dict(rows.get("flow", event.relation, data["chain"], *key) or {
        **own, "organisation": key[0], "financing_system": key[1], "period": key[2], "invested_cents": 0,
        "returned_cents": 0, "positions": [],
    })  # fmt: skip
    row[_FLOWS[event.kind]] += data["cents"]
    rows.put("flow", {**row, "positions": sorted([*row["positions"], event.position])})


def _saving(rows: Rows, event: Recorded, own: Row) -> None:
    data, on = event.data, local_date(event.occurred_at)
    row: Row = dict(rows.get("saving", event.relation, data["chain"], data["assessment"]) or {
        **own, "assessment": data["assessment"], "period": None, "saving_cents": None, "quality_met": None,
        "assessed_on": None, "amounts": [], "distributed_on": None, "hidden": 0, "positions": [], "facts": {},
    })  # fmt: skip
    facts: dict[str, Any] = dict(row["facts"])
    if later(facts, event.kind, event.stamp):
        if event.kind == "chain.savings_assessed":
            fields = ("period", "saving_cents", "quality_met")
            row.update(assessed_on=on, **{f: data[f] for f in fields})
        else:
            amounts = [{"organisation": party_key(a["organisation"]), "cents": a["cents"]} for a in data["amounts"]]
            row.update(distributed_on=on, amounts=amounts)
    row["hidden"] |= restriction(event)
    rows.put("saving", {**row, "positions": sorted([*row["positions"], event.position]), "facts": facts})


PROJECTION: Final = Projection(
    name="chain_view", version=3, metadata=metadata, needs=needs, evolve=evolve, kinds=HEAD_KINDS | CHAIN_KINDS
)
