"""The mapping file of `relatieboek import csv`: how rows of an export become events. Documented in docs/imports.md."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from events.catalog import TYPES
from events.errors import SetupError
from events.recorded import TYPE_PREFIX
from services.reasons import why

Row = Mapping[str, str]
Make = Callable[[Row], Any]

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_NOT_SLUG = re.compile(r"[^a-z0-9]+")


class UnfitRowError(Exception):
    """This row gives no event; the text says why, without free text of the row."""


class BlankCellError(UnfitRowError):
    """A needed column is empty."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Expression(_Part):
    """A field made of the row: one column or a template, read as a kind of value, perhaps translated by a map."""

    column: str | None = None
    template: str | None = None
    kind: Literal["text", "slug", "integer", "number", "date", "datetime"] = Field("text", alias="as")
    map: dict[str, Any] | None = None
    otherwise: Any = None
    format: str | None = None
    zone: str | None = None
    optional: bool = False

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        if zone is not None:
            try:
                ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError):
                raise ValueError(f"onbekende tijdzone {zone}") from None
        return zone


class Layout(_Part):
    """How the file is written."""

    delimiter: str = Field(",", min_length=1, max_length=1)
    quote: str = Field('"', min_length=1, max_length=1)
    encoding: str = "utf-8-sig"


class Once(_Part):
    """An event that goes before the rows, the same in every run: mostly the relation's registration."""

    id: str = Field(min_length=1)
    type: str
    subject: str | None = None
    time: datetime | None = None
    data: dict[str, Any]

    @field_validator("type")
    @classmethod
    def _full_type(cls, name: str) -> str:
        return _known_type(name)


class Rule(_Part):
    """Which rows become which event. The first rule whose `where` holds takes the row."""

    id: str = Field(min_length=1)
    type: str
    where: dict[str, str | list[str]] = {}
    subject: str | None = None
    time: Expression | None = None
    visibility: Literal["organisation", "department", "team", "named"] | None = None
    data: dict[str, Any]

    @field_validator("type")
    @classmethod
    def _full_type(cls, name: str) -> str:
        return _known_type(name)


class MappingFile(_Part):
    """A whole mapping file, format 1."""

    format: Literal[1]
    source: str = Field(pattern=r"^urn:nld:(oin|kvk):\d+:systeem:[a-z0-9-]+$")
    department: str = Field(pattern=r"^[a-z][a-z0-9-]{1,30}$")
    subject: str | None = None
    file: Layout = Layout()  # pyright: ignore[reportCallIssue] (fields have defaults)
    once: list[Once] = []
    rows: list[Rule] = Field(min_length=1)


def _known_type(name: str) -> str:
    full = name if name.startswith(TYPE_PREFIX) else TYPE_PREFIX + name
    if full not in TYPES:
        raise ValueError(f"onbekend soort gebeurtenis {name}; `relatieboek schema` noemt ze")
    return full


def load_mapping(path: Path) -> MappingFile:
    """Reads and validates a mapping file. Raises SetupError with every mistake in it."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError(f"Mapping {path} is niet te lezen: {why(error)}.") from None
    except ValueError as error:  # tomllib's own are, and what Python says of bytes and of endless numbers
        raise SetupError(f"Mapping {path} is geen geldige TOML: {error}.") from None
    except RecursionError:
        raise SetupError(f"Mapping {path} is geen mapping: er zit te veel in elkaar.") from None
    try:
        return MappingFile.model_validate(raw)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        )
        raise SetupError(f"Mapping {path} klopt niet: {wrong}. Zie docs/imports.md.") from None


class Compiler:
    """Turns templates and field tables into functions of a row, and notes every column that they use."""

    def __init__(self) -> None:
        self.columns: set[str] = set()

    def template(self, text: str) -> Callable[[Row], str]:
        """`{column}` stands for the column's value, `{{` and `}}` for braces."""
        parts: list[tuple[str, str | None]] = []
        last = 0
        for found in _PLACEHOLDER.finditer(text):
            literal = text[last : found.start()]
            last = found.end()
            if found[1] is None:
                parts.append((literal + found[0][0], None))
            else:
                self.columns.add(found[1])
                parts.append((literal, found[1]))
        tail = text[last:]

        def make(row: Row) -> str:
            out: list[str] = []
            for literal, column in parts:
                out.append(literal)
                if column is not None:
                    out.append(_value(row, column))
            return "".join(out) + tail

        return make

    def node(self, node: Any) -> Make:
        """A constant, a template, a field table, or a table or list of these."""
        if isinstance(node, str):
            return self.template(node)
        if isinstance(node, dict):
            table = cast("dict[str, Any]", node)
            if "column" in table or "template" in table:
                try:
                    return self.expression(Expression.model_validate(table))
                except ValidationError as error:
                    raise SetupError(f"Mapping: veld {table} klopt niet: {error.errors()[0]['msg']}.") from None
            made = {key: self.node(value) for key, value in table.items()}
            return lambda row: {k: v for k, make in made.items() if (v := make(row)) is not None}
        if isinstance(node, list):
            items = [self.node(item) for item in cast("list[Any]", node)]
            return lambda row: [v for make in items if (v := make(row)) is not None]
        if isinstance(node, datetime | date):
            text = node.isoformat()
            return lambda row: text
        return lambda row: node

    def expression(self, field: Expression) -> Make:
        """The field's value, or None when it is optional and its column is empty."""
        if (field.column is None) == (field.template is None):
            raise SetupError("Mapping: een veld heeft óf `column` óf `template`.")
        if field.column is not None:
            name = field.column
            self.columns.add(name)

            text_of: Callable[[Row], str] = lambda row: _value(row, name)  # noqa: E731  one of two
        else:
            name = field.template or ""
            text_of = self.template(name)

        def make(row: Row) -> Any:
            try:
                text = text_of(row)
            except BlankCellError:
                if field.optional:
                    return None
                raise
            if field.map is not None:
                if text in field.map:
                    return field.map[text]
                if field.otherwise is None:
                    raise UnfitRowError(f"{name} is '{text[:60]}': staat niet in de mapping")
                return field.otherwise
            return _read(field, name, text)

        return make


def _value(row: Row, column: str) -> str:
    text = row[column].strip()
    if not text:
        raise BlankCellError(f"{column} is leeg")
    return text


def _parsed(text: str, form: str | None) -> datetime:
    # Naive where the text has no offset: the caller gives it the mapping's zone or refuses the row.
    return datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)  # noqa: DTZ007


def _read(field: Expression, name: str, text: str) -> Any:
    if field.kind == "text":
        return text
    if field.kind == "slug":
        return _NOT_SLUG.sub("-", text.lower()).strip("-")
    try:
        if field.kind == "integer":
            return int(text)
        if field.kind == "number":
            return float(text)
        at = _parsed(text, field.format)
    except ValueError:
        raise UnfitRowError(f"{name} is niet te lezen als {field.kind}") from None
    zone = ZoneInfo(field.zone) if field.zone else None
    if field.kind == "date":
        return (at.astimezone(zone) if zone and at.tzinfo else at).date().isoformat()
    if at.tzinfo is None:
        if zone is None:
            raise UnfitRowError(f"{name} heeft geen tijdzone; geef `zone` in de mapping")
        local = at.replace(tzinfo=zone)
        if local.astimezone(ZoneInfo("UTC")).astimezone(zone).replace(tzinfo=None) != at:
            raise UnfitRowError(f"{name} bestaat niet in {field.zone} (begin van de zomertijd)")
        at = local
    return at.isoformat()
