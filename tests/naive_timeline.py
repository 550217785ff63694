"""The timeline that teams share, read off the book: every fact of a relation, also what was withdrawn, as such."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from events.recorded import ORGANISATION, Recorded
from tests.naive import Row, Table, bits, layer_mask
from tests.naive_heads import guarded

_ROLES = {
    "contact.held": "held", "contact.planned": "planned", "contact.rescheduled": "planned",
    "contact.corrected": "corrected", "contact.retracted": "retracted", "contact.cancelled": "off",
    "contact.no_show": "off",
}  # fmt: skip


def entries(events: Iterable[Recorded]) -> Table:
    """An anonymous score shows nowhere singly. What is said of a fact is as restricted as the fact."""
    events = list(events)
    gone = {e.withdraws: e for e in events if e.withdraws is not None}
    at = {e.position: e for e in events}
    found: Table = {}
    for e in events:
        if e.relation == ORGANISATION or (e.kind == "satisfaction.scored" and e.data["anonymous"]):
            continue
        said = e.data["changes"] if e.kind == "contact.corrected" else e.data
        sides: list[list[Row]] = [said[name] for name in ("ours", "theirs") if isinstance(said.get(name), list)]
        layers = {one["layer"] for side in sides for one in side}
        layers |= {said[name] for name in ("layer", "our_layer", "their_layer") if said.get(name) is not None}
        role = _ROLES.get(e.kind)
        found[e.relation, e.occurred_at, e.position] = {
            "recorded_at": e.recorded_at, "type": e.type, "family": e.family, "department": e.department,
            "restricted": bits(e) | (bits(at[e.withdraws]) if e.withdraws is not None else 0) | _inherited(events, e),
            "contact": None if role is None else e.data["contact"], "role": role, "layers": layer_mask(layers),
            "topics": said.get("topics") or None, "detail": e.data,
            "withdrawn": gone[e.position].position if e.position in gone else None, "withdraws": e.withdraws,
        }  # fmt: skip
    return found


def _inherited(events: list[Recorded], e: Recorded) -> int:
    """Of an alert or loop the restrictions of what it rested on up to then."""
    if e.family not in ("alert", "loop"):
        return 0
    key: Any = e.relation, e.data.get("alert") or e.data["loop"]
    return guarded(before for before in events if before.position <= e.position).get(key, {"hidden": 0})["hidden"]
