"""The AsyncAPI document is valid, complete, and says of every event what the book really takes and gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource

from events.catalog import TYPES
from events.errors import FieldError
from events.verdict import Verdict, VerdictName, problem
from services.alerts.digests import Digest
from services.asyncapi import document
from services.settings import SERVICES

SPECIFICATION = Path(__file__).parents[1] / "data" / "asyncapi-3.0.0.json"
DOCUMENT = document()


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in cast("dict[str, Any]", node).items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for one in cast("list[Any]", node):
            yield from references(one)


def follow(pointer: str) -> Any:
    node: Any = DOCUMENT
    for part in pointer.removeprefix("#/").split("/"):
        node = node[part]
    return node


def problems_of(message: str, value: Any) -> list[str]:
    """What is wrong with a value as the payload of this message."""
    root = {"$id": "urn:test", "$ref": f"#/components/messages/{message}/payload", **DOCUMENT}
    untyped: Any = Registry
    registry = untyped().with_resource("urn:test", Resource.opaque(root))
    validator: Any = Draft202012Validator(root, registry=registry)
    return [error.message for error in validator.iter_errors(value)]


def test_it_is_valid_asyncapi_3() -> None:
    validator: Any = Draft7Validator(json.loads(SPECIFICATION.read_text()))
    assert [f"{e.json_path}: {e.message}" for e in validator.iter_errors(DOCUMENT)] == []
    assert DOCUMENT["asyncapi"] == "3.0.0"


def test_every_reference_leads_somewhere() -> None:
    for reference in set(references(DOCUMENT)):
        assert isinstance(follow(reference), dict), reference


def test_every_schema_is_one() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", TYPES)
def test_every_event_type_is_on_the_stream(name: str) -> None:
    assert DOCUMENT["channels"]["stream"]["messages"][name] == {"$ref": f"#/components/messages/{name}"}
    message = DOCUMENT["components"]["messages"][name]
    assert message["summary"]
    kind = TYPES[name].kind
    assert f"relatieboek.{kind}." in message["description"]


def test_every_door_is_there() -> None:
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    assert addresses >= {
        "submit.{department}", "inbox.{department}.{rest}", "verdicts.{department}",
        "relatieboek.{family}.{event}.{department}", "live.relation.{relation}", "live.team.{team}", "live.alerts",
        "live.ops", "health.{service}",
    }  # fmt: skip
    assert DOCUMENT["operations"]["submit"]["reply"]["channel"] == {"$ref": "#/channels/verdictReply"}
    assert DOCUMENT["channels"]["health"]["parameters"]["service"]["enum"] == list(SERVICES)


@pytest.mark.parametrize("name", get_args(VerdictName))
def test_every_verdict_fits(name: VerdictName) -> None:
    wrong = problem("schema", [FieldError("/data/score", "is at most 10")])
    full = Verdict(name, "e1", "urn:nld:kvk:12345678:systeem:crm", 42, "organisation", 7, "ab" * 32, None, wrong)
    assert problems_of("verdict", full.as_json()) == []
    assert problems_of("verdict", Verdict("busy", None, None, retry_after_s=1.0).as_json()) == []
    assert problems_of("verdict", {"id": "e1", "source": "s", "verdict": "perhaps"})


def test_a_digest_fits() -> None:
    message = Digest(7, "ref~" + "0" * 32, date(2026, 5, 12), range(1, 2_000)).as_json()
    assert problems_of("digest", message) == []
    assert problems_of("digest", {**message, "name": "Jansen"})
    assert {"live", "digest"} == DOCUMENT["channels"]["liveAlerts"]["messages"].keys()


def sent(**data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": "e1", "source": "urn:nld:kvk:12345678:systeem:crm",
        "type": "nl.relatieboek.contact.held.v1", "subject": "gemeentecode:0518",
        "data": {
            "contact": "c1", "occurred_at": "2026-05-01T10:00:00+02:00", "duration_min": 30, "channel": "meeting",
            "activity": "conversation", "ours": [{"employee": "m1", "layer": "board"}],
            "theirs": [{"person": "p1", "layer": "board"}], **data,
        },
    }  # fmt: skip


def test_an_event_is_described_as_it_is_sent() -> None:
    assert problems_of("event", sent()) == []
    assert problems_of("events", [sent(), sent(summary="Kennisgemaakt.")]) == []
    assert problems_of("event", sent(mood="good"))
    assert problems_of("event", sent(duration_min="long"))


def test_an_event_is_described_as_it_is_stored() -> None:
    book = {
        "sequence": "0" * 19 + "1", "recordedtime": "2026-05-01T08:00:00.000000Z", "department": "zorg",
        "relation": "8b0c1a8e-2b43-4a0e-9f57-0f3f5a1d2c11",
    }  # fmt: skip
    tokens = sent(
        ours=[{"employee": "ref~" + "0" * 32, "layer": "board"}], theirs=[{"layer": "board"}], summary="enc~abc"
    )
    held = "nl.relatieboek.contact.held.v1"
    assert problems_of(held, tokens | book) == []
    assert problems_of(held, sent() | book), "a reference in clear is not what the stream holds"
    assert problems_of(held, tokens), "the book's own attributes are always there"


def test_nothing_of_one_installation_is_in_it() -> None:
    text = json.dumps(DOCUMENT)
    assert "shown-nowhere" not in text
    assert "127.0.0.1" not in text
