"""Every problem that the terminal can show has Dutch words: each title, and each sentence that stands in the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from events.envelope import _FORMS, _ID_WANTED, _SOURCE_WANTED  # pyright: ignore[reportPrivateUsage]
from events.errors import FieldError
from events.fields import FORMS
from events.identifiers import SCHEMES
from events.verdict import PROBLEMS, problem
from events.wording import _SENTENCES  # pyright: ignore[reportPrivateUsage]
from services.dutch_problems import detail_in_dutch, errors_in_dutch, title_in_dutch
from services.problems import HTTP_PROBLEMS, describe

ROOT = Path(__file__).parents[2]
# Errors of whoever calls them, and no problems.
OF_CALLERS = {"checkpoint.py", "merkle.py", "working_set.py"}
# Where what a verdict or a reading says comes from. What only a change over HTTP hears, the terminal never shows.
SAID_IN = (
    *(ROOT / "events").rglob("*.py"), *(ROOT / "services/intake").glob("*.py"), *(ROOT / "projections").rglob("*.py"),
    ROOT / "services/send.py", ROOT / "services/problems.py", ROOT / "services/api/asking.py",
    ROOT / "services/imports/outcome.py",
)  # fmt: skip
# The argument that is a sentence, by the name of what is called.
SENTENCE_AT = {"FieldError": 1, "against": 1, "_unavailable": 0, "_too_much": 0, "ValueError": 0}
NEUTRAL = "x-1"


def texts(node: ast.expr | None) -> Iterator[str]:
    """The texts that an expression can be, with NEUTRAL where it is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr():
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else NEUTRAL for v in node.values)
        case ast.IfExp():
            yield from (*texts(node.body), *texts(node.orelse))
        case ast.BoolOp():
            for value in node.values:
                yield from texts(value)
        case _:
            return


def sentences_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and (target.id == "detail" or target.id.endswith("DETAIL")):
                yield from texts(node.value)
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            at = SENTENCE_AT.get(name, 0 if name == "refuse" and len(node.args) < 3 else 2 if name == "refuse" else -1)
            if 0 <= at < len(node.args):
                yield from texts(node.args[at])


def sentences() -> list[str]:
    found = {text for path in SAID_IN if path.name not in OF_CALLERS for text in sentences_in(path)}
    found |= {re.sub(r"\{\w+\}", NEUTRAL, text) for text in _SENTENCES.values()}
    found |= set(FORMS.values()) | {wanted for _, wanted in _FORMS.values()} | {_ID_WANTED, _SOURCE_WANTED}
    found |= {wanted for _, wanted in SCHEMES.values()}
    return sorted(found)


def test_each_problem_has_a_dutch_title() -> None:
    for code in PROBLEMS:
        assert title_in_dutch(problem(code, [])), code
    for code in HTTP_PROBLEMS:
        assert title_in_dutch(describe(code, [])), code
    assert title_in_dutch({"type": "about:blank"}) is None


def test_the_code_is_read_for_its_sentences() -> None:
    assert len(sentences()) > 150


@pytest.mark.parametrize("english", sentences())
def test_each_sentence_has_dutch(english: str) -> None:
    assert detail_in_dutch(english) != english


@pytest.mark.parametrize(
    ("english", "dutch"),
    [
        ("Unknown field 'naem'; remove it, or use name or kind if you meant that.",
         "Onbekend veld 'naem'. Haal het weg, of gebruik name of kind als u dat bedoelt."),
        ("A value of gemeentecode must be four digits with leading zeros, for instance '0518'; did you mean '0518'?",
         "Een waarde van gemeentecode moet vier cijfers met nullen ervoor, zoals '0518' zijn. Bedoelt u '0518'?"),
        ("An item of 'ours' must be a JSON object; put it in braces.",
         "Een onderdeel van 'ours' moet een JSON-object zijn. Zet er accolades om."),
        ("question 3, 4 has no answer yet; it is kept until then",
         "vraag 3, 4 heeft nog geen antwoord; we bewaren de gebeurtenis tot dan"),
        ("Input should be less than or equal to 500", "mag hoogstens 500 zijn"),
        ("Tier A needs at least one argument; add {criterion, evidence}.",
         "Klasse A heeft minstens één argument nodig. Voeg {criterion, evidence} toe."),
        ("nobody said this before", "nobody said this before"),
    ],
)  # fmt: skip
def test_what_it_is_filled_with_is_dutch_too(english: str, dutch: str) -> None:
    assert detail_in_dutch(english) == dutch


def test_all_errors_in_one_line() -> None:
    said = problem("schema", [FieldError("/data/a", "Add the required field 'a'."), FieldError("", "x")])
    assert errors_in_dutch(said) == "/data/a Vul het verplichte veld 'a' in.; x"
    assert errors_in_dutch(said, most=1) == "/data/a Vul het verplichte veld 'a' in."
    assert errors_in_dutch({}) == ""
