"""Whatever bytes come in: a verdict that names what is wrong, never a crash. At the desk, in cursors, in files."""

from __future__ import annotations

import copy
import json
import random
import tomllib
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from events.catalog import TYPES
from events.errors import Invalid, SetupError
from events.verdict import PROBLEMS, Verdict, problem
from projections.page import decode_cursor, encode_cursor
from services.imports.csv import read_csv
from services.imports.ics import read_ics
from services.imports.mapping import load_mapping
from services.imports.outcome import Skipped, Taken
from services.intake.arriving import MOST_BYTES, arrive
from services.intake.departments import Department
from services.strict_json import MAX_DEPTH, is_json, read_array, read_json
from tests.every_kind import every_kind
from tests.unit.test_import_ics import GIVEN, NOW

EVENTS = every_kind()
CRM = Department("crm", frozenset({str(e["source"]) for e in EVENTS}), ("*",))
ROOT = Path(__file__).parent.parent.parent

_ANY = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(
        ["", "\x00", "\ud800", "2026-13-45", "9999-12-31T23:59:60Z", "+1", "1e400", "' OR 1=1", "../..", "\u202ex"]
    )
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def dumped(value: Any) -> bytes:
    """JSON as careless libraries write it: with NaN, lone surrogates and numbers of any size."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


def judged(sent: Any) -> str | None:
    """The code of its refusal, or None. Whatever it is, it must be something that can be told and kept."""
    arrival = arrive(CRM, sent)
    if arrival.submission is not None:
        assert arrival.refusal is None
        return None
    refusal = arrival.refusal
    assert refusal is not None
    assert refusal.code in PROBLEMS
    assert refusal.errors
    for error in refusal.errors:
        assert error.pointer == "" or error.pointer.startswith("/")
        assert error.detail
        assert "\x00" not in error.pointer + error.detail  # PostgreSQL takes it in no text
    assert len(refusal.errors) <= 51
    for text in (arrival.source, arrival.id, arrival.type):
        assert text is None or (len(text) <= 512 and "\x00" not in text)
    assert not isinstance(arrival.raw, bytes) or len(arrival.raw) <= MOST_BYTES
    verdict = Verdict("rejected", arrival.id, arrival.source, problem=problem(refusal.code, refusal.errors))
    orjson.dumps(verdict.as_json())
    return refusal.code


@given(st.binary(max_size=400))
@example(b"[" * 100_000)
@example(b'{"a":' * 50_000 + b"1" + b"}" * 50_000)
@example(b'{"id":"\xff\xfe"}')
@example(b'{"id":"\xff' + b"x" * 70_000 + b'"}')
@example(b'{"type":"a","source":"\xc3","x":"' + b"x" * 70_000 + b'"}')
@example(b"\xef\xbb\xbf{}")
@example(b"1" * 5_000)
@example(b'{"a":1e999}')
@example(b'{"a":1,"a":2}')
@example(b'{"a\\u0000":1}')
@example(b"{" + b",".join(b'"%d":1' % n for n in range(6_000)) + b"}")
def test_bytes(body: bytes) -> None:
    for read in (read_json, read_array):
        refused = refusal_of(read, body)
        assert refused is None or (refused.code == "schema" and refused.errors[0].detail)
    judged(body)


def refusal_of(read: Callable[..., Any], *given: Any) -> Invalid | None:
    try:
        read(*given)
    except Invalid as invalid:
        return invalid
    return None


@given(anything)
def test_any_json(value: Any) -> None:
    body = dumped(value)
    try:
        read = read_json(body)
    except Invalid:
        pass
    else:
        assert depth(read) <= MAX_DEPTH
    judged(body)


def depth(value: Any) -> int:
    inner = [container[key] for container, key in spots(value, deep=False)]
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


def spots(value: Any, *, deep: bool = True) -> list[tuple[Any, Any]]:
    """Every place in a document: (container, key)."""
    known: Any = value
    keys: list[Any] = (
        list(known) if isinstance(value, dict) else list(range(len(known))) if isinstance(value, list) else []
    )
    found = [(known, key) for key in keys]
    return found + [spot for key in keys for spot in spots(known[key])] if deep else found


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(EVENTS),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 3), anything), min_size=1, max_size=3),
)
def test_an_event_with_something_wrong_in_it(event: dict[str, Any], changes: list[tuple[int, int, Any]]) -> None:
    event = copy.deepcopy(event)
    for where, what, value in changes:
        places = spots(event)
        container, key = places[where % len(places)]
        match what:
            case 0:
                container[key] = value
            case 1 if isinstance(container, dict):
                del container[key]
            case 2 if isinstance(container, dict):
                container[str(value)[:30]] = value
            case _:
                container[key] = [container[key]] * 3
    body = dumped(event)
    judged(body)
    if is_json(body):
        judged(orjson.loads(body))  # as an item of an array that was read before


WRONG: list[Any] = [None, True, -1, 10**30, 1.5, "", "\x00", "x" * 5_000, [], {}, [[]], {"a": {}}]


def test_every_type_survives_every_field_made_something_else() -> None:
    """Not by chance: each place of each type, once as each kind of thing."""
    seen: set[str] = set()
    for event in EVENTS:
        if event["type"] in seen:
            continue
        seen.add(event["type"])
        for n in range(len(spots(event))):
            for value in WRONG:
                wrong = copy.deepcopy(event)
                container, key = spots(wrong)[n]
                container[key] = value
                judged(orjson.loads(dumped(wrong)))
    assert seen == set(TYPES)


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
@example("/" * 3_000)
@example(encode_cursor("alerts", [1, "x"]))
def test_cursors(cursor: str) -> None:
    for types in ([str, int], [int], []):
        refused = refusal_of(decode_cursor, "alerts", cursor, types)
        if refused is None:
            assert [type(part) for part in decode_cursor("alerts", cursor, types)] == types
        else:
            assert [e.pointer for e in refused.errors] == ["/cursor"]


def fate(outcomes: Any) -> None:
    """Every row was taken or says why not; or the file as a whole is refused in one sentence."""
    with suppress(SetupError):
        for outcome in outcomes:
            assert isinstance(outcome, Taken | Skipped)


MAPPING = sorted((ROOT / "services" / "demo" / "mappings").glob("*.toml"))
CALENDAR = (ROOT / "tests" / "data" / "team.ics").read_bytes()


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def scrambled(whole: bytes, seed: int, times: int) -> bytes:
    """The file with pieces taken out, doubled or turned into something else."""
    chance = random.Random(seed)
    for _ in range(times):
        at, length = chance.randrange(len(whole) + 1), chance.randrange(1, 40)
        piece = chance.choice(
            [b"", whole[at : at + length] * 2, chance.randbytes(4), b"\r\n", b'"', b";", b"\x00", b"9" * 20]
        )
        whole = whole[:at] + piece + whole[at + length :]
    return whole


@settings(max_examples=60, suppress_health_check=_ANY, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 2**32), st.integers(0, 12))
def test_files_to_import(scratch: Path, raw: bytes, seed: int, times: int) -> None:
    calendar = scratch / "x.ics"
    for content in (raw, scrambled(CALENDAR, seed, times)):
        calendar.write_bytes(content)
        fate(read_ics(calendar, GIVEN, NOW))
    for path in MAPPING:
        mapping = load_mapping(path)
        header = mapping_header(path)
        table = scratch / "x.csv"
        for content in (
            raw,
            header + b"\n" + raw,
            header + b"\n" + scrambled(b";".join([b"2026-01-02"] * 12), seed, times),
        ):
            table.write_bytes(content)
            fate(read_csv(table, mapping))


def mapping_header(path: Path) -> bytes:
    """The columns that a mapping wants, by asking it with a file that has none."""
    mapping = load_mapping(path)
    columns: set[str] = set()

    def collect(value: Any) -> None:
        for container, key in spots(value):
            if key == "column" and isinstance(container[key], str):
                columns.add(container[key])

    collect(tomllib.loads(path.read_text()))
    return mapping.file.delimiter.join(sorted(columns)).encode()


@settings(max_examples=60, suppress_health_check=_ANY, deadline=None)
@given(st.text(max_size=200), st.integers(0, 2**32), st.integers(0, 8))
def test_mapping_files(scratch: Path, text: str, seed: int, times: int) -> None:
    path = scratch / "x.toml"
    deep = "a = " + "[" * times * 400 + text
    endless = "a = 1" + "0" * times * 2_000
    for content in (
        text.encode("utf-8", "replace"), deep.encode("utf-8", "replace"), endless.encode(),
        scrambled(MAPPING[0].read_bytes(), seed, times),
    ):  # fmt: skip
        path.write_bytes(content)
        with suppress(SetupError):
            load_mapping(path)


def test_the_calendar_of_the_tests_is_not_all_refused() -> None:
    assert any(isinstance(o, Taken) for o in read_ics(ROOT / "tests" / "data" / "team.ics", GIVEN, NOW))
    assert date(2026, 1, 1) == GIVEN.from_on
