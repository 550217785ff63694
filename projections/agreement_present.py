"""What a reader sees of one relation's agreements and programmes: a pure function of its rows and the book's now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final

from events.recorded import local_date
from projections.agreement_facts import agreements_of
from projections.heads import iso_day, shown
from projections.programme_red import undecided
from projections.rows import Row, Rows

# Without a report for so long, nobody knows how a programme is doing.
STALE_DAYS: Final = 92


def present_agreements(rows: Rows, relation: str, now: datetime, *, hidden: int) -> dict[str, Any] | None:
    """{relation, relation_name, tier, agreements, programmes}; None when the relation is not registered.

    An agreement as `agreement_facts.agreement_json`, with the ids of its `programmes`; a programme as `programme_json`.
    """
    head = rows.get("relation", relation)
    if head is None or head["name"] is None:
        return None
    today = local_date(now)
    reports, decisions = rows.group("report", relation), rows.group("decision", relation)
    programmes = [
        programme_json(p, reports, decisions, today, hidden=hidden)
        for p in rows.group("programme", relation)
        if p["name"] is not None and shown(p, hidden)
    ]
    agreements = [
        {**a, "programmes": sorted(p["programme"] for p in programmes if p["agreement"] == a["agreement"])}
        for a in agreements_of(rows, relation, today, hidden=hidden)
    ]
    return {
        "relation": relation, "relation_name": head["name"], "tier": head["tier"], "agreements": agreements,
        "programmes": sorted(programmes, key=lambda p: (p["state"] == "past", p["ends_on"], p["programme"])),
    }  # fmt: skip


def programme_json(
    programme: Row, reports: Iterable[Row], decisions: Iterable[Row], today: date, *, hidden: int
) -> dict[str, Any]:
    """How a programme is doing: `rag` is the worst of its indicators, `indicators` their latest reports and every
    report before, `decisions` what was steered, the newest first. `stale`: running, and without a report for three
    months. `red_since`: when the first of the indicators that are red now turned red; `red_without_decision`: about one
    of them nothing was decided on or after the day on which it turned red (`programme_red`, as the alert has it; what a
    reader may not see counts)."""
    mine = (programme["relation"], programme["programme"])
    past = [r for r in reports if (r["relation"], r["programme"]) == mine and shown(r, hidden)]
    decided = [d for d in decisions if (d["relation"], d["programme"]) == mine]
    taken = [d for d in decided if shown(d, hidden)]
    red = {n: date.fromisoformat(i["red_since"]) for n, i in programme["indicators"].items() if i["red_since"]}
    state = _state(programme, today)
    last: date | None = programme["reported_on"] or programme["starts_on"]
    red_since: date | None = programme["red_since"]
    evidence = {*programme["positions"], *(d["position"] for d in taken)}
    indicators = [
        _indicator(name, latest, [r for r in past if r["indicator"] == name], hidden)
        for name, latest in sorted(programme["indicators"].items())
    ]
    evidence |= {i["position"] for i in indicators if i["position"] is not None}
    return {
        "programme": programme["programme"], "agreement": programme["agreement"], "name": programme["name"],
        "state": state, "starts_on": iso_day(programme["starts_on"]), "ends_on": iso_day(programme["ends_on"]),
        "ends_in_days": (programme["ends_on"] - today).days if state != "past" else None,
        "rag": programme["rag"], "reported_on": iso_day(programme["reported_on"]),
        "stale": state == "running" and last is not None and (today - last).days > STALE_DAYS,
        "red_since": iso_day(red_since),
        "red_without_decision": bool(undecided(red, max((d["taken_on"] for d in decided), default=None))),
        "indicators": indicators,
        "decisions": [
            {
                "decision": d["decision"], "parties": d["parties"], "taken_on": iso_day(d["taken_on"]),
                "due_on": iso_day(d["due_on"]), "due_passed": d["due_on"] < today, "position": d["position"],
            }
            for d in sorted(taken, key=lambda d: (d["taken_on"], d["position"]), reverse=True)
        ],
        "evidence": sorted(evidence),
    }  # fmt: skip


def _indicator(name: str, latest: dict[str, Any], past: Sequence[Row], hidden: int) -> dict[str, Any]:
    unseen = bool(latest["hidden"] & hidden)
    kept = {
        k: None if unseen and k in {"actual", "rag", "red_since", "reported_on", "position"} else v
        for k, v in latest.items()
    }
    del kept["hidden"]
    fields = ("baseline", "target", "actual", "rag", "position")
    return {
        "indicator": name, **kept,
        "reports": [
            {"reported_on": iso_day(r["reported_on"]), **{f: r[f] for f in fields}}
            for r in sorted(past, key=lambda r: (r["reported_on"], r["position"]))
        ],
    }  # fmt: skip


def _state(programme: Row, today: date) -> str:
    if today < programme["starts_on"]:
        return "coming"
    return "running" if today <= programme["ends_on"] else "past"
