"""Since when an indicator of a programme is red, and whether something was decided about it. Pure.

One rule for the alert (`workflows.programme`) and for question 8 (`agreement_view`). An indicator is red since the
first report of its present unbroken run of red reports; of one day's reports on it the last by stamp counts. A steering
decision about the programme, on that day or later, is the answer to it: red again in the next report is the same
redness. Another indicator that turns red after the decision wants one of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple


class Report(NamedTuple):
    """The last report of a day on an indicator. `position`: of its event, for who needs to name it."""

    on: date
    rag: str
    position: int = 0


def red_run(reports: Iterable[Report]) -> list[Report]:
    """The present unbroken run of red reports on one indicator, the first one first; empty when it is not red now.

    `reports`: at most one a day, in any order.
    """
    run: list[Report] = []
    for report in sorted(reports):
        run = [*run, report] if report.rag == "red" else []
    return run


def undecided(red_since: Mapping[str, date], last_decision: date | None) -> list[str]:
    """Of the indicators that are red, by name since when: those about which nothing was decided since, sorted."""
    return sorted(name for name, since in red_since.items() if last_decision is None or last_decision < since)
