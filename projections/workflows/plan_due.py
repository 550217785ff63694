"""An approved plan is due for review, or an action that was agreed is late.

The plan that was approved last is reviewed 12 months (default) after its approval, or at its horizon when that comes
first; approving it anew, or another one, settles it. Actions of a plan that was superseded are let go with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from projections.periods import add_period
from projections.workflows.facts import Entry, Fact, Keep, Known
from projections.workflows.rule import Duty, Rule, overdue
from projections.workflows.thresholds import Terms

PLAN_KEEPS: Final = (
    Keep("plan.drafted", "plan", "{plan}", "drafted", ("horizon_on",)),
    Keep("plan.approved", "plan", "{plan}", "approved"),
    Keep("plan.superseded", "plan", "{plan}", "superseded"),
)


def holds(fact: Fact) -> bool:
    """Whether the plan is approved and no other took its place."""
    approved, superseded = fact.get("approved"), fact.get("superseded")
    return approved is not None and (superseded is None or superseded.stamp < approved.stamp)


def horizon(fact: Fact) -> tuple[date, Entry] | None:
    """The last day of an approved plan and what says so; None where that day is before its approval, or nobody said."""
    drafted = fact.get("drafted")
    ends_on = None if drafted is None else date.fromisoformat(drafted.data["horizon_on"])
    if drafted is None or ends_on is None or ends_on < fact.entries["approved"].on:
        return None
    return ends_on, drafted


def in_force(known: Known) -> Fact | None:
    """The plan that holds: of those approved and not superseded the one that was approved last."""
    plans = [p for p in known.all("plan") if holds(p)]
    return max(plans, key=lambda p: p.entries["approved"].stamp, default=None)


def wanted(known: Known, terms: Terms) -> Iterator[Duty]:
    plan = in_force(known)
    if plan is not None:
        approved = plan.entries["approved"]
        review_on = add_period(approved.on, f"P{terms.thresholds.plan_review_months}M")
        last = horizon(plan)
        if last is None:
            yield overdue(known.about("plan", plan), review_on, approved)
        else:
            yield overdue(known.about("plan", plan), min(review_on, last[0]), approved, last[1])
    plans = {(p.relation, p.id): p for p in known.all("plan")}
    for action in known.all("action"):
        agreed = action.get("agreed")
        if agreed is None:
            continue
        of = plans.get((action.relation, agreed.data["plan"]))
        gone = None if of is None or holds(of) else of.get("superseded")
        if gone is not None and gone.stamp < agreed.stamp:
            gone = None
        due = action.get("due") or agreed
        yield overdue(
            known.about("action", action), date.fromisoformat(due.data["due_on"]), agreed, due,
            owner=agreed.data.get("owner"), done=action.get("ended") or gone,
        )  # fmt: skip


RULE: Final = Rule(
    name="plan_due",
    version=2,
    keeps=(
        *PLAN_KEEPS,
        Keep("plan.action_agreed", "action", "{action}", "agreed", ("plan", "owner", "due_on")),
        Keep("plan.action_agreed", "action", "{action}", "due", ("due_on",)),
        Keep("plan.action_deferred", "action", "{action}", "due", ("due_on",)),
        Keep("plan.action_completed", "action", "{action}", "ended"),
        Keep("plan.action_dropped", "action", "{action}", "ended"),
    ),
    wanted=wanted,
)
