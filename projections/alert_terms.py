"""The terms of the contact alerts' lines: a blank row, its own end, and what a policy asks of a line. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from events.recorded import instant, local_date
from projections.institution import Run
from projections.layers import pair_bit
from projections.line_facts import ends_on
from projections.rows import Row

Tiers = Sequence[Sequence[Any]]

_LONG_AGO: Final = date.min
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
# What a policy says of a line.
_TERMS: Final = (
    "our_layer", "their_layer", "pair", "cadence", "channels", "starts_on", "grace_working_days", "ended_on",
    "positions", "policy_version",
)  # fmt: skip


def blank_line(relation: str, line: str, at: datetime = _NEVER) -> Row:
    """The row of a line of which nothing is known yet, but that its first event was recorded `at`; a policy's line has
    no events of its own."""
    return {
        "relation": relation, "line": line, "our_layer": None, "their_layer": None, "their_person": None,
        "vacant_on": None, "pair": None, "cadence": None, "channels": None, "starts_on": None,
        "grace_working_days": None, "owner": None, "ended_on": None, "pauses": [], "facts": {}, "positions": {},
        "hidden": 0, "own_position": 0, "own_at": at, "own_seen_at": at, "cause_position": 0, "cause_at": at,
        "seen_at": at, "open": None, "alerts": {}, "last_overdue_on": None, "hosted": None, "root": relation,
        "target": relation, "tier": None, "policy_version": None, "conflict": False, "check_at": None,
        "overdue_from": None, "overdue_on": None, "last_on": None, "stale": True,
    }  # fmt: skip


def by_its_own(line: Row) -> Row:
    """The line with the end that its own facts say."""
    return {**line, "ended_on": ends_on(line["facts"])}


def terms_of(run: Run, starts_on: date, ended_on: date | None) -> dict[str, Any]:
    terms = run.terms
    return {
        "our_layer": terms.our_layer, "their_layer": terms.their_layer,
        "pair": pair_bit(terms.our_layer, terms.their_layer), "cadence": dict(terms.cadence),
        "channels": None if terms.channels is None else list(terms.channels), "starts_on": starts_on,
        "grace_working_days": terms.grace_working_days, "ended_on": ended_on, "positions": {"set": run.position},
        "policy_version": run.version,
    }  # fmt: skip


def terms_of_old(run: Run | None) -> dict[str, Any]:
    """The terms of a line that nobody asks for any more: what stood in its row depends on when it was looked at."""
    if run is not None:
        return terms_of(run, run.starts_on, run.starts_on)
    blank = blank_line("", "")
    return {name: blank[name] for name in _TERMS}


def tier_since(tiers: Tiers) -> date:
    """The day since which the tier is what it is: an assignment of the same tier again begins nothing new."""
    since = _LONG_AGO
    before: str | None = None
    for stamp, tier, *_ in tiers:
        if tier != before:
            since, before = local_date(instant(stamp[0])), tier
    return since
