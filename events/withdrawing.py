"""The rule of `correction.withdrawn`: a publisher takes back any other event of its own (SPEC section 2).

The event named is found in the ledger by source and id, under the key `event:<source>|<id>`: a thing that is loaded and
never stored, with {"kind", "relation", "department", "data"} of the event. Of what the book knows, each thing that the
event touched counts one event less, and is as if unknown when none is left (`events.book.standing`): a commitment whose
end was withdrawn may end again, a plan whose answer was withdrawn is not complete. Ids stay taken all the same, and
values stay those of the last event that set them.

Withdrawing an event that another one follows from is allowed: the other stays in the book, and counts for what is left
of it. What the book could not stand without is refused, with what to publish in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from events.book import COUNT, Case, Decision, Need, Reject, Rule, Thing, Value, standing
from events.catalog import Submission
from events.errors import FieldError
from events.thing_keys import key_of

KIND: Final = "correction.withdrawn"
_EVENT: Final = "event:{source}|{id}"
_OWN: Final = "relatieboek"
_INSTEAD: Final[Mapping[str, str]] = {
    KIND: "a withdrawal is not withdrawn; publish what stands as a new event with a new id",
    "relation.registered": (
        "identifiers and other events of the relation rest on its registration; publish relation.details_changed for "
        "what is wrong, relation.merged where it is another one's double, or relation.ended"
    ),
    "relation.merged": "a merge is undone by publishing relation.unmerged",
    "satisfaction.instrument_defined": (
        "scores were judged by this instrument; define a new wording with a higher wording_version, or a new instrument"
    ),
    "relation.unmerged": "an unmerge is undone by publishing relation.merged again",
}


def event_key(source: str, id_: str) -> str:
    """The key under which an event that was accepted can be looked up."""
    return f"event:{source}|{id_}"


def named_event(key: str) -> tuple[str, str] | None:
    """Source and id of the event that such a key names; None for any other key."""
    if not key.startswith("event:"):
        return None
    source, _, id_ = key.removeprefix("event:").partition("|")
    return source, id_


def event_thing(
    kind: str, relation: str, department: str, data: Mapping[str, Any], version: int, position: int
) -> Thing:
    """What the book knows of an event that was accepted, for its withdrawal."""
    value = {"kind": kind, "relation": relation, "department": department, "data": data}
    return Thing(value, version, position)


def _found(case: Case) -> Thing:
    data = case.event.data
    found = case.look(event_key(data["source"], data["id"]))
    assert found is not None, "`needs` has seen to it"
    return found


def _withdrawable(case: Case) -> Decision | None:
    event = _found(case)
    kind, department, relation = event.value["kind"], event.value["department"], event.value["relation"]
    if _OWN in (department, case.department):
        return _refused("/data/id", "the book's own services wrote this event; it cannot be withdrawn", event)
    if department != case.department:
        detail = "another department published this event; only that one can withdraw it"
        return Reject("rule", (FieldError("/data/id", detail),))
    if relation != case.relation:
        detail = f"this event is about relation {relation}; give that as subject"
        if relation == "organisation":
            detail = "this event is about no relation; give `organisation` as subject"
        return _refused("/subject", detail, event)
    if kind in _INSTEAD:
        return _refused("/data/id", _INSTEAD[kind], event)
    before = case.look(_mark(case.event))
    if before is not None:
        return _refused("/data/id", "this event was withdrawn before", before)
    return None


def _refused(pointer: str, detail: str, by: Thing) -> Reject:
    return Reject("rule", (FieldError(pointer, detail),), by.position)


def _mark(event: Submission) -> str:
    return f"withdrawn:{event.data['source']}|{event.data['id']}"


def _withdraws(case: Case) -> Mapping[str, str]:
    return {"withdraws": str(_found(case).position)}


def withdrawing(rules: Mapping[str, Rule]) -> Rule:
    """The rule, given the rules of the events that may be withdrawn."""

    def undone(case: Case) -> Mapping[str, Value]:
        event = _found(case).value
        rule = rules[event["kind"]]
        values: dict[str, Value] = {}
        for template in (*rule.touches, *rule.marks):
            key = key_of(template, event["data"], case.relation)
            thing = None if key is None else case.known(key)
            if key is None or thing is None:
                continue
            left = 0 if template == rule.once else max(0, standing(thing) - 1)
            values[key] = {**thing.value, COUNT: left}
        return values

    return Rule(
        touches=("withdrawn:{source}|{id}",),
        needs=(Need(_EVENT, "unknown_event", "/data/id"),),
        check=_withdrawable,
        values=undone,
        attributes=_withdraws,
    )
