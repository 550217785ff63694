"""What is known of one schedule line, from its facts in any order.

The latest `line_set` stands, with the owner of the latest set or reassignment. An end holds until a later `line_set`.
A pause runs from the day it occurred on up to, not including, `until` or the first resumption in it (SPEC section 5).
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from events.recorded import Recorded, local_date
from projections.layers import pair_bit

Facts = dict[str, Any]

LINE_KINDS: Final = frozenset(
    {
        "schedule.line_set", "schedule.line_reassigned", "schedule.line_ended", "schedule.line_paused",
        "schedule.line_resumed",
    }
)  # fmt: skip
_KEPT: Final = ("our_layer", "their_layer", "their_person", "cadence", "channels", "starts_on", "grace_working_days")


def add_fact(facts: Facts, event: Recorded) -> Facts:
    """The facts with this event's added. Commutative and idempotent; the facts given stay as they are."""
    data, stamp, on = event.data, event.stamp, local_date(event.occurred_at).isoformat()
    match event.kind:
        case "schedule.line_set":
            facts = _latest(facts, "set", stamp, {name: data[name] for name in _KEPT if name in data})
            return _latest(facts, "owner", stamp, data.get("owner"))
        case "schedule.line_reassigned":
            return _latest(facts, "owner", stamp, data.get("owner"))
        case "schedule.line_ended":
            return _latest(facts, "ended", stamp, on)
        case "schedule.line_paused":
            return _all(facts, "paused", [on, data.get("until")])
        case _:
            return _all(facts, "resumed", on)


def derive(facts: Facts) -> dict[str, Any]:
    """The columns of a line's row that follow from its facts."""
    stamp, line = facts.get("set", (None, {}))
    ended = facts.get("ended")
    ended_on = ended[1] if ended is not None and (stamp is None or ended[0] > stamp) else None
    our, their = line.get("our_layer"), line.get("their_layer")
    return {
        "our_layer": our,
        "their_layer": their,
        "their_person": line.get("their_person"),
        "pair": None if our is None else pair_bit(our, their),
        "cadence": line.get("cadence"),
        "channels": line.get("channels"),
        "starts_on": None if our is None else date.fromisoformat(line["starts_on"]),
        "grace_working_days": line.get("grace_working_days"),
        "owner": facts["owner"][1] if "owner" in facts else None,
        "ended_on": None if ended_on is None else date.fromisoformat(ended_on),
        "pauses": _pauses(facts),
    }


def _pauses(facts: Facts) -> list[list[str | None]]:
    resumed = facts.get("resumed", ())
    pauses: list[list[str | None]] = []
    for start, until in facts.get("paused", ()):
        ends = [day for day in resumed if day >= start and (until is None or day < until)]
        pauses.append([start, min(ends) if ends else until])
    return pauses


def _latest(facts: Facts, name: str, stamp: list[str], value: Any) -> Facts:
    known = facts.get(name)
    return facts if known is not None and known[0] >= stamp else {**facts, name: [stamp, value]}


def _all(facts: Facts, name: str, value: Any) -> Facts:
    known = facts.get(name, [])
    if value in known:
        return facts
    # None (until further notice) sorts as the empty text: any fixed order will do.
    return {**facts, name: sorted([*known, value], key=lambda v: [part or "" for part in v])}
