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
from functools import cache
from typing import Any, Final

import msgspec

from events.catalog import Submission
from events.errors import FieldError
from events.identity import identifier_key, made_uuid, relation_key, subject_key
from events.recorded import ORGANISATION

Value = dict[str, Any]


# Thing, Accept and Case are made for every event: a Struct costs a quarter of what a frozen dataclass costs.
class Thing(msgspec.Struct, frozen=True):
    value: Value
    version: int
    position: int


class Accept(msgspec.Struct, frozen=True):
    """`relation` is the relation's UUID or `organisation`; `touched` the new values of the things that it changes."""

    relation: str
    touched: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Park:
    """Valid, but it names what the book does not know yet: tried again when one of `waits_for` is touched."""

    code: str
    waits_for: tuple[str, ...]
    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class Reject:
    """`conflict` is the position of the event that was first, where one was."""

    code: str
    errors: tuple[FieldError, ...]
    conflict: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])


# The kinds that give a relation identifiers.
LINKING: Final = frozenset({"relation.registered", "relation.identifier_linked"})

Decision = Accept | Park | Reject
Look = Callable[[str], Thing | None]
Pseudonym = Callable[[str], str]


class Case(msgspec.Struct, frozen=True):
    """One event before its judge: the submission, its department and relation, and what is known."""

    event: Submission
    department: str
    relation: str
    now: datetime
    look: Look


@dataclass(frozen=True, slots=True)
class Need:
    """A thing that must be there: `key` template, the code that the event is parked under, the field that names it."""

    key: str
    code: str
    pointer: str


def _unchanged(case: Case) -> Mapping[str, Value]:
    return {}


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of event is judged. Keys are templates over its payload and `{relation}`.

    `touches`: what it changes, and what `expectedversion` is held against. `guards`: only held against. `marks`: only
    changed. `needs`: what must be there first. `once`: a key of `touches` that may be made only once. `reads`: further
    keys that `check` looks at. `check` refuses or parks by state; `values` gives the values of touched things other
    than the default `{}`.
    """

    touches: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    once: str | None = None
    reads: Callable[[Submission, str], Sequence[str]] | tuple[str, ...] = ()
    check: Callable[[Case], Decision | None] | None = None
    values: Callable[[Case], Mapping[str, Value]] = _unchanged


def key_from(template: str, event: Submission, relation: str, pseudonym: Pseudonym) -> str:
    """Fills a key template. A field that names a person goes in as a pseudonym: keys are stored in the clear."""
    parts = _parts(template)
    out = parts[0]
    for at in range(1, len(parts), 2):
        name = parts[at]
        if name == "relation":
            out += relation
        elif name[0] == "#":
            out += pseudonym(str(event.data[name[1:]]))
        else:
            out += str(event.data[name])
        out += parts[at + 1]
    return out


@cache
def _parts(template: str) -> tuple[str, ...]:
    """Text, field, text, field, …, text. Only the templates of the rules come here."""
    return tuple(template.replace("}", "{").split("{"))


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
    templates = (*rule.touches, *rule.guards, *rule.marks, *(n.key for n in rule.needs))
    keys = [key_from(t, event, relation, pseudonym) for t in templates]
    if callable(rule.reads):
        keys.extend(rule.reads(event, relation))
    else:
        keys.extend(key_from(t, event, relation, pseudonym) for t in rule.reads)
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

    def key(template: str) -> str:
        return key_from(template, event, relation, pseudonym)

    if on_arrival and event.expectedversion is not None:
        for k in map(key, (*rule.touches, *rule.guards)):
            thing = look(k)
            if thing is not None and thing.version > event.expectedversion:
                detail = (
                    f"version {thing.version} of this relation changed the same thing after version "
                    f"{event.expectedversion}; read it, and send your change with the new version under a new id"
                )
                return Reject("conflict", (FieldError("/expectedversion", detail),), conflict=thing.position)
    missing = [n for n in rule.needs if look(key(n.key)) is None]
    if missing:
        errors = tuple(
            FieldError(n.pointer, f"the book does not know this yet ({n.code}); it is kept, and accepted once it does")
            for n in missing
        )
        return Park(missing[0].code, tuple(key(n.key) for n in missing), errors)
    if rule.once is not None and look(key(rule.once)) is not None:
        name = rule.once.rsplit("{", 1)[1].rstrip("}")
        detail = "this id was used before in this relation; correct the earlier event, or send a new id"
        thing = look(key(rule.once))
        return Reject("id_taken", (FieldError(f"/data/{name}", detail),), conflict=thing.position if thing else None)
    case = Case(event, department, relation, now, look)
    if rule.check is not None and (answer := rule.check(case)) is not None:
        return answer
    touched: dict[str, Value] = {key(t): {} for t in (*rule.touches, *rule.marks)}
    touched.update(rule.values(case))
    return Accept(relation, touched)


def _unknown_subject(event: Submission, department: str) -> Park:
    detail = "the book does not know this relation yet; the event is kept, and accepted once the relation is registered"
    waits_for = subject_key(event.subject, department)
    return Park("unknown_relation", (waits_for,), (FieldError("/subject", detail),))
