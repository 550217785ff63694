"""Whatever JSON comes in, `check` answers with a submission or with Invalid, and never changes its mind."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from events.canonical import canonical
from events.catalog import TYPES, Submission, check
from events.envelope import ATTRIBUTES, parse
from events.errors import Invalid
from events.patient import is_bsn, mentions_bsn
from events.verdict import PROBLEMS
from tests.samples import golden

_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["ref~", "enc~x", "123456782", "\x00", "\ud800", "2026-01-01", "P3M", "board", "A"])
)  # fmt: skip
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_KINDS = sorted(t.kind for t in TYPES.values())


def _judged(event: Any) -> Submission | Invalid:
    before = copy.deepcopy(event)
    try:
        answer: Submission | Invalid = check(event)
    except Invalid as error:
        answer = error
    assert repr(event) == repr(before)
    if isinstance(answer, Invalid):
        assert answer.errors
        assert answer.code in PROBLEMS
        for one in answer.errors:
            assert one.pointer == "" or one.pointer.startswith("/")
            one.detail.encode()
            one.pointer.encode()
    return answer


def _keys(node: Any) -> list[Any]:
    """Where something stands below: names of fields or places in a list; nothing for what holds no more."""
    if isinstance(node, dict):
        return list(node)  # pyright: ignore[reportUnknownArgumentType]
    return list(range(len(node))) if isinstance(node, list) else []  # pyright: ignore[reportUnknownArgumentType]


@given(_JSON)
def test_any_json(event: Any) -> None:
    _judged(event)


@given(st.dictionaries(st.sampled_from(sorted(ATTRIBUTES)), _JSON), st.sampled_from(_KINDS))
def test_any_attributes(attributes: dict[str, Any], kind: str) -> None:
    _judged({**golden(kind), **attributes})


@given(st.sampled_from(_KINDS), st.data())
def test_any_value_anywhere_in_a_sound_event(kind: str, data: st.DataObject) -> None:
    event = golden(kind)
    node: Any = event["data"]
    key = data.draw(st.sampled_from(_keys(node)))
    while _keys(node[key]) and data.draw(st.booleans()):
        node = node[key]
        key = data.draw(st.sampled_from(_keys(node)))
    node[key] = data.draw(_JSON)
    answer = _judged(event)
    if isinstance(answer, Submission):
        json.dumps(answer.data)
        assert canonical(answer.data) == canonical(event["data"])
        assert check({**event, "data": answer.data}).payload == answer.payload


@given(st.sampled_from(_KINDS), st.text(min_size=1, max_size=12), _JSON)
def test_any_further_field(kind: str, name: str, value: Any) -> None:
    event = golden(kind)
    known = name in TYPES[f"nl.relatieboek.{kind}.v1"].model.model_fields
    event["data"][name] = value
    answer = _judged(event)
    assert known or isinstance(answer, Invalid)


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    try:
        event = parse(body)
    except Invalid:
        return
    _judged(event)


@given(st.integers(min_value=10**7, max_value=10**9 - 1), st.text("ab é:,/", max_size=5), st.sampled_from(" .-"))
def test_a_bsn_is_found_whatever_stands_around(number: int, around: str, joint: str) -> None:
    digits = f"{number:09d}"
    grouped = joint.join((digits[:3], digits[3:6], digits[6:]))
    for written in (digits, grouped):
        assert mentions_bsn(f"{around}{written}{around}") == is_bsn(digits)
