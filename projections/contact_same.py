"""Contacts that were declared one and the same (`contact.declared_same`): together they count once. Pure.

Declarations that share a contact make one set of all their contacts. Its canonical contact is that of the declaration
with the greatest stamp, and the facts of that one stand. Where the canonical one does not count itself (it was
retracted, say) and another of the set does, the first of those by id stands for it: what took place counts once, not
never.

The table `same` holds a row for each contact that a declaration names, with what a read model knows of it, so that a
fact about one contact of a set can move the count to another without a look at further rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Column, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from events.recorded import Recorded
from projections.contact_facts import Facts, add_fact, derive
from projections.rows import Group, Need, One, Row, Rows

DECLARED: Final = "contact.declared_same"
_FOLD: Final = {"fold": True}  # read by folds only
Kept = dict[str, Any]
Known = Callable[[str], "State | None"]


def same_table(metadata: MetaData) -> Table:
    return Table(
        "same",
        metadata,
        Column("relation", Text, primary_key=True),
        Column("contact", Text, primary_key=True),
        Column("canonical", Text, nullable=False, comment="of the set that it belongs to"),
        Column("declared", JSONB, nullable=False, info=_FOLD, comment="[[stamp, contacts, canonical]] that name it"),
        Column("facts", JSONB, nullable=False, info=_FOLD, comment="of the contact, see contact_facts"),
        Column("kept", JSONB, nullable=False, info=_FOLD, comment="what else the read model's row of it holds"),
    )


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a contact. `hidden`: it would count, but another contact of its set does so for it."""

    facts: Facts
    kept: Kept = field(default_factory=dict[str, Any])
    hidden: bool = False

    def derived(self) -> dict[str, Any]:
        """The columns that follow, as `contact_facts.derive`; a hidden contact is not counted."""
        columns = derive(self.facts)
        return {**columns, "counted": False} if self.hidden else columns


@dataclass(frozen=True, slots=True)
class Turn:
    """What an event makes of one contact; `before` is None where there was none."""

    contact: str
    before: State | None
    after: State


def same_needs(event: Recorded) -> list[Need]:
    """What `turns` reads for an event about contacts, the rows of the contacts included."""
    named = event.data["contacts"] if event.kind == DECLARED else [event.data["contact"]]
    return [Group("same", event.relation), *(One("contact", (event.relation, contact)) for contact in named)]


def _keep(kept: Kept, event: Recorded) -> Kept:
    return kept


def _counts(facts: Facts) -> bool:
    return bool(derive(facts)["counted"])


@dataclass(frozen=True, slots=True)
class Way:
    """How a read model keeps contacts: `add` a fact to those known, whether they then count (by themselves), and what
    else `keep` holds after it."""

    add: Callable[[Facts, Recorded], Facts] = add_fact
    counts: Callable[[Facts], bool] = _counts
    keep: Callable[[Kept, Recorded], Kept] = _keep


def turns(rows: Rows, event: Recorded, known: Known, way: Way = Way()) -> list[Turn]:
    """What a fact about contacts, or a declaration, makes of every contact that it changes; writes `same`.

    `known` says what the read model's own row holds of a contact that the event names. Commutative and idempotent, if
    what `way` does is.
    """
    group = {row["contact"]: row for row in rows.group("same", event.relation)}
    if event.kind == DECLARED:
        return _declared(rows, event, group, known, way)
    contact = event.data["contact"]
    if contact not in group:
        before = known(contact)
        was = before or State({})
        return [Turn(contact, before, State(way.add(was.facts, event), way.keep(was.kept, event)))]
    row = group[contact]
    after = {**row, "facts": way.add(row["facts"], event), "kept": way.keep(row["kept"], event)}
    rows.put("same", after)
    return _turned(group, {**group, contact: after}, _set_of(group, contact), way)


def _declared(rows: Rows, event: Recorded, group: Mapping[str, Row], known: Known, way: Way) -> list[Turn]:
    data = event.data
    declaration = [event.stamp, sorted(data["contacts"]), data["canonical"]]
    before, after = dict(group), dict(group)
    for contact in data["contacts"]:
        if contact not in group:
            state = known(contact) or State({})
            before[contact] = {
                "relation": event.relation, "contact": contact, "canonical": contact, "declared": [],
                "facts": state.facts, "kept": state.kept,
            }  # fmt: skip
        declared = [d for d in before[contact]["declared"] if d[0] != event.stamp]
        after[contact] = {**before[contact], "declared": sorted([*declared, declaration], key=_stamp_of)}
    members = _set_of(after, data["canonical"])
    canonical = max((d for m in members for d in after[m]["declared"]), key=_stamp_of)[2]
    for member in members:
        after[member] = {**after[member], "canonical": canonical}
        rows.put("same", after[member])
    return _turned(before, after, members, way)


def _stamp_of(declaration: list[Any]) -> list[str]:
    return declaration[0]


def _set_of(group: Mapping[str, Row], contact: str) -> list[str]:
    """All contacts that are one with this one, by declarations that share contacts."""
    found, todo = {contact}, [contact]
    while todo:
        for _, contacts, _ in group[todo.pop()]["declared"]:
            new = [c for c in contacts if c not in found]
            found.update(new)
            todo.extend(new)
    return sorted(found)


def _turned(before: Mapping[str, Row], after: Mapping[str, Row], members: Iterable[str], way: Way) -> list[Turn]:
    """The members of which the facts, or whether they are hidden, differ."""
    found: list[Turn] = []
    for contact in members:
        was, now = _state(before, contact, way), _state(after, contact, way)
        if now.facts and was != now:
            found.append(Turn(contact, was if was.facts else None, now))
    return found


def _state(group: Mapping[str, Row], contact: str, way: Way) -> State:
    row = group[contact]
    hidden = way.counts(row["facts"]) and _standing(group, contact, way) != contact
    return State(row["facts"], row["kept"], hidden)


def _standing(group: Mapping[str, Row], contact: str, way: Way) -> str:
    """The contact that counts for the set of this one."""
    canonical = group[contact]["canonical"]
    counted = [c for c in _set_of(group, contact) if way.counts(group[c]["facts"])]
    return canonical if canonical in counted or not counted else counted[0]
