"""Sound events to start from: the golden files, each a fresh copy that a test may change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from events.recorded import TYPE_PREFIX

GOLDEN = Path(__file__).parent / "golden"


def golden(kind: str, version: int = 1) -> dict[str, Any]:
    """The golden event of a kind, `contact.held`, in one of its versions."""
    return json.loads((GOLDEN / f"{TYPE_PREFIX}{kind}.v{version}.json").read_text())


def with_data(kind: str, /, *without: str, **fields: Any) -> dict[str, Any]:
    """The golden event with these fields of its payload set, and those named in `without` left out."""
    event = golden(kind)
    event["data"].update(fields)
    for name in without:
        del event["data"][name]
    return event


def with_attributes(kind: str, /, *without: str, **attributes: Any) -> dict[str, Any]:
    """The golden event with these attributes of its envelope set, and those named in `without` left out."""
    event = {**golden(kind), **attributes}
    return {name: value for name, value in event.items() if name not in without}
