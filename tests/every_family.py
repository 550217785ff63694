"""Random valid histories over all families: what departments may send, in any order, as the book takes it (hypothesis).

Payloads start from the golden ones; ids are few, so that facts meet. The rules themselves say what is valid: what they
refuse is left out, and what they park is tried again, as intake does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hypothesis import strategies as st

from events.book import Accept, Park
from events.catalog import TYPES
from events.recorded import ORGANISATION, Recorded
from tests.given import DELFT, HAAG, fact, numbered
from tests.histories import days, layers, moments
from tests.judged import Book
from tests.samples import golden

Told = tuple[str, str, dict[str, Any]]  # kind, relation, payload

_few = st.sampled_from(["1", "2", "3"])
_two = st.sampled_from(["1", "2"])
_cents = st.integers(1, 3).map(lambda n: 1_000 * n)
_side = st.lists(layers.map(lambda layer: {"layer": layer}), min_size=1, max_size=2)
_by = st.sampled_from(["us", "them"])
_org = st.sampled_from(["us", HAAG])
_system = st.sampled_from(["zvw", "wlz"])
_FROM_US: Final = ["us", HAAG]


def _drawn(value: Any) -> st.SearchStrategy[Any]:
    return value if isinstance(value, st.SearchStrategy) else st.just(value)  # pyright: ignore[reportUnknownVariableType]


def _of(kind: str, /, *without: str, **fields: Any) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """A golden payload with other values; a date or time of its own."""
    base = {k: v for k, v in golden(kind)["data"].items() if k not in without}
    for name, source in (("occurred_on", days), ("occurred_at", moments)):
        if name in base:
            fields.setdefault(name, source)
    drawn: dict[str, st.SearchStrategy[Any]] = {k: _drawn(v) for k, v in fields.items()}
    return st.fixed_dictionaries(drawn).map(lambda d: (kind, {**base, **d}))


_tier = st.sampled_from(["A", "B"])
_share = st.integers(1, 9).map(
    lambda n: [{"organisation": "us", "share_pct": 10 * n}, {"organisation": HAAG, "share_pct": 100 - 10 * n}]
)
FAMILIES: Final[Mapping[str, Sequence[st.SearchStrategy[tuple[str, dict[str, Any]]]]]] = {
    "relation": [
        _of("relation.registered", "parent", name=st.sampled_from("AB"), identifiers=[]),
        _of("relation.details_changed", "parent", name=st.sampled_from("CD"), kind="province"),
        _of("relation.details_changed", "parent", "name", "kind", region=st.sampled_from("XY")),
        _of("relation.tier_assigned", tier=_tier),
        _of("relation.owner_assigned", employee=_few),
        _of("relation.ended"),
        _of("relation.identifier_linked", scheme="kvk", value=st.sampled_from(["00000001", "00000002"])),
        _of("relation.merged", survivor=HAAG, absorbed=DELFT),
        _of("relation.unmerged", survivor=HAAG, absorbed=DELFT),
        _of("team.relation_assigned", team="1"),
        _of("team.relation_unassigned", team="1"),
        _of("counterpart.added", person=_two, layer=layers),
        _of("counterpart.moved", "name", "function", "decision_role", person=_two, layer=layers),
        _of("counterpart.moved", "layer", "name", person=_two, function=st.sampled_from("FG")),
        _of("counterpart.departed", person=_two),
        _of("matrix.link_assessed", ours="1", theirs=_two, coverage=st.sampled_from(["none", "thin", "strong"])),
        _of("team.member_joined", team="1", employee=_two, role=st.sampled_from(["member", "lead"])),
        _of("team.member_left", team="1", employee=_two),
    ],
    "contact": [
        _of("contact.held", "summary", contact=_few, duration_min=st.integers(1, 90), ours=_side, theirs=_side),
        _of("contact.held", "summary", contact=_few, channel="phone", ours=_side, theirs=_side),
        _of("contact.held", "summary", contact=_few, topics=["opvolging"], ours=_side, theirs=_side),
        _of("contact.corrected", contact=_few, changes=st.fixed_dictionaries({"duration_min": st.integers(1, 90)})),
        _of("contact.corrected", contact=_few, changes=st.fixed_dictionaries({"occurred_at": moments})),
        _of("contact.retracted", contact=_few),
        _of("contact.planned", contact=_few),
        _of("contact.cancelled", contact=_few),
        _of("contact.rescheduled", contact=_few),
        _of("contact.no_show", contact=_few),
        _of("contact.declared_same", contacts=["1", "2"], canonical=_two),
        _of("contact.declared_same", contacts=["2", "3"], canonical="3"),
        _of("note.recorded", note=_few),
    ],
    "schedule": [
        _of("schedule.line_set", "their_person", line=_two, our_layer=layers, their_layer=layers, owner=_few),
        _of("schedule.line_ended", line=_two),
        _of("schedule.line_paused", line=_two, until="2026-12-01"),
        _of("schedule.line_resumed", line=_two),
        _of("schedule.line_reassigned", line=_two, owner=_few),
        _of("schedule.policy_set", tier=_tier, policy_version=st.integers(1, 3)),
        _of("schedule.working_calendar_set"),
    ],
    "plan": [
        _of("plan.question_answered", plan=_two, question=_few, answer=st.sampled_from("abc")),
        _of("plan.drafted", plan=_two, horizon_on=st.sampled_from(["2026-09-01", "2027-01-01"])),
        _of("plan.approved", plan=_two),
        _of("plan.superseded", plan="1", by="2"),
        _of("plan.action_agreed", plan="1", action=_two, owner=_few, due_on=days),
        _of("plan.action_deferred", plan="1", action=_two, due_on=days),
        _of("plan.action_completed", plan="1", action=_two),
        _of("plan.action_dropped", plan="1", action=_two),
        _of("knowledge.item_recorded", item=st.sampled_from(["market", "issues"]), text=st.sampled_from("abc")),
        _of("knowledge.position_measured", year=2025, revenue_cents=_cents),
    ],
    "satisfaction": [
        _of("satisfaction.scored", "respondent", response=_few, instrument="nps", score=st.integers(0, 10)),
        _of("satisfaction.complaints_reported", period="2026-Q1", count=st.integers(5, 9)),
        _of("satisfaction.outcome_reported", period="2026-Q1", value=st.integers(0, 9)),
        _of("satisfaction.staff_reported", period="2026-Q1", unit="u", score=st.integers(1, 9)),
        _of("satisfaction.round_closed", round=_two, instrument="nps", wording_version=1),
    ],
    "partnership": [
        _of("partnership.interest_recorded", interest=_two, holder=st.sampled_from(["ours", "theirs", "shared"])),
        _of("partnership.interest_acknowledged", interest=_two, by=_by),
        _of("partnership.performance_reported", performance=_two, by=_by),
        _of("partnership.performance_acknowledged", performance=_two, by=_by),
        _of("commitment.made", commitment=_two, by=_by, due_on=days),
        _of("commitment.fulfilled", commitment=_two),
        _of("commitment.broken", commitment=_two),
        _of("commitment.released", commitment=_two),
        _of("opportunity.tender_announced", opportunity=_two, value_cents=_cents),
        _of("opportunity.offer_submitted", opportunity=_two, value_cents=_cents),
        _of("opportunity.won", opportunity=_two, value_cents=_cents),
        _of("opportunity.lost", opportunity=_two),
        _of("contributor.profiled", employee=_two, profile=st.sampled_from(["relatiemanager", "innovator"])),
        _of("employee.left", employee=_two),
    ],
    "agreement": [
        _of("agreement.signed", agreement=_two),
        _of("agreement.renewed", agreement=_two, until=st.sampled_from(["2031-01-01", "2032-01-01"])),
        _of("agreement.ended", agreement=_two),
        _of("programme.started", "agreement", programme=_two),
        _of("programme.progress_reported", programme=_two, indicator="i", rag=st.sampled_from(["red", "green"])),
        _of("programme.steering_decision_taken", programme=_two),
    ],
    "chain": [
        _of("chain.defined", chain="1", phases=[{"phase": "p", "name": "P"}, {"phase": "q", "name": "Q"}]),
        _of(
            "chain.partner_assigned", chain="1", phase=st.sampled_from("pq"), organisation=_org,
            financing_system=_system,
        ),
        _of("chain.partner_replaced", chain="1", phase="p", organisation="us", by=HAAG, financing_system=_system),
        _of("chain.phase_guaranteed", "until", chain="1", phase=st.sampled_from("pq"), organisation=_org),
        _of("chain.phase_guaranteed", chain="1", phase="p", organisation=_org, until="2026-12-31"),
        _of(
            "chain.investment_recorded", chain="1", organisation=_org, financing_system=_system, period="2026",
            cents=_cents,
        ),
        _of("chain.return_recorded", chain="1", organisation=_org, financing_system="zvw", period="2026", cents=_cents),
        _of("chain.baseline_agreed", chain="1", indicator="i", period="2026", cents=_cents, parties=_FROM_US),
        _of("chain.sharing_key_agreed", chain="1", shares=_share),
        _of("chain.savings_assessed", chain="1", assessment=_two, saving_cents=_cents, quality_met=True),
        _of(
            "chain.savings_distributed", chain="1", assessment=_two,
            amounts=_cents.map(lambda c: [{"organisation": "us", "cents": c}]),
        ),
    ],
}  # fmt: skip
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
    waiting: list[tuple[Told, str, str]] = []
    for n, (kind, data) in enumerate(draw(st.lists(pool, min_size=least, max_size=most))):
        relation = _about(kind, draw(st.sampled_from([HAAG, HAAG, DELFT])))
        waiting.append(((kind, relation, data), f"e-{n}", draw(moments)))
    for n, taken in enumerate(draw(st.lists(st.sampled_from(waiting), max_size=4, unique_by=lambda w: w[1]))):
        (_, relation, _), id_, at = taken
        data = {"source": _SOURCE, "id": id_, "occurred_at": at}
        where = draw(st.integers(0, len(waiting)))
        waiting.insert(where, (("correction.withdrawn", relation, data), f"w-{n}", at))
    first = [*_FIRST, *(_COMPLETE if "plan" in chosen else ())]
    return accepted([*((told, f"f-{n}", "2024-01-01T09:00:00+01:00") for n, told in enumerate(first)), *waiting])


_SOURCE: Final = "urn:nld:oin:00000000000000000001:systeem:crm"


def accepted(sent: Sequence[tuple[Told, str, str]]) -> list[Recorded]:
    """What the book takes of these, each with its id and time: the parked ones as soon as they can be."""
    book = Book()
    taken: list[Recorded] = []
    parked: list[tuple[Told, str, str]] = []

    def judge(one: tuple[Told, str, str]) -> bool | None:
        (kind, relation, data), id_, at = one
        decision = book.send(kind, data, relation, id=id_, source=_SOURCE, time=at)
        if isinstance(decision, Accept):
            absorbed = decision.attributes.get("absorbed")
            taken.append(fact(kind, data, decision.relation, id=id_, source=_SOURCE, time=at, absorbed=absorbed))
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
