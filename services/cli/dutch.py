"""How the terminal says what HTTP answers: codes in Dutch words, amounts in euros, instants in Amsterdam's time."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from events.recorded import AMSTERDAM
from projections.title_words import euros, every, number, word

_FILE: Final = Path(__file__).with_suffix(".toml")
# Which group of dutch.toml a member's codes are in; None: words that titles have too.
_GROUPS: Final[Mapping[str, str | None]] = {
    "state": "state", "kind": "kind", "relation_kind": "kind", "decision_role": "decision_role", "type": "type",
    "role": "role", "rag": "rag", "direction": "direction", "band": "band", "lack": "lack", "unit": "unit",
    "stage": "stage", "by": "by", "visibility": "visibility", "our_layer": None, "their_layer": None, "layer": None,
    "channel": None, "channels": None, "item": None, "missing": None, "holder": None, "financing_system": None,
    "coverage": None, "indicator": None, "resolution": None,
}  # fmt: skip
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}.*")
_MIDNIGHT: Final = "00:00"


@cache
def _words() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def said(member: str, value: Any) -> str:
    """One value of a member, neither a list nor an object, as people read it. What is no code stays as it is."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "ja" if value else "nee"
    if isinstance(value, int) and (member == "cents" or member.endswith("_cents")):
        return euros(value, "nl") if value >= 0 else f"-{euros(-value, 'nl')}"
    if isinstance(value, float):
        return number(value, "nl")
    text = str(value)
    if member in _GROUPS:
        group = _GROUPS[member]
        return word(text, "nl") if group is None else _words()[group].get(text, text)
    return moment(text)


def moment(text: str) -> str:
    """A date or an instant as `27-11-2026` or `27-11-2026 20:09`; any other text as it is."""
    try:
        if _DAY.fullmatch(text):
            return f"{date.fromisoformat(text):%d-%m-%Y}"
        if _INSTANT.fullmatch(text):
            return f"{datetime.fromisoformat(text).astimezone(AMSTERDAM):%d-%m-%Y %H:%M}".removesuffix(f" {_MIDNIGHT}")
    except ValueError:  # it only looked like one
        return text
    return text


def pair(row: Mapping[str, Any]) -> str:
    """Two layers: ours, and theirs."""
    return f"{said('our_layer', row['our_layer'])} – {said('their_layer', row['their_layer'])}"


def cadence(asked: Mapping[str, Any] | None) -> str:
    """How often: `elke 3 maanden`, `2 keer per kwartaal`."""
    if not asked:
        return "–"
    if asked["mode"] == "quota":
        return f"{asked['times']} keer per {word(asked['per'], 'nl')}"
    return every(asked["every"], "nl")
