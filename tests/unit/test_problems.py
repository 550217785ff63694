"""Errors as HTTP answers, JSON read strictly, lists as CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from events.errors import (
    Diverged,
    Fenced,
    FieldError,
    Invalid,
    KeyMissing,
    NotFound,
    NotYetThere,
    RelatieboekError,
    Unavailable,
)
from events.verdict import PROBLEMS
from services.api.answering import prefers_csv, to_csv
from services.problems import HTTP_PROBLEMS, answer_to, refuse
from services.strict_json import MAX_DEPTH, read_array, read_json


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Invalid("schema", [FieldError("/data/name", "is missing")]), 400),
        (Invalid("conflict", [FieldError("/expectedversion", "is 3")]), 409),
        (NotFound("x"), 404),
        (NotFound(), 404),
        (NotYetThere("relation_view"), 503),
        (Unavailable("NATS", 2.4), 503),
        (Diverged("the stream", 7), 503),
        (Fenced(), 503),
        (KeyMissing("ref~secret"), 500),
        (RelatieboekError("x"), 503),
        (OperationalError("SELECT secret", {}, Exception("secret")), 503),
        (DBAPIError("SELECT secret", {}, asyncpg.AdminShutdownError("secret")), 503),
        (DBAPIError("SELECT secret", {}, asyncpg.DiskFullError("secret")), 503),
        (DBAPIError("SELECT secret", {}, asyncpg.UndefinedTableError("secret")), 500),
        (asyncpg.CannotConnectNowError("the database system is starting up"), 503),
        (asyncpg.TooManyConnectionsError("secret"), 503),
        (ConnectionRefusedError("10.0.0.7"), 503),
        (TimeoutError(), 503),
        (ValueError("secret"), 500),
        *((refuse(code, "/a", "is wrong"), status) for code, (status, _) in HTTP_PROBLEMS.items()),
        *((refuse(code, "/a", "is wrong"), status) for code, (status, _) in PROBLEMS.items()),
    ],
)
def test_every_error_has_one_answer(error: Exception, status: int) -> None:
    answer = answer_to(error)
    assert answer.status == status == answer.problem["status"]
    assert {"type", "title", "detail", "errors"} <= set(answer.problem)
    assert answer.problem["detail"]
    assert "secret" not in str(answer.problem)
    if status == 503 and not isinstance(error, RelatieboekError | ValueError):
        assert int(answer.headers["Retry-After"]) >= 1


def test_a_read_model_that_is_behind_is_no_engine_that_is_out() -> None:
    problem = answer_to(NotYetThere("relation_view is at 3, not yet at 4")).problem
    assert (problem["type"], problem["title"]) == (
        "urn:relatieboek:problem:not_yet_there", "The read model is not that far yet",
    )  # fmt: skip


def test_waits_are_whole_seconds_and_never_none() -> None:
    assert answer_to(Unavailable("x", 2.4)).headers["Retry-After"] == "3"
    assert answer_to(Unavailable("x", 0.0)).headers["Retry-After"] == "1"


def test_who_is_not_signed_in_hears_how() -> None:
    assert (
        "Bearer"
        in answer_to(refuse("unauthenticated", "/header/Authorization", "send one")).headers["WWW-Authenticate"]
    )


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", ""), (b"{", ""), (b'{"a": NaN}', ""), (b'{"a": Infinity}', ""), (b'{"a": 1, "a": 1}', "/a"),
        (b'{"data": {"x/y~z": 1, "x/y~z": 2}}', "/x~1y~0z"), (b'\xff', ""), (b'"\\ud800"', ""), (b"{} {}", ""),
        (b"[" * 100_000, ""), (b"[" * 900 + b"]" * 900, ""), (b"1" * 5000, ""),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), ""),
    ],
)  # fmt: skip
def test_json_that_two_readers_may_take_differently_is_refused(body: bytes, pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_json(body)
    assert refused.value.errors[0].pointer == pointer


@pytest.mark.parametrize("text", ["{}", "[]", "null", '{"a": [1, 2.5, "é", {"b": {}}]}', '"x"', "[[[[]]]]"])
def test_sound_json_is_read_as_it_is(text: str) -> None:
    assert read_json(text.encode()) == json.loads(text)


def test_the_deepest_that_is_allowed() -> None:
    read_json(b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH)


@pytest.mark.parametrize(
    "body",
    [
        b'[{"a": 1, "b": "x:y"}, {"c": {"a": [":"]}}]', b"[]", b" [1, null, \"\\u00e9\"]", '[{"é:": ":é"}]'.encode(),
    ],
)  # fmt: skip
def test_a_sound_array_is_read_at_once(body: bytes) -> None:
    assert read_array(body) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b'[{"a": 1}, {"a": 1, "a": 2}]', [None, "/a"]),
        (b'[{"data": {"b": 1, "b": 1}}]', ["/b"]),
        (b'[{"a\\u003a": 1, "b": 2, "b": 3}]', ["/b"]),
        (b'[{"a": "\\u003A"}]', [None]),
        (b'[{"a": ' + b"[" * 300 + b"]" * 300 + b"}, {}]", ["", None]),
    ],
    ids=["the second", "below", "an escaped colon makes up for it", "an escaped colon alone", "deep"],
)
def test_an_array_that_needs_it_is_read_strictly(body: bytes, pointers: list[str | None]) -> None:
    items = read_array(body)
    assert all(isinstance(item, bytes) for item in items)
    for item, pointer in zip(items, pointers, strict=True):
        if pointer is None:
            read_json(item)
            continue
        with pytest.raises(Invalid) as refused:
            read_json(item)
        assert refused.value.errors[0].pointer == pointer


@pytest.mark.parametrize("body", [b"[", b"{}", b"[1,]", b"[" * 1000 + b"]" * 1000, b"[NaN]"])
def test_no_array_is_told_so(body: bytes) -> None:
    with pytest.raises(Invalid):
        read_array(body)


def test_csv_keeps_every_value_and_runs_no_formula() -> None:
    items: list[dict[str, Any]] = [
        {"name": '=1+1 "x"', "n": -3, "tags": ["a", "b"], "none": None, "yes": True},
        {"name": "één\nregel", "later": "2026-01-01"},
    ]
    rows = list(csv.DictReader(io.StringIO(to_csv(items).decode(), newline="")))
    assert list(rows[0]) == ["name", "n", "tags", "none", "yes", "later"]
    assert rows[0] == {"name": '\'=1+1 "x"', "n": "-3", "tags": '["a","b"]', "none": "", "yes": "true", "later": ""}
    assert rows[1]["name"] == "één\nregel"
    assert to_csv([]) == b""


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False), ("*/*", False), ("text/csv", True), ("Text/CSV; q=0.5", True), ("text/csv;q=0", False),
        ("application/json, text/csv", True), ("application/json, text/csv;q=0.4", False), ("text/csv;q=x", False),
    ],
)  # fmt: skip
def test_csv_is_given_to_who_wants_it_no_less_than_json(accept: str, wanted: bool) -> None:
    assert prefers_csv(accept) is wanted
