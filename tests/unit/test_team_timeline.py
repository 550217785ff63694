"""Team timeline: the rows that events give, who hears of them live, and what entries are called."""

from __future__ import annotations

from typing import Any

import pytest

from events.recorded import ORGANISATION, Recorded
from projections.rows import fold
from projections.team_timeline import PROJECTION
from projections.timeline_titles import title
from tests.given import DELFT, HAAG, Book, held

ASSIGNED = {"team": "wmo", "occurred_on": "2026-01-06"}


@pytest.fixture
def book() -> Book:
    book = Book()
    book.tell("team.formed", {"team": "wmo", "name": "Wmo Haaglanden", "occurred_on": "2026-01-01"}, ORGANISATION)
    book.register()
    book.tell("team.relation_assigned", ASSIGNED)
    return book


def told(book: Book, event: Recorded) -> list[str]:
    return [m.subject for m in PROJECTION.announce(fold(PROJECTION, book.events), event)]


def contact_row(book: Book) -> dict[str, Any]:
    row = fold(PROJECTION, book.events).get("contact", HAAG, "c-1")
    assert row is not None
    return row


def test_each_fact_of_a_relation_is_one_entry_and_the_organisation_has_none(book: Book) -> None:
    book.held("c-1", "2026-02-03T10:00:00+01:00")
    entries = fold(PROJECTION, book.events).group("entry", HAAG)
    assert [(e["position"], e["family"]) for e in entries] == [(2, "relation"), (3, "team"), (4, "contact")]
    assert entries[2]["topics"] == ["wmo"]
    assert fold(PROJECTION, book.events).tables["team"][("wmo",)]["name"] == "Wmo Haaglanden"


def test_a_late_fact_takes_its_place(book: Book) -> None:
    book.held("c-1", "2025-12-03T10:00:00+01:00")
    assert [e["position"] for e in fold(PROJECTION, book.events).group("entry", HAAG)] == [4, 2, 3]


def test_an_anonymous_score_has_no_entry_and_is_told_to_nobody(book: Book) -> None:
    score = {"response": "r", "instrument": "nps", "score": 3, "anonymous": True, "occurred_on": "2026-02-10"}
    anonymous = book.tell("satisfaction.scored", score)
    named = book.tell("satisfaction.scored", {**score, "response": "s", "anonymous": False})
    positions = [e["position"] for e in fold(PROJECTION, book.events).group("entry", HAAG)]
    assert anonymous.position not in positions
    assert named.position in positions
    assert (told(book, anonymous), told(book, named)) == ([], ["live.team.wmo"])


def test_corrections_and_the_retraction_are_known_of_the_contact(book: Book) -> None:
    first = book.held("c-1", "2026-02-03T10:00:00+01:00")
    change = {"contact": "c-1", "changes": {"topics": ["jeugd"], "theirs": [{"layer": "professional"}]}}
    later = book.tell("contact.corrected", {**change, "occurred_at": "2026-02-08T09:00:00+01:00"})
    book.tell("contact.corrected", {**change, "occurred_at": "2026-02-07T09:00:00+01:00"})
    row = contact_row(book)
    assert (row["held"], row["corrected"], row["retracted"]) == (first.position, later.position, None)
    assert row["topics"] == ["jeugd", "wmo"]
    gone = book.tell("contact.retracted", {"contact": "c-1", "occurred_at": "2026-02-09T09:00:00+01:00"})
    assert contact_row(book)["retracted"] == gone.position


def test_live_goes_to_the_teams_that_have_the_relation_now(book: Book) -> None:
    event = book.held("c-1", "2026-02-03T10:00:00+01:00")
    (message,) = PROJECTION.announce(fold(PROJECTION, book.events), event)
    assert message.subject == "live.team.wmo"
    assert message.body == {"position": 4, "relation": HAAG, "type": "nl.relatieboek.contact.held.v1"}
    assert told(book, book.held("c-2", "2026-02-03T10:00:00+01:00", DELFT)) == []
    gone = book.tell("team.relation_unassigned", {"team": "wmo", "occurred_on": "2026-03-06"})
    assert told(book, gone) == []
    assert told(book, book.events[0]) == []


def test_a_late_assignment_that_was_undone_since_gives_the_team_nothing(book: Book) -> None:
    book.tell("team.relation_unassigned", {"team": "wmo", "occurred_on": "2026-03-06"})
    book.tell("team.relation_assigned", {"team": "wmo", "occurred_on": "2026-02-06"})
    assert told(book, book.held("c-1", "2026-04-03T10:00:00+02:00")) == []


def test_restricted_facts_are_told_only_when_the_team_sees_something_of_them(book: Book) -> None:
    held_event = book.held("c-1", "2026-02-03T10:00:00+01:00", visibility="named")
    change = {"contact": "c-1", "changes": {"duration_min": 5}, "occurred_at": "2026-02-08T09:00:00+01:00"}
    corrected = book.tell("contact.corrected", change, visibility="organisation")
    score = {"response": "r", "instrument": "nps", "score": 3, "anonymous": False, "occurred_on": "2026-02-10"}
    restricted = book.tell("satisfaction.scored", score, visibility="department")
    of_the_team = book.tell("satisfaction.scored", {**score, "response": "s"}, visibility="team")
    assert told(book, held_event) == ["live.team.wmo"]
    assert (told(book, corrected), told(book, restricted)) == ([], [])
    assert told(book, of_the_team) == ["live.team.wmo"]


@pytest.mark.parametrize(
    ("kind", "data", "dutch", "english"),
    [
        (
            "contact.held",
            held("c", "2026-02-03T10:00:00+01:00"),
            "Gesprek, afspraak, 60 minuten",
            "Conversation, meeting, 60 minutes",
        ),
        (
            "contact.planned",
            {"starts_at": "2026-02-28T23:30:00+00:00", "channel": "video"},
            "Contact gepland op 1 maart 2026 (video)",
            "Contact planned on 1 March 2026 (video)",
        ),
        ("relation.tier_assigned", {"tier": "A"}, "Ingedeeld als A-relatie", "Became an A relation"),
        (
            "schedule.line_set",
            {
                "our_layer": "board",
                "their_layer": "professional",
                "cadence": {"mode": "quota", "times": 2, "per": "quarter"},
            },
            "Contactschema: ons bestuur met hun professionals, 2 keer per kwartaal",
            "Contact schedule: our board with their professionals, 2 times a quarter",
        ),
        (
            "schedule.line_set",
            {"our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P3M"}},
            "Contactschema: ons bestuur met hun bestuur, elke 3 maanden",
            "Contact schedule: our board with their board, every 3 months",
        ),
        (
            "alert.resolved",
            {"reason": "late_evidence"},
            "Signaal gesloten: het contact was op tijd, maar werd later ingevoerd",
            "Alert closed: the contact was in time, but came late",
        ),
        (
            "alert.raised",
            {"line": "l-1", "due_on": "2026-05-04"},
            "Signaal: contact is te laat (uiterlijk 4 mei 2026)",
            "Alert: contact is overdue (due 4 May 2026)",
        ),
        ("weather.turned_cold", {}, "Gebeurtenis: weather turned cold", "Event: weather turned cold"),
    ],
)
def test_titles(kind: str, data: dict[str, Any], dutch: str, english: str) -> None:
    assert title(kind, data) == dutch
    assert title(kind, data, "en") == english


def test_no_title_shows_a_personal_field() -> None:
    token = "enc~e~1~/data~AAAA"
    data = {
        "person": token, "employee": token, "name": "Gemeente", "summary": token, "reason": "manual", "what": token,
        "answer": token, "owner": token, "text": token, "comment": token, "respondent": token, "function": token,
        "layer": "board",
        "score": 3, "by": "us", "tier": "A", "until": "2026-01-01", "channel": "phone", "duration_min": 3,
        "our_layer": "board", "their_layer": "board", "cadence": {"mode": "rolling", "every": "P1M"},
    }  # fmt: skip
    kinds = (
        "counterpart.added contact.held contact.cancelled contact.corrected contact.retracted schedule.line_set "
        "schedule.line_paused plan.question_answered plan.action_agreed satisfaction.scored commitment.made "
        "knowledge.item_recorded alert.raised alert.snoozed team.relation_assigned"
    )
    assert all("enc~" not in title(kind, data) for kind in kinds.split())
