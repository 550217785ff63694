"""What the terminal says of a document: in Dutch, with every code of the interface in words."""

from __future__ import annotations

import typing
from typing import Any

import pytest

from services.api.openapi import ANSWERS
from services.api.shapes.building_blocks import Shape
from services.api.shapes.plans import RelationPlan
from services.api.shapes.relations import RelationAttention, RelationMatrix
from services.api.shapes.satisfaction import RelationSatisfaction
from services.cli.brief import brief
from services.cli.dutch import cadence, moment, said
from services.cli.parts import HEAD, TABLES, Part


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        ("state", "on_track", "op schema"), ("our_layer", "board", "bestuur"), ("kind", "municipality", "gemeente"),
        ("net_cents", -4_300_000, "-€ 43.000"), ("cents", 123, "€ 1,23"), ("mean", 8.25, "8,25"), ("n", 3, "3"),
        ("late", True, "ja"), ("owner", None, "–"), ("owner", "on_track", "on_track"), ("state", "iets nieuws",
        "iets nieuws"),
        ("at", "2026-11-27T19:09:00Z", "27-11-2026 20:09"), ("at", "2026-07-01T22:30:00Z", "02-07-2026 00:30"),
        ("held_on", "2026-02-28", "28-02-2026"), ("at", "2026-07-01T00:00:00+02:00", "01-07-2026"),
        ("text", "2026-99-99", "2026-99-99"), ("text", "2026-11-27 was een dag", "2026-11-27 was een dag"),
    ],
)  # fmt: skip
def test_a_value_of_a_member(member: str, value: Any, words: str) -> None:
    assert said(member, value) == words


def test_a_moment_that_only_looks_like_one() -> None:
    assert moment("2026-11-27T99:99") == "2026-11-27T99:99"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"mode": "rolling", "every": "P3M"}, "elke 3 maanden"),
        ({"mode": "quota", "times": 2, "per": "quarter"}, "2 keer per kwartaal"),
        (None, "–"),
    ],
)
def test_how_often(asked: dict[str, Any] | None, words: str) -> None:
    assert cadence(asked) == words


def test_a_row_in_short() -> None:
    row: dict[str, Any] = {
        "our_layer": "board", "their_layer": "professional", "line": "policy:A:board:board:2026-01-01",
        "lacks": [{"what": "knowledge", "missing": ["market"]}, {"what": "plan", "missing": []}], "evidence": [1] * 9,
        "organisation": "us", "organisation_name": None,
    }  # fmt: skip
    told = brief(row)
    assert (told["layers"], told["line"]) == ("bestuur – professionals", "uit het beleid")
    assert told["lacks"] == ["actuele kennis: markt", "goedgekeurd plan"]
    assert (told["evidence"], told["organisation_name"]) == (9, "wij")


def codes() -> dict[str, set[str]]:
    """Every closed set of codes that an answer may hold, by member."""
    assert ANSWERS  # every shape there is was imported for it
    found: dict[str, set[str]] = {}
    shapes = [Shape]
    for shape in shapes:
        shapes.extend(shape.__subclasses__())
        for member, annotation in typing.get_type_hints(shape).items():
            for part in (annotation, *typing.get_args(annotation)):
                if typing.get_origin(part) is typing.Literal:
                    found.setdefault(member, set()).update(map(str, typing.get_args(part)))
    return found


# Shown by no table: of verdicts, of the access log (which has its own words), of what is said by `brief`.
ELSEWHERE = {"verdict", "event", "action", "outcome", "what", "mode", "per", "certainty", "question", "reason"}


def test_every_code_of_an_answer_has_a_word() -> None:
    untold = {
        f"{member} {code}"
        for member, some in codes().items()
        for code in some
        if member not in ELSEWHERE and said(member, code) == code
    }
    same_in_dutch = {"state open", "type contract"}
    system = {"kind person", "kind employee", "kind system", "kind command_line", "state parked", "state rejected"}
    assert untold <= same_in_dutch | system


@pytest.mark.parametrize(
    ("part", "shape"),
    [
        (Part.PLAN, RelationPlan), (Part.SATISFACTION, RelationSatisfaction), (Part.MATRIX, RelationMatrix),
        (Part.ATTENTION, RelationAttention),
    ],
)  # fmt: skip
def test_every_member_of_a_part_is_shown_or_left_out_on_purpose(part: Part, shape: type[Shape]) -> None:
    shown = {member for member, _ in HEAD} | {table.field for table in TABLES[part]}
    left_out = {"relation", "relation_name", "next", "layers", "gaps", "outcomes", "by_relation_kind"}
    assert set(shape.model_fields) <= shown | left_out
