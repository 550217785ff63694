"""The API's problems in Dutch, for whom the terminal and the imports tell them. What a program reads stays English.

`dutch_problems.toml` has the title of each problem code and each sentence that a detail can be. What a sentence is
filled with is looked up the same way, so that parts put together are Dutch too. What has no Dutch stays as it is.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

_FILE: Final = Path(__file__).with_suffix(".toml")
_TYPE: Final = "urn:relatieboek:problem:"
_PART: Final = re.compile(r"\{\}")


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Each sentence as a pattern, with its Dutch; what says most in its own words first."""
    details = sorted(_texts()["details"].items(), key=lambda both: -len(_PART.sub("", both[0])))
    return [
        (re.compile("(.*?)".join(map(re.escape, _PART.split(english))), re.DOTALL), dutch) for english, dutch in details
    ]


def detail_in_dutch(english: str) -> str:
    """The sentence of one error in Dutch."""
    for pattern, dutch in _patterns():
        if found := pattern.fullmatch(english):
            return _filled(dutch, [detail_in_dutch(part) if part else "" for part in found.groups()])
    return english


def _filled(dutch: str, parts: Sequence[str]) -> str:
    return re.sub(r"\{(\d)\}", lambda at: parts[int(at[1])], dutch)


def title_in_dutch(problem: Mapping[str, Any]) -> str | None:
    """The title of a problem document in Dutch; None for one that is not of ours."""
    return _texts()["titles"].get(str(problem.get("type", "")).removeprefix(_TYPE))


def errors_in_dutch(problem: Mapping[str, Any], *, most: int | None = None) -> str:
    """The errors of a problem document in one line, each with the pointer to what is wrong; all, or the first `most`.
    Empty where it names none."""
    errors = problem.get("errors") or ()
    return "; ".join(f"{e['pointer']} {detail_in_dutch(e['detail'])}".strip() for e in errors[:most])
