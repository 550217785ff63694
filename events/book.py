"""What the book says to an event, given what it knows: accept, park or reject. Pure.

What it knows is a map of *things*: `line:<relation>:<line>`, `identifier:<scheme>:<value>`, `tier:<relation>` … each
with a small JSON value, and the version and position of the event that touched it last. `keys_of` names what an event
needs to have loaded, `decide` answers from just that, and an acceptance says how the things change. The rules of each
kind of event stand in one table, `events.rules.RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from events.catalog import Submission
from events.errors import FieldError
from events.identity import identifier_key, made_uuid, relation_key, subject_key
from events.recorded import ORGANISATION
from events.thing_keys import Pseudonym, key_from, keys_from

Value = dict[str, Any]


# Thing, Accept and Case are made for every event: a Struct costs a quarter of what a frozen dataclass costs.
class Thing(msgspec.Struct, frozen=True):
    value: Value
    version: int
    position: int


class Accept(msgspec.Struct, frozen=True):
    """`relation` is the relation's UUID or `organisation`; `touched` the new values of the things that it changes.

    `attributes` are extension attributes that the book adds to the stored event beside `relation`: what it resolved.
    """

    relation: str
    touched: Mapping[str, Value]
    attributes: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Park:
    """Valid, but it names what the book does not know yet: tried again when one of `waits_for` is touched."""

    code: str
    waits_for: tuple[str, ...]
    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class Reject:
    """`conflict` is the position of the event that was first, where one was. `of_patient`: what was sent holds data of
    a patient, whatever else is wrong with it, so that nothing of it may be kept."""

    code: str
    errors: tuple[FieldError, ...]
    conflict: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])
    of_patient: bool = False


# The kinds that give a relation identifiers.
LINKING: Final = frozenset({"relation.registered", "relation.identifier_linked"})

Decision = Accept | Park | Reject
Look = Callable[[str], Thing | None]


# In the value of a thing: how many events that touched it stand, those that were withdrawn not counted.
COUNT: Final = "n"


def standing(thing: Thing | None) -> int:
    """How many of the events that touched a thing stand; 0: it is as if the book had never heard of it."""
    return 0 if thing is None else int(thing.value.get(COUNT, 1))


class Case(msgspec.Struct, frozen=True):
    """One event before its judge: the submission, its department and relation, and what is known.

    `known` finds a thing also when every event that touched it was withdrawn; to `look` it is as if it never was.
    """

    event: Submission
    department: str
    relation: str
    now: datetime
    known: Look

    def look(self, key: str) -> Thing | None:
        thing = self.known(key)
        return thing if standing(thing) else None


@dataclass(frozen=True, slots=True)
class Need:
    """A thing that must be there: `key` template, the code that the event is parked under, the field that names it.

    Where the template names an optional field that was left out, nothing is needed.
    """

    key: str
    code: str
    pointer: str


def _unchanged(case: Case) -> Mapping[str, Value]:
    return {}


def _no_attributes(case: Case) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of event is judged. Keys are templates over its payload and `{relation}`; one that names an optional
    field counts only where that field is given.

    `touches`: what it changes, and what `expectedversion` is held against. `guards`: only held against. `marks`: only
    changed. `needs`: what must be there first. `once`: a key of `touches` that may be made only once. `reads`: further
    keys that `check` looks at. `check` refuses or parks by state; `values` gives the values of touched things other
    than the default `{}`, `attributes` the extension attributes that the book adds. Keys that only show on the way (a
    chain of merges) may be looked at too: they are loaded then, one by one.
    """

    touches: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    once: str | None = None
    reads: Callable[[Submission, str], Sequence[str]] | tuple[str, ...] = ()
    check: Callable[[Case], Decision | None] | None = None
    values: Callable[[Case], Mapping[str, Value]] = _unchanged
    attributes: Callable[[Case], Mapping[str, str]] = _no_attributes
    named: tuple[str, ...] = field(init=False)  # every template

    def __post_init__(self) -> None:
        reads = () if callable(self.reads) else self.reads
        named = (*self.touches, *self.guards, *self.marks, *(n.key for n in self.needs), *reads)
        object.__setattr__(self, "named", named)


def subject_keys(event: Submission, department: str) -> tuple[str, ...]:
    """The keys that say which relation the event is about; none for events about no relation."""
    return () if event.subject == ORGANISATION else (subject_key(event.subject, department),)


def relation_of(event: Submission, department: str, look: Look) -> str | None:
    """The relation's UUID, `organisation`, or None when the subject is not known yet."""
    if event.subject == ORGANISATION:
        return ORGANISATION
    if event.event_type.kind == "relation.registered":
        return made_uuid(event.subject, department)
    key = subject_key(event.subject, department)
    thing = look(key)
    if thing is None:
        return None
    return key.removeprefix("relation:") if key.startswith("relation:") else str(thing.value["relation"])


def keys_of(rule: Rule, event: Submission, department: str, relation: str, pseudonym: Pseudonym) -> list[str]:
    """Every key that `decide` may look at for this event of this relation."""
    keys = keys_from(rule.named, event, relation, pseudonym)
    if callable(rule.reads):
        keys.extend(rule.reads(event, relation))
    if relation != ORGANISATION:
        keys.append(relation_key(relation))
    if event.event_type.kind in LINKING:
        keys.extend(identifier_keys(event, department))
    return keys


def identifier_keys(event: Submission, department: str) -> list[str]:
    """The identifiers that an event links, its subject's first."""
    data = event.data
    if "identifiers" in data:
        pairs = [(i["scheme"], i["value"]) for i in data["identifiers"]]
    else:
        pairs = [(data["scheme"], data["value"])] if "scheme" in data else []
    keys = [identifier_key(s, v, department) for s, v in pairs]
    own = subject_key(event.subject, department)
    return keys if own.startswith("relation:") else [own, *keys]


def decide(
    rule: Rule, event: Submission, department: str, look: Look, now: datetime, pseudonym: Pseudonym,
    *, on_arrival: bool = True,
) -> Decision:  # fmt: skip
    """Judges one event by what `look` knows. `on_arrival` is False when a parked event is tried again: only then is
    `expectedversion` left alone (INTERFACE section 3)."""
    relation = relation_of(event, department, look)
    if relation is None:
        return _unknown_subject(event, department)
    if relation != ORGANISATION and event.event_type.kind != "relation.registered":
        if look(relation_key(relation)) is None:
            return _unknown_subject(event, department)

    if on_arrival and event.expectedversion is not None:
        for k in keys_from(rule.touches + rule.guards, event, relation, pseudonym):
            thing = look(k)
            if thing is not None and thing.version > event.expectedversion:
                detail = (
                    f"version {thing.version} of this relation changed the same thing after version "
                    f"{event.expectedversion}; read it, and send your change with the new version under a new id"
                )
                return Reject("conflict", (FieldError("/expectedversion", detail),), conflict=thing.position)
    missing = [
        (n, k)
        for n in rule.needs
        if (k := key_from(n.key, event, relation, pseudonym)) is not None and not standing(look(k))
    ]
    if missing:
        errors = tuple(
            FieldError(n.pointer, f"the book does not know this yet ({n.code}); it is kept, and accepted once it does")
            for n, _ in missing
        )
        return Park(missing[0][0].code, tuple(k for _, k in missing), errors)
    if rule.once is not None:
        key = key_from(rule.once, event, relation, pseudonym)
        thing = None if key is None else look(key)
        if thing is not None:
            name = rule.once.rsplit("{", 1)[1].rstrip("}")
            where = "the institution" if relation == ORGANISATION else "this relation"
            detail = f"this id was used before in {where}; correct the earlier event, or send a new id"
            return Reject("id_taken", (FieldError(f"/data/{name}", detail),), conflict=thing.position)
    case = Case(event, department, relation, now, look)
    if rule.check is not None and (answer := rule.check(case)) is not None:
        return answer
    return Accept(relation, touched_by(rule, case, pseudonym), rule.attributes(case))


def touched_by(rule: Rule, case: Case, pseudonym: Pseudonym) -> dict[str, Value]:
    """What an accepted event leaves behind for the judge of later ones: the things that it changes, with their new
    values. Also for an event as it is stored: rules look at no text and at no person, but by pseudonym."""
    touched: dict[str, Value] = dict(rule.values(case))
    for k in keys_from(rule.touches + rule.marks, case.event, case.relation, pseudonym):
        touched[k] = {**touched.get(k, {}), COUNT: standing(case.known(k)) + 1}
    return touched


def _unknown_subject(event: Submission, department: str) -> Park:
    detail = "the book does not know this relation yet; the event is kept, and accepted once the relation is registered"
    waits_for = subject_key(event.subject, department)
    return Park("unknown_relation", (waits_for,), (FieldError("/subject", detail),))
