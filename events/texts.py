"""What holds for every text of an event, whatever its field: no patient, no token of the book, nothing unstorable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel

from events.errors import FieldError
from events.patient import is_bsn, mentions_bsn, mentions_bsn_in
from events.wording import pointer

_TOKENS: Final = ("ref~", "enc~")
_SMALL: Final = re.compile(rb"[0-9]t[0-9]|[0-9]z")
_CONTROLS: Final = re.compile(r"[\x00-\x07\x0b\x0c\x0e-\x1f]")
BSN_DETAIL: Final = (
    "This holds nine digits that pass the BSN check; the book takes no data about patients, so leave the number out."
)
_RESERVED_DETAIL: Final = "A text cannot begin with 'ref~' or 'enc~', which are the book's own; change it."
_CONTROL_DETAIL: Final = "The text holds a control character; only line breaks and tabs are taken, leave it out."
_SURROGATE_DETAIL: Final = "The text is not valid Unicode (a lone surrogate); send it in UTF-8."

Path = tuple[str | int, ...]


def suspicious(text: bytes) -> bool:
    """Whether the JSON text of an event is worth `problems_in_texts`: no false negatives. About 2 µs for a contact."""
    if b"~" in text and (b'"ref~' in text or b'"enc~' in text):
        return True
    if b"\\" in text and (b"\\u00" in text or b"\\f" in text):
        return True
    return mentions_bsn_in(text)


def problems_in_texts(
    event: dict[str, Any], *, settled: frozenset[str], tokens: frozenset[str], wrong: frozenset[str]
) -> tuple[list[FieldError], list[FieldError]]:
    """Patient data, and other problems of texts, in the order of the document.

    `settled`: attributes whose form leaves no room for text. `tokens`: pointers where a reference token may stand.
    `wrong`: pointers that broke the contract: there, a bare number is looked at too.
    """
    patients: list[FieldError] = []
    others: list[FieldError] = []
    for path, value in _leaves({k: v for k, v in event.items() if k not in settled}):
        if isinstance(value, int):
            if 10**7 <= value < 10**9 and is_bsn(f"{value:09d}") and _inside(pointer(path), wrong):
                patients.append(FieldError(pointer(path), BSN_DETAIL))
            continue
        if mentions_bsn(value):
            patients.append(FieldError(pointer(path), BSN_DETAIL))
        if value.startswith(_TOKENS) and pointer(path) not in tokens:
            others.append(FieldError(pointer(path), _RESERVED_DETAIL))
        if _CONTROLS.search(value):
            others.append(FieldError(pointer(path), _CONTROL_DETAIL))
        if not _is_unicode(value):
            others.append(FieldError(pointer(path), _SURROGATE_DETAIL))
    return patients, others


def whole_numbers(doc: Any) -> Any:
    """The same document with integers for floats without a fraction. Its RFC 8785 form is the same."""
    if isinstance(doc, dict):
        return {k: whole_numbers(v) for k, v in doc.items()}  # pyright: ignore[reportUnknownVariableType]  JSON
    if isinstance(doc, list):
        return [whole_numbers(v) for v in doc]  # pyright: ignore[reportUnknownVariableType]  JSON
    return int(doc) if isinstance(doc, float) and doc.is_integer() else doc


def small_letters(text: bytes) -> bool:
    """Whether the JSON text of an event may hold a date-time with a small `t` or `z`: no false negatives."""
    return _SMALL.search(text) is not None


def capital_times(sent: Any, read: Any) -> Any:
    """The same payload with `T` and `Z` in capitals in every date-time, as everybody who reads the book expects them.

    `read` is the payload as validated: which texts are date-times. They are fields of a model, never items of a list.
    """
    if isinstance(read, datetime):
        return sent.upper()
    if isinstance(read, BaseModel):
        return {name: capital_times(value, getattr(read, name, None)) for name, value in sent.items()}
    return sent


def _leaves(doc: Any) -> Iterator[tuple[Path, str | int]]:
    """Every text, integer and name of a field, with its path. No recursion: a document may nest without end."""
    stack: list[tuple[Path, Any]] = [((), doc)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            fields: list[tuple[str, Any]] = [(str(k), v) for k, v in value.items()]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  JSON
            yield from (((*path, name), name) for name, _ in fields)
            stack.extend(((*path, name), v) for name, v in reversed(fields))
        elif isinstance(value, list):
            items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]  JSON
            stack.extend(((*path, n), v) for n, v in reversed(list(enumerate(items))))
        elif isinstance(value, int) and not isinstance(value, bool):
            yield path, value


def _inside(at: str, wrong: frozenset[str]) -> bool:
    return any(at == w or at.startswith(w + "/") for w in wrong)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
