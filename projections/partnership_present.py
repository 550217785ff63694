"""What a reader sees of a partnership: pure functions of one relation's rows and the book's now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from events.recorded import local_date
from projections.heads import iso_day, shown
from projections.rows import Row, Rows


def present_partnership(rows: Rows, relation: str, now: datetime, *, hidden: int) -> dict[str, Any] | None:
    """{relation, relation_name, tier, interests, performances, commitments}; None when it is not registered."""
    head = rows.get("relation", relation)
    if head is None or head["name"] is None:
        return None
    today = local_date(now)

    def seen(table: str, told: str) -> list[Row]:
        return [r for r in rows.group(table, relation) if r[told] is not None and shown(r, hidden)]

    return {
        "relation": relation, "relation_name": head["name"], "tier": head["tier"],
        "interests": [interest_json(r) for r in seen("interest", "holder")],
        "performances": [performance_json(r) for r in seen("performance", "by")],
        "commitments": sorted(
            (commitment_json(r, today) for r in seen("commitment", "by")),
            key=lambda c: (c["state"] != "open", c["due_on"] or "", c["commitment"]),
        ),
    }  # fmt: skip


def interest_json(row: Row) -> dict[str, Any]:
    """`known`: we wrote it down. `acknowledged`: the other side said so (of ours: they, of theirs: we, of a shared one:
    either). Nobody acknowledges their own."""
    sides = {"ours": ("them",), "theirs": ("us",), "shared": ("us", "them")}[row["holder"]]
    return {
        "interest": row["interest"], "holder": row["holder"], "text": row["text"], "known": True,
        "known_since": iso_day(row["recorded_on"]), **_acknowledged(row, sides), "evidence": row["positions"],
    }  # fmt: skip


def performance_json(row: Row) -> dict[str, Any]:
    return {
        "performance": row["performance"], "by": row["by"], "text": row["text"], "period": row["period"],
        "known": True, "known_since": iso_day(row["reported_on"]),
        **_acknowledged(row, ("them",) if row["by"] == "us" else ("us",)), "evidence": row["positions"],
    }  # fmt: skip


def _acknowledged(row: Row, sides: tuple[str, ...]) -> dict[str, Any]:
    by = {side: row[f"by_{side}_on"] for side in sides if row[f"by_{side}_on"] is not None}
    return {
        "acknowledged": bool(by),
        "acknowledged_by": [{"by": side, "on": iso_day(on)} for side, on in sorted(by.items())],
    }


def commitment_json(row: Row, today: date) -> dict[str, Any]:
    """`late`: still open after its due date. `days_late`: how many days it is open, or was ended, after that date."""
    due: date | None = row["due_on"]
    until = today if row["state"] == "open" else row["ended_on"]
    days_late = 0 if due is None or until is None else max(0, (until - due).days)
    return {
        "commitment": row["commitment"], "by": row["by"], "what": row["what"], "made_on": iso_day(row["made_on"]),
        "due_on": iso_day(due), "state": row["state"], "ended_on": iso_day(row["ended_on"]),
        "late": row["state"] == "open" and days_late > 0, "days_late": days_late, "evidence": row["positions"],
    }  # fmt: skip


def opportunity_json(row: Row) -> dict[str, Any]:
    return {
        "opportunity": row["opportunity"], "title": row["title"], "state": row["state"],
        "value_cents": row["value_cents"], "announced_on": iso_day(row["announced_on"]),
        "closes_on": iso_day(row["closes_on"]), "offered_on": iso_day(row["offered_on"]),
        "decided_on": iso_day(row["decided_on"]), "reason": row["reason"], "evidence": row["positions"],
    }  # fmt: skip


def state_then(relation: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What mattered of a relation (`relation_present.present`) at the moment that an opportunity was decided."""
    if relation is None:
        return None
    schedule: list[Mapping[str, Any]] = relation["schedule"]
    kept = ("tier", "last_contact_at", "contacts_12m", "minutes_12m", "position")
    return {
        **{name: relation[name] for name in kept},
        "lines": len(schedule),
        "lines_overdue": sum(1 for line in schedule if line["state"] in {"overdue", "escalated"}),
        "open_alerts": len(relation["open_alerts"]),
        "plan_approved_on": relation["plan"]["approved_on"],
        "knowledge_complete": relation["knowledge"]["complete"],
        "knowledge_stale": relation["knowledge"]["stale"],
        "satisfaction": [
            {f: one[f] for f in ("instrument", "wording_version", "n", "mean", "nps")}
            for one in relation["satisfaction"]
        ],
    }


def contributors_of(
    profiles: Iterable[tuple[str, str, int]], asks: Iterable[tuple[str | None, str, int, float]]
) -> dict[str, Any]:
    """Who contributes, by commercial profile and stage, against the attention that relations ask for, by tier and our
    layer. Counts only, never an employee. `profiles`: (profile, stage, people); `asks`: (tier, our layer, lines,
    contacts a year)."""
    stages: dict[str, dict[str, int]] = defaultdict(dict)
    for profile, stage, people in sorted(profiles):
        stages[profile][stage] = people
    return {
        "contributors": [
            {"profile": profile, "stage": stage, "people": people}
            for profile, by_stage in sorted(stages.items())
            for stage, people in sorted(by_stage.items())
        ],
        "asked": [
            {"tier": tier, "our_layer": layer, "lines": lines, "contacts_per_year": round(contacts, 1)}
            for tier, layer, lines, contacts in sorted(asks, key=lambda a: (a[0] is None, a[0] or "", a[1]))
        ],
    }
