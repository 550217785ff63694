"""What the rules know of a relation: facts, each a few registers by `Recorded.stamp`. Pure.

A rule names what it keeps of which kinds of events (`Keep`); everything else costs nothing. A fact is named by what it
is and its id (`commitment`, `k-1`); its entries are registers, so the same events in any order give the same facts.
Personal values stay the tokens that they are in the book; texts are never kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple

from events.recorded import Recorded, local_date
from projections.rows import Row
from projections.viewer import restriction

RELATION: Final = "relation"


class Keep(NamedTuple):
    """Of one kind of event: into which fact, under which id and register (templates over the payload), which fields."""

    kind: str
    fact: str
    id: str
    entry: str
    fields: tuple[str, ...] = ()


# What every rule knows of a relation.
BASICS: Final = (
    Keep("relation.registered", RELATION, "", "name", ("name",)),
    Keep("relation.details_changed", RELATION, "", "name", ("name",)),
    Keep("relation.tier_assigned", RELATION, "", "tier", ("tier",)),
    Keep("relation.owner_assigned", RELATION, "", "owner", ("employee",)),
    Keep("relation.ended", RELATION, "", "ended"),
)


# Among an entry's data: the event's restriction bits, where it has any and is no contact (see alert_sight.py).
HIDDEN: Final = "hidden"


class Entry(NamedTuple):
    """One register of a fact: the event that stands. `on` its day, `recorded_on` the day that the book learned it."""

    stamp: list[str]
    on: date
    position: int
    recorded_on: date
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact of one relation: `relation` is the one that it was recorded under, also after a merge."""

    relation: str
    id: str
    entries: Mapping[str, Entry]

    def get(self, name: str) -> Entry | None:
        return self.entries.get(name)

    def named(self, prefix: str) -> list[Entry]:
        """The entries whose names begin so, in the order of their names."""
        return [self.entries[name] for name in sorted(self.entries) if name.startswith(prefix)]


class Known:
    """All facts of a relation, or of a survivor with everything that was merged into it."""

    def __init__(self, relation: str, facts: Mapping[str, Sequence[Fact]]) -> None:
        self.relation = relation
        self._facts = facts
        self._own = {f.relation: f for f in facts.get(RELATION, ())}

    @classmethod
    def of(cls, relation: str, rows: Iterable[Row]) -> Known:
        """From rows of the table `fact`; those of other relations are of what was merged into `relation`."""
        found: dict[str, list[Fact]] = defaultdict(list)
        for row in rows:
            entries = {
                name: Entry(e[0], date.fromisoformat(e[1]), e[2], date.fromisoformat(e[3]), e[4])
                for name, e in row["entries"].items()
            }
            found[row["fact"]].append(Fact(row["relation"], row["id"], entries))
        return cls(relation, found)

    def all(self, fact: str) -> Sequence[Fact]:
        """The facts of this sort, by relation (its own first come, first served) and id."""
        return self._facts.get(fact, ())

    def own(self, name: str) -> Entry | None:
        """A register of the relation itself: name, tier, owner, ended. Of a survivor: its own."""
        fact = self._own.get(self.relation)
        return None if fact is None else fact.get(name)

    @property
    def tier(self) -> str | None:
        entry = self.own("tier")
        return None if entry is None else entry.data["tier"]

    @property
    def owner(self) -> str | None:
        entry = self.own("owner")
        return None if entry is None else entry.data["employee"]

    def tier_a(self) -> Entry | None:
        """The assignment of tier A, while that is the tier."""
        entry = self.own("tier")
        return entry if entry is not None and entry.data["tier"] == "A" else None

    def about(self, what: str, fact: Fact, *more: str) -> str:
        """What a duty is about, unique in the survivor too: `commitment:k-1`, of a merged relation with its id."""
        text = ":".join((what, fact.id, *more))
        return text if fact.relation == self.relation else f"{text}@{fact.relation[:8]}"


def put_entry(entries: Mapping[str, Any], name: str, event: Recorded, fields: Iterable[str]) -> dict[str, Any] | None:
    """The stored entries with this event's register set; None when a later fact stands there already."""
    stamp = event.stamp
    known = entries.get(name)
    if known is not None and known[0] >= stamp:
        return None
    data = {f: event.data[f] for f in fields if event.data.get(f) is not None}
    if event.family != "contact" and (bits := restriction(event)):
        data[HIDDEN] = bits
    on, recorded_on = local_date(event.occurred_at), local_date(event.recorded_at)
    return {**entries, name: [stamp, on.isoformat(), event.position, recorded_on.isoformat(), data]}


def filled(template: str, data: Mapping[str, Any]) -> str:
    """The template with the payload's fields in it; nothing where a field was left out."""
    return template.format_map(defaultdict(str, data)) if "{" in template else template
