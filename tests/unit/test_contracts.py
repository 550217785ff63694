"""The contracts: what each takes, its invariants, and what other modules read off them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from events.canonical import canonical
from events.catalog import TYPES, all_schemas, check, json_schema, personal_paths
from events.contracts.contact import Held
from events.contracts.schedule import LineSet, Quota, Rolling
from events.errors import Invalid
from events.fields import FORMS, Payload
from events.rules import RULES
from events.upcasts import UPCASTS, Upcasts
from events.values import Period, parse_period
from tests.samples import golden, with_attributes, with_data

KINDS = sorted({t.kind for t in TYPES.values()})


def _problems(event: Any, **how: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        check(event, **how)
    return {e.pointer: e.detail for e in refused.value.errors}


def test_types_are_named_after_family_event_and_version() -> None:
    for name, event_type in TYPES.items():
        assert name == event_type.name == f"nl.relatieboek.{event_type.family}.{event_type.event}.v{event_type.version}"
        assert event_type.kind == f"{event_type.family}.{event_type.event}"


def test_which_events_are_about_no_relation() -> None:
    kinds = {t.kind for t in TYPES.values() if t.about == "organisation"}
    assert kinds == {
        "team.formed", "team.member_joined", "team.member_left", "contributor.profiled", "schedule.policy_set",
        "schedule.working_calendar_set", "satisfaction.instrument_defined", "satisfaction.round_closed",
        "satisfaction.staff_reported", "person.erased", "retention.applied", "employee.left",
    }  # fmt: skip
    assert {t.kind for t in TYPES.values() if t.about == "either"} == {"correction.withdrawn"}


def test_every_rule_has_a_contract() -> None:
    assert set(RULES) <= set(KINDS)


def test_values_are_read() -> None:
    payload = check(golden("contact.held")).payload
    assert isinstance(payload, Held)
    assert payload.occurred_at == datetime(2026, 2, 3, 9, tzinfo=UTC)
    assert payload.occurred_at.utcoffset() == timedelta(hours=1)
    assert (payload.duration_min, payload.topics, payload.ours[0].employee) == (60, ("wmo",), "e-12")


def test_payloads_are_frozen() -> None:
    payload = check(golden("contact.held")).payload
    with pytest.raises(ValidationError):
        setattr(payload, "duration_min", 5)  # noqa: B010  pyright forbids the plain assignment too


def test_a_whole_float_is_an_integer() -> None:
    sent = with_data("contact.held", duration_min=60.0)
    read = check(sent)
    assert type(read.data["duration_min"]) is int
    assert canonical(read.data) == canonical(sent["data"])
    assert type(sent["data"]["duration_min"]) is float, "the sent event is left alone"
    assert check(with_data("satisfaction.scored", score=7.5)).data["score"] == 7.5


@pytest.mark.parametrize("kind", KINDS)
def test_null_is_no_value_in_any_field(kind: str) -> None:
    for name in golden(kind)["data"]:
        problems = _problems(with_data(kind, **{name: None}))
        assert list(problems) == [f"/data/{name}"]


@pytest.mark.parametrize("kind", KINDS)
def test_required_fields_are_named_and_optional_ones_may_be_left_out(kind: str) -> None:
    needed = set(json_schema(f"nl.relatieboek.{kind}.v1")["required"])
    if kind == "relation.tier_assigned":
        needed.add("arguments")  # for tier A
    if kind == "alert.raised":
        needed.add("line")  # or about
    for name in golden(kind)["data"]:
        event = with_data(kind, name)
        if name in needed:
            assert f"/data/{name}" in _problems(event)
        else:
            assert name not in check(event).data


OPTIONAL_FIELDS = {
    "relation.registered": {"region", "parent", "identifiers"},
    "relation.tier_assigned": {"arguments", "review_on"},
    "counterpart.added": {"name", "function"},
    "team.member_joined": {"role"},
    "contact.cancelled": {"reason"},
    "contact.held": {"topics", "summary"},
    "contact.corrected": {"reason"},
    "contact.retracted": {"reason"},
    "schedule.line_set": {"their_person", "channels"},
    "schedule.line_paused": {"reason"},
    "plan.action_agreed": {"marketing"},
    "satisfaction.instrument_defined": {"low_is_best"},
    "satisfaction.scored": {"layer", "respondent", "comment"},
    "alert.raised": {"line", "about", "policy_version", "owner"},
    "alert.snoozed": {"reason"},
    "relation.details_changed": {"name", "kind", "region", "parent"},
    "relation.merged": {"reason"},
    "relation.ended": {"reason"},
    "counterpart.moved": {"name", "function", "layer", "decision_role"},
    "note.recorded": {"topics"},
    "correction.withdrawn": {"reason"},
    "schedule.policy_set": {"escalation_working_days"},
    "schedule.working_calendar_set": {"year", "closed_on", "open_on"},
    "matrix.link_assessed": {"basis"},
    "plan.superseded": {"by"},
    "plan.action_deferred": {"reason"},
    "opportunity.tender_announced": {"value_cents", "closes_on"},
    "opportunity.lost": {"reason"},
    "satisfaction.round_closed": {"invited"},
    "satisfaction.staff_reported": {"retention_pct"},
    "satisfaction.complaints_reported": {"resolved"},
    "satisfaction.outcome_reported": {"n"},
    "loop.opened": {"owner"},
    "loop.followed_up": {"note"},
    "agreement.signed": {"name", "frame", "insured_share_pct"},
    "agreement.renewed": {"frame"},
    "programme.started": {"agreement", "indicators"},
    "programme.progress_reported": {"baseline"},
    "chain.phase_guaranteed": {"until"},
    "partnership.performance_reported": {"period"},
}


@pytest.mark.parametrize("kind", sorted(OPTIONAL_FIELDS))
def test_which_fields_are_optional(kind: str) -> None:
    schema = json_schema(f"nl.relatieboek.{kind}.v1")
    assert set(schema["properties"]) - set(schema["required"]) == OPTIONAL_FIELDS[kind]


def test_tiers_are_configured() -> None:
    event = with_data("relation.tier_assigned", tier="C", arguments=[])
    assert "A, B" in _problems(event)["/data/tier"]
    assert check(event, tiers=frozenset({"A", "B", "C"})).data["tier"] == "C"
    assert list(_problems(golden("relation.tier_assigned"), tiers=frozenset({"C"}))) == ["/data/tier"]


def test_tier_b_needs_no_argument() -> None:
    assert check(with_data("relation.tier_assigned", "arguments", tier="B"))


@pytest.mark.parametrize(
    "cadence",
    [{"mode": "rolling", "every": "P3M"}, {"mode": "quota", "times": 2, "per": "quarter"}],
)
def test_both_cadences(cadence: dict[str, Any]) -> None:
    payload = check(with_data("schedule.line_set", cadence=cadence)).payload
    assert isinstance(payload, LineSet)
    assert isinstance(payload.cadence, Rolling if cadence["mode"] == "rolling" else Quota)
    assert payload.starts_on == date(2026, 1, 1)


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("P3M", Period(3, 0)),
        ("P2W", Period(0, 14)),
        ("P1Y", Period(12, 0)),
        ("P10D", Period(0, 10)),
        ("P1D", Period(0, 1)),
        ("P10Y", Period(120, 0)),
        ("P1Y6M", Period(18, 0)),
        ("P3653D", Period(0, 3653)),
    ],
)
def test_periods(text: str, period: Period) -> None:
    assert parse_period(text) == period


@pytest.mark.parametrize(
    "text",
    ["P", "P0D", "P0M", "3M", "p3m", "P3", "P1.5M", "P-1M", "PT1H", "P1MT1H", "P1M\n", " P1M", "P121M", "P10Y1D",
     "P1M2Y", "P\u0663M", "P99999D", "P3654D"],
)  # fmt: skip
def test_what_is_no_period(text: str) -> None:
    assert parse_period(text) is None


@pytest.mark.parametrize("question", [*(str(n) for n in range(1, 11)), "eigen_vraag", "x"])
def test_questions(question: str) -> None:
    assert check(with_data("plan.question_answered", question=question))


@pytest.mark.parametrize("question", ["0", "11", "01", "Q1", "", "x" * 41, "1 "])
def test_what_is_no_question(question: str) -> None:
    assert list(_problems(with_data("plan.question_answered", question=question))) == ["/data/question"]


def _band(name: str, low: float, high: float) -> dict[str, Any]:
    return {"name": name, "from": low, "to": high}


@pytest.mark.parametrize(
    ("low", "high", "bands"),
    [
        (0, 10, [_band("all", 0, 10)]),
        (0, 10, [_band("high", 9, 10), _band("low", 0, 6), _band("middle", 7, 8)]),
        (1, 5, [_band("low", 1, 2.9), _band("high", 3, 5)]),
        (-100, 100, [_band("low", -100, -1), _band("high", 0, 100)]),
    ],
)
def test_bands_that_cover_the_scale(low: float, high: float, bands: list[dict[str, Any]]) -> None:
    assert check(with_data("satisfaction.instrument_defined", scale_min=low, scale_max=high, bands=bands))


@pytest.mark.parametrize(
    ("bands", "words"),
    [
        ([_band("a", 0, 6), _band("b", 6, 10)], "overlap"),
        ([_band("a", 0, 10), _band("b", 3, 4)], "do not run|overlap"),
        ([_band("a", 0, 4), _band("b", 6, 10)], "hole"),
        ([_band("a", 1, 10)], "do not run"),
        ([_band("a", 0, 9)], "do not run"),
        ([_band("a", 0, 4), _band("a", 5, 10)], "same name"),
        ([_band("a", 6, 0), _band("b", 7, 10)], "ends below"),
    ],
)
def test_bands_that_do_not(bands: list[dict[str, Any]], words: str) -> None:
    problems = _problems(with_data("satisfaction.instrument_defined", bands=bands))
    assert list(problems) == ["/data/bands"]
    assert re.search(words, problems["/data/bands"])


def test_problems_of_one_event_come_together() -> None:
    event = with_attributes("contact.held", time="yesterday", priority=1)
    event["data"].update(channel="fax", duration_min=0, sumary="x", ours=[{"layer": "king"}])
    assert set(_problems(event)) == {
        "/time", "/priority", "/data/channel", "/data/duration_min", "/data/sumary", "/data/ours/0/layer",
    }  # fmt: skip


def test_an_unknown_type_names_near_ones_and_later_versions() -> None:
    near = _problems(with_attributes("contact.held", type="nl.relatieboek.contacts.held.v1"))
    assert "nl.relatieboek.contact.held.v1" in near["/type"]
    later = _problems(with_attributes("contact.held", type="nl.relatieboek.contact.held.v2"))
    assert "did you mean nl.relatieboek.contact.held.v1?" in later["/type"]


def test_an_unknown_field_names_near_ones() -> None:
    problems = _problems(with_data("contact.held", theirs=[{"layer": "board", "persoon": "p-1"}]))
    assert "person" in problems["/data/theirs/0/persoon"]
    problems = _problems(with_data("schedule.line_set", cadence={"mode": "rolling", "every": "P3M", "evry": "P3M"}))
    assert "every" in problems["/data/cadence/evry"]


def test_a_problem_never_repeats_a_value() -> None:
    secret = "Mevrouw Jansen van de derde verdieping"
    event = with_data("contact.held", channel=secret, duration_min=secret, summary=secret * 100, contact=secret)
    event.update(actor=secret, visibility=secret, subject=secret, source=secret, time=secret)
    assert not any("Jansen" in detail for detail in _problems(event).values())


def test_a_token_is_taken_only_as_owner_of_an_alert() -> None:
    token = "ref~" + "0" * 32
    assert check(with_data("alert.raised", owner=token)).data["owner"] == token
    assert check(with_data("alert.raised", owner="e-12"))
    assert list(_problems(with_data("schedule.line_set", owner=token))) == ["/data/owner"]
    assert list(_problems(with_data("alert.raised", rule=token))) == ["/data/rule"]
    assert list(_problems(with_data("relation.registered", name="enc~x"))) == ["/data/name"]
    assert list(_problems(with_attributes("contact.held", id="ref~x"))) == ["/id"]
    assert check(with_data("contact.held", summary='zie "ref~x" en \\u0000'))


# --- personal data


EXPECTED_MARKS = {
    "counterpart.added": {"person": "person", "name": "person_text", "function": "person_text"},
    "team.member_joined": {"employee": "employee"},
    "contact.held": {"ours.*.employee": "employee", "theirs.*.person": "person", "summary": "free_text"},
    "contact.corrected": {
        "changes.ours.*.employee": "employee", "changes.theirs.*.person": "person", "changes.summary": "free_text",
        "reason": "free_text",
    },
    "schedule.line_set": {"their_person": "person", "owner": "employee"},
    "satisfaction.scored": {"respondent": "person", "comment": "free_text"},
    "plan.action_agreed": {"what": "free_text", "owner": "employee"},
    "alert.raised": {"owner": "employee"},
    "relation.registered": {},
    "relation.merged": {"reason": "free_text"},
    "relation.owner_assigned": {"employee": "employee"},
    "counterpart.moved": {"person": "person", "name": "person_text", "function": "person_text"},
    "counterpart.departed": {"person": "person"},
    "contributor.profiled": {"employee": "employee"},
    "note.recorded": {"text": "free_text"},
    "correction.withdrawn": {"reason": "free_text"},
    "matrix.link_assessed": {"ours": "employee", "theirs": "person", "basis": "free_text"},
    "plan.action_deferred": {"reason": "free_text"},
    "opportunity.tender_announced": {"title": "free_text"},
    "opportunity.lost": {"reason": "free_text"},
    "loop.opened": {"owner": "employee"},
    "loop.followed_up": {"note": "free_text"},
    "agreement.signed": {},
    "agreement.ended": {"reason": "free_text"},
    "programme.steering_decision_taken": {"decision": "free_text"},
    "partnership.interest_recorded": {"text": "free_text"},
    "partnership.performance_reported": {"text": "free_text"},
    "person.erased": {"person": "person"},
    "employee.left": {"employee": "employee"},
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(EXPECTED_MARKS))
def test_where_personal_data_stands(kind: str) -> None:
    model = TYPES[f"nl.relatieboek.{kind}.v1"].model
    assert {".".join(path): mark.kind for path, mark in personal_paths(model)} == EXPECTED_MARKS[kind]


def test_personal_paths_are_worked_out_once() -> None:
    assert personal_paths(Held) is personal_paths(Held)


def test_every_text_that_may_say_anything_is_marked() -> None:
    """What is neither a choice, an id nor a known public name is personal: nothing of it is stored in the clear."""
    public = {"name", "region", "criterion", "evidence", "value", "topics", "unit"}
    for type_, schema in all_schemas().items():
        for name, field in _fields(schema):
            form = field.get("items", field)
            free = form.get("pattern") == r"\S"
            assert not free or "x-privacy" in form or name in public, f"{type_}: {name}"


def test_text_about_a_person_stands_beside_the_person() -> None:
    for event_type in TYPES.values():
        for path, mark in personal_paths(event_type.model):
            if mark.kind == "person_text":
                assert path[:-1] == ()
                assert "person" in event_type.model.model_fields


# --- schemas


def _fields(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        inner: dict[str, Any] = node  # pyright: ignore[reportUnknownVariableType]
        yield from inner.get("properties", {}).items()
        for below in inner.values():
            yield from _fields(below)


def test_every_field_is_described_with_origin_and_counts_have_a_unit() -> None:
    for type_, schema in all_schemas().items():
        assert schema["description"], type_
        for name, field in _fields(schema):
            described = field.get("description", "")
            assert "Origin:" in described, f"{type_}: {name}"
            form = field.get("items", field)
            if form.get("type") in ("integer", "number"):
                assert "Unit:" in described, f"{type_}: {name}"


def test_every_number_text_and_list_is_bounded() -> None:
    for type_, schema in all_schemas().items():
        for name, field in _fields(schema):
            for form in (field, field.get("items", {})):
                where = f"{type_}: {name}"
                if form.get("type") in ("integer", "number"):
                    assert {"minimum", "maximum"} <= form.keys(), where
                elif form.get("type") == "array":
                    assert "maxItems" in form, where
                elif form.get("type") == "string" and not {"enum", "const", "format"} & form.keys():
                    bounded = "maxLength" in form or (form["pattern"] != r"\S" and form["pattern"] in FORMS)
                    assert bounded, where


def test_every_form_has_its_sentence() -> None:
    patterns = {f["pattern"] for s in all_schemas().values() for _, f in _fields(s) if "pattern" in f}
    assert patterns <= set(FORMS)


def test_schemas_say_what_they_are() -> None:
    schema = json_schema("nl.relatieboek.contact.held.v1")
    assert schema["additionalProperties"] is False
    assert schema["$id"] == "urn:relatieboek:schema:nl.relatieboek.contact.held.v1"
    assert schema["x-subject"] == "relation"
    schema.clear()
    assert json_schema("nl.relatieboek.contact.held.v1"), "a copy of its own"
    assert list(all_schemas()) == list(TYPES)
    with pytest.raises(KeyError):
        json_schema("nl.relatieboek.nothing.v1")


# --- upcasts


def test_an_upcaster_reads_an_old_version_as_the_newest() -> None:
    """An example: version 2 counts minutes in place of hours, version 3 names the channel."""

    def to_v2(data: dict[str, Any]) -> dict[str, Any]:
        return {**{k: v for k, v in data.items() if k != "hours"}, "duration_min": data["hours"] * 60}

    def to_v3(data: dict[str, Any]) -> dict[str, Any]:
        return {"channel": "meeting", **data}

    upcasts = Upcasts({"nl.relatieboek.talk.held.v1": to_v2, "nl.relatieboek.talk.held.v2": to_v3})
    old = {"contact": "c-1", "hours": 2, "summary": "enc~e~1~/data/summary~AAAA"}
    newest = {"contact": "c-1", "duration_min": 120, "channel": "meeting", "summary": old["summary"]}
    assert upcasts.newest("nl.relatieboek.talk.held.v1", old) == ("nl.relatieboek.talk.held.v3", newest)
    assert old["hours"] == 2, "the old payload is left alone"
    assert upcasts.newest("nl.relatieboek.talk.held.v3", newest) == ("nl.relatieboek.talk.held.v3", newest)


def test_upcasters_read_and_give_known_types() -> None:
    assert UPCASTS.problems(TYPES) == []
    assert Upcasts({"nl.relatieboek.contact.held.v1": dict}).problems(TYPES) == ["nl.relatieboek.contact.held.v1"]


def test_every_payload_is_closed_and_frozen() -> None:
    for event_type in TYPES.values():
        assert issubclass(event_type.model, Payload)
        assert event_type.model.model_config.get("extra") == "forbid"
        assert event_type.model.model_config.get("frozen") is True
