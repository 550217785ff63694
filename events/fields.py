"""The vocabulary of the contracts: annotated types with bounds, and the marks for personal data.

Values come from decoded JSON. Scalars are strict ("8" is no integer), but 8.0 is the integer 8, as in JSON Schema.
Dates become `date`, date-times become aware `datetime`. Optional fields are left out, never null. Every field of a
contract carries `told(...)`: what it is, its unit where it counts something, and where it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, ClassVar, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    Strict,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from events.identifiers import IDENT_FORM, UUID_FORM, Scheme, reference_problem, value_problem
from events.values import DayForm, LeftOut, MomentForm, Number, Whole, parse_period, refuse

T = TypeVar("T")

About = Literal["relation", "organisation", "either"]

Maybe = Annotated[T | None, LeftOut()]


class Closed(BaseModel):
    """Base of every payload and part of one: frozen, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Payload(Closed):
    """Base of every payload. `subject` says which subject its events have; `either` only where the event is about
    another event."""

    subject: ClassVar[About] = "relation"


def told(what: str, *, origin: str, unit: str | None = None) -> FieldInfo:
    """The description of a field: what it is, its unit where it counts something, and where it comes from."""
    of_unit = f" Unit: {unit}." if unit else ""
    return Field(description=f"{what}.{of_unit} Origin: {origin}.")


@dataclass(frozen=True, slots=True)
class Mark:
    """What `events.privacy` hides of a field.

    `person` and `employee` (°): a reference, stored as a random token. `person_text` (°): text about the person that
    the field `person` beside it names, encrypted under that person's key. `free_text` (†): text in which anything may
    stand, encrypted under the event's own key.
    """

    kind: Literal["person", "employee", "person_text", "free_text"]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "x-privacy": self.kind}


PERSON: Final = Mark("person")
EMPLOYEE: Final = Mark("employee")
PERSON_TEXT: Final = Mark("person_text")
FREE_TEXT: Final = Mark("free_text")


def _period(value: str) -> str:
    if parse_period(value) is None:
        raise refuse("This is no period of 1 day to 10 years; write it in ISO 8601, for instance 'P3M' or 'P2W'.")
    return value


def _reference(value: str) -> str:
    if sentence := reference_problem(value):
        raise refuse(sentence)
    return value


def _party(value: str) -> str:
    return value if value == US else _reference(value)


US: Final = "us"
NAMED_EMPLOYEE_FORM: Final = r"^(?:ref~[0-9a-f]{32}|[A-Za-z0-9._:/@-]{1,64})$"
TOPIC_FORM: Final = r"^[A-Za-z0-9._:/@-]{1,120}$"
PERIOD_FORM: Final = r"^(?:19|20|21)[0-9]{2}(?:-(?:H[12]|Q[1-4]|0[1-9]|1[0-2]))?$"
SOURCE_FORM: Final = r"^urn:nld:(?:oin:[0-9]{20}|kvk:[0-9]{8}):systeem:[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
EVENT_ID_FORM: Final = r"^[^\s\x00-\x1f\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]{0,198}[^\s\x00-\x1f\x7f-\x9f])?$"
QUESTION_FORM: Final = r"^(?:[1-9]|10|[a-z][a-z0-9_-]{0,39})$"
SLUG_FORM: Final = r"^[a-z][a-z0-9_.-]{0,63}$"
TIER_FORM: Final = r"^[A-Z][A-Z0-9]{0,3}$"
WORDS_FORM: Final = r"\S"

# form -> what the publisher reads when a text does not have it
FORMS: Final[dict[str, str]] = {
    IDENT_FORM: "use 1 to 64 letters, digits and ._:/@- without spaces",
    UUID_FORM: "use a UUID of 36 characters",
    NAMED_EMPLOYEE_FORM: "use 1 to 64 letters, digits and ._:/@- without spaces",
    TOPIC_FORM: "use 1 to 120 letters, digits and ._:/@- without spaces",
    PERIOD_FORM: "use a year, half year, quarter or month: '2026', '2026-H1', '2026-Q3' or '2026-07'",
    SOURCE_FORM: "use the source of an event, urn:nld:oin:<20 digits>:systeem:<name> or urn:nld:kvk:<8 digits>:…",
    EVENT_ID_FORM: "use the id of an event, 1 to 200 visible characters",
    QUESTION_FORM: "use '1' to '10', or a key of your own of at most 40 lower-case letters, digits, _ and -",
    SLUG_FORM: "use at most 64 lower-case letters, digits, _ . and -, a letter first",
    TIER_FORM: "use a tier of 1 to 4 capitals and digits, for instance 'A'",
    WORDS_FORM: "write at least one visible character, or leave the field out where it is optional",
}

Ident = Annotated[str, Field(pattern=IDENT_FORM)]
Uuid = Annotated[str, Field(pattern=UUID_FORM)]
Slug = Annotated[str, Field(pattern=SLUG_FORM)]
QuestionKey = Annotated[str, Field(pattern=QUESTION_FORM)]
Tier = Annotated[str, Field(pattern=TIER_FORM)]
RelationRef = Annotated[str, Field(min_length=1, max_length=90), AfterValidator(_reference)]
Party = Annotated[str, Field(min_length=1, max_length=90), AfterValidator(_party)]
CalendarPeriod = Annotated[str, Field(pattern=PERIOD_FORM)]
PeriodText = Annotated[str, Field(min_length=2, max_length=20), AfterValidator(_period)]

Label = Annotated[str, Field(pattern=WORDS_FORM, max_length=100)]
Name = Annotated[str, Field(pattern=WORDS_FORM, max_length=200)]
Evidence = Annotated[str, Field(pattern=WORDS_FORM, max_length=500)]

PersonRef = Annotated[Ident, PERSON]
EmployeeRef = Annotated[Ident, EMPLOYEE]
EmployeeToken = Annotated[str, Field(pattern=NAMED_EMPLOYEE_FORM), EMPLOYEE]
PersonToken = Annotated[str, Field(pattern=NAMED_EMPLOYEE_FORM), PERSON]
PersonName = Annotated[str, Field(pattern=WORDS_FORM, max_length=200), PERSON_TEXT]
Note = Annotated[str, Field(pattern=WORDS_FORM, max_length=1000), FREE_TEXT]
Prose = Annotated[str, Field(pattern=WORDS_FORM, max_length=2000), FREE_TEXT]
LongProse = Annotated[str, Field(pattern=WORDS_FORM, max_length=4000), FREE_TEXT]

# 100 billion euro: beyond every budget in care, and an integer that JSON carries without loss.
Cents = Annotated[int, Whole(0, 10_000_000_000_000)]
Percentage = Annotated[float, Number(0, 100)]
Amount = Annotated[float, Number(-1_000_000_000_000, 1_000_000_000_000)]

Day = Annotated[date, DayForm()]
Moment = Annotated[datetime, MomentForm()]
Flag = Annotated[bool, Strict()]

Layer = Literal["board", "senior_management", "tactical_management", "professional"]
Channel = Literal["meeting", "video", "phone", "email", "letter", "event", "visit"]
Activity = Literal["conversation", "presentation", "offer", "covenant", "gathering", "other"]
DecisionRole = Literal["decides", "influences", "advises", "uses", "unknown"]
RelationKind = Literal[
    "municipality", "province", "care_office", "health_insurer", "primary_care_provider", "care_partner",
    "non_care_partner", "other_funder",
]  # fmt: skip
Side = Literal["us", "them"]
FinancingSystem = Literal["zvw", "wlz", "wmo", "jeugdwet", "pgb", "other"]
InstrumentKind = Literal["nps", "csat", "ces", "prem", "rating", "enps"]
KnowledgeItem = Literal[
    "history", "objectives", "issues", "critical_success_factors", "facts_and_figures", "contacts_and_matrix",
    "position", "market", "competition", "strategy", "direction", "need_for_our_services", "specific_wishes",
]  # fmt: skip

OccurredOn = Annotated[
    Day, told("The day on which it happened, local to Europe/Amsterdam", origin="the publishing department's system")
]
OccurredAt = Annotated[Moment, told("The moment at which it happened", origin="the publishing department's system")]


class Identifier(Closed):
    """One identifier of a relation in a register, or in the publishing department's own system (`local`)."""

    scheme: Annotated[Scheme, told("The register that the value comes from", origin="fixed list")]
    value: Annotated[str, Field(min_length=1, max_length=64), told("The code as text", origin="that register")]

    @field_validator("value")
    @classmethod
    def _of_its_scheme(cls, value: str, info: ValidationInfo) -> str:
        scheme = info.data.get("scheme")  # absent when it is wrong itself
        if scheme is not None and (sentence := value_problem(scheme, value)):
            raise refuse(sentence)
        return value
