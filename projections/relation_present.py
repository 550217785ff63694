"""What a reader sees of one relation: a pure function of its rows and the book's now. Personal fields stay tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final

from events.recorded import AMSTERDAM, local_date
from projections.layers import pairs_in
from projections.line_state import DEFAULT_RULES, Rules, schedule_of
from projections.rows import Row, Rows
from projections.satisfaction import figures

# SPEC section 3: 7 general items and 6 items of outlook; `history` is the stream itself, so it is always there.
KNOWLEDGE_ITEMS: Final = (
    "history", "objectives", "issues", "critical_success_factors", "facts_and_figures", "contacts_and_matrix",
    "position", "market", "competition", "strategy", "direction", "need_for_our_services", "specific_wishes",
)  # fmt: skip
_QUESTIONS: Final = frozenset(str(n) for n in range(1, 11))


def year_before(today: date) -> date:
    """The day that the last twelve months begin after; 29 February clips to the 28th."""
    try:
        return today.replace(year=today.year - 1)
    except ValueError:
        return today.replace(year=today.year - 1, day=28)


def local_iso(at: datetime | None) -> str | None:
    """An occurred time as people say it: date-time with the offset of Amsterdam."""
    return None if at is None else at.astimezone(AMSTERDAM).isoformat()


def present(
    rows: Rows, relation: str, now: datetime, *, position: int = 0, rules: Rules = DEFAULT_RULES
) -> dict[str, Any] | None:
    """The JSON of `GET /v1/relations/{id}`, or None when the relation is not registered.

    `position` is how far the rows are. Dates are local dates in Amsterdam; the last twelve months end with today.
    """
    row = rows.get("relation", relation)
    if row is None or row["name"] is None:
        return None
    today = local_date(now)
    contacts = rows.group("contact", relation)
    alerts = [a for a in rows.group("alert", relation) if a["state"] == "open"]
    schedule = schedule_of(rows.group("line", relation), contacts, alerts, now, rules)
    responses = rows.group("response", relation)
    instruments = {i: rows.group("instrument", i) for i in {r["instrument"] for r in responses}}
    due = [line["due_on"] for line in schedule if line["due_on"] is not None and line["state"] != "ended"]
    return {
        **head_of(row),
        "parent": row["parent"],
        "tier_arguments": row["tier_arguments"],
        "tier_review_on": _iso(row["tier_review_on"]),
        "owner": row["owner"],
        **contact_figures([c for c in contacts if c["counted"]], today),
        "schedule": schedule,
        "next_due_on": min(due, default=None),
        "planned": planned_of(contacts, now),
        "open_alerts": [alert_of(a) for a in alerts],
        "satisfaction": figures(responses, instruments),
        "plan": plan_of(rows, relation, today),
        "knowledge": knowledge_of(rows.group("knowledge", relation), today),
        "commitments": commitments_of(rows.group("commitment", relation), today),
        "counterparts": counterparts_of(rows.group("counterpart", relation)),
        "teams": [a["team"] for a in rows.group("assignment", relation) if a["assigned"]],
        "position": position,
    }


def head_of(row: Row) -> dict[str, Any]:
    """What lists and the view of one relation share."""
    return {
        "id": row["relation"], "name": row["name"], "kind": row["kind"], "region": row["region"],
        "identifiers": row["identifiers"], "tier": row["tier"], "version": row["version"],
        "contacts_total": row["contacts_total"],
    }  # fmt: skip


def contact_figures(counted: Sequence[Row], today: date) -> dict[str, Any]:
    """Figures over the contacts that count. One contact counts for every layer pair that met in it."""
    since = year_before(today)
    recent = [c for c in counted if since < c["held_on"] <= today]
    channels: dict[str, list[datetime]] = defaultdict(list)
    pairs: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for contact in counted:
        channels[contact["channel"]].append(contact["held_at"])
        for pair in pairs_in(contact["pairs"]):
            pairs[pair].append(contact["held_at"])
    return {
        "last_contact_at": local_iso(max((c["held_at"] for c in counted), default=None)),
        "contacts_12m": len(recent),
        "minutes_12m": sum(c["minutes"] for c in recent),
        "contacts_by_channel": {channel: len(at) for channel, at in sorted(channels.items())},
        "last_contact_by_channel": {channel: local_iso(max(at)) for channel, at in sorted(channels.items())},
        "contacts_by_layer_pair": [
            {"our_layer": our, "their_layer": their, "contacts": len(at), "last_at": local_iso(max(at))}
            for (our, their), at in sorted(pairs.items())
        ],
    }


def planned_of(contacts: Iterable[Row], now: datetime) -> list[dict[str, Any]]:
    """Meetings to come, the first one first."""
    coming = [
        c for c in contacts if c["state"] == "planned" and c["starts_at"] and (c["ends_at"] or c["starts_at"]) > now
    ]
    return [
        {
            "contact": c["contact"], "starts_at": local_iso(c["starts_at"]), "ends_at": local_iso(c["ends_at"]),
            "channel": c["channel"],
            "layer_pairs": [{"our_layer": our, "their_layer": their} for our, their in pairs_in(c["pairs"])],
        }
        for c in sorted(coming, key=lambda c: (c["starts_at"], c["contact"]))
    ]  # fmt: skip


def alert_of(row: Row) -> dict[str, Any]:
    return {
        "id": row["alert"], "rule": row["rule"], "line": row["line"], "due_on": _iso(row["due_on"]),
        "overdue_on": _iso(row["overdue_on"]), "raised_on": _iso(row["raised_on"]), "level": row["level"],
        "acknowledged": row["acknowledged"], "snoozed_until": _iso(row["snoozed_until"]),
    }  # fmt: skip


def plan_of(rows: Rows, relation: str, today: date) -> dict[str, Any]:
    """The plan begun last. `answered` counts the ten questions; `age_days` since approval, else since its start."""
    plans = sorted(rows.group("plan", relation), key=lambda p: (p["started_on"], p["plan"]))
    if not plans:
        return {
            "plan": None, "answered": 0, "actions_open": 0, "actions_late": 0, "approved_on": None, "age_days": None,
            "questions": [], "actions": [],
        }  # fmt: skip
    plan = plans[-1]
    answers = [a for a in rows.group("answer", relation) if a["plan"] == plan["plan"]]
    actions = [a for a in rows.group("action", relation) if a["plan"] == plan["plan"] and a["what"] is not None]
    unfinished = [a for a in actions if a["state"] == "open"]
    return {
        "plan": plan["plan"],
        "answered": sum(1 for a in answers if a["question"] in _QUESTIONS),
        "actions_open": len(unfinished),
        "actions_late": sum(1 for a in unfinished if _past(a["due_on"], today)),
        "approved_on": _iso(plan["approved_on"]),
        "age_days": (today - (plan["approved_on"] or plan["started_on"])).days,
        "questions": [
            {"question": a["question"], "answer": a["answer"], "answered_on": _iso(a["answered_on"])}
            for a in sorted(answers, key=lambda a: (len(a["question"]), a["question"]))
        ],
        "actions": [
            {
                "action": a["action"], "what": a["what"], "owner": a["owner"], "due_on": _iso(a["due_on"]),
                "state": a["state"], "late": a["state"] == "open" and _past(a["due_on"], today),
            }
            for a in sorted(actions, key=lambda a: (a["due_on"] or date.max, a["action"]))
        ],
    }  # fmt: skip


def knowledge_of(items: Iterable[Row], today: date) -> dict[str, Any]:
    """How many of the 13 items are there (`complete`), and how many of those are past `valid_until` (`stale`)."""
    known = {i["item"]: i for i in items if i["item"] in KNOWLEDGE_ITEMS}
    stale = [item for item in KNOWLEDGE_ITEMS if item in known and _past(known[item]["valid_until"], today)]
    present_items = [item for item in KNOWLEDGE_ITEMS if item in known or item == "history"]
    return {
        "complete": len(present_items),
        "of": len(KNOWLEDGE_ITEMS),
        "stale": len(stale),
        "items": [
            {
                "item": item, "present": item in present_items, "stale": item in stale,
                "recorded_on": _iso(known[item]["recorded_on"]) if item in known else None,
                "valid_until": _iso(known[item]["valid_until"]) if item in known else None,
                "text": known[item]["text"] if item in known else None,
            }
            for item in KNOWLEDGE_ITEMS
        ],
    }  # fmt: skip


def commitments_of(rows: Iterable[Row], today: date) -> list[dict[str, Any]]:
    """Promises that are still open, the first due first."""
    unfinished = [c for c in rows if c["state"] == "open" and c["by"] is not None]
    return [
        {
            "commitment": c["commitment"], "by": c["by"], "what": c["what"], "due_on": _iso(c["due_on"]),
            "late": _past(c["due_on"], today),
        }
        for c in sorted(unfinished, key=lambda c: (c["due_on"] or date.max, c["commitment"]))
    ]  # fmt: skip


def counterparts_of(rows: Iterable[Row]) -> list[dict[str, Any]]:
    fields = ("person", "name", "function", "layer", "decision_role")
    return [{field: c[field] for field in fields} for c in rows if c["present"]]


def _past(on: date | None, today: date) -> bool:
    return on is not None and on < today


def _iso(on: date | None) -> str | None:
    return None if on is None else on.isoformat()
