"""Titles of timeline entries and evidence: every kind has its own line, in two languages, from its golden event."""

from __future__ import annotations

from typing import Any

import pytest

from events.catalog import TYPES, json_schema, personal_paths
from projections.timeline_titles import title, told
from projections.title_words import every, word
from tests.samples import golden

KINDS = sorted(t.kind for t in TYPES.values())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_line_of_its_own(kind: str) -> None:
    data = golden(kind)["data"]
    dutch, english = title(kind, data), title(kind, data, "en")
    assert not dutch.startswith("Gebeurtenis:")
    assert not english.startswith("Event:")
    for text in (dutch, english):
        assert "?" not in text
        assert "{" not in text
        assert len(text) <= 120


@pytest.mark.parametrize("kind", KINDS)
def test_no_title_shows_personal_data(kind: str) -> None:
    data = _hidden(golden(kind)["data"], [path for path, _ in personal_paths(TYPES[f"nl.relatieboek.{kind}.v1"].model)])
    assert "enc~" not in title(kind, data) + title(kind, data, "en")


def _hidden(data: Any, paths: list[tuple[str, ...]]) -> Any:
    for path in paths:
        places: list[Any] = [data]
        for step in path[:-1]:
            places = [inner for p in places for inner in (p if step == "*" else [p[step]] if step in p else [])]
        for place in places:
            if path[-1] in place:
                place[path[-1]] = "enc~e~1~/data~AAAA"
    return data


@pytest.mark.parametrize(
    ("kind", "changes", "dutch", "english"),
    [
        ("relation.merged", {}, "Relaties samengevoegd", "Relations merged"),
        ("correction.withdrawn", {}, "Een gebeurtenis is ingetrokken", "An event was withdrawn"),
        (
            "agreement.signed", {},
            "Duurzame coalitie getekend, loopt tot en met 31 december 2028",
            "Coalition signed, holds until 31 December 2028",
        ),
        (
            "agreement.signed", {"type": "covenant"},
            "Convenant getekend, loopt tot en met 31 december 2028",
            "Covenant signed, holds until 31 December 2028",
        ),
        (
            "chain.savings_distributed", {},
            "Besparing verdeeld: € 180.000 over 3 partijen", "Saving shared: € 180,000 over 3 parties",
        ),
        (
            "chain.sharing_key_agreed", {},
            "Verdeelsleutel afgesproken: 40 - 35,5 - 24,5", "Sharing key agreed: 40 - 35.5 - 24.5",
        ),
        (
            "chain.savings_assessed", {"quality_met": False},
            "Besparing 2026: € 180.000, kwaliteit niet gehaald", "Saving 2026: € 180,000, quality not met",
        ),
        (
            "programme.progress_reported", {},
            "Programma pr-1, wachttijd: 17,5, doel 15 (let op)", "Programme pr-1, wachttijd: 17.5, target 15 (at risk)",
        ),
        (
            "chain.phase_guaranteed", {},
            "Fase wijk gegarandeerd tot en met 31 december 2027", "Phase wijk guaranteed until 31 December 2027",
        ),
        ("satisfaction.complaints_reported", {"count": 1}, "1 klacht in 2026-Q2", "1 complaint in 2026-Q2"),
        (
            "satisfaction.outcome_reported", {},
            "Wachttijd in 2026-06: 12,5 dagen", "Waiting time in 2026-06: 12.5 days",
        ),
        (
            "alert.raised", {"rule": "agreement_ending"},
            "Signaal: een overeenkomst loopt af (uiterlijk 4 mei 2026)", "Alert: an agreement ends (due 4 May 2026)",
        ),
        ("opportunity.won", {"value_cents": 150}, "Opdracht gewonnen (€ 1,50)", "Assignment won (€ 1.50)"),
    ],
)  # fmt: skip
def test_how_titles_read(kind: str, changes: dict[str, Any], dutch: str, english: str) -> None:
    data = {**golden(kind)["data"], **changes}
    assert title(kind, data) == dutch
    assert title(kind, data, "en") == english


@pytest.mark.parametrize(
    ("period", "dutch", "english"),
    [
        ("P1M", "elke maand", "every month"),
        ("P3M", "elke 3 maanden", "every 3 months"),
        ("P1Y", "elk jaar", "every year"),
        ("P12M", "elk jaar", "every year"),
        ("P2Y", "elke 2 jaar", "every 2 years"),
        ("P1Y6M", "elke 18 maanden", "every 18 months"),
        ("P2W", "elke 2 weken", "every 2 weeks"),
        ("P10D", "elke 10 dagen", "every 10 days"),
        ("P1D", "elke dag", "every day"),
        ("P1M1D", "elke 1 maand en 1 dag", "every 1 month and 1 day"),
    ],
)
def test_how_a_period_reads(period: str, dutch: str, english: str) -> None:
    assert (every(period, "nl"), every(period, "en")) == (dutch, english)


def test_what_a_contact_was_and_how_it_went_are_said_once_where_they_are_one_word() -> None:
    data = {**golden("contact.held")["data"], "duration_min": 120}
    gathering = {**data, "activity": "gathering", "channel": "event"}
    assert title("contact.held", gathering) == "Bijeenkomst, 120 minuten"
    assert title("contact.held", {**gathering, "channel": "visit"}) == "Bijeenkomst, bezoek, 120 minuten"


# Codes that Dutch has too, and codes that people know by name.
SAME_IN_DUTCH = {"video", "contract", "gemeentecode", "zorgkantoor", "nps", "pgb"}


@pytest.mark.parametrize("kind", KINDS)
def test_no_code_stands_in_a_dutch_title(kind: str) -> None:
    """Every value of every field of the event with a closed set: a title says it in words."""
    data = golden(kind)["data"]
    for field, values in _closed_sets(kind).items():
        for value in values:
            known = word(value, "nl")
            if value in SAME_IN_DUTCH or (known != value and known.lower() == value):  # Zvw, KvK
                continue
            said = title(kind, {**data, field: value}).split()
            assert value not in [one.strip("(),:") for one in said], (field, value)


def _closed_sets(kind: str) -> dict[str, list[str]]:
    schema = json_schema(f"nl.relatieboek.{kind}.v1")
    found: dict[str, list[str]] = {}
    for field, said in schema["properties"].items():
        for one in (said, *said.get("anyOf", ())):
            values = [v for v in one.get("enum", ()) if isinstance(v, str)]
            if values:
                found[field] = values
    return found


def test_another_financing_system_is_no_contact() -> None:
    data = {**golden("chain.partner_assigned")["data"], "financing_system": "other"}
    assert title("chain.partner_assigned", data).endswith("(andere financiering)")
    assert title("chain.partner_assigned", data, "en").endswith("(other financing)")


def test_numbers_and_schemes_are_said_as_people_say_them() -> None:
    scored = {**golden("satisfaction.scored")["data"], "score": 8.5, "instrument": "nps-2026"}
    assert title("satisfaction.scored", scored) == "Score 8,5 (nps-2026)"
    assert title("satisfaction.scored", {**scored, "score": "–"}) == "Score – (nps-2026)"
    linked = {**golden("relation.identifier_linked")["data"], "scheme": "local", "value": "D-40012"}
    assert title("relation.identifier_linked", linked) == "Nummer gekoppeld: eigen nummer D-40012"


def test_a_loop_in_a_timeline_does_not_say_which_answer_it_follows_up() -> None:
    data = golden("loop.opened")["data"]
    assert data.keys() - told("loop.opened", data).keys() == {"response", "evidence"}
    assert told("alert.raised", golden("alert.raised")["data"]) == golden("alert.raised")["data"]
