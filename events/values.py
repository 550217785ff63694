"""How the values of a contract are read from decoded JSON, and what the publisher hears when one is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


def refuse(sentence: str, field: str = "") -> PydanticCustomError:
    """An invariant that does not hold. The sentence is shown to the publisher as it is. `field`: the field that it is
    about, where the validator of a whole object finds it."""
    return PydanticCustomError("rule", "{sentence}", {"sentence": sentence, "field": field})


class LeftOut:
    """Makes `X | None` a field that may be left out but not be null: a reader never meets a null."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        # a None that stands for a field that was left out is written without looking at the schema
        inner: Any = dict(schema["schema"] if schema["type"] == "nullable" else schema)
        inner["serialization"] = core_schema.simple_ser_schema("any")
        return inner


def _whole(value: Any) -> Any:
    return int(value) if type(value) is float and value.is_integer() else value


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer between `low` and `high`, both included."""

    low: int
    high: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = core_schema.int_schema(ge=self.low, le=self.high, strict=True)
        return core_schema.no_info_before_validator_function(_whole, inner)


@dataclass(frozen=True, slots=True)
class Number:
    """A number, whole or not, between `low` and `high`, both included."""

    low: float
    high: float

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.float_schema(ge=self.low, le=self.high, strict=True, allow_inf_nan=False)


FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2199
_DATE_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})\Z"
)


def read_date(value: Any) -> date | str:
    """The date, or what is wrong with the value, in one sentence."""
    try:
        if type(value) is str and len(value) == 10 and value[4] == value[7] == "-":
            on = date.fromisoformat(value)
            if FIRST_YEAR <= on.year <= LAST_YEAR:
                return on
            return f"The date lies outside the years {FIRST_YEAR} to {LAST_YEAR}; check it."
    except ValueError:
        pass
    return "This is no date; write it as YYYY-MM-DD, for instance '2026-02-03'."


def read_date_time(value: Any) -> datetime | str:
    """The aware date-time, or what is wrong with the value, in one sentence. The form is that of RFC 3339,
    where `t` and `z` may be small."""
    try:
        if type(value) is str and _DATE_TIME.match(value):
            at = datetime.fromisoformat(value.upper())
            if FIRST_YEAR <= at.year <= LAST_YEAR:
                return at
            return f"The date-time lies outside the years {FIRST_YEAR} to {LAST_YEAR}; check it."
    except ValueError:
        pass
    return "This is no date-time with an offset (RFC 3339); write it as '2026-02-03T10:00:00+01:00'."


class DayForm:
    """A calendar date, YYYY-MM-DD."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> date:
            on = read_date(value)
            if isinstance(on, str):
                raise refuse(on)
            return on

        return core_schema.no_info_plain_validator_function(read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "date"}


class MomentForm:
    """A date-time with an offset, RFC 3339."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> datetime:
            at = read_date_time(value)
            if isinstance(at, str):
                raise refuse(at)
            return at

        return core_schema.no_info_plain_validator_function(read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "date-time"}


class Period(NamedTuple):
    """A calendar period: whole months (years count twelve) and whole days (weeks count seven)."""

    months: int
    days: int


_PERIOD: Final = re.compile(r"P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,4})D)?\Z", re.ASCII)


def parse_period(text: str) -> Period | None:
    """The ISO 8601 period (`P3M`, `P2W`, `P1Y`, `P10D`), or None where it is none or not within 1 day to 10 years."""
    found = _PERIOD.match(text)
    if found is None:
        return None
    years, months, weeks, days = (int(n or 0) for n in found.groups())
    period = Period(years * 12 + months, weeks * 7 + days)
    # 10 years are at most 3653 days; months and days together are held to the mean month of 30.4375 days.
    fits = 0 < period.months * 30.4375 + period.days <= 3653
    return period if fits else None
