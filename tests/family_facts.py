"""What departments may send, of each family: payloads start from the golden ones; ids are few, so that facts meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hypothesis import strategies as st

from tests.given import DELFT, HAAG
from tests.histories import days, layers, moments
from tests.samples import golden

_few = st.sampled_from(["1", "2", "3"])
_two = st.sampled_from(["1", "2"])
_text = st.sampled_from("xyz")
_period = st.sampled_from(["2025", "2026"])
_parties = st.sampled_from([["us", HAAG], ["us", HAAG.upper(), "uzovi:0403"]])
_indicators = st.sampled_from([[{"indicator": "i", "baseline": 2, "target": 5, "unit": "dagen"}], []])
_cents = st.integers(1, 3).map(lambda n: 1_000 * n)
_side = st.lists(layers.map(lambda layer: {"layer": layer}), min_size=1, max_size=2)
_valid = st.sampled_from(["2026-07-15", "2026-09-01", "2027-05-01"])
_by = st.sampled_from(["us", "them"])
_channels = st.sampled_from(["meeting", "phone"])
# A meeting of two days, so that one that began in time may still be held when it is late.
_when: Final = {"starts_at": "2026-06-29T10:00:00+02:00", "ends_at": "2026-07-02T12:00:00+02:00"}
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
# Few layers, so that contacts meet the lines that ask for them.
_near = st.sampled_from(["board", "professional"])
_nearby = st.lists(_near.map(lambda layer: {"layer": layer}), min_size=1, max_size=2)
_NOBODY: Final[dict[str, Any]] = {}


def _quota(times: int, per: str) -> dict[str, Any]:
    return {"mode": "quota", "times": times, "per": per}


def _rolling(every: str) -> dict[str, Any]:
    return {"mode": "rolling", "every": every}


def _policy_line(our_layer: str, their_layer: str, cadence: dict[str, Any], grace: int) -> dict[str, Any]:
    return {"our_layer": our_layer, "their_layer": their_layer, "cadence": cadence, "grace_working_days": grace}


_cadences = st.one_of(
    st.sampled_from(["P1M", "P3M", "P6M", "P30D", "P2W"]).map(_rolling),
    st.builds(_quota, st.integers(1, 2), st.sampled_from(["month", "quarter", "half_year"])),
)
_policy_lines = st.lists(
    st.builds(_policy_line, _near, _near, _cadences, st.integers(0, 6)),
    min_size=1,
    max_size=3,
    unique_by=lambda line: (line["our_layer"], line["their_layer"]),
)
_share = st.integers(1, 9).map(
    lambda n: [{"organisation": "us", "share_pct": 10 * n}, {"organisation": HAAG, "share_pct": 100 - 10 * n}]
)
FAMILIES: Final[Mapping[str, Sequence[st.SearchStrategy[tuple[str, dict[str, Any]]]]]] = {
    "relation": [
        _of("relation.registered", "parent", name=st.sampled_from("AÉ"), identifiers=[]),
        _of("relation.details_changed", "name", "kind", parent=DELFT),
        _of("relation.details_changed", "parent", name=st.sampled_from("CD"), kind="province"),
        _of("relation.details_changed", "parent", "name", "kind", region=st.sampled_from("XY")),
        _of("relation.tier_assigned", tier=_tier),
        _of("relation.owner_assigned", employee=_few),
        _of("relation.ended", reason=_text),
        _of("relation.identifier_linked", scheme="kvk", value=st.sampled_from(["00000001", "00000002"])),
        _of("relation.merged", survivor=HAAG, absorbed=DELFT),
        _of("relation.unmerged", survivor=HAAG, absorbed=DELFT),
        _of("team.relation_assigned", team="1"),
        _of("team.relation_unassigned", team="1"),
        _of("counterpart.added", person=_two, layer=layers),
        _of("counterpart.moved", "name", "function", "decision_role", person=_two, layer=layers),
        _of("counterpart.moved", "layer", "name", person=_two, function=st.sampled_from("FG")),
        _of("counterpart.departed", person=_two),
        _of(
            "matrix.link_assessed", ours=_two, theirs=_two, coverage=st.sampled_from(["none", "thin", "strong"]),
            basis=_text,
        ),
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
        _of("contact.planned", contact=_few, ours=_side, theirs=_side, **_when),
        _of("contact.cancelled", contact=_few),
        _of("contact.rescheduled", contact=_few, **_when),
        _of("contact.no_show", contact=_few),
        _of("contact.declared_same", contacts=["1", "2"], canonical=_two),
        _of("contact.declared_same", contacts=["2", "3"], canonical="3"),
        _of("note.recorded", note=_few),
    ],
    "schedule": [
        *(
            _of(
                "schedule.line_set", *without, line=_two, our_layer=_near, their_layer=_near, owner=_few,
                cadence=_cadences, starts_on=days, grace_working_days=st.integers(0, 6), **person,
            )
            for without, person in ((("their_person",), _NOBODY), (("channels",), {"their_person": _two}))
        ),
        _of("schedule.line_ended", line=_two),
        _of("schedule.line_paused", line=_two, until="2026-12-01"),
        _of(
            "schedule.line_paused", line=_two, occurred_on="2026-02-02",
            until=st.sampled_from(["2026-03-04", "2026-07-01"]),
        ),
        _of("schedule.line_resumed", line=_two),
        _of("schedule.line_reassigned", line=_two, owner=_few),
        _of(
            "schedule.policy_set", tier=_tier, policy_version=st.integers(1, 3), effective_on=days, lines=_policy_lines,
            escalation_working_days=st.sampled_from([[5, 10], [3, 6]]),
        ),
        _of("relation.tier_assigned", tier=_tier),
        _of("contact.held", "summary", contact=_few, ours=_nearby, theirs=_nearby, channel=_channels),
        _of("contact.planned", contact=_few, ours=_nearby, theirs=_nearby, channel=_channels, **_when),
        _of("counterpart.departed", person=_two),
        _of("schedule.working_calendar_set"),
        # Before, between and after the moments of the ticks.
        _of("relation.ended", occurred_on=st.sampled_from(["2026-03-02", "2026-08-03", "2027-05-03"])),
        _of("relation.merged", survivor=HAAG, absorbed=DELFT),
        _of("relation.unmerged", survivor=HAAG, absorbed=DELFT),
    ],
    "plan": [
        _of("plan.question_answered", plan=_two, question=_few, answer=st.sampled_from("abc")),
        _of("plan.drafted", plan=_two, horizon_on=st.sampled_from(["2026-09-01", "2027-01-01"])),
        _of("plan.approved", plan=_two),
        _of("plan.superseded", plan="1", by="2"),
        _of(
            "plan.action_agreed", plan=_two, action=_two, owner=_few, due_on=days, what=_text, marketing=st.booleans(),
        ),
        _of("plan.action_deferred", plan="1", action=_two, due_on=days, reason=_text),
        _of("plan.action_completed", plan="1", action=_two),
        _of("plan.action_dropped", plan="1", action=_two),
        _of(
            "knowledge.item_recorded", item=st.sampled_from(["objectives", "market"]), text=st.sampled_from("abc"),
            valid_until=_valid,
        ),
        _of("knowledge.position_measured", year=st.sampled_from([2024, 2025]), revenue_cents=_cents),
    ],
    "satisfaction": [
        _of(
            "satisfaction.scored", "respondent", response=_few, instrument="nps", score=st.integers(0, 10),
            anonymous=st.booleans(),
        ),
        _of(
            "satisfaction.scored", response=_few, instrument="nps", score=st.integers(0, 10), layer=layers,
            anonymous=False,
        ),
        _of(
            "satisfaction.scored", "respondent", response=_few, instrument="nps", score=st.integers(0, 7),
            anonymous=st.booleans(),
            occurred_on=st.sampled_from(["2026-05-04", "2026-06-01", "2026-06-29"]),
        ),
        _of("satisfaction.complaints_reported", period="2026-Q1", count=st.integers(5, 9)),
        _of("satisfaction.outcome_reported", period="2026-Q1", value=st.integers(0, 9)),
        _of("satisfaction.staff_reported", period="2026-Q1", unit="u", score=st.integers(1, 9), n=st.integers(5, 9)),
        _of("satisfaction.round_closed", round=_two, instrument="nps", wording_version=1, invited=st.integers(5, 9)),
    ],
    "partnership": [
        _of(
            "partnership.interest_recorded", interest=_two, text=_text,
            holder=st.sampled_from(["ours", "theirs", "shared"]),
        ),
        _of("partnership.interest_acknowledged", interest=_two, by=_by),
        _of("partnership.performance_reported", performance=_two, by=_by, text=_text, period=_period),
        _of("partnership.performance_reported", "period", performance=_two, by=_by),
        _of("partnership.performance_acknowledged", performance=_two, by=_by),
        _of("commitment.made", commitment=_two, by=_by, due_on=days, what=_text),
        _of("commitment.fulfilled", commitment=_two),
        _of("commitment.broken", commitment=_two),
        _of("commitment.released", commitment=_two),
        _of("opportunity.tender_announced", opportunity=_two, value_cents=_cents, title=_text),
        _of("opportunity.tender_announced", "value_cents", "closes_on", opportunity=_two),
        _of("opportunity.offer_submitted", opportunity=_two, value_cents=_cents),
        _of("opportunity.won", opportunity=_two, value_cents=_cents),
        _of("opportunity.lost", opportunity=_two, reason=_text),
        _of("contributor.profiled", employee=_two, profile=st.sampled_from(["relatiemanager", "innovator"])),
        _of("employee.left", employee=_two),
    ],
    "agreement": [
        _of("agreement.signed", agreement=_two, name=_text, parties=_parties, **{"from": "2026-02-01"}),
        _of("agreement.signed", "frame", "insured_share_pct", agreement=_two, type="contract", basis="volume_price"),
        _of("agreement.renewed", "frame", agreement=_two, until="2030-01-01"),
        _of("agreement.renewed", agreement=_two, until=st.sampled_from(["2031-01-01", "2032-01-01"])),
        _of("agreement.ended", agreement=_two, reason=_text),
        _of("programme.started", programme=_two, agreement=_two, name=_text),
        _of(
            "programme.started", "agreement", programme=_two, indicators=_indicators, starts_on="2025-01-01",
            ends_on="2026-08-01",
        ),
        _of(
            "programme.progress_reported", programme=_two, indicator=st.sampled_from("ij"),
            actual=st.integers(1, 9), rag=st.sampled_from(["red", "green"]),
        ),
        _of("programme.progress_reported", "baseline", programme=_two, indicator="i", target=4, rag="amber"),
        _of("programme.steering_decision_taken", programme=_two, decision=_text, parties=_parties, due_on=days),
    ],
    "chain": [
        _of("chain.defined", chain="1", phases=[{"phase": "p", "name": "P"}, {"phase": "q", "name": "Q"}]),
        _of("chain.defined", chain=_two, name=_text, phases=[{"phase": "q", "name": "Q"}]),
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
        _of(
            "chain.savings_assessed", chain="1", assessment=_two, saving_cents=_cents, quality_met=True,
            period=_period,
        ),
        _of("chain.savings_assessed", chain="1", assessment=_two, saving_cents=_cents, quality_met=False),
        _of(
            "chain.savings_distributed", chain="1", assessment=_two,
            amounts=_cents.map(lambda c: [{"organisation": "us", "cents": c}]),
        ),
    ],
}  # fmt: skip
