"""Where an event's payload holds personal data, worked out once for each contract and walked for each event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from events.fields import Mark
from events.privacy import REF, Kind
from events.schemas import personal_paths

_KINDS: Final[Mapping[str, Kind]] = {"person": "person", "employee": "employee"}

# Gives the token that takes the place of a text: its mark, the text, its JSON pointer below `/data`.
Replace = Callable[[Mark, str, str], str]


class _Field(NamedTuple):
    """A field that is marked, or that holds marked ones: in an object, or in each object of a list (`many`)."""

    name: str
    mark: Mark | None
    kind: Kind | None
    many: bool
    inner: tuple[_Field, ...]


@cache
def _fields(model: type[BaseModel]) -> tuple[_Field, ...]:
    return _tree([(path, mark) for path, mark in personal_paths(model)])


def _tree(paths: list[tuple[tuple[str, ...], Mark]]) -> tuple[_Field, ...]:
    found: list[_Field] = []
    for name in dict.fromkeys(path[0] for path, _ in paths):
        mine = [(path[1:], mark) for path, mark in paths if path[0] == name]
        leaf = next((mark for rest, mark in mine if not rest), None)
        deeper = [(rest, mark) for rest, mark in mine if rest]
        many = any(rest[0] == "*" for rest, _ in deeper)
        below = [(rest[1:] if many else rest, mark) for rest, mark in deeper]
        kind = None if leaf is None else _KINDS.get(leaf.kind)
        found.append(_Field(name, leaf, kind, many, _tree(below) if below else ()))
    return tuple(found)


def people_in(model: type[BaseModel], data: Mapping[str, Any]) -> list[tuple[str, Kind]]:
    """The ids of the people that a payload names, with their kind; references that the book gave out are none."""
    found: list[tuple[str, Kind]] = []
    _people(_fields(model), data, found)
    return found


def _people(fields: tuple[_Field, ...], doc: Mapping[str, Any], found: list[tuple[str, Kind]]) -> None:
    for name, _, kind, many, inner in fields:
        value = doc.get(name)
        if value is None:
            continue
        if kind is not None and type(value) is str:
            if not value.startswith(REF):
                found.append((value, kind))
        elif many:
            for item in value:
                _people(inner, item, found)
        elif inner:
            _people(inner, value, found)


def replaced(model: type[BaseModel], data: Mapping[str, Any], replace: Replace) -> dict[str, Any]:
    """The payload with every marked text replaced; what holds none is shared with `data`, which stays as it is."""
    return _replaced(_fields(model), data, "/data", replace)


def _replaced(fields: tuple[_Field, ...], doc: Mapping[str, Any], pointer: str, replace: Replace) -> dict[str, Any]:
    out = dict(doc)
    for name, mark, _, many, inner in fields:
        value = out.get(name)
        if value is None:
            continue
        here = f"{pointer}/{name}"
        if mark is not None and type(value) is str:
            out[name] = replace(mark, value, here)
        elif many:
            out[name] = [_replaced(inner, item, f"{here}/{n}", replace) for n, item in enumerate(value)]
        elif inner:
            out[name] = _replaced(inner, value, here, replace)
    return out
