"""Random valid histories over all families: what departments may send, in any order, as the book takes it (hypothesis).

The rules themselves say what is valid: what they refuse is left out, and what they park is tried again, as intake does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from events.book import Accept, Park
from events.catalog import TYPES
from events.recorded import ORGANISATION, Recorded
from tests.family_facts import FAMILIES
from tests.given import DELFT, HAAG, fact, numbered
from tests.histories import moments
from tests.judged import Book
from tests.naive_workflows import ITEMS
from tests.samples import golden

Told = tuple[str, str, dict[str, Any]]  # kind, relation, payload

_FIRST: Final[Sequence[Told]] = (
    ("team.formed", ORGANISATION, {"team": "1", "name": "T", "occurred_on": "2025-01-01"}),
    ("satisfaction.instrument_defined", ORGANISATION, {
        **golden("satisfaction.instrument_defined")["data"], "instrument": "nps", "wording_version": 1, "min_n": 2,
        "occurred_on": "2024-01-01",
    }),
    *(
        ("relation.registered", relation, {
            "name": "R", "kind": "municipality", "identifiers": [], "occurred_on": "2024-01-01",
        })
        for relation in (HAAG, DELFT)
    ),
)  # fmt: skip

# What a plan must have before it can be approved; told first, so that approvals meet the other facts of the plan.
_COMPLETE: Final[Sequence[Told]] = (
    *(
        ("plan.question_answered", HAAG, {
            "plan": "1", "question": str(n), "answer": "-", "occurred_on": "2024-01-01",
        })
        for n in range(1, 11)
    ),
    ("plan.action_agreed", HAAG, {
        **golden("plan.action_agreed")["data"], "plan": "1", "action": "3", "occurred_on": "2024-01-01",
    }),
    *(
        ("knowledge.item_recorded", HAAG, {
            **golden("knowledge.item_recorded")["data"], "item": item, "occurred_on": "2024-01-01",
        })
        for item in ITEMS[1:]
    ),
)  # fmt: skip


def _about(kind: str, drawn: str) -> str:
    event_type = next(t for t in TYPES.values() if t.kind == kind)
    if event_type.about == "organisation":
        return ORGANISATION
    return HAAG if kind in ("relation.merged", "relation.unmerged") else drawn


@st.composite
def histories(
    draw: st.DrawFn, least: int = 15, most: int = 40, families: int = 2, core: Sequence[str] = tuple(FAMILIES)
) -> list[Recorded]:
    """A valid history of two relations, in the order in which the book took it; some of its events are withdrawn.

    It mixes at most so many families, so that facts of one family meet in a short history too; one of `core` is among
    them.
    """
    others = st.lists(st.sampled_from(sorted(FAMILIES)), max_size=families - 1)
    chosen = sorted({draw(st.sampled_from(core)), *draw(others)})
    pool = st.one_of([strategy for family in chosen for strategy in FAMILIES[family]])
    sent: list[Sent] = []
    for n, (kind, data) in enumerate(draw(st.lists(pool, min_size=least, max_size=most))):
        relation = _about(kind, draw(st.sampled_from([HAAG, HAAG, DELFT])))
        sent.append(Sent(kind, relation, data, f"e-{n}", draw(moments), draw(_visibilities), draw(_departments)))
    for n, taken in enumerate(draw(st.lists(st.sampled_from(sent), max_size=4, unique_by=lambda one: one.id))):
        data = {"source": _SOURCE, "id": taken.id, "occurred_at": taken.time}
        withdrawn = Sent("correction.withdrawn", taken.relation, data, f"w-{n}", taken.time)
        sent.insert(draw(st.integers(0, len(sent))), withdrawn)
    first = [*_FIRST, *(_COMPLETE if "plan" in chosen else ())]
    begun = [Sent(*told, f"f-{n}", "2024-01-01T09:00:00+01:00") for n, told in enumerate(first)]
    return accepted([*begun, *sent])


_SOURCE: Final = "urn:nld:oin:00000000000000000001:systeem:crm"
_visibilities = st.sampled_from(["organisation"] * 5 + ["team", "department", "named"])
_departments = st.sampled_from(["wmo", "wmo", "zorg"])


class Sent(NamedTuple):
    """An event as a department sends it."""

    kind: str
    relation: str
    data: dict[str, Any]
    id: str
    time: str
    visibility: str = "organisation"
    department: str = "wmo"


def accepted(sent: Sequence[Sent]) -> list[Recorded]:
    """What the book takes of these: the parked ones as soon as they can be."""
    book = Book()
    taken: list[Recorded] = []
    parked: list[Sent] = []

    def judge(one: Sent) -> bool | None:
        envelope: dict[str, Any] = {
            "id": one.id, "source": _SOURCE, "time": one.time, "visibility": one.visibility,
        }  # fmt: skip
        decision = book.send(one.kind, one.data, one.relation, one.department, **envelope)
        if isinstance(decision, Accept):
            absorbed = decision.attributes.get("absorbed")
            event = fact(
                one.kind, one.data, decision.relation, absorbed=absorbed, department=one.department, **envelope
            )  # fmt: skip
            taken.append(event)
        return None if isinstance(decision, Park) else isinstance(decision, Accept)

    for one in sent:
        if judge(one) is None:
            parked.append(one)
            continue
        moved = True
        while moved:
            done = {n for n, waiting in enumerate(parked) if judge(waiting) is not None}
            parked = [waiting for n, waiting in enumerate(parked) if n not in done]
            moved = bool(done)
    return numbered(taken)
