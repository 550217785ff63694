"""A commitment, ours or theirs, is late: its due date has passed and nobody kept, broke or released it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from projections.workflows.facts import Keep, Known
from projections.workflows.rule import Duty, Rule, overdue
from projections.workflows.thresholds import Terms


def wanted(known: Known, terms: Terms) -> Iterator[Duty]:
    for fact in known.all("commitment"):
        made = fact.get("made")
        if made is not None:
            due_on = date.fromisoformat(made.data["due_on"])
            yield overdue(known.about("commitment", fact), due_on, made, done=fact.get("ended"))


RULE: Final = Rule(
    name="commitment_late",
    version=1,
    keeps=(
        Keep("commitment.made", "commitment", "{commitment}", "made", ("by", "due_on")),
        *(
            Keep(f"commitment.{how}", "commitment", "{commitment}", "ended")
            for how in ("fulfilled", "broken", "released")
        ),
    ),
    wanted=wanted,
)
