"""The demo's story: valid to the last event, the same every time, in an order in which nothing has to wait."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Any

import pytest

from events.catalog import TYPES, check
from events.recorded import Recorded, instant
from services.demo.institution import DEPARTMENTS, TEAMS
from services.demo.load import Parts, demo_events, sources
from services.demo.registers import mergers, relations
from tests.judged import Book
from tests.workflow_trial import Trial

NOW = datetime(2026, 11, 22, 16, tzinfo=UTC)
INSTITUTION = "0" * 20


@pytest.fixture(scope="module")
def parts() -> Parts:
    return demo_events(NOW, INSTITUTION)


@pytest.fixture(scope="module")
def events(parts: Parts) -> list[dict[str, Any]]:
    return [event for _, part in parts for event in part]


@pytest.fixture(scope="module")
def recorded(parts: Parts) -> list[Recorded]:
    """The demo as the book records it; each event is accepted when it comes."""
    book, found = Book(NOW), list[Recorded]()
    for department, part in parts:
        for event in part:
            kind = event["type"].removeprefix("nl.relatieboek.").removesuffix(".v1")
            more = {k: v for k, v in event.items() if k not in {"specversion", "type", "data"}}
            accepted = book.accept(kind, event["data"], department=department, **more)
            withdraws = accepted.attributes.get("withdraws")
            found.append(
                Recorded(
                    position=book.position, version=book.versions[accepted.relation], relation=accepted.relation,
                    type=event["type"], source=event["source"], id=event["id"], subject=event["subject"],
                    department=department, recorded_at=NOW, data=event["data"], time=event["time"],
                    visibility=event.get("visibility", "organisation"), absorbed=accepted.attributes.get("absorbed"),
                    withdraws=None if withdraws is None else int(withdraws),
                )
            )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def trial(recorded: list[Recorded]) -> Trial:
    """The workflows of the demo before their first tick, at its date."""
    trial = Trial()
    trial.take(recorded, NOW)
    return trial


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [e for e in events if e["type"] == f"nl.relatieboek.{kind}.v1"]


def test_the_registers_are_whole() -> None:
    kinds = Counter(r.kind for r in relations())
    assert kinds == {"municipality": 342, "care_office": 31, "health_insurer": 7, "care_partner": 70}
    assert len({r.identifier for r in relations()}) == 450
    names = {r.identifier: r.name for r in relations()}
    assert names["gemeentecode:0014"] == "Gemeente Groningen"
    assert names["zorgkantoor:5532"] == "Zorgkantoor Midden-IJssel"
    assert names["zorgkantoor:5506"] == "Zorgkantoor Apeldoorn/Zutphen e.o."


def test_the_contracts_take_every_event(events: list[dict[str, Any]]) -> None:
    for event in events:
        check(event)
    assert 5_000 < len(events) < 12_000


def test_every_department_may_publish_what_it_publishes(parts: Parts) -> None:
    by_name = {d.name: d for d in DEPARTMENTS}
    for department, part in parts:
        granted = by_name[department]
        own = sources(granted, INSTITUTION)
        for event in part:
            kind = event["type"].removeprefix("nl.relatieboek.").removesuffix(".v1")
            assert any(fnmatchcase(kind, glob) for glob in granted.types), (department, kind)
            assert event["source"] in own


def test_ids_are_unique_and_the_story_is_the_same_every_time(events: list[dict[str, Any]]) -> None:
    assert len({(e["source"], e["id"]) for e in events}) == len(events)
    assert [e for _, part in demo_events(NOW, INSTITUTION) for e in part] == events


def test_nothing_that_happened_lies_ahead(events: list[dict[str, Any]]) -> None:
    for event in events:
        data = event["data"]
        for name in ("occurred_at", "occurred_on"):
            assert name not in data or instant(data[name]) <= NOW, event["id"]
        assert instant(data.get("changes", {}).get("occurred_at", "2026-01-01")) <= NOW


def test_each_event_comes_after_what_it_names(events: list[dict[str, Any]]) -> None:
    needs = {
        "contact.corrected": ("contact.held", "contact"), "contact.retracted": ("contact.held", "contact"),
        "contact.cancelled": ("contact.planned", "contact"), "schedule.line_paused": ("schedule.line_set", "line"),
        "schedule.line_ended": ("schedule.line_set", "line"), "commitment.fulfilled": ("commitment.made", "commitment"),
        "commitment.broken": ("commitment.made", "commitment"), "plan.approved": ("plan.action_agreed", "plan"),
        "team.member_joined": ("team.formed", "team"), "team.relation_assigned": ("team.formed", "team"),
        "satisfaction.scored": ("satisfaction.instrument_defined", "instrument"),
    }  # fmt: skip
    known: set[tuple[str, str, str]] = set()
    subjects: set[Any] = {"organisation"}
    uuids = {r.identifier: r.subject for r in relations()}
    for event in events:
        kind = event["type"].removeprefix("nl.relatieboek.").removesuffix(".v1")
        data, subject = event["data"], event["subject"]
        if kind == "relation.registered":
            subjects |= {subject, uuids.get(subject, subject)}
        assert subject in subjects, event["id"]
        for key in ("contact", "line", "commitment", "plan", "team", "instrument"):
            if key in data:
                known.add((kind, "" if key in {"team", "instrument"} else subject, f"{key} {data[key]}"))
        if kind in needs:
            before, key = needs[kind]
            where = "" if key in {"team", "instrument"} else subject
            assert (before, where, f"{key} {data[key]}") in known, event["id"]


def test_the_book_accepts_every_event_at_once(recorded: list[Recorded], events: list[dict[str, Any]]) -> None:
    assert [(r.source, r.id) for r in recorded] == [(e["source"], e["id"]) for e in events]


def test_real_municipalities_merged_on_the_day_on_which_they_did(events: list[dict[str, Any]]) -> None:
    names = {r.identifier: r.name for r in relations()} | {m.absorbed.identifier: m.absorbed.name for m in mergers()}
    told = {
        (names[e["data"]["absorbed"]], names[e["data"]["survivor"]], e["data"]["occurred_on"])
        for e in of_kind(events, "relation.merged")
        if e["data"]["absorbed"].startswith("gemeentecode:")
    }
    assert len(told) == 17
    assert told >= {
        ("Gemeente Weesp", "Gemeente Amsterdam", "2022-03-24"),
        ("Gemeente Delfzijl", "Gemeente Eemsdelta", "2021-01-01"),
        ("Gemeente Brielle", "Gemeente Voorne aan Zee", "2023-01-01"),
        ("Gemeente Beemster", "Gemeente Purmerend", "2022-01-01"),
    }
    assert {m.absorbed.key for m in mergers()} & {r.key for r in relations()} == set()


def test_a_coalition_has_five_programmes_of_which_two_are_red_and_one_was_steered(events: list[dict[str, Any]]) -> None:
    signed = [e for e in of_kind(events, "agreement.signed") if e["data"]["type"] == "coalition"]
    assert len(signed) == 1
    assert len(signed[0]["data"]["parties"]) >= 3
    started = {e["data"]["programme"] for e in of_kind(events, "programme.started")}
    assert len(started) == 5
    last = {e["data"]["programme"]: e["data"]["rag"] for e in of_kind(events, "programme.progress_reported")}
    red = {programme for programme, rag in last.items() if rag == "red"}
    steered = {e["data"]["programme"] for e in of_kind(events, "programme.steering_decision_taken")}
    assert len(red) == 2
    assert len(red & steered) == 1


def test_a_chain_lacks_one_guarantor_and_divides_one_of_two_savings(events: list[dict[str, Any]]) -> None:
    (defined,) = of_kind(events, "chain.defined")
    phases = {p["phase"] for p in defined["data"]["phases"]}
    guaranteed = {e["data"]["phase"] for e in of_kind(events, "chain.phase_guaranteed")}
    assert len(phases - guaranteed) == 1
    assert {e["data"]["quality_met"] for e in of_kind(events, "chain.savings_assessed")} == {True, False}
    assert len(of_kind(events, "chain.savings_distributed")) == 1
    gains = {e["data"]["organisation"]: e["data"]["financing_system"] for e in of_kind(events, "chain.return_recorded")}
    assert set(gains.values()) == {"zvw", "wlz"}


def test_an_a_relation_lacks_its_board_line_and_one_named_line_is_left_vacant(events: list[dict[str, Any]]) -> None:
    strategic = {e["subject"] for e in of_kind(events, "relation.tier_assigned") if e["data"]["tier"] == "A"}
    lines = of_kind(events, "schedule.line_set")
    board = {e["subject"] for e in lines if e["data"]["their_layer"] == "board"}
    assert 0 < len(strategic - board) < len(strategic)
    named = {(e["subject"], e["data"]["their_person"]) for e in lines if "their_person" in e["data"]}
    gone = {(e["subject"], e["data"]["person"]) for e in of_kind(events, "counterpart.departed")}
    assert len(named & gone) == 1


def test_somebody_was_disappointed_just_now(events: list[dict[str, Any]]) -> None:
    low = [e for e in of_kind(events, "satisfaction.scored") if e["data"]["response"] == "kw-laag-1"]
    assert [e["data"]["score"] for e in low] == [3]
    assert (NOW.date() - date.fromisoformat(low[0]["data"]["occurred_on"])).days <= 3


def test_the_first_tick_opens_the_loop_and_raises_the_missing_board_line(
    trial: Trial, recorded: list[Recorded]
) -> None:
    (low,) = (r for r in recorded if r.data.get("response") == "kw-laag-1")
    strategic = {r.relation for r in recorded if r.kind == "relation.tier_assigned" and r.data["tier"] == "A"}
    board = {r.relation for r in recorded if r.kind == "schedule.line_set" and r.data["our_layer"] == "board"}
    told = trial.tick()
    loops = {(t.relation, t.data["response"]) for t in told if t.kind == "loop.opened"}
    assert (low.relation, "kw-laag-1") in loops
    lacking = {t.relation for t in told if t.kind == "alert.raised" and t.data["about"] == "lack:board_line"}
    assert lacking == strategic - board
    assert lacking
    # What question 4 reads: the first day without; none, since there never was such a line.
    until = {relation: trial.rows.tables["relation"][relation,]["board_line_until"] for relation in strategic}
    assert {relation for relation, day in until.items() if day is None} == strategic - board


def test_a_merge_by_mistake_is_undone(events: list[dict[str, Any]]) -> None:
    def pairs(kind: str) -> list[tuple[str, str]]:
        return [(e["data"]["survivor"], e["data"]["absorbed"]) for e in of_kind(events, kind)]

    assert len(pairs("relation.unmerged")) == 1
    assert set(pairs("relation.unmerged")) <= set(pairs("relation.merged"))


def test_new_municipalities_get_the_region_that_the_old_ones_had(events: list[dict[str, Any]]) -> None:
    told = {e["subject"]: e["data"]["region"] for e in of_kind(events, "relation.details_changed")}
    without = {r.subject for r in relations() if r.kind == "municipality" and r.region is None}
    assert set(told) == without
    assert told["gemeentecode:1979"] == "Groningen"  # Eemsdelta


def test_who_left_hands_over_before_the_line_has_no_owner(events: list[dict[str, Any]]) -> None:
    (left,) = of_kind(events, "employee.left")
    (gone,) = of_kind(events, "team.member_left")
    assert gone["data"]["employee"] == left["data"]["employee"]
    handed = of_kind(events, "schedule.line_reassigned")
    assert handed
    assert left["data"]["employee"] not in {e["data"]["owner"] for e in handed}


def test_ids_that_are_used_once_are_used_once(events: list[dict[str, Any]]) -> None:
    for kind, key in (
        ("contact.held", "contact"), ("commitment.made", "commitment"), ("satisfaction.scored", "response"),
    ):  # fmt: skip
        used = Counter((e["subject"], e["data"][key]) for e in of_kind(events, kind))
        assert max(used.values()) == 1


def test_scores_lie_on_their_scales_and_only_named_ones_name_someone(events: list[dict[str, Any]]) -> None:
    scales = {e["data"]["instrument"]: e["data"] for e in of_kind(events, "satisfaction.instrument_defined")}
    for event in of_kind(events, "satisfaction.scored"):
        data = event["data"]
        scale = scales[data["instrument"]]
        assert scale["scale_min"] <= data["score"] <= scale["scale_max"]
        assert data["anonymous"] != ("respondent" in data)


def test_there_is_something_to_see(events: list[dict[str, Any]]) -> None:
    kinds = Counter(e["type"].removeprefix("nl.relatieboek.") for e in events)
    assert {t.team for t in TEAMS} == {e["data"]["team"] for e in of_kind(events, "team.relation_assigned")}
    cadences = {e["data"]["cadence"]["mode"] for e in of_kind(events, "schedule.line_set")}
    assert cadences == {"rolling", "quota"}
    for kind in ("contact.corrected", "contact.retracted", "contact.planned", "contact.cancelled", "plan.approved"):
        assert kinds[f"{kind}.v1"] > 0, kind
    assert any(e.get("visibility") for e in events)
    # What the book's own services write is the book's to write; everything else is shown.
    own = ("alert.", "loop.", "person.", "retention.")
    told = {k.removesuffix(".v1") for k in kinds}
    assert {t.kind for t in TYPES.values() if not t.kind.startswith(own)} == told
    late = [
        e
        for e in of_kind(events, "contact.held")
        if instant(e["time"]).date() > instant(e["data"]["occurred_at"]).date()
    ]
    assert late


def test_a_day_later_it_is_another_story_of_the_same_shape(events: list[dict[str, Any]]) -> None:
    later = [e for _, part in demo_events(datetime(2027, 3, 28, 1, 30, tzinfo=UTC), INSTITUTION) for e in part]
    for event in later:
        check(event)
    assert later[0]["id"] == events[0]["id"]
    assert later[0]["time"] != events[0]["time"]
