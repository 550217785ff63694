"""What agreements, programmes, promises and knowledge come to on a day, read off the facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from events.recorded import Recorded
from tests import naive_insight, naive_relation
from tests.naive import RELATIONS, Row, counting, day
from tests.naive_days import DAY
from tests.naive_workflows import ITEMS


def agreements(events: Iterable[Recorded], today: date) -> dict[tuple[Any, ...], str]:
    """The state of each agreement that was signed."""
    found: dict[tuple[Any, ...], str] = {}
    for key, row in naive_insight.agreements(events).items():
        states = {
            "ended": row["ended_on"] is not None and row["ended_on"] <= today,
            "coming": row["from_on"] is not None and today < row["from_on"],
            "running": row["until_on"] is None or today <= row["until_on"], "expired": True,
        }  # fmt: skip
        if row["type"] is not None:
            found[key] = next(name for name, holds in states.items() if holds)
    return found


def programmes(events: Sequence[Recorded], today: date) -> dict[tuple[Any, ...], Row]:
    """How each programme that was started does: silent for more than 92 days while it runs, or red without a decision
    on or after the day on which one of its indicators turned red."""
    facts = counting(events)
    found: dict[tuple[Any, ...], Row] = {}
    for key, row in naive_insight.programmes(events).items():
        if row["name"] is None:
            continue
        mine = [e for e in facts if (e.relation, e.data.get("programme")) == key]
        decided = [day(e) for e in mine if e.kind == "programme.steering_decision_taken"]
        red = [date.fromisoformat(i["red_since"]) for i in row["indicators"].values() if i["red_since"]]
        past, coming = today > row["ends_on"], today < row["starts_on"]
        since = row["reported_on"] or row["starts_on"]
        found[key] = {
            "state": "coming" if coming else "past" if past else "running", "rag": row["rag"],
            "stale": not coming and not past and today > since + 92 * DAY,
            "red_without_decision": any(not decided or max(decided) < on for on in red),
            "decisions": len(decided), "reports": sum(e.kind == "programme.progress_reported" for e in mine),
        }  # fmt: skip
    return found


def promises(events: Iterable[Recorded], today: date) -> dict[tuple[Any, ...], tuple[str, bool, int]]:
    """State, late, days late: of what is open until today, of what was ended until then."""
    found: dict[tuple[Any, ...], tuple[str, bool, int]] = {}
    for key, row in naive_relation.promises(events).items():
        if row["by"] is not None:
            is_open = row["state"] == "open"
            late = max(0, ((today if is_open else row["ended_on"]) - row["due_on"]).days)
            found[key] = row["state"], is_open and late > 0, late
    return found


def knowledge(events: Iterable[Recorded], today: date) -> dict[str, tuple[int, int]]:
    """Of each relation by itself: how many of the 13 items are there (the history always is), how many are stale."""
    known = naive_relation.knowledge(events)
    found: dict[str, tuple[int, int]] = {}
    for relation in RELATIONS:
        mine = [row for (of, item), row in known.items() if of == relation and item in ITEMS]
        found[relation] = 1 + len(mine), sum(row["valid_until"] < today for row in mine)
    return found
