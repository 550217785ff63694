"""Live messages about merged relations: whoever reads the survivor hears of an absorbed relation's facts too."""

from __future__ import annotations

from projections import relation_view, team_timeline
from projections.rows import fold
from tests.given import DELFT, HAAG, ORGANISATION, Book

UTRECHT = "0b1f5b0e-7d0a-5c55-9a58-1f3a54f0a003"


def _merge(book: Book, kind: str, survivor: str, absorbed: str) -> None:
    data = {"survivor": survivor, "absorbed": absorbed, "occurred_on": "2026-01-10"}
    book.tell(f"relation.{kind}", data, survivor, absorbed=absorbed)


def _book() -> Book:
    """Three relations, each with a team of its own; Delft is part of Den Haag, and that of Utrecht."""
    book = Book()
    for relation, team in ((HAAG, "haag"), (DELFT, "delft"), (UTRECHT, "utrecht")):
        book.tell("team.formed", {"team": team, "name": team, "occurred_on": "2026-01-01"}, ORGANISATION)
        book.register(relation, team)
        book.tell("team.relation_assigned", {"team": team, "occurred_on": "2026-01-06"}, relation)
    _merge(book, "merged", HAAG, DELFT)
    _merge(book, "merged", UTRECHT, HAAG)
    return book


def _heard(book: Book) -> list[str]:
    """The teams that hear of the last event."""
    rows = fold(team_timeline.PROJECTION, book.events)
    return [m.subject.removeprefix("live.team.") for m in team_timeline.announce(rows, book.events[-1])]


def test_the_teams_of_all_members_hear_of_a_fact_of_any() -> None:
    for relation in (HAAG, DELFT, UTRECHT):
        book = _book()
        book.held("c-1", "2026-02-03T10:00:00+01:00", relation)
        assert _heard(book) == ["delft", "haag", "utrecht"]


def test_both_sides_hear_of_the_merge_and_of_its_undoing() -> None:
    book = _book()
    assert _heard(book) == ["delft", "haag", "utrecht"]
    _merge(book, "unmerged", UTRECHT, HAAG)
    assert _heard(book) == ["delft", "haag", "utrecht"]
    book.held("c-1", "2026-02-03T10:00:00+01:00", DELFT)
    assert _heard(book) == ["delft", "haag"]
    book.held("c-2", "2026-02-03T10:00:00+01:00", UTRECHT)
    assert _heard(book) == ["utrecht"]


def test_a_team_that_comes_or_goes_after_the_merge_hears_as_it_should() -> None:
    book = _book()
    book.tell("team.relation_unassigned", {"team": "delft", "occurred_on": "2026-01-20"}, DELFT)
    book.tell("team.relation_assigned", {"team": "jeugd", "occurred_on": "2026-01-20"}, DELFT)
    book.held("c-1", "2026-02-03T10:00:00+01:00", UTRECHT)
    assert _heard(book) == ["haag", "jeugd", "utrecht"]


def test_the_survivors_own_readers_hear_of_it() -> None:
    book = _book()
    book.held("c-1", "2026-02-03T10:00:00+01:00", DELFT)
    rows = fold(relation_view.PROJECTION, book.events)
    subjects = [m.subject for m in relation_view.PROJECTION.announce(rows, book.events[-1])]
    assert subjects == [f"live.relation.{DELFT}", f"live.relation.{UTRECHT}"]
