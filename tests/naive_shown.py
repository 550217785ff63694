"""What readers are shown of a relation, against the same plain look: schedule, matrix, figures, money, duties."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from projections.agreement_present import present_agreements
from projections.chain_present import matrix_of
from projections.partnership_present import present_partnership
from projections.relation_present import present
from projections.rows import MemoryRows
from projections.satisfaction_present import present_satisfaction
from tests import naive, naive_alerts, naive_chain, naive_heads, naive_insight, naive_matrix, naive_open, naive_today
from tests.naive import Row, local
from tests.naive_due import schedule
from tests.naive_duties import RULES, as_duty, duties
from tests.ticked import Ticked

Look = Callable[[MemoryRows, Ticked], None]


def wrong_pockets(rows: MemoryRows, book: Ticked) -> None:
    found: dict[tuple[str, str, str | None], tuple[int, int, int, int]] = {}
    for relation in naive.RELATIONS:
        tables = [
            [row for key, row in rows.tables[name].items() if key[0] == relation]
            for name in ("flow", "saving", "partner")
        ]  # fmt: skip
        for cell in matrix_of(*tables):
            cents = (cell["invested_cents"], cell["returned_cents"], cell["shared_cents"], cell["net_cents"])
            found[relation, cell["organisation"], cell["financing_system"]] = cents
    assert found == naive_chain.pockets(book.events)


def satisfaction_figures(rows: MemoryRows, book: Ticked) -> None:
    figures: dict[str, Any] = {}
    for relation in naive.RELATIONS:
        shown = present_satisfaction(rows, relation, book.now, hidden=0)
        for one in () if shown is None else shown["figures"]:
            quarters = [(q["quarter"], q["n"], q["mean"], q["nps"], q["low_share"]) for q in one["trend"]]
            figures[relation] = (one["n"], one["mean"], one["nps"], one["low_share"]), quarters
    assert figures == naive_insight.figures(book.events)


def duties_asked(rows: MemoryRows, book: Ticked) -> None:
    wanted = {
        key: as_duty(row["wanted"]) for key, row in rows.tables["duty"].items()
        if row["rule"] in RULES and row["wanted"] is not None and row["wanted"]["done"] is None
    }  # fmt: skip
    assert wanted == duties(book.events)


def relations(rows: MemoryRows, book: Ticked) -> None:
    """The view of each relation that is not absorbed."""
    for relation in naive.RELATIONS:
        if relation in naive_heads.merged(book.events):
            continue
        shown = present(rows, relation, book.now, hidden=0)
        assert shown is not None
        lines = schedule(book.events, relation, book.now)
        assert _by_line(shown["schedule"]) == _by_line(lines)
        due = [line["due_on"] for line in lines if line["state"] != "ended"]
        assert shown["next_due_on"] == min(due, default=None)
        figures = naive_matrix.figures(book.events, relation, book.now)
        assert {name: shown[name] for name in figures} == figures
        cells = [{**cell, "lines": sorted(cell["lines"])} for cell in shown["matrix"]]
        assert cells == naive_matrix.matrix(book.events, relation, book.now)
        covered = {**shown["coverage"], "links": sorted(shown["coverage"]["links"], key=str)}
        assert covered == naive_matrix.coverage(book.events, relation, book.now)
        family = naive_heads.merged(book.events) if relation == naive.RELATIONS[0] else []
        opened = {
            alert: row["line"] for (of, alert), row in naive_alerts.at_relation(book.events).items()
            if of in (relation, *family) and row["state"] == "open"
        }  # fmt: skip
        assert {a["id"]: a["line"] for a in shown["open_alerts"]} == opened
        if not family:
            known = shown["knowledge"]["complete"], shown["knowledge"]["stale"]
            assert known == naive_today.knowledge(book.events, local(book.now))[relation]


def _by_line(lines: Sequence[Row]) -> list[Row]:
    return sorted(lines, key=lambda line: (line["line"], str(line)))


def today(rows: MemoryRows, book: Ticked) -> None:
    """What agreements and programmes come to."""
    agreements: dict[tuple[Any, ...], str] = {}
    programmes: dict[tuple[Any, ...], Row] = {}
    for relation in naive.RELATIONS:
        shown = present_agreements(rows, relation, book.now, hidden=0)
        assert shown is not None
        agreements |= {(relation, one["agreement"]): one["state"] for one in shown["agreements"]}
        programmes |= {
            (relation, one["programme"]): {
                **{name: one[name] for name in ("state", "rag", "stale", "red_without_decision")},
                "decisions": len(one["decisions"]), "reports": sum(len(i["reports"]) for i in one["indicators"]),
            }
            for one in shown["programmes"]
        }  # fmt: skip
    assert agreements == naive_today.agreements(book.events, local(book.now))
    assert programmes == naive_today.programmes(book.events, local(book.now))


def promises(rows: MemoryRows, book: Ticked) -> None:
    found: dict[tuple[Any, ...], tuple[str, bool, int]] = {}
    for relation in naive.RELATIONS:
        shown = present_partnership(rows, relation, book.now, hidden=0)
        assert shown is not None
        found |= {(relation, c["commitment"]): (c["state"], c["late"], c["days_late"]) for c in shown["commitments"]}
    assert found == naive_today.promises(book.events, local(book.now))


SHOWN: Final[Mapping[str, Sequence[Look]]] = {
    "relation_view": (relations,), "contact_alerts": (naive_open.contact_alerts, naive_open.asleep),
    "workflows": (duties_asked, naive_open.workflows), "chain_view": (wrong_pockets,),
    "satisfaction_view": (satisfaction_figures,), "agreement_view": (today,), "partnership_view": (promises,),
}  # fmt: skip
