"""The rules of what goes on between a relation and us: commitments, opportunities, agreements and their programmes,
interests and performances (SPEC section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from events.book import Case, Decision, Need, Rule, Value
from events.contracts.agreement import year_after
from events.judging import against, ends_once

_COMMITMENT = Need("commitment:{relation}:{commitment}", "unknown_commitment", "/data/commitment")
_OPPORTUNITY = Need("opportunity:{relation}:{opportunity}", "unknown_opportunity", "/data/opportunity")
_AGREEMENT = Need("agreement:{relation}:{agreement}", "unknown_agreement", "/data/agreement")
_PROGRAMME = Need("programme:{relation}:{programme}", "unknown_programme", "/data/programme")
_INTEREST = Need("interest:{relation}:{interest}", "unknown_interest", "/data/interest")
_PERFORMANCE = Need("performance:{relation}:{performance}", "unknown_performance", "/data/performance")


def _signed(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    key = f"agreement:{case.relation}:{data['agreement']}"
    return {key: {"type": data["type"], "from": data["from"]}}


def _still_spans(case: Case) -> Decision | None:
    """What held when the agreement was signed holds for its new end too."""
    data = case.event.data
    known = case.look(f"agreement:{case.relation}:{data['agreement']}")
    if known is None:
        return None
    begun, until = date.fromisoformat(known.value["from"]), date.fromisoformat(data["until"])
    if until <= begun:
        return against("until", f"the agreement holds from {begun}; it cannot end before that", known)
    if known.value["type"] == "coalition" and until <= year_after(begun):
        return against("until", f"a coalition spans more than a year, and this one holds from {begun}", known)
    return None


# whose interest -> who may acknowledge it: nobody acknowledges their own
_OTHERS: Final = {"ours": ("them",), "theirs": ("us",), "shared": ("us", "them")}


def _held_by(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    return {f"interest:{case.relation}:{data['interest']}": {"holder": data["holder"]}}


def _interest_of_others(case: Case) -> Decision | None:
    data = case.event.data
    known = case.look(f"interest:{case.relation}:{data['interest']}")
    if known is None or data["by"] in _OTHERS[known.value["holder"]]:
        return None
    return against("by", f"this interest is {known.value['holder']}: nobody acknowledges their own", known)


def _done_by(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    return {f"performance:{case.relation}:{data['performance']}": {"by": data["by"]}}


def _performance_of_others(case: Case) -> Decision | None:
    data = case.event.data
    known = case.look(f"performance:{case.relation}:{data['performance']}")
    if known is None or data["by"] != known.value["by"]:
        return None
    return against("by", f"this performance was reported by {data['by']}: nobody acknowledges their own", known)


_KEPT_ONCE = ends_once("ended", "commitment", "this commitment was fulfilled, broken or released before; it ends once")
_DECIDED_ONCE = ends_once("decided", "opportunity", "this opportunity was won or lost before; it is decided once")
_AGREEMENT_ENDS_ONCE = ends_once("agreement_ended", "agreement", "this agreement was ended before; it ends once")

AFFAIRS: Final[dict[str, Rule]] = {
    "commitment.made": Rule(touches=("commitment:{relation}:{commitment}",), once="commitment:{relation}:{commitment}"),
    **{
        f"commitment.{how}": Rule(touches=("ended:{relation}:{commitment}",), needs=(_COMMITMENT,), check=_KEPT_ONCE)
        for how in ("fulfilled", "broken", "released")
    },
    "opportunity.tender_announced": Rule(
        touches=("opportunity:{relation}:{opportunity}",), once="opportunity:{relation}:{opportunity}"
    ),
    "opportunity.offer_submitted": Rule(touches=("offer:{relation}:{opportunity}",), needs=(_OPPORTUNITY,)),
    **{
        f"opportunity.{how}": Rule(
            touches=("decided:{relation}:{opportunity}",), needs=(_OPPORTUNITY,), check=_DECIDED_ONCE
        )
        for how in ("won", "lost")
    },
    "agreement.signed": Rule(
        touches=("agreement:{relation}:{agreement}",), once="agreement:{relation}:{agreement}", values=_signed
    ),
    "agreement.renewed": Rule(touches=("term:{relation}:{agreement}",), needs=(_AGREEMENT,), check=_still_spans),
    "agreement.ended": Rule(
        touches=("agreement_ended:{relation}:{agreement}",), needs=(_AGREEMENT,), check=_AGREEMENT_ENDS_ONCE
    ),
    "programme.started": Rule(
        touches=("programme:{relation}:{programme}",), once="programme:{relation}:{programme}", needs=(_AGREEMENT,)
    ),
    "programme.progress_reported": Rule(touches=("progress:{relation}:{programme}:{indicator}",), needs=(_PROGRAMME,)),
    "programme.steering_decision_taken": Rule(touches=("steered:{relation}:{programme}",), needs=(_PROGRAMME,)),
    "partnership.interest_recorded": Rule(
        touches=("interest:{relation}:{interest}",), once="interest:{relation}:{interest}", values=_held_by
    ),
    "partnership.interest_acknowledged": Rule(
        touches=("interest_seen:{relation}:{interest}:{by}",), needs=(_INTEREST,), check=_interest_of_others
    ),
    "partnership.performance_reported": Rule(
        touches=("performance:{relation}:{performance}",), once="performance:{relation}:{performance}", values=_done_by
    ),
    "partnership.performance_acknowledged": Rule(
        touches=("performance_seen:{relation}:{performance}:{by}",),
        needs=(_PERFORMANCE,),
        check=_performance_of_others,
    ),
}
