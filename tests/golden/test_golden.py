"""Every event version ever written is read for ever, and no contract refuses what it once took."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from events.catalog import TYPES, check, json_schema
from events.recorded import TYPE_PREFIX, decode
from events.upcasts import UPCASTS
from tests.golden.schema_changes import STORED, breaks
from tests.samples import GOLDEN, golden

# Fields that exclude one that the golden event has; `test_contracts` gives an event with each.
ELSE = {"alert.raised.v1": {"about"}}

KINDS = sorted(file.stem.removeprefix(TYPE_PREFIX) for file in GOLDEN.glob("*.json"))


def _golden(name: str) -> dict[str, Any]:
    kind, _, version = name.rpartition(".v")
    return golden(kind, int(version))


def test_every_type_has_a_golden_event_and_a_stored_schema() -> None:
    assert sorted(TYPES) == [TYPE_PREFIX + kind for kind in KINDS]
    assert sorted(TYPES) == sorted(file.stem for file in STORED.glob("*.json"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_golden_event_is_taken(kind: str) -> None:
    event = _golden(kind)
    submission = check(event)
    assert submission.data == event["data"]
    assert submission.payload.model_dump(mode="json", by_alias=True, exclude_none=True).keys() >= event["data"].keys()
    for name in ("id", "source", "type", "subject", "time", "actor", "visibility", "correlationid", "causationid",
                 "expectedversion", "traceparent", "datacontenttype", "dataschema"):  # fmt: skip
        assert getattr(submission, name) == event[name]


@pytest.mark.parametrize("kind", KINDS)
def test_a_golden_event_names_every_field(kind: str) -> None:
    """A new optional field goes into the golden event too, so that it is read for ever from then on."""
    schema = json_schema(TYPE_PREFIX + kind)
    assert _golden(kind)["data"].keys() == schema["properties"].keys() - ELSE.get(kind, set())


@pytest.mark.parametrize("kind", KINDS)
def test_a_golden_event_fits_its_published_schema(kind: str) -> None:
    schema = json_schema(TYPE_PREFIX + kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    data = _golden(kind)["data"]
    if kind == "alert.raised.v1":
        assert data["owner"].startswith("ref~")
    jsonschema.validate(data, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**data, "unknown_field": 1}, schema)


@pytest.mark.parametrize("kind", KINDS)
def test_a_golden_event_is_read_as_stored(kind: str) -> None:
    event = _golden(kind)
    stored = {
        **event,
        "sequence": "00000000000000000042",
        "recordedtime": "2026-07-01T10:00:00.000000Z",
        "department": "crm",
        "relation": "organisation",
    }
    recorded = decode(json.dumps(stored).encode(), version=7)
    assert (recorded.position, recorded.version, recorded.type) == (42, 7, event["type"])
    newest, data = UPCASTS.newest(recorded.type, recorded.data)
    assert newest in TYPES
    TYPES[newest].model.model_validate(data)


@pytest.mark.parametrize("kind", KINDS)
def test_the_contract_takes_all_that_it_took(kind: str) -> None:
    stored = json.loads((STORED / f"{TYPE_PREFIX}{kind}.json").read_text())
    assert breaks(stored, json_schema(TYPE_PREFIX + kind)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_stored_schema_is_the_present_one(kind: str) -> None:
    """When this fails and the one before does not: `python -m tests.golden.schema_changes` writes it anew."""
    stored = json.loads((STORED / f"{TYPE_PREFIX}{kind}.json").read_text())
    assert stored == json_schema(TYPE_PREFIX + kind)


def _changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    schema = json_schema("nl.relatieboek.contact.held.v1")
    node = schema
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return schema


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("properties", "duration_min", "maximum"), 60, "maximum fell"),
        (("properties", "duration_min", "minimum"), 5, "minimum rose"),
        (("properties", "duration_min", "type"), "string", "type was"),
        (("properties", "channel", "enum"), ["meeting"], "no longer one of its values"),
        (("properties", "summary", "x-privacy"), "person", "x-privacy was"),
        (("$defs", "Ours", "required"), ["layer", "employee"], "newly required"),
        (("$defs", "Ours", "properties", "layer", "enum"), ["board"], "no longer one of its values"),
        (("properties",), {}, "no longer a field"),
    ],
)
def test_a_change_that_refuses_is_seen(path: tuple[str, ...], value: Any, words: str) -> None:
    found = breaks(json_schema("nl.relatieboek.contact.held.v1"), _changed(path, value))
    assert any(words in line for line in found)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("properties", "duration_min", "maximum"), 2000),
        (("properties", "channel", "enum"), ["meeting", "video", "phone", "email", "letter", "event", "visit", "chat"]),
        (("properties", "mood"), {"type": "string"}),
        (("description",), "Another text."),
    ],
)
def test_a_change_that_widens_is_none(path: tuple[str, ...], value: Any) -> None:
    assert breaks(json_schema("nl.relatieboek.contact.held.v1"), _changed(path, value)) == []
