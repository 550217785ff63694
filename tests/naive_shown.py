"""What readers are shown of a relation, against the same plain look: figures, money, schedule, matrix, alerts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from events.recorded import Recorded
from projections.chain_present import matrix_of
from projections.rows import MemoryRows
from projections.satisfaction_present import present_satisfaction
from tests import naive, naive_chain, naive_insight
from tests.naive_duties import RULES, as_duty, duties

Look = Callable[[MemoryRows, Sequence[Recorded]], None]
NOW: Final = datetime(2026, 6, 30, 10, tzinfo=UTC)


def wrong_pockets(rows: MemoryRows, events: Sequence[Recorded]) -> None:
    found: dict[tuple[str, str, str | None], tuple[int, int, int, int]] = {}
    for relation in naive.RELATIONS:
        tables = [
            [row for key, row in rows.tables[name].items() if key[0] == relation]
            for name in ("flow", "saving", "partner")
        ]  # fmt: skip
        for cell in matrix_of(*tables):
            cents = (cell["invested_cents"], cell["returned_cents"], cell["shared_cents"], cell["net_cents"])
            found[relation, cell["organisation"], cell["financing_system"]] = cents
    assert found == naive_chain.pockets(events)


def satisfaction_figures(rows: MemoryRows, events: Sequence[Recorded]) -> None:
    figures: dict[str, Any] = {}
    for relation in naive.RELATIONS:
        shown = present_satisfaction(rows, relation, NOW, hidden=0)
        for one in () if shown is None else shown["figures"]:
            quarters = [(q["quarter"], q["n"], q["mean"], q["nps"], q["low_share"]) for q in one["trend"]]
            figures[relation] = (one["n"], one["mean"], one["nps"], one["low_share"]), quarters
    assert figures == naive_insight.figures(events)


def duties_asked(rows: MemoryRows, events: Sequence[Recorded]) -> None:
    wanted = {
        key: as_duty(row["wanted"]) for key, row in rows.tables["duty"].items()
        if row["rule"] in RULES and row["wanted"] is not None and row["wanted"]["done"] is None
    }  # fmt: skip
    assert wanted == duties(events)


SHOWN: Final[Mapping[str, Sequence[Look]]] = {
    "chain_view": (wrong_pockets,), "satisfaction_view": (satisfaction_figures,), "workflows": (duties_asked,),
}  # fmt: skip
