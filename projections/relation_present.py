"""What a reader sees of one relation: a pure function of its rows and the book's now. Personal fields stay tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final

from events.recorded import AMSTERDAM, local_date
from projections.agreement_facts import agreements_of
from projections.heads import shown
from projections.kin import united
from projections.layers import pairs_in
from projections.line_state import DEFAULT_RULES, Rules
from projections.relation_coverage import coverage_of, matrix_in_short
from projections.relation_lines import institution_of, schedule_in
from projections.rows import Row, Rows
from projections.satisfaction import figures
from projections.satisfaction_present import loops_of

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
    rows: Rows, relation: str, now: datetime, *, position: int = 0, rules: Rules = DEFAULT_RULES, hidden: int
) -> dict[str, Any] | None:
    """The JSON of `GET /v1/relations/{id}`, or None when the relation is not registered.

    `position` is how far the rows are; `hidden` holds the restrictions that the reader does not satisfy (see
    viewer.py): facts with one of those are left out, but counted in figures. Dates are local dates in Amsterdam; the
    last twelve months end with today.
    An absorbed relation is shown as its survivor, with what all its members have; `absorbed` names those.
    """
    rows, (relation, *absorbed) = united(rows, relation)
    row = rows.get("relation", relation)
    if row is None or row["name"] is None:
        return None
    today = local_date(now)
    contacts = rows.group("contact", relation)
    schedule, alerts = schedule_in(rows, row, now, rules, hidden)
    responses = rows.group("response", relation)
    instruments = {i: rows.group("instrument", i) for i in {r["instrument"] for r in responses}}
    since = year_before(today)
    counted = [c for c in contacts if c["counted"]]
    cells = matrix_in_short(schedule, [c for c in counted if since < c["held_on"] <= today])
    links = [one for one in rows.group("link", relation) if shown(one, hidden)]
    loops = loops_of(rows.group("loop", relation), responses, today, hidden=hidden)
    over = row["ended_on"] is not None and row["ended_on"] <= today
    due = [line["due_on"] for line in schedule if line["due_on"] is not None and line["state"] != "ended"]
    return {
        **head_of(row),
        "absorbed": absorbed,
        "parent": row["parent"],
        "tier_arguments": [] if row["tier_hidden"] & hidden else row["tier_arguments"],
        "tier_review_on": None if row["tier_hidden"] & hidden else _iso(row["tier_review_on"]),
        "tier_on": _iso(row["tier_on"]),
        "owner": row["owner"],
        "ended_on": _iso(row["ended_on"]),
        "end_reason": None if row["ended_hidden"] & hidden else row["end_reason"],
        **contact_figures(counted, today),
        "schedule": schedule,
        "next_due_on": min(due, default=None),
        "planned": planned_of(contacts, now),
        "open_alerts": [alert_of(a) for a in alerts],
        "satisfaction": figures(responses, instruments),
        "open_loops": [loop for loop in loops if loop["state"] != "closed"],
        "plan": plan_of(rows, relation, today, hidden=hidden),
        "knowledge": knowledge_of([i for i in rows.group("knowledge", relation) if shown(i, hidden)], today),
        "position_measured": measured_of([m for m in rows.group("measured", relation) if shown(m, hidden)]),
        "commitments": commitments_of([c for c in rows.group("commitment", relation) if shown(c, hidden)], today),
        "agreements": agreements_of(rows, relation, today, hidden=hidden),
        "matrix": cells,
        "coverage": coverage_of(cells, links, institution_of(rows, rules), None if over else row["tier"], today),
        "counterparts": counterparts_of(rows.group("counterpart", relation), hidden),
        "teams": sorted({a["team"] for a in rows.group("assignment", relation) if a["assigned"]}),
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
        "id": row["alert"], "rule": row["rule"], "about": row["about"], "line": row["line"],
        "due_on": _iso(row["due_on"]),
        "overdue_on": _iso(row["overdue_on"]), "raised_on": _iso(row["raised_on"]), "level": row["level"],
        "acknowledged": row["acknowledged"], "snoozed_until": _iso(row["snoozed_until"]),
    }  # fmt: skip


def plan_of(rows: Rows, relation: str, today: date, *, plan: str | None = None, hidden: int) -> dict[str, Any]:
    """The plan begun last that nothing replaced, or the one that is asked for (of merged relations' begun on one day
    the survivor's). `answered` counts the ten questions; `age_days` since approval, else since its start."""
    mine = [p for p in rows.group("plan", relation) if (plan is None or p["plan"] == plan) and shown(p, hidden)]
    plans = sorted(
        mine, key=lambda p: (p["superseded_on"] is None, p["started_on"], p["relation"] == relation, p["plan"])
    )
    if not plans:
        return {
            "plan": None, "state": None, "template": None, "horizon_on": None, "drafted_on": None, "answered": 0,
            "actions_open": 0, "actions_late": 0, "approved_on": None, "superseded_on": None, "superseded_by": None,
            "age_days": None, "questions": [], "actions": [],
        }  # fmt: skip
    return plan_json(rows, relation, plans[-1], today, hidden=hidden)


def plan_json(rows: Rows, relation: str, plan: Row, today: date, *, hidden: int) -> dict[str, Any]:
    """One plan with its answers and actions. `state`: drafted, approved or superseded."""
    this = (plan["relation"], plan["plan"])
    answers = [a for a in rows.group("answer", relation) if (a["relation"], a["plan"]) == this and shown(a, hidden)]
    actions = [
        a
        for a in rows.group("action", relation)
        if (a["relation"], a["plan"]) == this and a["what"] is not None and shown(a, hidden)
    ]
    unfinished = [a for a in actions if a["state"] == "open"]
    return {
        "plan": plan["plan"],
        "state": "superseded" if plan["superseded_on"] else "approved" if plan["approved_on"] else "drafted",
        "template": plan["template"],
        "horizon_on": _iso(plan["horizon_on"]),
        "drafted_on": _iso(plan["drafted_on"]),
        "answered": sum(1 for a in answers if a["question"] in _QUESTIONS),
        "actions_open": len(unfinished),
        "actions_late": sum(1 for a in unfinished if _past(a["due_on"], today)),
        "approved_on": _iso(plan["approved_on"]),
        "superseded_on": _iso(plan["superseded_on"]),
        "superseded_by": plan["superseded_by"],
        "age_days": (today - (plan["approved_on"] or plan["started_on"])).days,
        "questions": [
            {"question": a["question"], "answer": a["answer"], "answered_on": _iso(a["answered_on"])}
            for a in sorted(answers, key=lambda a: (len(a["question"]), a["question"]))
        ],
        "actions": [
            {
                "action": a["action"], "what": a["what"], "owner": a["owner"], "due_on": _iso(a["due_on"]),
                "state": a["state"], "late": a["state"] == "open" and _past(a["due_on"], today),
                "marketing": a["marketing"], "deferred_on": _iso(a["deferred_on"]), "ended_on": _iso(a["ended_on"]),
                "reason": a["reason"],
            }
            for a in sorted(actions, key=lambda a: (a["due_on"] or date.max, a["action"]))
        ],
    }  # fmt: skip


def knowledge_of(items: Iterable[Row], today: date) -> dict[str, Any]:
    """How many of the 13 items are there (`complete`), and how many of those are past `valid_until` (`stale`)."""
    # Of merged relations the item written last; of one day's the survivor's, which comes first.
    known: dict[str, Row] = {}
    for item in sorted(items, key=lambda i: i["recorded_on"], reverse=True):
        if item["item"] in KNOWLEDGE_ITEMS:
            known.setdefault(item["item"], item)
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


def measured_of(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """What the relation brought us and which part of its spending that is, the last year first."""
    return [
        {
            "year": m["year"], "revenue_cents": m["revenue_cents"], "share_pct": m["share_pct"],
            "measured_on": _iso(m["measured_on"]), "evidence": [m["position"]],
        }
        for m in sorted(rows, key=lambda m: (m["year"], m["measured_on"], m["position"]), reverse=True)
    ]  # fmt: skip


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


def counterparts_of(rows: Iterable[Row], hidden: int) -> list[dict[str, Any]]:
    fields = ("person", "name", "function", "layer", "decision_role")
    # Somebody whom several of the merged relations have shows once, as the survivor has it, which comes first.
    people = {c["person"]: c for c in reversed(list(rows)) if c["present"] and shown(c, hidden)}
    return [{field: c[field] for field in fields} for _, c in sorted(people.items())]


def _past(on: date | None, today: date) -> bool:
    return on is not None and on < today


def _iso(on: date | None) -> str | None:
    return None if on is None else on.isoformat()
