"""What is known of one schedule line, from its facts in any order.

The latest `line_set` stands, with the owner of the latest set or reassignment. An end holds until a later `line_set`.
A pause runs from the day it occurred on up to, not including, `until` or the first resumption in it (SPEC section 5).

A line is as restricted as the facts that it stands on: the setting that holds, what named its owner, its end, all of
its pauses and resumptions. What was replaced counts no more, so a line that is set again openly is open; a new owner
alone opens nothing.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from events.recorded import Recorded, local_date
from projections.layers import pair_bit
from projections.viewer import narrowest, restriction

Facts = dict[str, Any]

LINE_KINDS: Final = frozenset(
    {
        "schedule.line_set", "schedule.line_reassigned", "schedule.line_ended", "schedule.line_paused",
        "schedule.line_resumed",
    }
)  # fmt: skip
_KEPT: Final = ("our_layer", "their_layer", "their_person", "cadence", "channels", "starts_on", "grace_working_days")


def add_fact(facts: Facts, event: Recorded) -> Facts:
    """The facts with this event's added. Commutative and idempotent; the facts given stay as they are.

    `set`, `owner`, `ended`: [stamp, value, restriction bits] of the latest; `paused`, `resumed`: all days, and in
    `pauses_hidden` the restriction bits of all of them.
    """
    data, on = event.data, local_date(event.occurred_at).isoformat()
    match event.kind:
        case "schedule.line_set":
            facts = _latest(facts, "set", event, {name: data[name] for name in _KEPT if name in data})
            return _latest(facts, "owner", event, data.get("owner"))
        case "schedule.line_reassigned":
            return _latest(facts, "owner", event, data.get("owner"))
        case "schedule.line_ended":
            return _latest(facts, "ended", event, on)
        case "schedule.line_paused":
            return _all(facts, "paused", event, [on, data.get("until")])
        case _:
            return _all(facts, "resumed", event, on)


def standing(facts: Facts) -> Facts:
    """Of `set`, `owner` and `ended` those that the line stands on: an end before the setting that holds is none."""
    found = {name: facts[name] for name in ("set", "owner", "ended") if name in facts}
    if "set" in found and "ended" in found and found["ended"][0] <= found["set"][0]:
        del found["ended"]
    return found


def ends_on(facts: Facts) -> date | None:
    """The first day on which the line is ended by its own facts."""
    ended = standing(facts).get("ended")
    return None if ended is None else date.fromisoformat(ended[1])


def derive(facts: Facts) -> dict[str, Any]:
    """The columns of a line's row that follow from its facts."""
    stands = standing(facts)
    line: dict[str, Any] = stands["set"][1] if "set" in stands else {}
    our: str | None = line.get("our_layer")
    their: Any = line.get("their_layer")
    hidden = narrowest([facts.get("pauses_hidden", 0), *(bits for _, _, bits in stands.values())])
    return {
        "our_layer": our,
        "their_layer": their,
        "their_person": line.get("their_person"),
        "pair": None if our is None else pair_bit(our, their),
        "cadence": line.get("cadence"),
        "channels": line.get("channels"),
        "starts_on": None if our is None else date.fromisoformat(line["starts_on"]),
        "grace_working_days": line.get("grace_working_days"),
        "owner": stands["owner"][1] if "owner" in stands else None,
        "ended_on": date.fromisoformat(stands["ended"][1]) if "ended" in stands else None,
        "pauses": _pauses(facts),
        "hidden": hidden,
    }


def _pauses(facts: Facts) -> list[list[str | None]]:
    resumed = facts.get("resumed", ())
    pauses: list[list[str | None]] = []
    for start, until in facts.get("paused", ()):
        ends = [day for day in resumed if day >= start and (until is None or day < until)]
        pauses.append([start, min(ends) if ends else until])
    return pauses


def _latest(facts: Facts, name: str, event: Recorded, value: Any) -> Facts:
    known = facts.get(name)
    if known is not None and known[0] >= event.stamp:
        return facts
    return {**facts, name: [event.stamp, value, restriction(event)]}


def _all(facts: Facts, name: str, event: Recorded, value: Any) -> Facts:
    known, hidden = facts.get(name, []), facts.get("pauses_hidden", 0) | restriction(event)
    facts = {**facts, "pauses_hidden": hidden} if hidden else facts
    if value in known:
        return facts
    # None (until further notice) sorts as the empty text: any fixed order will do.
    return {**facts, name: sorted([*known, value], key=lambda v: [part or "" for part in v])}
