"""Contacts, as far as the workflows look at them: how much attention a relation got, and what was a follow-up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from events.recorded import Recorded, instant, iso, local_date
from projections.contact_same import DECLARED as _SAME
from projections.contact_same import State, Way, turns
from projections.rows import Row, Rows
from projections.workflows import low_score

HELD_KINDS: Final = frozenset({"contact.held", "contact.corrected", "contact.retracted"})


def follows_up(event: Recorded) -> bool:
    """Whether a contact's event can make or unmake a follow-up. A correction or retraction is rare, and always may."""
    if event.kind == "contact.held":
        return low_score.FOLLOW_UP_TOPIC in (event.data.get("topics") or ())
    return event.kind in HELD_KINDS or event.kind == _SAME


def fold_contact(rows: Rows, event: Recorded) -> list[str]:
    """Folds an event of HELD_KINDS, or that contacts are the same; the sorts of facts that changed by it."""

    def known(contact: str) -> State | None:
        row = rows.get("contact", event.relation, contact)
        return None if row is None else State(row["facts"])

    changed: list[str] = []
    for turn in turns(rows, event, known, _WAY):
        facts = turn.after.facts
        seen = _seen_contact(facts, hidden=turn.after.hidden)
        row: Row = {
            "relation": event.relation, "contact": turn.contact, "facts": facts, "held_on": seen["on"],
            "minutes": seen["minutes"], "position": seen["position"],
        }  # fmt: skip
        rows.put("contact", row)
        if follows_up(event):
            changed += _follow_up(rows, event.relation, turn.contact, facts, seen)
    return changed


def _contact_facts(facts: Mapping[str, Any], event: Recorded) -> dict[str, Any]:
    """The contact's facts with this event's added. Commutative and idempotent."""
    data, stamp = event.data, event.stamp
    match event.kind:
        case "contact.held":
            held = facts.get("held")
            if held is not None and held[0] >= stamp:
                return dict(facts)
            recorded_on = local_date(event.recorded_at).isoformat()
            return {**facts, "held": [stamp, _kept(data), event.position, recorded_on]}
        case "contact.corrected":
            others = [c for c in facts.get("corrected", ()) if c[0] != stamp]
            return {**facts, "corrected": sorted([*others, [stamp, _kept(data["changes"])]], key=_first)}
        case _:
            return {**facts, "retracted": True}


def _counts(facts: Mapping[str, Any]) -> bool:
    return "held" in facts and "retracted" not in facts


_WAY: Final = Way(_contact_facts, _counts)


def _kept(data: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: data[name] for name in ("occurred_at", "duration_min") if data.get(name) is not None}
    if data.get("topics") is not None:
        kept["follow_up"] = low_score.FOLLOW_UP_TOPIC in data["topics"]
    return kept


def _first(entry: list[Any]) -> list[str]:
    return entry[0]


def _seen_contact(facts: Mapping[str, Any], *, hidden: bool) -> dict[str, Any]:
    """What the facts come to: `on` None while it does not count, or another contact counts for it (`hidden`)."""
    if "held" not in facts:
        return {"on": None, "minutes": 0, "position": None, "follow_up": False}
    _, held, position, _ = facts["held"]
    held = dict(held)
    for _, changes in facts.get("corrected", ()):
        held |= changes
    counts = _counts(facts) and not hidden
    on: date = local_date(instant(held["occurred_at"]))
    return {
        "on": on if counts else None, "minutes": held.get("duration_min", 0), "position": position,
        "follow_up": counts and held.get("follow_up", False),
    }  # fmt: skip


def _follow_up(rows: Rows, relation: str, contact: str, facts: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
    """Keeps the contact as a follow-up, or no longer; whether that changed anything."""
    known = rows.get("fact", relation, "follow_up_contact", contact)
    if not seen["follow_up"]:
        if known is None:
            return []
        rows.delete("fact", relation, "follow_up_contact", contact)
        return ["follow_up_contact"]
    stamp, _, position, recorded_on = facts["held"]
    entry: list[Any] = [[iso(instant(str(seen["on"]))), *stamp[1:]], str(seen["on"]), position, recorded_on, {}]
    if known is not None and known["entries"]["held"] == entry:
        return []
    rows.put("fact", {"relation": relation, "fact": "follow_up_contact", "id": contact, "entries": {"held": entry}})
    return ["follow_up_contact"]
