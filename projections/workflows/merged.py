"""Rules of merged relations: the facts of everything that was absorbed count for the survivor. Pure.

Rows stay per original relation, so a group is judged as a whole at the tick: the survivor's alerts by all facts
together, the alerts of what was absorbed end as `merged`. A loop stays with the relation of its score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from events.recorded import local_date
from projections.rows import Row
from projections.transition import Transition
from projections.workflows.facts import Known
from projections.workflows.reconcile import MERGED, Basis, as_wanted, blank, closing, transition
from projections.workflows.rule import Rule, duties_of
from projections.workflows.rulebook import RULES
from projections.workflows.thresholds import Terms


@dataclass(frozen=True, slots=True)
class Group:
    """A survivor and what was merged into it. `members`: the survivor first. `merges`: absorbed → position of the
    merge. `relations`, `facts`, `duties`: their rows."""

    members: Sequence[str]
    merges: Mapping[str, int]
    relations: Mapping[str, Row]
    facts: Sequence[Row]
    duties: Sequence[Row]

    @property
    def root(self) -> str:
        return self.members[0]

    def basis(self, relation: str) -> Basis:
        """What a decision about a member rests on: whatever happened to any of them may be its cause."""
        of, root = self.relations.get(relation), self.relations.get(self.root)
        cause = max([*self.merges.values(), *(r["cause_position"] for r in self.relations.values())])
        tier, owner = (None, None) if root is None else (root["tier"], root["owner"])
        return Basis(relation, 0 if of is None else of["version"], cause, tier, owner)


def group_transitions(group: Group, now: datetime, terms: Terms) -> list[Transition]:
    """The events that bring the group's alerts and loops nearer to what they should be: at most one for each."""
    known = Known.of(group.root, group.facts)
    stored = {(d["relation"], d["rule"], d["about"]): d for d in group.duties}
    found: list[Transition] = []
    for rule in RULES.values():
        if rule.wanted is not None:
            found += _rule(rule, group, known, stored, now, terms)
    for (relation, name, _), row in sorted(stored.items()):
        alert = name in RULES and RULES[name].opens == "alert"
        if alert and relation != group.root and row["open"] is not None:
            evidence = [group.merges[relation]] if relation in group.merges else []
            found.append(closing(row, group.basis(relation), local_date(now), MERGED, evidence, terms))
    return found


def _rule(
    rule: Rule, group: Group, known: Known, stored: Mapping[tuple[str, str, str], Row], now: datetime, terms: Terms
) -> list[Transition]:
    wanted = {(duty.relation or group.root, duty.about): as_wanted(duty) for duty in duties_of(rule, known, terms)}
    mine = {
        (relation, about)
        for relation, name, about in stored
        if name == rule.name and (rule.opens == "loop" or relation == group.root)
    }
    found: list[Transition] = []
    for relation, about in sorted(mine | wanted.keys()):
        row = stored.get((relation, rule.name, about)) or blank(relation, rule.name, about)
        row = {**row, "wanted": wanted.get((relation, about))}
        event = transition(row, group.basis(relation), now, terms)
        if event is not None:
            found.append(event)
    return found
