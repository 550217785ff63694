"""The corpus of malformed events: each is refused, and every field that is wrong is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from events.catalog import check
from events.envelope import parse
from events.errors import Invalid
from events.verdict import PROBLEMS, problem

LINES = (Path(__file__).parents[1] / "corpus" / "malformed.jsonl").read_text().splitlines()
CASES: list[dict[str, Any]] = [json.loads(line) for line in LINES]


def test_the_corpus_is_large_and_its_names_differ() -> None:
    assert len(CASES) >= 70
    assert len({case["name"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_it_is_refused_and_names_its_fields(case: dict[str, Any]) -> None:
    sent = copy.deepcopy(case.get("event"))
    with pytest.raises(Invalid) as refused:
        check(parse(case["raw"]) if "raw" in case else case["event"])
    error = refused.value
    assert (error.code, sorted(e.pointer for e in error.errors)) == (case["code"], sorted(case["pointers"]))
    assert error.code in PROBLEMS
    for one in error.errors:
        assert one.detail[0].isupper() or one.detail.startswith("'")
        assert one.detail.endswith((".", "?"))
        assert len(one.detail) <= 300
    assert case.get("event") == sent, "check changed what it judged"
    json.dumps(problem(error.code, error.errors))


@pytest.mark.parametrize("case", [c for c in CASES if c["code"] == "patient_data"], ids=lambda case: case["name"])
def test_a_refusal_never_repeats_a_number_of_a_patient(case: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        check(case["event"])
    said = json.dumps(problem("patient_data", refused.value.errors)) + str(refused.value)
    assert not any(number in said for number in ("123456782", "111222333", "1234.56.782", "123 456 782"))
