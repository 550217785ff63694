"""Random histories of two relations: facts, and the orders in which they may arrive (hypothesis strategies)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from events.recorded import ORGANISATION, Recorded
from tests.given import DELFT, HAAG, NPS, fact, held, numbered

LAYERS = ("board", "senior_management", "tactical_management", "professional")

days = st.dates(datetime(2025, 1, 1, tzinfo=UTC).date(), datetime(2026, 6, 29, tzinfo=UTC).date()).map(
    lambda d: d.isoformat()
)
moments = st.builds("{}T{:02}:00:00+01:00".format, days, st.integers(0, 23))
layers = st.sampled_from(LAYERS)
side = st.lists(layers.map(lambda layer: {"layer": layer}), min_size=1, max_size=2)
few = st.integers(1, 3).map(str)
channels = st.sampled_from(["meeting", "phone", "video"])

Kind = tuple[str, dict[str, Any]]


def _of(kind: str, /, **fields: Any) -> st.SearchStrategy[Kind]:
    return st.tuples(st.just(kind), st.fixed_dictionaries({name: _drawn(value) for name, value in fields.items()}))


def _drawn(value: Any) -> st.SearchStrategy[Any]:
    return value if isinstance(value, st.SearchStrategy) else st.just(value)  # pyright: ignore[reportUnknownVariableType]


changes = st.fixed_dictionaries(
    {},
    optional={
        "occurred_at": moments,
        "duration_min": st.integers(1, 90),
        "channel": channels,
        "ours": side,
        "theirs": side,
    },
)
cadences = st.sampled_from([{"mode": "rolling", "every": "P1M"}, {"mode": "quota", "times": 2, "per": "quarter"}])

# Facts of which any order is possible. A history is about one or two of these themes, so that facts of it meet.
THEMES: list[st.SearchStrategy[Kind]] = [
    st.one_of(
        _of(
            "relation.registered", name=st.sampled_from(["A", "B"]), kind="municipality", identifiers=[],
            occurred_on=days,
        ),
        _of("relation.identifier_linked", scheme="kvk", value=few, occurred_on=days),
        _of("relation.tier_assigned", tier=st.sampled_from(["A", "B"]), arguments=[], occurred_on=days),
        _of("counterpart.added", person=few, name=st.text(max_size=2), layer=layers, occurred_on=days),
        _of("team.relation_assigned", team=few, occurred_on=days),
        _of("team.relation_unassigned", team=few, occurred_on=days),
    ),
    st.one_of(
        _of(
            "contact.planned", contact=few, starts_at=moments, ends_at=moments, channel=channels, ours=side,
            theirs=side,
        ),
        _of("contact.rescheduled", contact=few, starts_at=moments, ends_at=moments),
        _of("contact.cancelled", contact=few, occurred_at=moments),
        _of("contact.no_show", contact=few, occurred_at=moments),
        _of(
            "contact.declared_same", contacts=st.sampled_from([["1", "2"], ["2", "3"]]), canonical="2",
            occurred_on=days,
        ),
    ),
    st.one_of(
        _of(
            "schedule.line_set", line=few, our_layer=layers, their_layer=layers, cadence=cadences, starts_on=days,
            grace_working_days=st.integers(0, 5), owner=few, occurred_on=days,
        ),
        _of("schedule.line_ended", line=few, occurred_on=days),
        _of("schedule.line_paused", line=few, until=st.just("2026-12-01"), occurred_on=days),
        _of("schedule.line_resumed", line=few, occurred_on=days),
        _of("schedule.line_reassigned", line=few, owner=few, occurred_on=days),
    ),
    st.one_of(
        _of(
            "satisfaction.scored", response=few, instrument="nps-2026", score=st.integers(0, 10), anonymous=True,
            occurred_on=days,
        ),
        _of(
            "knowledge.item_recorded", item=st.sampled_from(["market", "issues"]), text=few, valid_until=days,
            occurred_on=days,
        ),
        _of("commitment.made", commitment=few, by="us", what=few, due_on=days, occurred_on=days),
        _of("commitment.fulfilled", commitment=few, occurred_on=days),
    ),
    st.one_of(
        _of("plan.question_answered", plan=few, question=few, answer=few, occurred_on=days),
        _of("plan.approved", plan=few, occurred_on=days),
        _of("plan.action_agreed", plan="1", action=few, what=few, owner=few, due_on=days, occurred_on=days),
        _of("plan.action_completed", plan="1", action=few, occurred_on=days),
    ),
]  # fmt: skip

# A contact is held once; its corrections and its retraction come after it, since intake parks them until then.
follow_ups: st.SearchStrategy[Kind] = st.one_of(
    _of("contact.corrected", changes=changes, occurred_at=moments), _of("contact.retracted", occurred_at=moments)
)
stories = st.lists(st.tuples(moments, side, side, channels, st.lists(follow_ups, max_size=3)), max_size=4)


@st.composite
def books(draw: st.DrawFn) -> list[list[Recorded]]:
    """Groups of facts: within a group the first comes first, all else may come in any order."""
    count = 0

    def event(kind: str, data: dict[str, Any], relation: str) -> Recorded:
        nonlocal count
        count += 1
        return fact(kind, data, relation, id=f"e-{count}", time=draw(moments))

    groups = [
        [
            event(
                "satisfaction.instrument_defined",
                {**NPS, "wording_version": n, "occurred_on": draw(days)},
                ORGANISATION,
            )
        ]
        for n in (1, 2)
    ]
    for relation in (HAAG, DELFT):
        for n, (at, ours, theirs, channel, after) in enumerate(draw(stories), 1):
            contact = str(n)
            group = [event("contact.held", held(contact, at, ours=ours, theirs=theirs, channel=channel), relation)]
            group += [event(kind, {"contact": contact, **data}, relation) for kind, data in after]
            groups.append(group)
    themes = draw(st.lists(st.sampled_from(THEMES), min_size=1, max_size=2))
    for kind, data in draw(st.lists(st.one_of(themes), min_size=2, max_size=20)):
        groups.append([event(kind, data, draw(st.sampled_from([HAAG, DELFT])))])
    lasting = ("satisfaction.instrument_defined", "relation.registered")  # not to be withdrawn
    free = [group for group in groups if group[0].kind not in lasting]
    for group in draw(st.lists(st.sampled_from(free), max_size=3, unique_by=id)) if free else ():
        gone = draw(st.sampled_from(group))
        taken_back = {"source": gone.source, "id": gone.id, "occurred_at": draw(moments)}
        # A withdrawal waits for its event, as the facts of a contact do.
        group.insert(group.index(gone) + 1, event("correction.withdrawn", taken_back, gone.relation))
    return groups


def _shuffled(group: Sequence[Recorded], chance: random.Random) -> list[Recorded]:
    """The first comes first, the others in any order, but a withdrawal after what it withdraws."""
    order = [group[0], *chance.sample(group[1:], len(group) - 1)]
    for at, event in enumerate(order):
        later = [n for n in range(at + 1, len(order)) if event.data.get("id") == order[n].id]
        if event.kind == "correction.withdrawn" and later:
            order[at], order[later[0]] = order[later[0]], order[at]
    return order


def arrival(groups: Sequence[Sequence[Recorded]], chance: random.Random) -> list[Recorded]:
    """An order in which these facts may arrive."""
    waiting: list[list[Recorded]] = [_shuffled(group, chance) for group in groups]
    order: list[Recorded] = []
    while waiting:
        group = chance.choice(waiting)
        order.append(group.pop(0))
        waiting = [g for g in waiting if g]
    return numbered(order)
