"""What other modules read off the contracts: JSON Schema, and where personal data stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import orjson
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from events.event_types import TYPES
from events.fields import Mark
from events.values import Whole

Path = tuple[str, ...]


@cache
def personal_paths(model: type[BaseModel]) -> tuple[tuple[Path, Mark], ...]:
    """Where a payload of this model holds personal data: the path in `data` (`*` for each item of a list) and its
    mark, in the order of the fields. Worked out once for each model."""
    return tuple(_marked_fields(model, ()))


def _marked_fields(model: type[BaseModel], path: Path) -> Iterator[tuple[Path, Mark]]:
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        yield from _marks(field.metadata, here)
        yield from _marked(field.annotation, here)


def _marked(annotation: Any, path: Path) -> Iterator[tuple[Path, Mark]]:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _marks(args[1:], path)
        yield from _marked(args[0], path)
    elif origin is tuple:
        yield from _marked(args[0], (*path, "*"))
    elif origin in (Union, UnionType):
        for option in args:
            yield from _marked(option, path)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _marked_fields(annotation, path)


def _marks(metadata: Sequence[Any], path: Path) -> Iterable[tuple[Path, Mark]]:
    return [(path, mark) for mark in metadata if isinstance(mark, Mark)]


@cache
def exact(model: type[BaseModel]) -> bool:
    """Whether every payload of this model has its RFC 8785 form by sorting names alone: no field holds a fraction, a
    free name or an integer that JSON would round (`events.canonical`)."""
    return all(_exact(field.annotation, field.metadata) for field in model.model_fields.values())


def _exact(annotation: Any, marks: Sequence[Any]) -> bool:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _exact(args[0], [*marks, *args[1:]])
    if origin is tuple:
        return all(_exact(inner, ()) for inner in args if inner is not ...)
    if origin in (Union, UnionType):
        return all(_exact(option, marks) for option in args)
    if origin is Literal:
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return exact(annotation)
    if annotation is int:
        return any(isinstance(mark, Whole) for mark in marks)
    return annotation in (str, bool, date, datetime, type(None))


class _Schemas(GenerateJsonSchema):
    """JSON Schema without the noise: no titles made of names, no `null` as a default of what may be left out."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@cache
def _schema_text(type_: str) -> bytes:
    event_type = TYPES[type_]
    schema = event_type.model.model_json_schema(schema_generator=_Schemas)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:relatieboek:schema:{type_}",
        **schema,
        "title": type_,
        "x-subject": event_type.about,
    }
    return orjson.dumps(head)


def json_schema(type_: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the `data` of one type, a copy of its own. KeyError for an unknown type.

    `x-privacy` marks what is encrypted, `x-subject` says what the event is about. Rules between fields are not in it.
    """
    return orjson.loads(_schema_text(type_))


def all_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of every type, by its full name, in the order of the catalogue."""
    return {name: json_schema(name) for name in TYPES}
