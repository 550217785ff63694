"""Where attention goes: contacts and minutes by kind, channel and our layer, of one relation or many. Pure."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from events.recorded import local_date
from projections.kin import united
from projections.layers import layers_in
from projections.relation_present import year_before
from projections.rows import Rows


class Tally:
    """Sums of contacts and minutes, and of each part of them. Never per employee."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))

    def add(
        self, contacts: int, minutes: int, *, kind: str, channel: str, relation_kind: str, our_layers: int
    ) -> None:  # fmt: skip
        """`our_layers`: bits; a contact with people of two of our layers counts for both."""
        for part, names in (
            ("total", ("",)), ("kind", (kind,)), ("channel", (channel,)), ("relation_kind", (relation_kind,)),
            ("layer", layers_in(our_layers)),
        ):  # fmt: skip
            for name in names:
                cell = self._parts[part][name]
                cell[0] += contacts
                cell[1] += minutes

    def as_json(self) -> dict[str, Any]:
        """{contacts, minutes, by_kind, by_channel, by_relation_kind, by_layer}: each part is a list of {<name>,
        contacts, minutes}."""
        contacts, minutes = self._parts["total"][""]
        by = {
            f"by_{part}": [
                {part: name, "contacts": c, "minutes": m} for name, (c, m) in sorted(self._parts[part].items())
            ]
            for part in ("kind", "channel", "relation_kind", "layer")
        }
        return {"contacts": contacts, "minutes": minutes, **by}


def attention_of(rows: Rows, relation: str, now: datetime, *, position: int = 0) -> dict[str, Any] | None:
    """Where attention for one relation went in the last twelve months: {relation, relation_name, tier, since, until,
    position} and what `Tally.as_json` gives. None: it is not registered. As question 6 counts it."""
    rows, (root, *_) = united(rows, relation)
    head = rows.get("relation", root)
    if head is None or head["name"] is None:
        return None
    today = local_date(now)
    since = year_before(today)
    tally = Tally()
    for contact in rows.group("contact", root):
        if contact["counted"] and since < contact["held_on"] <= today:
            tally.add(
                1, contact["minutes"], kind=contact["activity"], channel=contact["channel"],
                relation_kind=head["kind"], our_layers=contact["our_layers"],
            )  # fmt: skip
    return {
        "relation": root, "relation_name": head["name"], "tier": head["tier"], "since": since.isoformat(),
        "until": today.isoformat(), **tally.as_json(), "position": position,
    }  # fmt: skip
