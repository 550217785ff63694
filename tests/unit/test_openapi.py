"""The OpenAPI document against the NL API Design Rules."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from fastapi import FastAPI

from services.api import openapi, site


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = FastAPI()
    for router in site.ROUTERS:
        app.include_router(router)
    return openapi.build(app)


def operations_of(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, o) for path, item in document["paths"].items() for method, o in item.items()]


def test_it_says_who_answers_for_it_and_where_it_is(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert set(document["info"]["contact"]) == {"name", "email", "url"}
    assert document["servers"][0]["url"].endswith("/v1")
    assert re.fullmatch(r"\d+\.\d+\.\d+", document["info"]["version"])


def test_every_answer_names_the_version_and_every_error_is_a_problem(document: dict[str, Any]) -> None:
    for path, method, operation in operations_of(document):
        for code, answer in operation["responses"].items():
            assert "API-Version" in answer["headers"], (path, method, code)
            if code >= "400":
                assert list(answer["content"]) == ["application/problem+json"]
        assert "422" not in operation["responses"]
        assert "400" in operation["responses"]


def test_operation_ids_are_unique_and_paths_and_keys_well_formed(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations_of(document)]
    assert len(ids) == len(set(ids))
    for path, _, operation in operations_of(document):
        assert not path.endswith("/")
        assert re.fullmatch(r"(/([a-z0-9-]+|\{[a-z]+\}))*(/_[a-z-]+|/openapi\.json)?", path), path
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query":
                assert re.fullmatch(r"[a-z]+([A-Z][a-z]*)*", parameter["name"])


def test_schemas_are_named_in_upper_camel_case(document: dict[str, Any]) -> None:
    assert [n for n in document["components"]["schemas"] if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", n)] == []


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    wanted = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert wanted <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_route_but_the_open_ones_wants_a_token(document: dict[str, Any]) -> None:
    for path, _, operation in operations_of(document):
        assert ("security" in operation) is (path != "/openapi.json"), path
