"""A programme's progress is stale, or red without a steering decision.

Stale: no progress reported for 3 months (default), counted from its start; not after the programme's last day. Red: the
last report on an indicator is red, and no steering decision was taken on or after the day on which it turned red
(`programme_red`, as question 8 has it), 10 working days (default) later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from typing import Final

from projections.periods import add_period
from projections.programme_red import Report, red_run, undecided
from projections.workflows.facts import Entry, Fact, Keep, Known
from projections.workflows.rule import DAY, Duty, Rule, overdue
from projections.workflows.thresholds import Terms


def wanted(known: Known, terms: Terms) -> Iterator[Duty]:
    for fact in known.all("programme"):
        started = fact.get("started")
        if started is None:
            continue
        reports = sorted(fact.named("progress:"), key=_in_time)
        yield _stale(known, fact, started, reports, terms)
        red = _red(reports, fact.get("decision"))
        if red:
            last = terms.calendar.add_working_days(red[0].on, terms.thresholds.programme_decision_working_days)
            yield overdue(known.about("red", fact), last, started, *red)


def _in_time(report: Entry) -> list[str]:
    return report.stamp


def _red(reports: list[Entry], decision: Entry | None) -> list[Entry]:
    """The reports by which some indicator is red without a decision, the one that turned it red first."""
    days: dict[str, list[Report]] = defaultdict(list)
    for entry in reports:
        days[entry.data["indicator"]].append(Report(entry.on, entry.data["rag"], entry.position))
    runs = {indicator: run for indicator, of in days.items() if (run := red_run(of))}
    asked = undecided({i: run[0].on for i, run in runs.items()}, None if decision is None else decision.on)
    positions = {report.position for indicator in asked for report in runs[indicator]}
    return [entry for entry in reports if entry.position in positions]


def _stale(known: Known, fact: Fact, started: Entry, reports: list[Entry], terms: Terms) -> Duty:
    newest = reports[-1] if reports else None
    begun = date.fromisoformat(started.data["starts_on"])
    since = begun if newest is None else max(begun, newest.on)
    last = add_period(since, f"P{terms.thresholds.programme_stale_months}M")
    until = date.fromisoformat(started.data["ends_on"]) + DAY
    return overdue(known.about("progress", fact), last, started, newest, until_on=until)


RULE: Final = Rule(
    name="programme_off_course",
    version=1,
    keeps=(
        Keep("programme.started", "programme", "{programme}", "started", ("starts_on", "ends_on")),
        Keep(
            "programme.progress_reported",
            "programme",
            "{programme}",
            "progress:{indicator}:{occurred_on}",
            ("indicator", "rag"),
        ),
        Keep("programme.steering_decision_taken", "programme", "{programme}", "decision"),
    ),
    wanted=wanted,
)
