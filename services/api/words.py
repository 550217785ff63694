"""The words of the page, Dutch and English, from `words.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Final, Literal

Language = Literal["nl", "en"]

_FILE: Final = Path(__file__).with_suffix(".toml")


@cache
def words(language: Language) -> dict[str, str]:
    """Every text of the page in one language."""
    texts = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {key: both[language] for key, both in texts.items()}
