"""Keys of things, filled from the templates of the rules: `line:{relation}:{line}`. Pure.

A template names fields of an event's payload, and `{relation}`; one that starts with `#` names a person, who goes in as
a pseudonym: keys are stored in the clear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from events.catalog import Submission

Pseudonym = Callable[[str], str]


def key_from(template: str, event: Submission, relation: str, pseudonym: Pseudonym) -> str | None:
    """Fills a key template; None where it names an optional field that was left out."""
    return _filler(template)(event.data, relation, pseudonym)


def keys_from(templates: tuple[str, ...], event: Submission, relation: str, pseudonym: Pseudonym) -> list[str]:
    """The keys of those templates of which every field is given."""
    data = event.data
    return [k for fill in _fillers(templates) if (k := fill(data, relation, pseudonym)) is not None]


_Fill = Callable[[Mapping[str, Any], str, Pseudonym], str | None]


@cache
def _fillers(templates: tuple[str, ...]) -> tuple[_Fill, ...]:
    return tuple(map(_filler, templates))


@cache
def _filler(template: str) -> _Fill:
    """Most templates name the relation and one field, and every event fills a dozen of them: those have a short way."""
    parts = _parts(template)
    if parts[1::2] == ("relation",):
        before, after = parts[0], parts[2]
        return lambda data, relation, pseudonym: f"{before}{relation}{after}"
    if len(parts) == 5 and parts[1] == "relation" and parts[3][0] != "#":
        before, between, name, after = parts[0], parts[2], parts[3], parts[4]

        def short(data: Mapping[str, Any], relation: str, pseudonym: Pseudonym) -> str | None:
            value = data.get(name)
            return None if value is None else f"{before}{relation}{between}{value}{after}"

        return short

    def fill(data: Mapping[str, Any], relation: str, pseudonym: Pseudonym) -> str | None:
        out = parts[0]
        for at in range(1, len(parts), 2):
            name = parts[at]
            if name == "relation":
                out += relation
            elif name[0] == "#":
                out += pseudonym(str(data[name[1:]]))
            elif name in data:
                out += str(data[name])
            else:
                return None
            out += parts[at + 1]
        return out

    return fill


def key_of(template: str, data: Mapping[str, Any], relation: str) -> str | None:
    """As `key_from`, for an event as it is stored; None also where the key names a person, who stands there as a
    reference."""
    parts = _parts(template)
    out = parts[0]
    for at in range(1, len(parts), 2):
        name = parts[at]
        if name != "relation" and name not in data:
            return None
        out += (relation if name == "relation" else str(data[name])) + parts[at + 1]
    return out


@cache
def _parts(template: str) -> tuple[str, ...]:
    """Text, field, text, field, …, text. Only the templates of the rules come here."""
    return tuple(template.replace("}", "{").split("{"))
