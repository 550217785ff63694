"""An agreement ends within 6 months (default) and is not renewed.

It stays open after the last day until somebody records a renewal or the end: an agreement that ran out unnoticed is
what this rule is there for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from dateutil.relativedelta import relativedelta

from projections.workflows.facts import Keep, Known
from projections.workflows.rule import DAY, Duty, Rule
from projections.workflows.thresholds import Terms


def wanted(known: Known, terms: Terms) -> Iterator[Duty]:
    months = terms.thresholds.agreement_notice_months
    for fact in known.all("agreement"):
        signed, until = fact.get("signed"), fact.get("until")
        if signed is None or until is None:
            continue
        last = date.fromisoformat(until.data["until"])
        first = last - relativedelta(months=months)
        about, evidence = known.about("agreement", fact), (signed, until)
        yield Duty(about, last, first - DAY, first, evidence, done=fact.get("ended"))


RULE: Final = Rule(
    name="agreement_ending",
    version=1,
    keeps=(
        Keep("agreement.signed", "agreement", "{agreement}", "signed", ("type",)),
        Keep("agreement.signed", "agreement", "{agreement}", "until", ("until",)),
        Keep("agreement.renewed", "agreement", "{agreement}", "until", ("until",)),
        Keep("agreement.ended", "agreement", "{agreement}", "ended"),
    ),
    wanted=wanted,
)
