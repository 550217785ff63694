"""The rules of chains: phases that exist, and savings that are divided once, whole, and only where quality was met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from events.book import Case, Decision, Need, Park, Rule, Value
from events.errors import FieldError
from events.judging import against

_CHAIN = Need("chain:{relation}:{chain}", "unknown_chain", "/data/chain")


def _defined(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    return {f"chain:{case.relation}:{data['chain']}": {"phases": [p["phase"] for p in data["phases"]]}}


def _phase_exists(case: Case) -> Decision | None:
    data = case.event.data
    chain = case.look(f"chain:{case.relation}:{data['chain']}")
    if chain is None or data["phase"] in chain.value["phases"]:
        return None
    phases = ", ".join(chain.value["phases"])
    return against("phase", f"this chain has no such phase; its phases are {phases}", chain)


def _assessed(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    keep = ("chain", "saving_cents", "quality_met")
    return {f"assessment:{case.relation}:{data['assessment']}": {k: data[k] for k in keep}}


def _whole_saving(case: Case) -> Decision | None:
    """A distribution sums to the saving that was assessed; there is none where quality was not met."""
    data = case.event.data
    key = f"assessment:{case.relation}:{data['assessment']}"
    assessed = case.look(key)
    if assessed is None:
        detail = "this saving has not been assessed yet; it is kept until then"
        return Park("not_yet", (key,), (FieldError("/data/assessment", detail),))
    if assessed.value["chain"] != data["chain"]:
        return against("chain", f"this assessment is of chain {assessed.value['chain']}; name that chain", assessed)
    if not assessed.value["quality_met"]:
        return against("assessment", "quality was not met, so there is no saving to distribute", assessed)
    total, saving = sum(a["cents"] for a in data["amounts"]), assessed.value["saving_cents"]
    if total != saving:
        return against("amounts", f"the amounts sum to {total} cents, and the saving is {saving}", assessed)
    before = case.look(f"distributed:{case.relation}:{data['assessment']}")
    if before is not None:
        return against("assessment", "this saving was distributed before; withdraw that event to mend it", before)
    return None


CHAINING: Final[dict[str, Rule]] = {
    "chain.defined": Rule(touches=("chain:{relation}:{chain}",), once="chain:{relation}:{chain}", values=_defined),
    "chain.partner_assigned": Rule(
        touches=("partner:{relation}:{chain}:{phase}:{organisation}",), needs=(_CHAIN,), check=_phase_exists
    ),
    "chain.partner_replaced": Rule(
        touches=("partner:{relation}:{chain}:{phase}:{organisation}", "partner:{relation}:{chain}:{phase}:{by}"),
        needs=(_CHAIN,),
        check=_phase_exists,
    ),
    "chain.phase_guaranteed": Rule(
        touches=("guarantee:{relation}:{chain}:{phase}",), needs=(_CHAIN,), check=_phase_exists
    ),
    **{
        f"chain.{what}_recorded": Rule(touches=(f"{what}:{{relation}}:{{chain}}:{{organisation}}",), needs=(_CHAIN,))
        for what in ("investment", "return")
    },
    "chain.baseline_agreed": Rule(touches=("baseline:{relation}:{chain}:{indicator}",), needs=(_CHAIN,)),
    "chain.savings_assessed": Rule(
        touches=("assessment:{relation}:{assessment}",),
        once="assessment:{relation}:{assessment}",
        needs=(_CHAIN,),
        values=_assessed,
    ),
    "chain.sharing_key_agreed": Rule(touches=("sharing_key:{relation}:{chain}",), needs=(_CHAIN,)),
    "chain.savings_distributed": Rule(
        touches=("distributed:{relation}:{assessment}",),
        needs=(_CHAIN,),
        reads=("assessment:{relation}:{assessment}",),
        check=_whole_saving,
    ),
}
