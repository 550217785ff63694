"""Who has contact with whom, and what of that was asked for: the matrix of a relation, its coverage, its figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from events.recorded import Recorded
from tests import naive_heads, naive_relation
from tests.naive import AMSTERDAM, LAYERS, Row, local, moment, pairs
from tests.naive_contacts import contacts
from tests.naive_days import year_before
from tests.naive_due import schedule
from tests.naive_lines import members, policy_on, tier_since


def _own(events: Iterable[Recorded], relation: str) -> list[Row]:
    """The contacts that count of a relation and of what it absorbed."""
    family = members(events, relation)
    return [data for (of, _), data in contacts(events).items() if of in family]


def _recent(mine: Sequence[Row], now: datetime) -> list[Row]:
    today = local(now)
    return [data for data in mine if year_before(today) < local(data["occurred_at"]) <= today]


def matrix(events: Sequence[Recorded], relation: str, now: datetime) -> list[Row]:
    recent, lines = _recent(_own(events, relation), now), schedule(events, relation, now)
    found: list[Row] = []
    for theirs in LAYERS:
        for ours in LAYERS:
            met = [data for data in recent if (ours, theirs) in pairs(data)]
            asked = [
                line for line in lines
                if (line["our_layer"], line["their_layer"]) == (ours, theirs)
                and line["state"] not in ("ended", "paused", "not_started")
            ]  # fmt: skip
            vacant = any(line["state"] == "vacant" for line in asked)
            if met or asked:
                found.append({
                    "our_layer": ours, "their_layer": theirs, "required": bool(asked),
                    "lines": sorted(line["line"] for line in asked), "contacts_12m": len(met),
                    "minutes_12m": sum(data["duration_min"] for data in met), "vacant": vacant,
                    "covered": bool(met) and not vacant if asked else None,
                })  # fmt: skip
    return found


def coverage(events: Sequence[Recorded], relation: str, now: datetime) -> Row:
    cells = matrix(events, relation, now)
    required = [cell for cell in cells if cell["required"]]
    covered = [cell for cell in required if cell["covered"]]
    had = {(cell["our_layer"], cell["their_layer"]) for cell in cells if cell["contacts_12m"]}
    over = naive_heads.over_on(events, relation)
    asked = over is None or over > local(now)
    policy = policy_on(events, tier_since(events, relation)[0], local(now)) if asked else None
    family = members(events, relation)
    links = {k: row for k, row in naive_relation.links(events).items() if k[0] in family}
    return {
        "required": len(required), "covered": len(covered), "vacant": sum(cell["vacant"] for cell in required),
        "share": round(len(covered) / len(required), 4) if required else None,
        "policy": None if policy is None else {
            "tier": policy.data["tier"], "policy_version": policy.data["policy_version"],
            "effective_on": policy.data["effective_on"], "evidence": [policy.position],
            "pairs": [
                {
                    **{name: line[name] for name in ("our_layer", "their_layer", "cadence")},
                    "covered": (line["our_layer"], line["their_layer"]) in had,
                }
                for line in policy.data["lines"]
            ],
        },
        "link_counts": {
            name: sum(row["coverage"] == name for row in links.values())
            for name in ("none", "thin", "adequate", "strong")
        },
        "links": sorted(
            (
                {
                    "ours": ours, "theirs": theirs, "coverage": row["coverage"], "basis": row["basis"],
                    "assessed_on": str(row["assessed_on"]), "evidence": [row["position"]],
                }
                for (_, ours, theirs), row in links.items()
            ),
            key=str,
        ),
    }  # fmt: skip


def figures(events: Sequence[Recorded], relation: str, now: datetime) -> Row:
    """Contacts and minutes of the last twelve months, and the last contact, per channel and pair of layers too."""
    mine = _own(events, relation)
    recent = _recent(mine, now)
    by_channel: dict[str, list[Row]] = {}
    by_pair: dict[tuple[str, str], list[Row]] = {}
    for data in mine:
        by_channel.setdefault(data["channel"], []).append(data)
        for pair in pairs(data):
            by_pair.setdefault(pair, []).append(data)
    return {
        "contacts_total": len(mine), "contacts_12m": len(recent), "last_contact_at": _last(mine),
        "minutes_12m": sum(data["duration_min"] for data in recent),
        "contacts_by_channel": {channel: len(of) for channel, of in by_channel.items()},
        "last_contact_by_channel": {channel: _last(of) for channel, of in by_channel.items()},
        "contacts_by_layer_pair": [
            {"our_layer": ours, "their_layer": theirs, "contacts": len(of), "last_at": _last(of)}
            for (ours, theirs), of in sorted(by_pair.items())
        ],
    }  # fmt: skip


def _last(of: Sequence[Row]) -> str | None:
    moments: list[Any] = [moment(data["occurred_at"]) for data in of]
    return max(moments).astimezone(AMSTERDAM).isoformat() if moments else None
