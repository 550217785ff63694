"""The read models of rare facts: the same facts give the same rows, in whatever order they arrive and are split."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.recorded import ORGANISATION, Recorded
from projections.registry import INSIGHT
from projections.rows import MemoryRows, One, Projection, fold
from tests.given import DELFT, HAAG, NPS, fact
from tests.histories import arrival, days, few, moments

# What says when the book heard of a fact, and so differs with the order of arrival.
NUMBERED = frozenset({"position", "positions", "evidence", "decided_position", "gone_position"})

_party = st.sampled_from(["us", HAAG, DELFT.upper(), "kvk:12345678"])
_cents = st.integers(0, 9)
_period = st.sampled_from(["2025", "2026", "2026-Q1"])
_system = st.sampled_from(["zvw", "wmo"])
_layer = st.sampled_from(["board", "professional"])
_rag = st.sampled_from(["red", "amber", "green"])
_frame = st.lists(st.fixed_dictionaries({"year": st.integers(2025, 2026), "cents": _cents}), max_size=2)


def _drawn(value: Any) -> st.SearchStrategy[Any]:
    return value if isinstance(value, st.SearchStrategy) else st.just(value)  # pyright: ignore[reportUnknownVariableType]


def _of(kind: str, /, **fields: Any) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    named = {name.rstrip("_"): _drawn(value) for name, value in fields.items()}
    return st.tuples(st.just(kind), st.fixed_dictionaries({**named, "occurred_on": days}))


HEADS = [
    _of("relation.registered", name=st.sampled_from(["A", "É"]), kind="municipality", identifiers=[]),
    _of("relation.details_changed", name=st.sampled_from(["B", "C"])),
    _of("relation.tier_assigned", tier=st.sampled_from(["A", "B"]), arguments=[]),
    _of("team.relation_assigned", team=few),
    _of("team.relation_unassigned", team=few),
]
FACTS: dict[str, list[st.SearchStrategy[tuple[str, dict[str, Any]]]]] = {
    "satisfaction_view": [
        _of("satisfaction.scored", response=few, instrument="nps-2026", score=st.integers(0, 10), anonymous=True),
        _of("satisfaction.complaints_reported", period=_period, count=st.integers(0, 9)),
        _of("satisfaction.outcome_reported", indicator=st.sampled_from(["falls", "referrals"]), period=_period,
            value=st.integers(0, 9)),
        _of("loop.opened", loop=few, response=few, instrument="nps-2026", due_on=days, evidence=[1], silent=False),
        _of("loop.escalated", loop=few, level=st.integers(1, 2)),
        _of("loop.followed_up", loop=few, evidence=[2]),
        _of("loop.closed", loop=few, reason="manual", evidence=[]),
    ],
    "agreement_view": [
        _of("agreement.signed", agreement=few, type="coalition", parties=st.lists(_party, min_size=2, max_size=3),
            from_=days, until=days, basis="transformation", frame=_frame),
        _of("agreement.renewed", agreement=few, until=days),
        _of("agreement.renewed", agreement=few, until=days, frame=_frame),
        _of("agreement.ended", agreement=few),
        _of("programme.started", programme=few, agreement=few, name=few, starts_on=days, ends_on=days,
            indicators=[{"indicator": "1", "baseline": 3, "target": 2, "unit": "d"}]),
        _of("programme.progress_reported", programme=few, indicator=few, target=1, actual=st.integers(0, 9), rag=_rag),
        _of("programme.steering_decision_taken", programme=few, decision=few, parties=["us", HAAG], due_on=days),
    ],
    "chain_view": [
        _of("chain.defined", chain=few, name=few, phases=[{"phase": "1", "name": "x"}]),
        _of("chain.partner_assigned", chain=few, phase=few, organisation=_party, financing_system=_system),
        _of("chain.partner_replaced", chain=few, phase=few, organisation="us", by=HAAG, financing_system=_system),
        _of("chain.phase_guaranteed", chain=few, phase=few, organisation=_party),
        _of("chain.investment_recorded", chain=few, organisation=_party, financing_system=_system, cents=_cents,
            period=_period),
        _of("chain.return_recorded", chain=few, organisation=_party, financing_system=_system, cents=_cents,
            period=_period),
        _of("chain.baseline_agreed", chain=few, indicator=few, cents=_cents, period=_period, parties=["us", HAAG]),
        _of("chain.sharing_key_agreed", chain=few, shares=[{"organisation": "us", "share_pct": 100}]),
        _of("chain.savings_assessed", chain=few, assessment=few, period=_period, saving_cents=_cents, quality_met=True),
        _of("chain.savings_distributed", chain=few, assessment=few, amounts=[{"organisation": "us", "cents": 1}]),
    ],
    "partnership_view": [
        _of("partnership.interest_recorded", interest=few, holder=st.sampled_from(["ours", "theirs"]), text=few),
        _of("partnership.interest_acknowledged", interest=few, by=st.sampled_from(["us", "them"])),
        _of("partnership.performance_reported", performance=few, by=st.sampled_from(["us", "them"]), text=few),
        _of("partnership.performance_acknowledged", performance=few, by=st.sampled_from(["us", "them"])),
        _of("commitment.made", commitment=few, by="us", what=few, due_on=days),
        _of("commitment.fulfilled", commitment=few),
        _of("commitment.broken", commitment=few),
        _of("opportunity.tender_announced", opportunity=few, title=few, value_cents=_cents),
        _of("opportunity.offer_submitted", opportunity=few, value_cents=_cents),
        _of("opportunity.won", opportunity=few),
        _of("opportunity.lost", opportunity=few, reason=few),
        _of("schedule.line_set", line=few, our_layer=_layer, cadence={"mode": "quota", "times": 1, "per": "month"},
            starts_on=days),
        _of("schedule.line_ended", line=few),
    ],
}  # fmt: skip
SHARED: dict[str, list[st.SearchStrategy[tuple[str, dict[str, Any]]]]] = {
    "satisfaction_view": [
        _of("satisfaction.round_closed", round=few, instrument="nps-2026", wording_version=1),
        _of("satisfaction.staff_reported", period=_period, unit=few, n=9, score=st.integers(1, 9)),
        st.just(("satisfaction.instrument_defined", NPS)),
    ],
    "partnership_view": [
        _of("contributor.profiled", employee=few, profile=st.sampled_from(["innovator", "klantenbinder"]),
            stage="tactical"),
        _of("employee.left", employee=few, on=days),
    ],
}  # fmt: skip


@st.composite
def books(draw: st.DrawFn, name: str) -> list[list[Recorded]]:
    """Facts of one read model, of which any order is possible."""
    count = 0

    def event(told: tuple[str, dict[str, Any]], relation: str) -> list[Recorded]:
        nonlocal count
        count += 1
        shown = draw(st.sampled_from(["organisation", "organisation", "team", "named"]))
        return [fact(told[0], told[1], relation, id=f"e-{count}", time=draw(moments), visibility=shown)]

    own = draw(st.lists(st.one_of(FACTS[name]), min_size=2, max_size=16))
    shared = draw(st.lists(st.one_of(SHARED[name]), max_size=4)) if name in SHARED else []
    heads = draw(st.lists(st.one_of(HEADS), max_size=5))
    groups = [event(told, draw(st.sampled_from([HAAG, DELFT]))) for told in (*own, *heads)]
    return [*groups, *(event(told, ORGANISATION) for told in shared)]


def unnumbered(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: unnumbered(v) for k, v in value.items() if k not in NUMBERED}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [unnumbered(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    return value


@pytest.mark.parametrize("projection", INSIGHT, ids=lambda p: p.name)
@settings(max_examples=60, deadline=None)
@given(st.data(), st.randoms(use_true_random=False))
def test_any_arrival_order_gives_the_same_rows(
    projection: Projection, data: st.DataObject, chance: random.Random
) -> None:
    groups = data.draw(books(projection.name))
    first, second = (fold(projection, arrival(groups, chance)) for _ in range(2))
    assert unnumbered(first.tables) == unnumbered(second.tables)


@pytest.mark.parametrize("projection", INSIGHT, ids=lambda p: p.name)
@settings(max_examples=30, deadline=None)
@given(st.data(), st.randoms(use_true_random=False), st.integers(1, 6))
def test_any_split_gives_the_same_rows_and_leaves_the_given_rows_alone(
    projection: Projection, data: st.DataObject, chance: random.Random, size: int
) -> None:
    events = arrival(data.draw(books(projection.name)), chance)
    rows = MemoryRows(projection.metadata)
    for start in range(0, len(events), size):
        given_rows = [(row, deepcopy(row)) for table in rows.tables.values() for row in table.values()]
        for event in events[start : start + size]:
            projection.evolve(rows, event)
        assert all(row == before for row, before in given_rows)
        rows.tables = deepcopy(rows.tables)
    assert rows.tables == fold(projection, events).tables


@pytest.mark.parametrize("projection", INSIGHT, ids=lambda p: p.name)
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_what_evolve_reads_is_what_needs_names(projection: Projection, data: st.DataObject) -> None:
    for (event,) in data.draw(books(projection.name)):
        asked = _Asking(projection)
        projection.evolve(asked, event)
        assert asked.read <= {(n.table, *n.key) for n in projection.needs(event) if isinstance(n, One)}


class _Asking(MemoryRows):
    """Rows that note which are asked for."""

    def __init__(self, projection: Projection) -> None:
        super().__init__(projection.metadata)
        self.read: set[tuple[Any, ...]] = set()

    def get(self, table: str, *key: Any) -> dict[str, Any] | None:
        self.read.add((table, *key))
        return super().get(table, *key)
