"""The whole OpenAPI document against a running book: whatever is asked, no fault of ours, and answers as it says.

Each operation is asked with values that fit its description and with values that do not, with names that exist and
with others. The bounded form runs with every test run, the long one in `make test-all`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import pytest
import schemathesis

# Not by itself, when the thread below asks for it: while two threads parse, Python 3.11 may fail (its issue 106905).
import schemathesis.specs.openapi.schemas  # pyright: ignore[reportUnusedImport]
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import checks
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as openapi_checks

from services.settings import Settings
from tests.conftest import AddDepartment
from tests.every_kind import department_of, every_kind
from tests.running_book import Book, running

# Its checks are generic without saying of what.
_any: Any = checks
_of: Any = openapi_checks
CHECKS: Final[list[Any]] = [
    _any.not_a_server_error, _of.status_code_conformance, _of.content_type_conformance,
    _of.response_headers_conformance, _of.response_schema_conformance,
]  # fmt: skip
_LIVE: Final = "/_live"  # does not end; tests/integration/test_api_read.py reads it
_WANTS_A_DEPARTMENT: Final = {"/events", "/verdicts"}


@pytest.mark.parametrize(
    "examples",
    [
        # A timeout beside the parameters would hold for both: pytest finds the function's mark first.
        pytest.param(4, marks=pytest.mark.timeout(400)),
        pytest.param(60, marks=[pytest.mark.full, pytest.mark.timeout(1800)]),
    ],
    ids=["short", "long"],
)
async def test_the_document_holds(settings: Settings, department: AddDepartment, examples: int) -> None:
    events = [e for e in every_kind() if department_of(e) == "crm"]
    added = await department("crm", sources=sorted({str(e["source"]) for e in events}))
    async with running(settings) as book:
        last = "0"
        for event in events:  # one by one: what cannot be accepted without the book's own events is left out
            answer = await book.client.post(
                "/v1/events", json=event,
                headers={
                    "Authorization": f"Bearer {added.http_token}", "Content-Type": "application/cloudevents+json",
                },
            )  # fmt: skip
            last = answer.json().get("sequence", last)
        known = await names(book, last)
        tokens = {"viewer": (await book.viewers())["all"], "department": added.http_token}
        told = await asyncio.to_thread(ask_everything, f"{book.client.base_url}/v1", known, tokens, examples)
        assert (await book.get("/v1/status")).status_code == 200
    asked = {operation for operation, _ in told}
    assert len(asked) > 40
    # Not everything was refused at the door.
    assert len({operation for operation, status in told if status in {200, 201, 202}}) > 0.5 * len(asked), told


async def names(book: Book, last: str) -> dict[str, list[str]]:
    """What exists, by the name of the path parameter that names it."""
    there = {"If-Position": last}
    relations = (await book.get("/v1/relations", **there)).json()["items"]
    alerts = (await book.get("/v1/alerts?state=all", **there)).json()["items"]
    loops = (await book.get("/v1/loops?state=all", **there)).json()["items"]
    return {
        "/relations/": [str(r["id"]) for r in relations] + ["gemeentecode:0518"],
        "/alerts/": [str(a["id"]) for a in alerts],
        "/loops/": [str(one["id"]) for one in loops],
        "/teams/": ["wmo-haaglanden"],
    }


def ask_everything(
    base_url: str, known: Mapping[str, list[str]], tokens: Mapping[str, str], examples: int
) -> Counter[tuple[str, int]]:
    """Counts answers by operation and status; raises what does not conform."""
    untyped: Any = schemathesis.openapi
    schema: Any = untyped.from_url(f"{base_url}/openapi.json")
    told: Counter[tuple[str, int]] = Counter()
    wrong: list[str] = []
    for found in schema.get_all_operations():
        operation: Any = found.ok()
        if operation.path.endswith(_LIVE):
            continue
        token = tokens["department" if operation.path in _WANTS_A_DEPARTMENT else "viewer"]
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                ask(operation, mode, base_url, known, token, examples, told)
            except FailureGroup as group:
                wrong += [f"{operation.label}: {failure}" for failure in group.exceptions]
    assert wrong == [], "\n\n".join(wrong)
    return told


def ask(
    operation: Any, mode: GenerationMode, base_url: str, known: Mapping[str, list[str]], token: str, examples: int,
    told: Counter[tuple[str, int]],
) -> None:  # fmt: skip
    real = next((values for start, values in known.items() if start in operation.path and values), None)

    @seed(20260105)
    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(_ANY), phases=[Phase.generate]
    )
    @given(case=operation.as_strategy(generation_mode=mode), exists=st.booleans(), which=st.integers(0, 50))
    def one(case: Any, exists: bool, which: int) -> None:
        if exists and real and case.path_parameters:
            name = "team" if "team" in case.path_parameters else "id"
            case.path_parameters[name] = real[which % len(real)]
        # It asks to wait until a position is there, and says 503 by rights when that does not come.
        sent: dict[str, Any] = case.headers or {}
        sent.pop("If-Position", None)
        headers = {"Authorization": f"Bearer {token}"}
        response = case.call(base_url=base_url, headers=headers, timeout=60)
        told[operation.label, response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    one()


_ANY: Final = (
    HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large, HealthCheck.large_base_example,
)  # fmt: skip
