"""The rules of relation plans (SPEC section 3): what an approval needs, and what becomes of actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from events.book import Case, Decision, Need, Park, Rule, Thing, Value
from events.catalog import Submission
from events.errors import FieldError
from events.judging import against, all_of, ends_once

_PLAN = Need("plan:{relation}:{plan}", "unknown_plan", "/data/plan")
_SUCCESSOR = Need("plan:{relation}:{by}", "unknown_plan", "/data/by")
_ACTION = Need("action:{relation}:{action}", "unknown_action", "/data/action")
_QUESTIONS: Final = tuple(str(n) for n in range(1, 11))
# Of each plan the actions agreed last: an approval looks them up one by one, and the ledger bounds how many it loads.
_MOST_ACTIONS: Final = 30
_NEVER: Final = "9999-12-31"


def _actions_key(case: Case) -> str:
    return f"actions:{case.relation}:{case.event.data['plan']}"


def _approval_reads(event: Submission, relation: str) -> list[str]:
    plan = event.data["plan"]
    return [*(f"question:{relation}:{plan}:{q}" for q in _QUESTIONS), f"actions:{relation}:{plan}"]


def _complete(case: Case) -> Decision | None:
    """A plan is approved with all ten questions answered and an action that stands; each has an owner and a date."""
    *questions, actions = _approval_reads(case.event, case.relation)
    missing = [k for k in questions if case.look(k) is None]
    detail = f"question {', '.join(k.rsplit(':', 1)[1] for k in missing)} has no answer yet" if missing else None
    dropped = _none_stands(case, case.look(actions))
    if dropped is not None:
        missing += [actions, *dropped]
        detail = detail or "no action was agreed yet, or each was dropped"
    if detail is None:
        return None
    return Park("not_yet", tuple(missing), (FieldError("/data/plan", f"{detail}; it is kept until then"),))


def _none_stands(case: Case, actions: Thing | None) -> list[str] | None:
    """The keys of the ends of those that were dropped when no action stands, else None.

    Done is standing. What was dropped after the day of the approval stood on that day: an approval that comes late is
    judged as one in time.
    """
    if actions is None:
        return []
    if "agreed" not in actions.value:  # agreed before the book kept which
        return None
    dropped: list[str] = []
    for action in reversed(actions.value["agreed"]):
        agreed = case.look(f"action:{case.relation}:{action}")
        if agreed is None or agreed.value["plan"] != case.event.data["plan"]:
            continue
        key = f"action_ended:{case.relation}:{action}"
        ended = case.look(key)
        if ended is None or ended.value.get("dropped_on", _NEVER) > case.event.data["occurred_on"]:
            return None
        dropped.append(key)
    return dropped


def _agreed(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    known = case.known(_actions_key(case))
    before = [] if known is None else [a for a in known.value.get("agreed", ()) if a != data["action"]]
    return {
        f"action:{case.relation}:{data['action']}": {"plan": data["plan"]},
        _actions_key(case): {"agreed": [*before, data["action"]][-_MOST_ACTIONS:]},
    }


def _dropped(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    return {f"action_ended:{case.relation}:{data['action']}": {"dropped_on": data["occurred_on"]}}


def _of_its_plan(case: Case) -> Decision | None:
    data = case.event.data
    action = case.look(f"action:{case.relation}:{data['action']}")
    plan = None if action is None else action.value.get("plan")
    if plan is None or plan == data["plan"]:
        return None
    return against("plan", f"this action was agreed in plan {plan}; name that plan", action)


_OPEN = all_of(
    _of_its_plan,
    ends_once("action_ended", "action", "this action was completed or dropped before; agree a new one"),
)

PLANNING: Final[dict[str, Rule]] = {
    "plan.drafted": Rule(touches=("draft:{relation}:{plan}",), marks=("plan:{relation}:{plan}",)),
    "plan.question_answered": Rule(
        touches=("question:{relation}:{plan}:{question}",), marks=("plan:{relation}:{plan}",)
    ),
    "plan.action_agreed": Rule(
        touches=("action:{relation}:{action}",),
        marks=("plan:{relation}:{plan}", "actions:{relation}:{plan}"),
        values=_agreed,
    ),
    "plan.approved": Rule(
        touches=("approval:{relation}:{plan}",), needs=(_PLAN,), reads=_approval_reads, check=_complete
    ),
    "plan.superseded": Rule(touches=("superseded:{relation}:{plan}",), needs=(_PLAN, _SUCCESSOR)),
    "plan.action_deferred": Rule(
        touches=("deferred:{relation}:{action}",),
        guards=("action:{relation}:{action}",),
        needs=(_PLAN, _ACTION),
        reads=("action_ended:{relation}:{action}",),
        check=_OPEN,
    ),
    "plan.action_completed": Rule(
        touches=("action_ended:{relation}:{action}",),
        guards=("action:{relation}:{action}",),
        needs=(_PLAN, _ACTION),
        check=_OPEN,
    ),
    "plan.action_dropped": Rule(
        touches=("action_ended:{relation}:{action}",),
        guards=("action:{relation}:{action}",),
        needs=(_PLAN, _ACTION),
        check=_OPEN,
        values=_dropped,
    ),
}
