"""A phase of a chain has no guarantor: nobody warrants that it goes on, or the guarantee has run out.

Open 10 working days (default) after the chain was defined, or at once when a guarantee ends or its guarantor was
replaced in the phase.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from operator import attrgetter
from typing import Any, Final

from events.contracts.party import same_party
from projections.workflows.facts import Entry, Fact, Keep, Known
from projections.workflows.rule import Duty, Rule, overdue
from projections.workflows.thresholds import Terms


def wanted(known: Known, terms: Terms) -> Iterator[Duty]:
    for chain in known.all("chain"):
        defined = chain.get("defined")
        if defined is None:
            continue
        phases: list[dict[str, Any]] = defined.data["phases"]
        for phase in (p["phase"] for p in phases):
            found = _uncovered(chain, phase, defined, terms)
            if found is not None:
                last, cause = found
                yield overdue(known.about("phase", chain, phase), last, defined, cause)


def _uncovered(chain: Fact, phase: str, defined: Entry, terms: Terms) -> tuple[date, Entry | None] | None:
    """The last day on which it was covered, or need not be yet, and why; None while an open-ended guarantee holds."""
    grace = terms.calendar.add_working_days(defined.on, terms.thresholds.guarantor_working_days)
    last, cause = grace, None
    given, gone = _newest(chain, "guaranteed", phase), _newest(chain, "replaced", phase)
    for organisation, guarantee in sorted(given.items()):
        until, replaced = guarantee.data.get("until"), gone.get(organisation)
        if replaced is not None and replaced.stamp > guarantee.stamp:
            ends = replaced.on if until is None else min(replaced.on, date.fromisoformat(until))
            why = replaced
        elif until is None:
            return None
        else:
            ends, why = date.fromisoformat(until), guarantee
        if ends >= last:
            last, cause = ends, why
    return last, cause


def _newest(chain: Fact, what: str, phase: str) -> dict[str, Entry]:
    """What stands of each organisation. An id may hold a colon: the name alone does not tell the phase."""
    told = sorted(chain.named(f"{what}:{phase}:"), key=attrgetter("stamp"))
    return {same_party(e.data["organisation"]): e for e in told if e.data["phase"] == phase}


RULE: Final = Rule(
    name="chain_phase_without_guarantor",
    version=2,
    keeps=(
        Keep("chain.defined", "chain", "{chain}", "defined", ("phases",)),
        Keep(
            "chain.phase_guaranteed",
            "chain",
            "{chain}",
            "guaranteed:{phase}:{organisation}",
            ("phase", "organisation", "until"),
        ),
        Keep(
            "chain.partner_replaced", "chain", "{chain}", "replaced:{phase}:{organisation}", ("phase", "organisation")
        ),
    ),
    wanted=wanted,
)
