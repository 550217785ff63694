"""The rules of relation plans (SPEC section 3): what an approval needs, and what becomes of actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from events.book import Case, Decision, Need, Park, Rule, Value
from events.catalog import Submission
from events.errors import FieldError
from events.judging import against, all_of, ends_once

_PLAN = Need("plan:{relation}:{plan}", "unknown_plan", "/data/plan")
_SUCCESSOR = Need("plan:{relation}:{by}", "unknown_plan", "/data/by")
_ACTION = Need("action:{relation}:{action}", "unknown_action", "/data/action")
_QUESTIONS: Final = tuple(str(n) for n in range(1, 11))


def _question_keys(event: Submission, relation: str) -> list[str]:
    plan = event.data["plan"]
    return [*(f"question:{relation}:{plan}:{q}" for q in _QUESTIONS), f"actions:{relation}:{plan}"]


def _complete(case: Case) -> Decision | None:
    """A plan is approved with all ten questions answered and an action agreed (each has an owner and a due date)."""
    missing = [k for k in _question_keys(case.event, case.relation) if case.look(k) is None]
    if not missing:
        return None
    open_questions = [k.rsplit(":", 1)[1] for k in missing if k.startswith("question:")]
    detail = f"question {', '.join(open_questions)} has no answer yet" if open_questions else "no action was agreed yet"
    return Park("not_yet", tuple(missing), (FieldError("/data/plan", f"{detail}; it is kept until then"),))


def _agreed(case: Case) -> Mapping[str, Value]:
    data = case.event.data
    return {f"action:{case.relation}:{data['action']}": {"plan": data["plan"]}}


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
        touches=("approval:{relation}:{plan}",), needs=(_PLAN,), reads=_question_keys, check=_complete
    ),
    "plan.superseded": Rule(touches=("superseded:{relation}:{plan}",), needs=(_PLAN, _SUCCESSOR)),
    "plan.action_deferred": Rule(
        touches=("deferred:{relation}:{action}",),
        guards=("action:{relation}:{action}",),
        needs=(_PLAN, _ACTION),
        reads=("action_ended:{relation}:{action}",),
        check=_OPEN,
    ),
    **{
        f"plan.action_{how}": Rule(
            touches=("action_ended:{relation}:{action}",),
            guards=("action:{relation}:{action}",),
            needs=(_PLAN, _ACTION),
            check=_OPEN,
        )
        for how in ("completed", "dropped")
    },
}  # fmt: skip
