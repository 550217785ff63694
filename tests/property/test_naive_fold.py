"""Every read model against an independent naive fold, over random valid histories of all families.

Whatever order the book took the facts in, and however they are cut into batches, the rows say what a plain look over
all facts that count says. In the usual run each test takes seconds; `make test-all` looks longer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.catalog import TYPES
from events.recorded import Recorded, instant
from projections.chain_present import matrix_of
from projections.kin import KIN_KINDS
from projections.layers import pair_bit
from projections.registry import PROJECTIONS
from projections.relation_present import present
from projections.rows import MemoryRows, fold
from projections.satisfaction_present import present_satisfaction
from tests import naive, naive_relation
from tests.every_family import FAMILIES, histories
from tests.given import numbered
from tests.naive import Facts, collected, contacts, counting, day, latest, local, pairs, relations, timeline
from tests.naive_duties import RULES, as_duty, duties, opens_at
from tests.property.test_rows_split import fold_in_batches

NOW: Final = datetime(2026, 6, 30, 10, tzinfo=UTC)
_SLOW: Final = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def of(rows: MemoryRows, table: str, *columns: str) -> Facts:
    """The rows of a table as {key: value} or {key: (values)}."""
    return {
        key: row[columns[0]] if len(columns) == 1 else tuple(row[c] for c in columns)
        for key, row in rows.tables[table].items()
    }


def known(facts: Facts) -> Facts:
    """Without rows that only followers of a withdrawn fact have made."""
    return {k: v for k, v in facts.items() if (v[0] if isinstance(v, tuple) else v) is not None}


def relation_view(rows: MemoryRows, events: Sequence[Recorded]) -> None:
    facts, seen = counting(events), contacts(events)
    columns = ("name", "kind", "region", "tier", "owner")
    assert {k: dict(zip(columns, v, strict=True)) for k, v in of(rows, "relation", *columns).items()} == relations(
        events
    )
    for (relation,), (total, minutes) in of(rows, "relation", "contacts_total", "minutes_total").items():
        mine = [data for (r, _), data in seen.items() if r == relation]
        assert (total, minutes) == (len(mine), sum(data["duration_min"] for data in mine))
    counted = {k: row for k, row in rows.tables["contact"].items() if row["counted"]}
    assert {k: (row["held_at"], row["minutes"], row["channel"], row["pairs"]) for k, row in counted.items()} == {
        k: (instant(d["occurred_at"]), d["duration_min"], d["channel"], sum(pair_bit(*p) for p in pairs(d)))
        for k, d in seen.items()
    }
    assert of(rows, "answer", "answer", "answered_on") == latest(
        facts, "plan.question_answered", lambda d: (d["plan"], d["question"]), lambda e: (e.data["answer"], day(e))
    )
    assert of(rows, "knowledge", "text", "recorded_on") == latest(
        facts, "knowledge.item_recorded", lambda d: (d["item"],), lambda e: (e.data["text"], day(e))
    )
    assert of(rows, "assignment", "assigned") == latest(
        facts, ("team.relation_assigned", "team.relation_unassigned"), lambda d: (d["team"],),
        lambda e: e.kind == "team.relation_assigned",
    )  # fmt: skip
    assert of(rows, "response", "score") == latest(
        facts, "satisfaction.scored", lambda d: (d["response"],), lambda e: e.data["score"]
    )
    assert known(of(rows, "commitment", "by")) == latest(
        facts, "commitment.made", lambda d: (d["commitment"],), lambda e: e.data["by"]
    )
    ends = ("plan.action_completed", "plan.action_dropped")
    assert {k: v for k, v in of(rows, "action", "state").items() if v != "open"} == latest(
        facts, ends, lambda d: (d["action"],), lambda e: e.kind.removeprefix("plan.action_")
    )
    lines = latest(
        facts, "schedule.line_set", lambda d: (d["line"],), lambda e: (e.data["our_layer"], e.data["starts_on"])
    )
    assert {k: (a, str(b)) for k, (a, b) in known(of(rows, "line", "our_layer", "starts_on")).items()} == lines
    columns = ("started_on", "horizon_on", "approved_on", "superseded_on", "superseded_by")
    assert of(rows, "plan", *columns) == naive_relation.plans(events)
    columns = ("plan", "owner", "due_on", "state", "deferred_on", "ended_on")
    assert known(of(rows, "action", *columns)) == naive_relation.actions(events)
    assert known(of(rows, "commitment", "by", "due_on", "state")) == naive_relation.commitments(events)
    columns = ("layer", "function", "present", "departed_on")
    assert of(rows, "counterpart", *columns) == naive_relation.counterparts(events)
    assert of(rows, "link", "coverage") == latest(
        facts, "matrix.link_assessed", lambda d: (d["ours"], d["theirs"]), lambda e: e.data["coverage"]
    )
    assert of(rows, "measured", "revenue_cents") == latest(
        facts, "knowledge.position_measured", lambda d: (d["year"],), lambda e: e.data["revenue_cents"]
    )
    assert sorted(of(rows, "answer_version", "position").values()) == sorted(
        e.position for e in facts if e.kind == "plan.question_answered"
    )
    until = latest(
        facts, ("agreement.signed", "agreement.renewed"), lambda d: (d["agreement"],), lambda e: e.data["until"]
    )
    assert {k: str(v) for k, v in known(of(rows, "agreement", "until_on")).items()} == until
    if not any(e.kind in KIN_KINDS for e in facts):  # else they are shown as one
        for relation in naive.RELATIONS:
            shown = present(rows, relation, NOW)
            held_on = [local(d["occurred_at"]) for (r, _), d in seen.items() if r == relation]
            assert shown is not None
            assert shown["contacts_12m"] == sum(date(2025, 6, 30) < on <= date(2026, 6, 30) for on in held_on)


def team_timeline(rows: MemoryRows, events: Sequence[Recorded]) -> None:
    shown = rows.tables["entry"].values()
    assert {r["position"]: (r["relation"], r["type"], r["withdrawn"]) for r in shown} == timeline(events)
    facts = counting(events)
    for role in ("held", "retracted", "corrected"):
        assert known(of(rows, "contact", role)) == latest(
            facts, f"contact.{role}", lambda d: (d["contact"],), lambda e: e.position
        )
    named = [e for e in facts if "name" in e.data]
    kinds = ("relation.registered", "relation.details_changed")
    assert of(rows, "relation", "name") == latest(named, kinds, lambda d: (), lambda e: e.data["name"])


def contact_alerts(rows: MemoryRows, events: Sequence[Recorded]) -> None:
    seen = contacts(events)
    on = {k: local(d["occurred_at"]) for k, d in seen.items()}
    assert known(of(rows, "contact", "held_on")) == on
    dates: dict[tuple[Any, ...], list[str]] = {}
    for key, data in seen.items():
        for pair in pairs(data):
            dates.setdefault((key[0], pair_bit(*pair)), []).append(on[key].isoformat())
    found = {k: sorted(entry[0] for entry in entries) for k, entries in of(rows, "bucket", "dates").items() if entries}
    assert found == {k: sorted(v) for k, v in dates.items()}
    facts = counting(events)
    lines = latest(facts, "schedule.line_set", lambda d: (d["line"],), lambda e: e.data["our_layer"])
    own = {k: v for k, v in known(of(rows, "line", "our_layer")).items() if k[1] in ("1", "2")}  # not a policy's
    assert own == lines
    owners = latest(
        facts, ("schedule.line_set", "schedule.line_reassigned"), lambda d: (d["line"],), lambda e: e.data.get("owner")
    )
    assert {k: v for k, v in known(of(rows, "line", "owner")).items() if k[1] in ("1", "2")} == known(owners)
    root = {k[0]: r for k, r in of(rows, "relation", "root").items()}
    for row in rows.tables["line"].values():
        if row["our_layer"] is None:
            continue
        asked = (row["our_layer"], row["their_layer"])
        met = [
            local(d["occurred_at"]) for (relation, _), d in seen.items()
            if root[relation] == row["root"] and asked in pairs(d)
            and (row["channels"] is None or d["channel"] in row["channels"])
        ]  # fmt: skip
        assert (row["last_on"], row["stale"]) == (max(met, default=None), False)


def partnership_view(rows: MemoryRows, events: Sequence[Recorded]) -> None:
    facts = counting(events)
    assert known(of(rows, "interest", "holder")) == latest(
        facts, "partnership.interest_recorded", lambda d: (d["interest"],), lambda e: e.data["holder"]
    )
    for thing in ("interest", "performance"):
        for side in ("us", "them"):
            by = [e for e in facts if e.data.get("by") == side]
            assert known(of(rows, thing, f"by_{side}_on")) == latest(
                by, f"partnership.{thing}_acknowledged", lambda d: (d[thing],), day  # noqa: B023 used at once
            )  # fmt: skip
    assert {k: v for k, v in of(rows, "commitment", "state").items() if v != "open"} == latest(
        facts,
        tuple(f"commitment.{end}" for end in ("fulfilled", "broken", "released")),
        lambda d: (d["commitment"],),
        lambda e: e.kind[11:],
    )
    decided = latest(
        facts, ("opportunity.won", "opportunity.lost"), lambda d: (d["opportunity"],), lambda e: e.kind[12:]
    )
    assert {k: v for k, v in of(rows, "opportunity", "state").items() if v in ("won", "lost")} == decided
    told = [e for e in facts if e.family == "opportunity" and e.data.get("value_cents") is not None]
    values = latest(told, tuple({e.kind for e in told}), lambda d: (d["opportunity"],), lambda e: e.data["value_cents"])
    assert known(of(rows, "opportunity", "value_cents")) == values
    assert {k[0]: v for k, v in known(of(rows, "contributor", "profile")).items()} == {
        k[1]: v
        for k, v in latest(
            facts, "contributor.profiled", lambda d: (d["employee"],), lambda e: e.data["profile"]
        ).items()
    }


def agreement_view(rows: MemoryRows, events: Sequence[Recorded]) -> None:
    facts = counting(events)

    def key(data: dict[str, Any]) -> tuple[Any, ...]:
        return (data["agreement"],)

    until = latest(facts, ("agreement.signed", "agreement.renewed"), key, lambda e: e.data["until"])
    assert {k: str(v) for k, v in known(of(rows, "agreement", "until_on")).items()} == until
    assert known(of(rows, "agreement", "ended_on")) == latest(facts, "agreement.ended", key, day)
    rag = latest(facts, "programme.progress_reported", lambda d: (d["programme"],), lambda e: e.data["rag"])
    assert known(of(rows, "programme", "rag")) == rag
    made = sorted(e.position for e in facts if e.kind == "programme.steering_decision_taken")
    assert sorted(of(rows, "decision", "position").values()) == made


def chain_view(rows: MemoryRows, events: Sequence[Recorded]) -> None:
    facts = counting(events)

    def flow(data: dict[str, Any]) -> tuple[Any, ...]:
        return data["chain"], data["organisation"], data["financing_system"], data["period"]

    for kind, column in (("investment", "invested"), ("return", "returned")):
        sums = collected(facts, f"chain.{kind}_recorded", flow, lambda e: e.data["cents"])
        assert {k: v for k, v in of(rows, "flow", f"{column}_cents").items() if v} == {
            k: sum(v) for k, v in sums.items()
        }
    partners: Facts = {}
    for e in facts:
        if e.kind in ("chain.partner_assigned", "chain.partner_replaced"):
            at = (e.relation, e.data["chain"], e.data["phase"])
            if e.kind == "chain.partner_replaced":
                partners[*at, e.data["organisation"]] = False
            partners[*at, e.data.get("by") or e.data["organisation"]] = True
    assert of(rows, "partner", "present") == partners
    by = ("chain", "phase", "organisation")
    given = latest(facts, "chain.phase_guaranteed", lambda d: tuple(d[n] for n in by), lambda e: e.position)
    gone = latest(facts, "chain.partner_replaced", lambda d: tuple(d[n] for n in by), lambda e: e.position)
    assert known(of(rows, "guarantee", "position")) == given
    order = [e.position for e in facts]
    assert {k for k, replaced in of(rows, "guarantee", "replaced").items() if replaced} == {
        k for k in given if k in gone and order.index(gone[k]) > order.index(given[k])
    }
    by = ("chain", "assessment")
    assert known(of(rows, "saving", "saving_cents")) == latest(
        facts, "chain.savings_assessed", lambda d: tuple(d[n] for n in by), lambda e: e.data["saving_cents"]
    )
    assert {k: v for k, v in of(rows, "saving", "amounts").items() if v} == latest(
        facts, "chain.savings_distributed", lambda d: tuple(d[n] for n in by), lambda e: e.data["amounts"]
    )
    shares = latest(facts, "chain.sharing_key_agreed", lambda d: (d["chain"],), lambda e: e.data["shares"])
    assert {k: v for k, v in of(rows, "chain", "sharing_key").items() if v} == shares
    assert of(rows, "baseline", "cents") == latest(
        facts, "chain.baseline_agreed", lambda d: (d["chain"], d["indicator"], d["period"]), lambda e: e.data["cents"]
    )
    found: dict[tuple[str, str, str | None], tuple[int, int, int, int]] = {}
    for relation in naive.RELATIONS:
        tables = [
            [row for key, row in rows.tables[name].items() if key[0] == relation]
            for name in ("flow", "saving", "partner")
        ]  # fmt: skip
        for cell in matrix_of(*tables):
            cents = (cell["invested_cents"], cell["returned_cents"], cell["shared_cents"], cell["net_cents"])
            found[relation, cell["organisation"], cell["financing_system"]] = cents
    assert found == naive_relation.pockets(events)


def satisfaction_view(rows: MemoryRows, events: Sequence[Recorded]) -> None:
    facts = counting(events)
    assert of(rows, "response", "score") == latest(
        facts, "satisfaction.scored", lambda d: (d["response"],), lambda e: e.data["score"]
    )
    assert of(rows, "complaints", "count") == latest(
        facts, "satisfaction.complaints_reported", lambda d: (d["period"],), lambda e: e.data["count"]
    )
    assert of(rows, "outcome", "value") == latest(
        facts, "satisfaction.outcome_reported", lambda d: (d["indicator"], d["period"]), lambda e: e.data["value"]
    )
    for table, kind, key in (
        ("staff", "staff_reported", ("unit", "period")),
        ("survey_round", "round_closed", ("round",)),
    ):
        told = latest(facts, f"satisfaction.{kind}", lambda d: tuple(d[n] for n in key), lambda e: e.position)  # noqa: B023
        assert of(rows, table, "position") == {k[1:]: v for k, v in told.items()}
    figures: dict[str, Any] = {}
    for relation in naive.RELATIONS:
        shown = present_satisfaction(rows, relation, NOW)
        for one in () if shown is None else shown["figures"]:
            quarters = [(q["quarter"], q["n"], q["mean"], q["nps"], q["low_share"]) for q in one["trend"]]
            figures[relation] = (one["n"], one["mean"], one["nps"], one["low_share"]), quarters
    assert figures == naive_relation.figures(events)


def workflows(rows: MemoryRows, events: Sequence[Recorded]) -> None:
    assert known(of(rows, "contact", "held_on")) == {k: local(d["occurred_at"]) for k, d in contacts(events).items()}
    tiers = latest(counting(events), "relation.tier_assigned", lambda d: (), lambda e: e.data["tier"])
    assert known(of(rows, "relation", "tier")) == tiers
    wanted = {
        key: as_duty(row["wanted"]) for key, row in rows.tables["duty"].items()
        if row["rule"] in RULES and row["wanted"]["done"] is None
    }  # fmt: skip
    assert wanted == duties(events)
    for (relation, *_), row in rows.tables["duty"].items():
        seen_at = rows.tables["relation"][relation,]["seen_at"]
        assert row["check_at"] == opens_at(as_duty(row["wanted"]), seen_at)


CHECKS: Final[dict[str, Callable[[MemoryRows, Sequence[Recorded]], None]]] = {
    check.__name__: check
    for check in (
        relation_view, team_timeline, contact_alerts, workflows, partnership_view, agreement_view, chain_view,
        satisfaction_view,
    )
}  # fmt: skip


def test_every_read_model_is_checked() -> None:
    assert set(CHECKS) == set(PROJECTIONS)


def check_all(events: Sequence[Recorded], chance: random.Random, names: Sequence[str]) -> None:
    for name in names:
        projection = PROJECTIONS[name]
        CHECKS[name](fold(projection, events), events)
        sizes = [chance.randint(1, 12) for _ in range(3)]
        rows = MemoryRows(projection.metadata)
        rows.tables = asyncio.run(fold_in_batches(projection, events, sizes, 1_000, 1)).tables
        CHECKS[name](rows, events)


def shuffled(events: Sequence[Recorded], chance: random.Random) -> list[Recorded]:
    """The same facts in another order; what a withdrawal, a merge or a score rests on still comes before it."""
    first = [e for e in events if e.kind in ("satisfaction.instrument_defined", "relation.merged", "relation.unmerged")]
    rest = [e for e in events if e not in first]
    order = [*first, *chance.sample(rest, len(rest))]
    withdrawals = [e for e in order if e.withdraws is not None]
    return numbered([*(e for e in order if e.withdraws is None), *withdrawals])


# The families of which a read model is made most; another one is mixed in.
CORE: Final[dict[str, list[str]]] = {
    "relation_view": ["relation", "contact", "schedule", "plan", "satisfaction", "agreement", "partnership"],
    "team_timeline": list(FAMILIES),
    "contact_alerts": ["schedule"],
    "workflows": ["satisfaction", "plan", "agreement", "partnership", "chain", "relation"],
    "partnership_view": ["partnership"],
    "agreement_view": ["agreement"],
    "chain_view": ["chain"],
    "satisfaction_view": ["satisfaction"],
}


@pytest.mark.parametrize("name", sorted(CHECKS))
@settings(max_examples=40, deadline=None, suppress_health_check=_SLOW)
@given(data=st.data(), chance=st.randoms(use_true_random=False))
def test_a_read_model_is_what_a_plain_look_says(name: str, data: st.DataObject, chance: random.Random) -> None:
    events = data.draw(histories(core=CORE[name]))
    check_all(events, chance, [name])
    check_all(shuffled(events, chance), chance, [name])


_BY_THE_BOOK: Final = ("alert", "loop", "person", "retention")


def test_every_kind_that_departments_send_is_in_the_histories() -> None:
    met: set[str] = set()
    for family in FAMILIES:

        @settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=_SLOW)
        @given(events=histories(60, 80, 1, [family]))
        def look(events: list[Recorded]) -> None:
            met.update(e.kind for e in events)

        look()
    assert met == {t.kind for t in TYPES.values() if t.family not in _BY_THE_BOOK}


@pytest.mark.full
@settings(max_examples=400, deadline=None, suppress_health_check=_SLOW)
@given(events=histories(20, 80, len(FAMILIES)), chance=st.randoms(use_true_random=False))
def test_all_read_models_at_length(events: list[Recorded], chance: random.Random) -> None:
    check_all(events, chance, sorted(CHECKS))
    check_all(shuffled(events, chance), chance, sorted(CHECKS))
