"""The same facts give the same duties, in whatever order they arrive and however they are split into batches."""

from __future__ import annotations

import random
from copy import deepcopy
from datetime import date, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from events.recorded import ORGANISATION, Recorded
from projections.rows import MemoryRows, fold
from projections.workflows.projection import PROJECTION
from tests.given import HAAG, NPS, fact, numbered

WANTED = ("due_on", "last_ok_on", "from_on", "until_on", "owner", "more")
COLUMNS = ("name", "tier", "owner", "ended_on", "schedule_until", "board_line_until", "plan_until", "knowledge_until",
           "satisfaction_until", "falling")  # fmt: skip

days = st.integers(0, 700).map(lambda n: (date(2025, 1, 1) + timedelta(days=n)).isoformat())
moments = days.map(lambda day: f"{day}T10:00:00+01:00")
few = st.sampled_from(["1", "2"])
Kind = tuple[str, dict[str, Any]]


def _of(kind: str, /, **fields: Any) -> st.SearchStrategy[Kind]:
    drawn: dict[str, st.SearchStrategy[Any]] = {
        name: value if isinstance(value, st.SearchStrategy) else st.just(value) for name, value in fields.items()
    }
    if "occurred_at" not in drawn:
        drawn["occurred_on"] = days
    return st.tuples(st.just(kind), st.fixed_dictionaries(drawn))


facts = st.one_of(
    _of("relation.registered", name=few),
    _of("relation.details_changed", name=few),
    _of("relation.tier_assigned", tier=st.sampled_from(["A", "B"])),
    _of("relation.owner_assigned", employee=few),
    _of("relation.ended"),
    _of("schedule.line_set", line=few, our_layer=st.sampled_from(["board", "professional"])),
    _of("schedule.line_ended", line=few),
    _of("knowledge.item_recorded", item=st.sampled_from(["market", "issues"]), valid_until=days),
    _of("plan.drafted", plan=few, template="ten", horizon_on=days),
    _of("plan.approved", plan=few),
    _of("plan.superseded", plan=few),
    _of("plan.action_agreed", plan=few, action=few, owner=few, due_on=days),
    _of("plan.action_deferred", plan=few, action=few, due_on=days),
    _of("plan.action_completed", plan=few, action=few),
    _of("commitment.made", commitment=few, by="us", due_on=days),
    _of("commitment.fulfilled", commitment=few),
    _of("agreement.signed", agreement=few, type="contract", until=days),
    _of("agreement.renewed", agreement=few, until=days),
    _of("agreement.ended", agreement=few),
    _of("programme.started", programme=few, starts_on=days, ends_on=days),
    _of("programme.progress_reported", programme=few, indicator=few, rag=st.sampled_from(["red", "green"])),
    _of("programme.steering_decision_taken", programme=few, due_on=days),
    _of("chain.defined", chain=few, phases=[{"phase": "1", "name": "x"}, {"phase": "2", "name": "y"}]),
    _of("chain.phase_guaranteed", chain=few, phase=few, organisation=few),
    _of("chain.phase_guaranteed", chain=few, phase=few, organisation=few, until=days),
    _of("chain.partner_replaced", chain=few, phase=few, organisation=few, by="3"),
    _of("satisfaction.scored", response=few, instrument="nps-2026", score=st.integers(0, 10), anonymous=True),
)
contacts = st.tuples(
    _of("contact.held", occurred_at=moments, duration_min=30, topics=st.sampled_from([[], ["opvolging"]])),
    st.lists(
        st.one_of(
            _of("contact.corrected", occurred_at=moments, changes=st.fixed_dictionaries({"occurred_at": moments})),
            _of("contact.retracted", occurred_at=moments),
        ),
        max_size=2,
    ),
)


@st.composite
def books(draw: st.DrawFn) -> list[list[Recorded]]:
    """Groups of facts: within a group the first comes first, all else may come in any order. The instrument is known
    before its scores: intake lets those wait."""
    count = 0

    def event(made: Kind, **more: Any) -> Recorded:
        nonlocal count
        count += 1
        return fact(made[0], {**made[1], **more}, HAAG, id=f"e-{count}", time=draw(moments))

    groups = [[event(made)] for made in draw(st.lists(facts, min_size=2, max_size=25))]
    for n, (held, after) in enumerate(draw(st.lists(contacts, max_size=2))):
        groups.append([event(held, contact=str(n)), *(event(made, contact=str(n)) for made in after)])
    return groups


def arrival(groups: list[list[Recorded]], chance: random.Random) -> list[Recorded]:
    """One order in which the facts may come."""
    left: list[list[Recorded]] = [[group[0], *chance.sample(group[1:], len(group) - 1)] for group in groups]
    defined = fact("satisfaction.instrument_defined", {**NPS, "min_n": 1}, ORGANISATION, id="i-1")
    found = [defined]
    while left:
        group = chance.choice(left)
        found.append(group.pop(0))
        left = [g for g in left if g]
    return numbered(found)


def comparable(rows: MemoryRows) -> dict[str, Any]:
    duties = {
        key: ({name: row["wanted"][name] for name in WANTED}, row["wanted"]["done"] is not None)
        for key, row in rows.tables["duty"].items()
        if row["wanted"] is not None
    }
    relations = {key: {name: row[name] for name in COLUMNS} for key, row in rows.tables["relation"].items()}
    contacts = {key: (row["held_on"], row["minutes"]) for key, row in rows.tables["contact"].items()}
    return {"duties": duties, "relations": relations, "contacts": contacts}


@settings(max_examples=200, deadline=None)
@given(books(), st.randoms(use_true_random=False))
def test_any_arrival_order_gives_the_same_duties(groups: list[list[Recorded]], chance: random.Random) -> None:
    first = fold(PROJECTION, arrival(groups, chance))
    assert comparable(fold(PROJECTION, arrival(groups, chance))) == comparable(first)


@settings(max_examples=100, deadline=None)
@given(books(), st.randoms(use_true_random=False), st.integers(1, 10))
def test_any_split_gives_the_same_rows(groups: list[list[Recorded]], chance: random.Random, size: int) -> None:
    """Between batches the rows are settled, go out and come back as copies, as through a database."""
    events = arrival(groups, chance)
    whole = fold(PROJECTION, events)
    rows = MemoryRows(PROJECTION.metadata)
    for start in range(0, len(events), size):
        batch = events[start : start + size]
        for event in batch:
            if PROJECTION.takes(event):
                PROJECTION.evolve(rows, event)
        PROJECTION.settle(rows, sorted({e.relation for e in batch}))
        rows.tables = deepcopy(rows.tables)
    assert comparable(rows) == comparable(whole)
    assert rows.tables == whole.tables


@settings(max_examples=60, deadline=None)
@given(books(), st.randoms(use_true_random=False))
def test_evolve_leaves_rows_that_it_was_given_as_they_were(groups: list[list[Recorded]], chance: random.Random) -> None:
    """Rows in a cache or on their way to the database are the same objects: they may be replaced, never changed."""
    rows = MemoryRows(PROJECTION.metadata)
    for event in arrival(groups, chance):
        if not PROJECTION.takes(event):
            continue
        given_rows = [(row, deepcopy(row)) for table in rows.tables.values() for row in table.values()]
        PROJECTION.evolve(rows, event)
        PROJECTION.settle(rows, [event.relation])
        assert all(row == before for row, before in given_rows)
