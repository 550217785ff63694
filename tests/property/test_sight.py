"""Who sees what rests on several facts, over random restrictions: exactly who may see every one of those facts.

The bound on what an event names (20 positions) never lets a restriction go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from events.recorded import Recorded
from projections import relation_view
from projections.relation_present import present
from projections.rows import fold
from projections.transition import MAX_EVIDENCE
from projections.viewer import EVERYTHING, Viewer, hidden_bits, narrowest, of_team, restriction, telling
from projections.workflows.facts import Entry, put_entry
from projections.workflows.rule import positions
from tests.alert_trial import Trial
from tests.given import HAAG, Book, numbered
from tests.given import fact as given_fact

_DEPARTMENTS: Final = [f"afdeling-{n}" for n in range(30)]
READERS: Final = (
    EVERYTHING, of_team("wmo"), Viewer("board", tiers=frozenset({"A"})),
    *(Viewer(d, teams=frozenset({"wmo"}), department=d) for d in ("wmo", "zorg", *_DEPARTMENTS)),
    Viewer("board of one", tiers=frozenset({"A"}), department=_DEPARTMENTS[0]),
)  # fmt: skip
visibilities = st.sampled_from(["organisation", "organisation", "team", "department", "department", "named"])
scopes = st.tuples(visibilities, st.sampled_from(_DEPARTMENTS))


def sees(reader: Viewer, facts: Iterable[Recorded]) -> bool:
    """Whether each of these facts, none of which is a contact, is one that the reader may see."""
    return all(not restriction(e) & hidden_bits(reader) for e in facts)


def open_to(reader: Viewer, bits: int) -> bool:
    return not bits & hidden_bits(reader)


def promised(number: int, scope: tuple[str, str]) -> Recorded:
    data = {"commitment": "k-1", "by": "us", "due_on": "2026-03-02", "occurred_on": "2026-01-10"}
    return given_fact("commitment.made", data, id=f"e-{number}", visibility=scope[0], department=scope[1])


@given(st.lists(scopes, max_size=60))
def test_few_facts_say_how_restricted_all_of_them_are(drawn: Sequence[tuple[str, str]]) -> None:
    facts = numbered(promised(n, scope) for n, scope in enumerate(drawn))
    bits = {e.position: restriction(e) for e in facts}
    found = telling(bits)
    assert len(found) <= 4
    for reader in READERS:
        assert open_to(reader, narrowest(bits[position] for position in found)) is sees(reader, facts), reader.name


@given(st.lists(scopes, max_size=60))
def test_a_duty_names_what_restricts_it_however_many_facts_it_rests_on(drawn: Sequence[tuple[str, str]]) -> None:
    facts = numbered(promised(n, scope) for n, scope in enumerate(drawn))
    by_position = {e.position: e for e in facts}
    entries: list[Entry] = []
    for e in facts:
        stored = put_entry({}, "made", e, ("due_on",))
        assert stored is not None
        stamp, on, position, recorded_on, data = stored["made"]
        entries.append(Entry(stamp, date.fromisoformat(on), position, date.fromisoformat(recorded_on), data))
    named = positions(entries)
    assert len(named) == min(len(facts), MAX_EVIDENCE)
    for reader in READERS:
        assert sees(reader, [by_position[position] for position in named]) is sees(reader, facts), reader.name


def scheduled(settings: Sequence[tuple[str, str]], owners: Sequence[tuple[str, str]],
              pauses: Sequence[tuple[str, str]]) -> Book:  # fmt: skip
    """A line that was set, got other owners, and was put off for a day or two in each of many weeks."""
    book = Book()
    book.register()
    for n, (visibility, department) in enumerate(settings):
        set_: dict[str, Any] = {
            "line": "l-1", "our_layer": "board", "their_layer": "board", "starts_on": "2022-01-01",
            "cadence": {"mode": "rolling", "every": "P3M"}, "grace_working_days": 5, "owner": "ref~a",
            "occurred_at": f"2024-01-{n + 1:02}T10:00:00+01:00",
        }  # fmt: skip
        book.tell("schedule.line_set", set_, visibility=visibility, department=department)
    for n, (visibility, department) in enumerate(owners):
        changed = {"line": "l-1", "owner": f"ref~{n}", "occurred_at": f"2024-01-{n + 2:02}T12:00:00+01:00"}
        book.tell("schedule.line_reassigned", changed, visibility=visibility, department=department)
    for n, (visibility, department) in enumerate(pauses):
        start = date(2024, 6, 3) + timedelta(weeks=n)
        pause = {"line": "l-1", "until": str(start + timedelta(days=2)), "occurred_on": str(start)}
        book.tell("schedule.line_paused", pause, visibility=visibility, department=department)
    return book


@given(
    st.lists(scopes, min_size=1, max_size=3), st.lists(scopes, max_size=3), st.lists(scopes, max_size=45),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_late_line_and_its_alert_show_to_who_may_see_all_that_the_line_stands_on(
    set_: Sequence[tuple[str, str]], owners: Sequence[tuple[str, str]], pauses: Sequence[tuple[str, str]]
) -> None:
    book = scheduled(set_, owners, pauses)
    trial = Trial()
    trial.take(book.events, datetime(2026, 11, 2, 12, tzinfo=UTC))
    (raised,) = trial.due()
    last_set = [e for e in book.events if e.kind == "schedule.line_set"][-1]
    named = [e for e in book.events if e.kind in ("schedule.line_set", "schedule.line_reassigned")]
    owner = max(named, key=lambda e: e.stamp)
    rests_on = [last_set, owner, *(e for e in book.events if e.kind == "schedule.line_paused")]
    named_in: list[int] = raised.data["evidence"]
    evidence = [book.events[position - 1] for position in named_in]
    assert len(evidence) <= MAX_EVIDENCE

    view = fold(relation_view.PROJECTION, book.events)
    row = trial.rows.tables["line"][HAAG, "l-1"]
    for reader in READERS:
        may = sees(reader, rests_on)
        assert open_to(reader, row["hidden"]) is may, reader.name
        # What came last is named too, whether it still stands or not.
        assert sees(reader, evidence) is (may and sees(reader, book.events[row["cause_position"] - 1 :][:1]))
        shown = present(view, HAAG, trial.now, hidden=hidden_bits(reader))
        assert shown is not None
        assert bool(shown["schedule"]) is may, reader.name
