"""Satisfaction view: what people who were asked said, staff and complaints, outcomes, and what was done about it.

Tables in satisfaction_tables, reading in satisfaction_present. Only facts of these families are read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from events.recorded import Recorded, local_date
from projections.heads import HEAD_KINDS, fold_head, head_needs
from projections.registers import put_newest
from projections.rows import Need, One, Projection, Row, Rows
from projections.satisfaction_facts import LOOP_KINDS, fold_instrument, fold_loop, fold_response
from projections.satisfaction_tables import metadata
from projections.viewer import restriction

KINDS: Final = (
    HEAD_KINDS
    | LOOP_KINDS
    | {
        f"satisfaction.{k}"
        for k in (
            "instrument_defined",
            "scored",
            "round_closed",
            "staff_reported",
            "complaints_reported",
            "outcome_reported",
        )
    }
)


def needs(event: Recorded) -> Iterable[Need]:
    data, relation = event.data, event.relation
    match event.kind:
        case "satisfaction.instrument_defined":
            return [One("instrument", (data["instrument"], data["wording_version"]))]
        case "satisfaction.scored":
            return [One("response", (relation, data["response"]))]
        case "satisfaction.round_closed":
            return [One("survey_round", (data["round"],))]
        case "satisfaction.staff_reported":
            return [One("staff", (data["unit"], data["period"]))]
        case "satisfaction.complaints_reported":
            return [One("complaints", (relation, data["period"]))]
        case "satisfaction.outcome_reported":
            return [One("outcome", (relation, data["indicator"], data["period"]))]
        case kind if kind in LOOP_KINDS:
            return [One("loop", (relation, data["loop"]))]
        case _:
            return head_needs(event)


def evolve(rows: Rows, event: Recorded) -> None:
    match event.kind:
        case "satisfaction.instrument_defined":
            fold_instrument(rows, event)
        case "satisfaction.scored":
            fold_response(rows, event)
        case "satisfaction.round_closed":
            _round(rows, event)
        case "satisfaction.staff_reported":
            _staff(rows, event)
        case "satisfaction.complaints_reported":
            _complaints(rows, event)
        case "satisfaction.outcome_reported":
            _outcome(rows, event)
        case kind if kind in LOOP_KINDS:
            fold_loop(rows, event)
        case _:
            fold_head(rows, event)


def _round(rows: Rows, event: Recorded) -> None:
    data = event.data
    row: Row = {
        "round": data["round"], "instrument": data["instrument"], "wording_version": data["wording_version"],
        "invited": data.get("invited"), "closed_on": local_date(event.occurred_at), "position": event.position,
        "stamp": event.stamp,
    }  # fmt: skip
    put_newest(rows, "survey_round", row, row["round"])


def _staff(rows: Rows, event: Recorded) -> None:
    data = event.data
    row: Row = {
        "unit": data["unit"], "period": data["period"], "n": data["n"], "score": data["score"],
        "retention_pct": data.get("retention_pct"), "position": event.position, "stamp": event.stamp,
    }  # fmt: skip
    put_newest(rows, "staff", row, row["unit"], row["period"])


def _complaints(rows: Rows, event: Recorded) -> None:
    data = event.data
    row: Row = {
        "relation": event.relation, "period": data["period"], "count": data["count"], "resolved": data.get("resolved"),
        "hidden": restriction(event), "position": event.position, "stamp": event.stamp,
    }  # fmt: skip
    put_newest(rows, "complaints", row, event.relation, row["period"])


def _outcome(rows: Rows, event: Recorded) -> None:
    data = event.data
    row: Row = {
        "relation": event.relation, "indicator": data["indicator"], "period": data["period"], "value": data["value"],
        "n": data.get("n"), "hidden": restriction(event), "position": event.position, "stamp": event.stamp,
    }  # fmt: skip
    put_newest(rows, "outcome", row, event.relation, row["indicator"], row["period"])


PROJECTION: Final = Projection(
    name="satisfaction_view", version=2, metadata=metadata, needs=needs, evolve=evolve, kinds=frozenset(KINDS)
)
