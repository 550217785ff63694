"""Agreement view: contracts, covenants and coalitions; their programmes, how those go, and what was steered.

Tables in agreement_tables, reading in agreement_present. Reports and decisions have no id of their own: each is a row
under the (source, id) of its event, which is unique for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Final

from events.recorded import Recorded, local_date
from projections.agreement_facts import AGREEMENT_KINDS, agreement_needs, fold_agreement, party_key
from projections.agreement_tables import metadata
from projections.heads import HEAD_KINDS, fold_head, head_needs
from projections.programme_red import Report, red_run
from projections.registers import day, later
from projections.rows import Need, One, Projection, Row, Rows
from projections.viewer import restriction

PROGRAMME_KINDS: Final = frozenset(
    f"programme.{k}" for k in ("started", "progress_reported", "steering_decision_taken")
)
_WORST: Final = ("red", "amber", "green")


def needs(event: Recorded) -> Iterable[Need]:
    if event.kind in AGREEMENT_KINDS:
        return agreement_needs(event)
    if event.kind in PROGRAMME_KINDS:
        return [One("programme", (event.relation, event.data["programme"]))]
    return head_needs(event)


def evolve(rows: Rows, event: Recorded) -> None:
    if event.kind in AGREEMENT_KINDS:
        fold_agreement(rows, event)
    elif event.kind in PROGRAMME_KINDS:
        _programme(rows, event)
    else:
        fold_head(rows, event)


def _programme(rows: Rows, event: Recorded) -> None:
    data = event.data
    key = (event.relation, data["programme"])
    row: Row = dict(rows.get("programme", *key) or {
        "relation": key[0], "programme": key[1], "agreement": None, "name": None, "starts_on": None, "ends_on": None,
        "rag": None, "reported_on": None, "red_since": None, "indicators": {}, "hidden": 0, "positions": [],
        "facts": {},
    })  # fmt: skip
    facts: dict[str, Any] = dict(row["facts"])
    on, own = local_date(event.occurred_at), {"relation": key[0], "programme": key[1], "fact": fact_key(event)}
    more: Row = {**own, "hidden": restriction(event), "position": event.position}
    if event.kind == "programme.started":
        if later(facts, "started", event.stamp):
            facts["indicators"] = {i["indicator"]: i for i in data.get("indicators") or ()}
            row.update(
                agreement=data.get("agreement"), name=data["name"], starts_on=day(data["starts_on"]),
                ends_on=day(data["ends_on"]), hidden=more["hidden"],
            )  # fmt: skip
        row["positions"] = sorted([*row["positions"], event.position])
    elif event.kind == "programme.steering_decision_taken":
        parties = [party_key(p) for p in data["parties"]]
        due_on = day(data["due_on"])
        rows.put(
            "decision", {**more, "decision": data["decision"], "parties": parties, "due_on": due_on, "taken_on": on}
        )
    else:
        fields = {f: data.get(f) for f in ("indicator", "baseline", "target", "actual", "rag")}
        rows.put("report", {**more, **fields, "reported_on": on})
        reports: dict[str, Any] = dict(facts.get("reports", {}))
        latest = reports.get(data["indicator"])
        if latest is None or event.stamp > latest["stamp"]:
            reports[data["indicator"]] = {
                **fields, "reported_on": on.isoformat(), "position": event.position, "hidden": more["hidden"],
                "stamp": event.stamp,
            }  # fmt: skip
        facts["reports"] = reports
        days: dict[str, dict[str, Any]] = facts.get("days", {})
        mine = days.get(data["indicator"], {})
        if mine.get(on.isoformat(), [[]])[0] < event.stamp:
            mine = {**mine, on.isoformat(): [event.stamp, data["rag"]]}
        facts["days"] = {**days, data["indicator"]: mine}
    rows.put("programme", {**row, **_derived(facts), "facts": facts})


def _derived(facts: dict[str, Any]) -> Row:
    """What follows from the start and the latest reports: a report may leave out what the start said."""
    started: dict[str, Any] = facts.get("indicators", {})
    reports: dict[str, Any] = facts.get("reports", {})
    red = {name: run[0].on for name, days in facts.get("days", {}).items() if (run := red_run(_of_days(days)))}
    indicators: dict[str, Any] = {}
    for name in sorted({*started, *reports}):
        first, last = started.get(name, {}), reports.get(name, {})
        baseline = last.get("baseline")
        indicators[name] = {
            "unit": first.get("unit"), "baseline": first.get("baseline") if baseline is None else baseline,
            "target": last.get("target", first.get("target")), "actual": last.get("actual"), "rag": last.get("rag"),
            "red_since": red[name].isoformat() if name in red else None,
            "reported_on": last.get("reported_on"), "position": last.get("position"),
            "hidden": last.get("hidden", 0),
        }  # fmt: skip
    return {
        "indicators": indicators,
        "rag": min((r["rag"] for r in reports.values()), key=_WORST.index, default=None),
        "reported_on": day(max((r["reported_on"] for r in reports.values()), default=None)),
        "red_since": min(red.values(), default=None),
    }


def _of_days(days: dict[str, Any]) -> list[Report]:
    return [Report(date.fromisoformat(on), rag) for on, (_, rag) in days.items()]


def fact_key(event: Recorded) -> str:
    """What names a fact that has no id of its own: (source, id) of its event."""
    return f"{event.source} {event.id}"


PROJECTION: Final = Projection(
    name="agreement_view", version=3, metadata=metadata, needs=needs, evolve=evolve,
    kinds=HEAD_KINDS | AGREEMENT_KINDS | PROGRAMME_KINDS,
)  # fmt: skip
