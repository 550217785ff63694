"""Partnership view: interests and performances both ways, promises, opportunities, and who of us contributes how.

Tables in partnership_tables, reading in partnership_present. Known and acknowledged are two states: an interest is
known once recorded, and acknowledged when the other side says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from events.recorded import Recorded, local_date
from projections.heads import HEAD_KINDS, fold_head, head_needs
from projections.partnership_tables import metadata
from projections.periods import times_a_year
from projections.registers import day, later, put_newest
from projections.rows import Need, One, Projection, Row, Rows
from projections.viewer import restriction

_PARTNERSHIP: Final = (
    "interest_recorded", "interest_acknowledged", "performance_reported", "performance_acknowledged",
)  # fmt: skip
_OPPORTUNITY: Final = {
    "opportunity.tender_announced": "announced", "opportunity.offer_submitted": "offered", "opportunity.won": "won",
    "opportunity.lost": "lost",
}  # fmt: skip
OWN_KINDS: Final = (
    frozenset(f"partnership.{k}" for k in _PARTNERSHIP)
    | frozenset(f"commitment.{k}" for k in ("made", "fulfilled", "broken", "released"))
    | frozenset(_OPPORTUNITY)
    | {"contributor.profiled", "employee.left", "schedule.line_set", "schedule.line_ended", "relation.ended"}
)
_YEARLY: Final = {"month": 12, "quarter": 4, "half_year": 2, "year": 1}

# family and event → table and its key
_KEYED: Final = {
    "partnership.interest": "interest", "partnership.performance": "performance", "commitment": "commitment",
    "opportunity": "opportunity",
}  # fmt: skip


def _table_of(kind: str) -> str | None:
    for start, table in _KEYED.items():
        if kind.startswith(start):
            return table
    return None


def needs(event: Recorded) -> Iterable[Need]:
    data = event.data
    if event.kind not in OWN_KINDS:
        return head_needs(event)
    if (table := _table_of(event.kind)) is not None:
        return [One(table, (event.relation, data[table]))]
    if event.family == "schedule":
        return [One("ask", (event.relation, data["line"]))]
    if event.family == "relation":
        return [One("ended", (event.relation,))]
    return [One("contributor", (data["employee"],))]


def evolve(rows: Rows, event: Recorded) -> None:
    match event.family:
        case _ if event.kind not in OWN_KINDS:
            fold_head(rows, event)
        case "partnership" | "commitment" | "opportunity":
            _keyed(rows, event)
        case "schedule":
            _ask(rows, event)
        case "relation":
            row = {"relation": event.relation, "ended_on": local_date(event.occurred_at), "stamp": event.stamp}
            put_newest(rows, "ended", row, event.relation)
        case _:
            _contributor(rows, event)


_BLANKS: Final[Mapping[str, Row]] = {
    "interest": {"holder": None, "text": None, "recorded_on": None, "by_us_on": None, "by_them_on": None},
    "performance": {
        "by": None, "text": None, "period": None, "reported_on": None, "by_us_on": None, "by_them_on": None
    },
    "commitment": {
        "by": None, "what": None, "made_on": None, "due_on": None, "state": "open", "ended_on": None
    },
    "opportunity": {
        "title": None, "state": "announced", "value_cents": None, "announced_on": None, "closes_on": None,
        "offered_on": None, "decided_on": None, "decided_position": None, "reason": None,
    },
}  # fmt: skip


def _keyed(rows: Rows, event: Recorded) -> None:
    """The facts of one interest, performance, promise or opportunity, in any order of arrival."""
    table = _table_of(event.kind)
    if table is None:
        return
    data = event.data
    row: Row = dict(rows.get(table, event.relation, data[table]) or {
        "relation": event.relation, table: data[table], **_BLANKS[table], "hidden": 0, "positions": [], "facts": {},
    })  # fmt: skip
    facts: dict[str, Any] = dict(row["facts"])
    match table:
        case "commitment":
            _commitment(row, facts, event)
        case "opportunity":
            _opportunity(row, facts, event)
        case _:
            _known_and_acknowledged(row, facts, event)
    row["hidden"] |= restriction(event)
    rows.put(table, {**row, "positions": sorted([*row["positions"], event.position]), "facts": facts})


def _known_and_acknowledged(row: Row, facts: dict[str, Any], event: Recorded) -> None:
    data, on = event.data, local_date(event.occurred_at)
    if event.kind.endswith("_acknowledged"):
        side = f"by_{data['by']}_on"
        if later(facts, side, event.stamp):
            row[side] = on
    elif later(facts, "known", event.stamp):
        if event.kind == "partnership.interest_recorded":
            row.update(holder=data["holder"], text=data["text"], recorded_on=on)
        else:
            row.update(by=data["by"], text=data["text"], period=data.get("period"), reported_on=on)


def _commitment(row: Row, facts: dict[str, Any], event: Recorded) -> None:
    data, on = event.data, local_date(event.occurred_at)
    if event.kind == "commitment.made":
        if later(facts, "made", event.stamp):
            row.update(by=data["by"], what=data.get("what"), due_on=day(data.get("due_on")), made_on=on)
    elif later(facts, "ended", event.stamp):
        row.update(state=event.kind.removeprefix("commitment."), ended_on=on)


def _opportunity(row: Row, facts: dict[str, Any], event: Recorded) -> None:
    data, on, state = event.data, local_date(event.occurred_at), _OPPORTUNITY[event.kind]
    if data.get("value_cents") is not None and later(facts, "value", event.stamp):
        row["value_cents"] = data["value_cents"]
    if later(facts, state, event.stamp):
        match state:
            case "announced":
                row.update(title=data["title"], announced_on=on, closes_on=day(data.get("closes_on")))
            case "offered":
                row.update(offered_on=on)
            case _:
                pass
    if state in {"won", "lost"} and later(facts, "decided", event.stamp):
        facts["outcome"] = state
        row.update(decided_on=on, decided_position=event.position, reason=data.get("reason"))
    row["state"] = facts.get("outcome") or ("offered" if "offered" in facts else "announced")


def _contributor(rows: Rows, event: Recorded) -> None:
    data = event.data
    row: Row = dict(rows.get("contributor", data["employee"]) or {
        "employee": data["employee"], "profile": None, "stage": None, "present": 1, "facts": {},
    })  # fmt: skip
    facts: dict[str, Any] = dict(row["facts"])
    if event.kind == "employee.left":
        later(facts, "left", event.stamp)
    elif later(facts, "profiled", event.stamp):
        row.update(profile=data["profile"], stage=data["stage"])
    # Who is profiled again after leaving has come back.
    row["present"] = int(facts.get("left", []) < facts.get("profiled", []))
    rows.put("contributor", {**row, "facts": facts})


def _ask(rows: Rows, event: Recorded) -> None:
    data = event.data
    row: Row = dict(rows.get("ask", event.relation, data["line"]) or {
        "relation": event.relation, "line": data["line"], "our_layer": None, "contacts_per_year": None,
        "starts_on": None, "ended_on": None, "facts": {},
    })  # fmt: skip
    facts: dict[str, Any] = dict(row["facts"])
    if event.kind == "schedule.line_ended":
        if later(facts, "ended", event.stamp):
            facts["ended_on"] = local_date(event.occurred_at).isoformat()
    elif later(facts, "set", event.stamp):
        row.update(
            our_layer=data["our_layer"], contacts_per_year=_per_year(data["cadence"]), starts_on=day(data["starts_on"])
        )
    # A line that is set again after its end goes on.
    ended = facts.get("ended", []) > facts.get("set", [])
    rows.put("ask", {**row, "ended_on": day(facts["ended_on"]) if ended else None, "facts": facts})


def _per_year(cadence: Mapping[str, Any]) -> float:
    if cadence["mode"] == "quota":
        return float(cadence["times"] * _YEARLY[cadence["per"]])
    return times_a_year(cadence["every"])


PROJECTION: Final = Projection(
    name="partnership_view", version=4, metadata=metadata, needs=needs, evolve=evolve, kinds=HEAD_KINDS | OWN_KINDS
)
