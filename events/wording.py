"""What a publisher reads about a payload: pydantic's errors as one clear sentence each, with a JSON pointer.

No sentence repeats a value that was sent: it may be personal. Names of fields are repeated, cut off and without digits
that could be a person's number.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from events.errors import FieldError
from events.fields import FORMS
from events.patient import mentions_bsn

MOST_PROBLEMS: Final = 50
_LONGEST_NAME: Final = 64

# pydantic's error type -> sentence, filled from the error's context and {field}
_SENTENCES: Final[dict[str, str]] = {
    "string_type": "{field} must be a text; put it in quotes.",
    "string_too_short": "{field} must have at least {min_length} character(s); lengthen it or leave it out.",
    "string_too_long": "{field} must have at most {max_length} characters; shorten it.",
    "int_type": "{field} must be an integer; write it without quotes and without a fraction.",
    "int_parsing_size": "{field} must be an integer and is far too large; check it.",
    "float_type": "{field} must be a number; write it without quotes.",
    "finite_number": "{field} must be a finite number; check it.",
    "bool_type": "{field} must be true or false; write it without quotes.",
    "greater_than_equal": "{field} must be at least {ge}; check it.",
    "less_than_equal": "{field} must be at most {le}; check it.",
    "literal_error": "{field} must be one of {expected}; choose one.",
    "tuple_type": "{field} must be a list; put it in square brackets.",
    "too_short": "{field} must have at least {min_length} item(s); add one.",
    "too_long": "{field} must have at most {max_length} items; send fewer.",
    "model_type": "{field} must be a JSON object; put it in braces.",
    "model_attributes_type": "{field} must be a JSON object; put it in braces.",
    "union_tag_not_found": "Add the required field {discriminator}, which says what else belongs here.",
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}; choose one.",
}


def pointer(path: Sequence[str | int]) -> str:
    """The JSON pointer (RFC 6901) of a path. A name of a field is cut off, and hidden where it holds a BSN."""
    return "".join("/" + _safe(str(step)).replace("~", "~0").replace("/", "~1") for step in path)


def quoted(name: str) -> str:
    return f"'{_safe(name)}'"


def close_to(name: str, known: Iterable[str]) -> str:
    """`, or use … if you meant that` where known names look like this one, else nothing."""
    close = difflib.get_close_matches(name[:_LONGEST_NAME], [k for k in known if k != name], n=3)
    return f", or use {' or '.join(close)} if you meant that" if close else ""


def _safe(name: str) -> str:
    cut = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"
    cut = cut.encode("utf-8", "replace").decode()
    return re.sub(r"[0-9]", "#", cut) if mentions_bsn(name) else cut  # the number may stand where it is cut


def problems_of(error: ValidationError, model: type[BaseModel], data: Mapping[str, Any]) -> list[FieldError]:
    """One sentence for each thing that is wrong with a payload, at most `MOST_PROBLEMS`."""
    details = error.errors(include_url=False, include_input=False)
    found = [problem for d in details[:MOST_PROBLEMS] if (problem := _one(d, model, data)) is not None]
    if len(details) > MOST_PROBLEMS:
        found.append(FieldError("/data", f"There are {len(details) - MOST_PROBLEMS} more problems; mend these first."))
    return found


def _one(detail: ErrorDetails, model: type[BaseModel], data: Mapping[str, Any]) -> FieldError | None:
    kind, context = detail["type"], detail.get("ctx", {})
    path, value = _located(detail["loc"], data)
    at = pointer(("data", *path))
    name = next((str(step) for step in reversed(path) if isinstance(step, str)), "data")
    item = "An item of " if path and isinstance(path[-1], int) else ""
    field = f"{item}{quoted(name)}"
    if kind == "missing":
        return FieldError(at, f"Add the required field {quoted(name)}.")
    if kind == "extra_forbidden":
        known = _fields_beside(model, path[:-1], data)
        return FieldError(at, f"Unknown field {quoted(name)}; remove it{close_to(name, known)}.")
    if kind == "rule":
        field = pointer((context["field"],)) if context["field"] else ""
        return FieldError(at + field, str(context["sentence"]))
    if kind == "too_short" and isinstance(value, list) and len(value) >= context["min_length"]:  # pyright: ignore[reportUnknownArgumentType]  JSON
        return None  # pydantic counts sound items only, and the others are named already
    if kind.startswith("union_tag_") and value is not None:
        at += "/" + str(context["discriminator"]).strip("'")
    if value is None:
        return FieldError(at, f"{field} is null, which is no value; give one, or leave an optional field out.")
    if kind == "string_pattern_mismatch":
        form = FORMS[str(context["pattern"])]
        return FieldError(at, f"{field} has not the right form; {form}.")
    sentence = _SENTENCES.get(kind, "{field} breaks its contract; compare it with the schema of this event type.")
    return FieldError(at, sentence.format(field=field, **context))


_ABSENT: Final = object()


def _value(container: Any, step: str | int) -> object:
    try:
        return container[step]
    except (KeyError, IndexError, TypeError):
        return _ABSENT


def _located(loc: Sequence[str | int], data: object) -> tuple[list[str | int], object]:
    """The path in the sent document, and the value there. pydantic puts a union's tag into `loc`; the document has
    no such step."""
    path: list[str | int] = []
    at: object = data
    for n, step in enumerate(loc):
        last = n == len(loc) - 1
        below = _value(at, step)
        if below is _ABSENT and isinstance(step, str) and not last:
            continue
        path.append(step)
        at = below
    return path, at


def _fields_beside(model: type[BaseModel], path: Sequence[str | int], data: Any) -> set[str]:
    """The names that the object at this path may have: for hints only, so unions give the names of all members."""
    schema = _schema_of(model)
    defs = schema.get("$defs", {})
    at: list[Any] = [schema]
    for step in path:
        below = [n.get("items", {}) if isinstance(step, int) else n.get("properties", {}).get(step, {}) for n in at]
        at = [_resolved(option, defs) for node in below for option in (node, *node.get("oneOf", ()))]
    return {name for node in at for name in node.get("properties", {})}


@cache
def _schema_of(model: type[BaseModel]) -> Any:
    return model.model_json_schema()


def _resolved(node: Any, defs: Mapping[str, Any]) -> Any:
    return defs[node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else node
