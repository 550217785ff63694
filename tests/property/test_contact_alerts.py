"""Contact alerts: arrival order, batches and the moment to look again, for histories that nobody thought of."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import date, datetime, time, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.recorded import AMSTERDAM, Recorded, day_end, local_date
from projections.alert_rule import contacts_of, decide, meetings_of, set_line
from projections.contact_alerts import PROJECTION
from projections.due import evaluate, paused
from projections.overdue import wanted
from projections.rows import MemoryRows, Row
from tests.alert_trial import CALENDAR, INSTITUTION, RELATION, Trial

DAYS = st.dates(date(2026, 1, 1), date(2026, 6, 30))
LAYERS = st.sampled_from(["board", "professional"])
CHANNELS = st.sampled_from(["meeting", "email"])
LINES = st.sampled_from(["l-1", "l-2"])
Json = dict[str, Any]
Fact = tuple[str, dict[str, Any]]

_RECORDED = datetime(2026, 7, 1, 10, tzinfo=AMSTERDAM)


def _at(on: date, hour: int = 10) -> str:
    return datetime.combine(on, time(hour), AMSTERDAM).isoformat()


def _rolling(every: str) -> Json:
    return {"mode": "rolling", "every": every}


def _quota(times: int, per: str) -> Json:
    return {"mode": "quota", "times": times, "per": per}


def _person(layer: str) -> Json:
    return {"layer": layer}


CADENCES: st.SearchStrategy[Json] = st.one_of(
    st.builds(_rolling, st.sampled_from(["P1W", "P1M", "P3M", "P40D"])),
    st.builds(_quota, st.integers(1, 3), st.sampled_from(["month", "quarter", "half_year"])),
)
PERSONS: st.SearchStrategy[list[Json]] = st.lists(st.builds(_person, LAYERS), min_size=1, max_size=2)
CHANGES: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {}, optional={"occurred_at": DAYS.map(_at), "ours": PERSONS, "channel": CHANNELS}
)


@st.composite
def _line_facts(draw: st.DrawFn) -> Fact:
    line, on = draw(LINES), draw(DAYS)
    kind = draw(st.sampled_from(["line_set", "line_set", "line_paused", "line_resumed", "line_ended"]))
    data: dict[str, Any] = {"line": line, "occurred_on": str(on)}
    if kind == "line_paused":
        data["until"] = str(on + timedelta(days=draw(st.integers(1, 90))))
    if kind == "line_set":
        data |= {
            "our_layer": draw(LAYERS), "their_layer": draw(LAYERS), "cadence": draw(CADENCES),
            "starts_on": str(draw(DAYS)), "grace_working_days": draw(st.integers(0, 7)), "owner": "ref~1",
        }  # fmt: skip
        channels = draw(st.none() | st.lists(CHANNELS, min_size=1, unique=True))
        if channels is not None:
            data["channels"] = channels
    return f"schedule.{kind}", data


@st.composite
def _contact_facts(draw: st.DrawFn, contact: str) -> list[Fact]:
    who: dict[str, Any] = {"ours": draw(PERSONS), "theirs": draw(PERSONS), "channel": draw(CHANNELS)}
    facts: list[Fact] = []
    on = draw(DAYS)
    if draw(st.booleans()):
        starts_on = draw(st.dates(date(2026, 1, 1), date(2026, 12, 31)))
        ends_on = starts_on + timedelta(days=draw(st.integers(0, 2)))
        planned = {"contact": contact, "starts_at": _at(starts_on), "ends_at": _at(ends_on, 11), **who}
        facts.append(("contact.planned", planned))
        if draw(st.booleans()):
            facts.append(("contact.cancelled", {"contact": contact, "occurred_at": _at(on)}))
    if not facts or draw(st.booleans()):
        facts.append(("contact.held", {"contact": contact, "occurred_at": _at(on), "duration_min": 30, **who}))
        for _ in range(draw(st.integers(0, 2))):
            corrected = {"contact": contact, "changes": draw(CHANGES), "occurred_at": _at(draw(DAYS))}
            facts.append(("contact.corrected", corrected))
        if draw(st.integers(0, 3)) == 0:
            facts.append(("contact.retracted", {"contact": contact, "occurred_at": _at(draw(DAYS))}))
    return facts


@st.composite
def histories(draw: st.DrawFn) -> list[Fact]:
    facts = draw(st.lists(_line_facts(), min_size=1, max_size=6))
    for n in range(draw(st.integers(0, 5))):
        facts += draw(_contact_facts(f"c-{n}"))
    for _ in range(draw(st.integers(0, 3))):
        facts.append(("relation.tier_assigned", {"tier": draw(st.sampled_from("ABC")), "occurred_on": str(draw(DAYS))}))
    return facts


def _events(facts: Sequence[Fact], order: Sequence[int]) -> list[Recorded]:
    """The facts in an order of arrival, all recorded at one moment; an event's id does not depend on the order."""
    return [
        Recorded(
            position=position, version=position, relation=RELATION, type=f"nl.relatieboek.{facts[n][0]}.v1",
            source="urn:test", id=f"e-{n:03d}", subject=RELATION, department="zorg", recorded_at=_RECORDED,
            data=facts[n][1],
        )
        for position, n in enumerate(order, 1)
    ]  # fmt: skip


def _fold(events: Sequence[Recorded], cuts: frozenset[int]) -> MemoryRows:
    rows = MemoryRows(PROJECTION.metadata)
    for n, event in enumerate(events):
        PROJECTION.evolve(rows, event)
        if n in cuts:
            PROJECTION.settle(rows, [RELATION])
    PROJECTION.settle(rows, [RELATION])
    return rows


def _without_positions(rows: MemoryRows) -> dict[str, dict[Any, Row]]:
    tables = deepcopy(rows.tables)
    for contact in tables["contact"].values():
        del contact["position"]
    for bucket in tables["bucket"].values():
        bucket["dates"] = sorted([on, channel] for on, _, channel in bucket["dates"])
    for line in tables["line"].values():
        del line["positions"], line["cause_position"], line["own_position"]
    for relation in tables["relation"].values():
        relation["tiers"] = [[stamp, tier] for stamp, tier, *_ in relation["tiers"]]
    for bucket in tables["bucket"].values():
        del bucket["cause_position"]
    for counterpart in tables["counterpart"].values():
        counterpart["facts"] = {name: fact[:-1] for name, fact in counterpart["facts"].items()}
    # A bucket that was emptied again is as good as none.
    tables["bucket"] = {k: b for k, b in tables["bucket"].items() if b["dates"] or b["meetings"]}
    return tables


@settings(max_examples=150, deadline=None)
@given(st.data(), histories())
def test_any_order_of_arrival_gives_the_same_rows(data: st.DataObject, facts: list[Fact]) -> None:
    order = data.draw(st.permutations(range(len(facts))))
    straight = _fold(_events(facts, range(len(facts))), frozenset())
    shuffled = _fold(_events(facts, order), frozenset())
    assert _without_positions(shuffled) == _without_positions(straight)


@settings(max_examples=100, deadline=None)
@given(histories(), st.frozensets(st.integers(0, 40)))
def test_any_split_into_batches_gives_the_same_rows(facts: list[Fact], cuts: frozenset[int]) -> None:
    events = _events(facts, range(len(facts)))
    assert _fold(events, cuts).tables == _fold(events, frozenset()).tables


@settings(max_examples=60, deadline=None)
@given(histories())
def test_a_line_is_looked_at_exactly_when_its_alerts_go_wrong(facts: list[Fact]) -> None:
    rows = _fold(_events(facts, range(len(facts))), frozenset())
    for row in rows.tables["line"].values():
        bucket = None if row["pair"] is None else rows.get("bucket", RELATION, row["pair"])
        line = set_line(row)
        if line is None:
            assert (row["check_at"], row["overdue_from"]) == (None, None)
            continue
        meetings = meetings_of(line, bucket, _RECORDED)
        instants = [_RECORDED, *(day_end(date(2026, 7, 1) + timedelta(days=n)) for n in range(420))]
        instants += [m.ends_at for m in meetings]
        instants += [at - timedelta(microseconds=1) for at in instants[1:]]
        check_at, overdue_from = row["check_at"], row["overdue_from"]
        for now in sorted(instants):
            if check_at is None or now < check_at:
                assert decide(row, bucket, 1, now, INSTITUTION) is None
            elif now == check_at:
                assert decide(row, bucket, 1, now, INSTITUTION) is not None
            state = evaluate(line, contacts_of(line, bucket), meetings_of(line, bucket, now), now, CALENDAR)
            if state.state == "overdue":
                assert overdue_from is not None
                assert overdue_from <= now
                assert row["overdue_on"] <= local_date(now)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), histories())
def test_however_facts_and_ticks_alternate_the_alerts_end_up_right(data: st.DataObject, facts: list[Fact]) -> None:
    trial = Trial()
    now = datetime(2026, 7, 1, 12, tzinfo=AMSTERDAM)
    for n, (kind, payload) in enumerate(facts):
        trial.record(kind, payload, on=now.isoformat(), id=f"e-{n:03d}")
        if data.draw(st.booleans()):
            now += timedelta(days=data.draw(st.sampled_from([0, 1, 20, 100])))
            trial.tick(now.isoformat())
    trial.tick((now + timedelta(days=1)).isoformat())

    for row in trial.rows.tables["line"].values():
        line = set_line(row)
        if line is None:
            continue
        bucket = trial.rows.get("bucket", RELATION, row["pair"])
        due = wanted(line, contacts_of(line, bucket), meetings_of(line, bucket, trial.now), trial.now, CALENDAR)
        found = [str(a["due_on"]) for a in trial.alerts() if a["line"] == row["line"] and a["state"] == "open"]
        if due is not None and paused(line, local_date(trial.now)):
            assert found in ([], [str(due.due_on)])
        else:
            assert found == ([] if due is None else [str(due.due_on)])
        opened: Json | None = row["open"]
        assert (None if opened is None else opened["due_on"]) == (found[0] if found else None)
    ids = [event.id for event in trial.log]
    assert len(ids) == len(set(ids)), "a transition was sent under an id that was used before"
