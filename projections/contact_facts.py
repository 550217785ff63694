"""What is known of one contact, from its facts in any order: planned, moved, called off, held, corrected, retracted.

The facts of a contact are a small JSON document; `add_fact` puts one in, `derive` says what they come to. Held replaces
planned. A calling-off holds against the plan, not against a later rescheduling. Corrections change the held data in the
order of their stamps. A retraction is final.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from events.recorded import Recorded, instant, local_date
from projections.layers import layer_bits, pair_bits

Facts = dict[str, Any]

CONTACT_KINDS: Final = frozenset(
    {
        "contact.planned", "contact.rescheduled", "contact.cancelled", "contact.no_show", "contact.held",
        "contact.corrected", "contact.retracted",
    }
)  # fmt: skip

_KEPT: Final = ("starts_at", "ends_at", "occurred_at", "duration_min", "channel", "activity")
# Register of each kind: the fact with the greatest stamp stands.
_REGISTER: Final = {
    "contact.planned": "planned",
    "contact.rescheduled": "moved",
    "contact.cancelled": "off",
    "contact.no_show": "off",
    "contact.held": "held",
}


def add_fact(facts: Facts, event: Recorded) -> Facts:
    """The facts with this event's added. Commutative and idempotent; the facts given stay as they are."""
    kind = event.kind
    stamp = event.stamp
    if kind == "contact.retracted":
        return {**facts, "retracted": True}
    if kind == "contact.corrected":
        corrections: list[Any] = [f for f in facts.get("corrected", ()) if f[0] != stamp]
        corrections.append([stamp, _kept(event.data["changes"])])
        return {**facts, "corrected": sorted(corrections, key=_stamp_of)}
    name = _REGISTER[kind]
    known = facts.get(name)
    if known is not None and known[0] >= stamp:
        return facts
    value = {"state": kind.removeprefix("contact.")} if name == "off" else _kept(event.data)
    return {**facts, name: [stamp, value]}


def derive(facts: Facts) -> dict[str, Any]:
    """The columns of a contact's row that follow from its facts."""
    state, seen = _state(facts)
    held_at = instant(seen["occurred_at"]) if "held" in facts else None
    ours, theirs = seen.get("ours", 0), seen.get("theirs", 0)
    return {
        "state": state,
        "counted": state == "held",
        "held_at": held_at,
        "held_on": None if held_at is None else local_date(held_at),
        "minutes": seen.get("duration_min", 0),
        "channel": seen.get("channel"),
        "activity": seen.get("activity"),
        "our_layers": ours,
        "pairs": pair_bits(ours, theirs),
        "starts_at": instant(seen["starts_at"]) if seen.get("starts_at") else None,
        "ends_at": instant(seen["ends_at"]) if seen.get("ends_at") else None,
    }


def _state(facts: Facts) -> tuple[str, Mapping[str, Any]]:
    if "held" in facts:
        seen: dict[str, Any] = dict(facts["held"][1])
        for _, changes in facts.get("corrected", ()):
            seen.update(changes)
        return ("retracted" if "retracted" in facts else "held"), seen
    plan: dict[str, Any] = dict(facts["planned"][1]) if "planned" in facts else {}
    moved, off = facts.get("moved"), facts.get("off")
    if moved is not None:
        plan.update(moved[1])
    if "retracted" in facts:
        return "retracted", plan
    if off is not None and (moved is None or off[0] > moved[0]):
        return off[1]["state"], plan
    # A rescheduling that comes before its plan tells a time, but not yet who meets whom.
    return ("planned" if "planned" in facts else "unknown"), plan


def _stamp_of(fact: list[Any]) -> list[str]:
    return fact[0]


def _kept(data: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: data[name] for name in _KEPT if data.get(name) is not None}
    for side in ("ours", "theirs"):
        if data.get(side) is not None:
            kept[side] = layer_bits(data[side])
    return kept
