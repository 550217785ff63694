"""Every workflow there is. A new one is a file with its `RULE`, a line here, its thresholds, and its tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from projections.workflows import (
    agreement_ending,
    chain_guarantor,
    commitment_late,
    incomplete,
    low_score,
    merged_lines,
    neglected,
    plan_due,
    programme,
    tier_without_schedule,
)
from projections.workflows.facts import BASICS, RELATION, Keep
from projections.workflows.rule import Rule

RULES: Final[Mapping[str, Rule]] = {
    module.RULE.name: module.RULE
    for module in (
        agreement_ending, chain_guarantor, commitment_late, incomplete, low_score, merged_lines, neglected, plan_due,
        programme, tier_without_schedule,
    )
}  # fmt: skip


def _by_kind() -> Mapping[str, Sequence[Keep]]:
    found: dict[str, list[Keep]] = defaultdict(list)
    for keep in (*BASICS, *(k for rule in RULES.values() for k in rule.keeps)):
        if keep.kind and keep not in found[keep.kind]:
            found[keep.kind].append(keep)
    return dict(found)


# What is kept of each kind of event.
KEEPS: Final = _by_kind()


def concerned(facts: frozenset[str]) -> list[Rule]:
    """The rules whose answers can follow from these sorts of facts; all of them for the relation's own registers."""
    return [rule for rule in RULES.values() if RELATION in facts or not rule.looks_at.isdisjoint(facts)]
