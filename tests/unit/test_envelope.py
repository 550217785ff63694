"""The envelope: what is taken, in which forms. What is refused stands in the corpus of malformed events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from events.catalog import TYPES, check, json_schema
from events.envelope import ATTRIBUTES, EVENT_LIMIT_BYTES, REQUIRED, check_size, parse
from events.errors import Invalid
from events.identifiers import SCHEMES, reference_problem
from tests.samples import golden, with_attributes, with_data

OPTIONAL = sorted(ATTRIBUTES - set(REQUIRED))


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_attribute_may_be_left_out(name: str) -> None:
    assert getattr(check(with_attributes("contact.held", name)), name) is None


def test_all_optional_attributes_may_be_left_out() -> None:
    assert check(with_attributes("contact.held", *OPTIONAL)).expectedversion is None


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_attribute_that_is_null_is_not_there(name: str) -> None:
    """CloudEvents JSON format, 2.2: a null is the same as leaving it out."""
    left_out = check(with_attributes("contact.held", name))
    assert check(with_attributes("contact.held", **{name: None})) == left_out


@pytest.mark.parametrize(("sent", "read"), [(0, 0), (7, 7), (7.0, 7), ("7", 7), ("0", 0)])
def test_expectedversion_comes_as_number_or_header(sent: Any, read: int) -> None:
    version = check(with_attributes("contact.held", expectedversion=sent)).expectedversion
    assert (version, type(version)) == (read, int)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", "urn:nld:kvk:27184233:systeem:Agenda_2.crm-x"),
        ("time", "2026-02-03T10:00:00Z"),
        ("time", "2026-02-03T10:00:00.123456789-05:00"),
        ("datacontenttype", "application/json; charset=utf-8"),
        ("visibility", "named"),
        ("id", "UID met spatie, é en ~"),
        ("subject", "3F2A1B6C-5A4D-4C3D-8E9F-0A1B2C3D4E5F"),
        ("subject", "gemeentecode:0518"),
        ("subject", "zorgkantoor:5515"),
        ("subject", "kvk:27184233"),
        ("subject", "agb:06010713"),
        ("subject", "uzovi:0403"),
        ("subject", "oin:00000001003214345000"),
        ("subject", "local:D-40012/a:b@c"),
    ],
)
def test_a_form_that_is_taken(name: str, value: str) -> None:
    assert getattr(check(with_attributes("contact.held", **{name: value})), name) == value


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2026-02-03t10:00:00z", "2026-02-03T10:00:00Z"), ("2026-02-03T10:00:00z", "2026-02-03T10:00:00Z"),
        ("2026-02-03t10:00:00.5+01:00", "2026-02-03T10:00:00.5+01:00"),
    ],
)  # fmt: skip
def test_small_letters_in_a_time_become_capitals(sent: str, stored: str) -> None:
    """RFC 3339, 5.6: `T` and `Z` may be small. Who reads the book finds one form, and either is the same content."""
    summary = "Van 2026-02-03t10:00:00z staat hier niets, zei 2x3t4z"
    submission = check({**with_data("contact.held", occurred_at=sent, summary=summary), "time": sent})
    capital = check({**with_data("contact.held", occurred_at=stored, summary=summary), "time": stored})
    assert submission == capital
    assert (submission.time, submission.data["occurred_at"], submission.data["summary"]) == (stored, stored, summary)


def _times_in(schema: dict[str, Any], path: tuple[str, ...] = (), part: Any = None) -> Iterator[tuple[str, ...]]:
    """Where a schema has date-times: the path of each, `*` for the items of a list."""
    part = schema if part is None else part
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    if part.get("format") == "date-time":
        yield path
    for name, field in part.get("properties", {}).items():
        yield from _times_in(schema, (*path, name), field)
    for option in (*part.get("anyOf", ()), *part.get("oneOf", ())):
        yield from _times_in(schema, path, option)
    if "items" in part:
        yield from _times_in(schema, (*path, "*"), part["items"])


def test_it_holds_for_every_date_time_of_every_type() -> None:
    looked_at = 0
    for type_ in TYPES:
        kind, _, version = type_.removeprefix("nl.relatieboek.").rpartition(".v")
        small = golden(kind, int(version))
        for *parents, name in set(_times_in(json_schema(type_))):
            part = small["data"]
            for parent in parents:
                part = part[parent]
            part[name] = part[name].replace("T", "t").replace("Z", "z")
            looked_at += 1
        assert check(small).data == check(golden(kind, int(version))).data, type_
    assert looked_at >= 10


def test_a_gemeentecode_says_which_form_is_wanted() -> None:
    assert reference_problem("gemeentecode:0518") is None
    assert "'0518'" in (reference_problem("gemeentecode:518") or "")
    assert "did you mean '0034'" in (reference_problem("gemeentecode:GM34") or "")


def test_every_scheme_has_a_form() -> None:
    assert set(SCHEMES) == {"gemeentecode", "zorgkantoor", "kvk", "agb", "uzovi", "oin", "local"}
    for scheme in SCHEMES:
        assert reference_problem(f"{scheme}:") is not None
        assert reference_problem(f"{scheme}:\u0661\u0662\u0663\u0664") is not None, "digits of other alphabets"


def test_an_unknown_attribute_of_each_kind_is_named() -> None:
    event = with_attributes("contact.held", priority=1, sequence="1", data_base64="e30=", Visibility="team")
    with pytest.raises(Invalid) as refused:
        check(event)
    details = {e.pointer: e.detail for e in refused.value.errors}
    assert set(details) == {"/priority", "/sequence", "/data_base64", "/Visibility"}
    assert "visibility" in details["/Visibility"]
    assert "set by the book" in details["/sequence"]


def test_attribute_names_are_escaped_and_cut_off_in_pointers() -> None:
    with pytest.raises(Invalid) as refused:
        check(with_attributes("contact.held", **{"a/b~c": 1, "x" * 5000: 2}))
    pointers = [e.pointer for e in refused.value.errors]
    assert "/a~1b~0c" in pointers
    assert max(map(len, pointers)) < 100


def test_problems_are_bounded() -> None:
    with pytest.raises(Invalid) as refused:
        check({**golden("contact.held"), **{f"x{n}": n for n in range(3000)}})
    assert len(refused.value.errors) <= 101


def test_the_limit_is_64_kib_to_the_byte() -> None:
    check_size(EVENT_LIMIT_BYTES)
    with pytest.raises(Invalid, match="too_large"):
        check_size(EVENT_LIMIT_BYTES + 1)


def test_a_large_event_is_judged_by_its_bytes_alone() -> None:
    event = with_data("contact.held", topics=["\U0001f600" * 100] * 20, summary="\U0001f600" * 2000)
    assert check(event).data == event["data"]
    event["data"]["ours"] = [{"employee": "e" * 64, "layer": "tactical_management"}] * 600
    with pytest.raises(Invalid) as refused:
        check(event)
    assert [(refused.value.code, e.pointer) for e in refused.value.errors] == [("too_large", "")]


@pytest.mark.parametrize("body", [json.dumps({"id": "é"}), json.dumps({"id": "é"}).encode(), b"[]", "7"])
def test_json_is_parsed(body: str | bytes) -> None:
    assert parse(body) == json.loads(body)


@pytest.mark.parametrize("body", [b"\xff\xfe", b'{"id": "\xe9"}', b'{"id": NaN}', b"", b"{", "[" * 5000])
def test_what_is_no_json_is_refused(body: str | bytes) -> None:
    with pytest.raises(Invalid) as refused:
        parse(body)
    assert refused.value.errors[0].pointer == ""
