"""The catalogue: the event types, and the one function that judges the form of every event."""

from __future__ import annotations

import difflib
from contextlib import suppress
from typing import Any, Final

import msgspec
import orjson
from pydantic import ValidationError

from events.contracts.tier import DEFAULT_TIERS
from events.envelope import EVENT_LIMIT_BYTES, Envelope, check_size, check_subject, read, system_of
from events.errors import FieldError, Invalid
from events.event_types import TYPES, EventType
from events.fields import Payload
from events.patient import PATIENT_DETAIL, is_patient_kind, mentions_bsn
from events.schemas import all_schemas, json_schema, personal_paths
from events.texts import BSN_DETAIL, capital_times, problems_in_texts, small_letters, suspicious, whole_numbers
from events.wording import problems_of

__all__ = ["TYPES", "EventType", "Submission", "all_schemas", "check", "json_schema", "personal_paths"]

_MOST_PROBLEMS: Final = 100
_NO_JSON: Final = FieldError("/data", "The payload is no JSON that can be stored; check it.")

# Where the book's own services send back a token that the book gave out.
_TOKEN_POINTERS: Final = {
    "alert.raised": frozenset({"/data/owner"}),
    "loop.opened": frozenset({"/data/owner"}),
    "person.erased": frozenset({"/data/person"}),
}
_NAMES_A_KIND: Final = frozenset({"relation.registered", "relation.details_changed"})


class Submission(msgspec.Struct, frozen=True):
    """An event that has the form of its contract. Attributes as sent, None where absent.

    `expectedversion` is an integer, though a header carries it as text. In `data`, whole floats are integers (8.0 is
    8), which leaves the RFC 8785 form as it was; `T` and `Z` in date-times, also in `time`, are capitals; everything
    else is as sent. `payload` is the same, validated.
    """

    id: str
    source: str
    type: str
    subject: str
    time: str | None
    actor: str | None
    visibility: str | None
    correlationid: str | None
    causationid: str | None
    expectedversion: int | None
    traceparent: str | None
    datacontenttype: str | None
    dataschema: str | None
    data: dict[str, Any]
    payload: Payload
    event_type: EventType


def check(raw: object, *, tiers: frozenset[str] | None = DEFAULT_TIERS) -> Submission:
    """Judges one decoded event: envelope, payload, patient data. Needs no state and no clock. `tiers`: those of this
    institution; None takes every tier of the right form.

    Raises Invalid that names every problem of the event. Its code is `too_large` (alone), else `patient_data` when a
    patient's data is among the problems, else `unknown_type`, else `schema`.
    """
    if not isinstance(raw, dict):
        raise Invalid("schema", (FieldError("", "An event is one JSON object with the attributes of CloudEvents."),))
    event: dict[str, Any] = raw  # pyright: ignore[reportUnknownVariableType]  decoded JSON
    errors: list[FieldError] = []
    envelope = read(event, errors)
    event_type = TYPES.get(envelope.type) if envelope.type is not None else None
    data: Any = event.get("data")
    fields: dict[str, Any] = data if isinstance(data, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    payload: Payload | None = None
    if event_type is not None:
        check_subject(envelope, event_type.about, errors)
        if isinstance(data, dict):
            try:
                payload = event_type.model.__pydantic_validator__.validate_python(fields, context=tiers)
            except ValidationError as error:
                errors.extend(problems_of(error, event_type.model, fields))
    text = _text_of(envelope, data)
    id_, source, type_, subject = envelope.id, envelope.source, envelope.type, envelope.subject
    if id_ is None or source is None or type_ is None or subject is None or event_type is None or payload is None:
        raise _refusal(event, envelope, event_type, errors) or Invalid("schema", (_NO_JSON,))
    if errors or text is None:
        raise _refusal(event, envelope, event_type, errors) or Invalid("schema", (_NO_JSON,))
    if suspicious(text) and (refusal := _refusal(event, envelope, event_type, errors)):
        raise refusal
    if len(text) > EVENT_LIMIT_BYTES // 2:  # the other attributes have fixed, short forms
        check_size(len(orjson.dumps(event)))
    if b".0" in text:
        fields = whole_numbers(fields)
    if small_letters(text):
        fields = capital_times(fields, payload)
    return Submission(
        id_, source, type_, subject, envelope.time, envelope.actor, envelope.visibility, envelope.correlationid,
        envelope.causationid, envelope.expectedversion, envelope.traceparent, envelope.datacontenttype,
        envelope.dataschema, fields, payload, event_type,
    )  # fmt: skip


def _text_of(envelope: Envelope, data: Any) -> bytes | None:
    """Every text of a well-formed event in one string, or None where there is no such string.

    Of `source` only its name: its number, `time`, `traceparent` and a UUID as subject leave no room for text.
    """
    subject = envelope.subject if envelope.subject and ":" in envelope.subject else None
    parts = (data, envelope.id, subject, envelope.correlationid, envelope.causationid, envelope.actor,
             envelope.dataschema, system_of(envelope))  # fmt: skip
    try:
        return orjson.dumps(parts)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits, or nested too deep
        return None


def _refusal(
    event: dict[str, Any], envelope: Envelope, event_type: EventType | None, errors: list[FieldError]
) -> Invalid | None:
    """Every problem there is; None when a suspicion turns out to be none. Raises Invalid for `too_large` alone."""
    with suppress(TypeError):  # what has no size as JSON is named below
        check_size(len(orjson.dumps(event)))
    unknown = envelope.type is not None and event_type is None
    if unknown:
        errors = [FieldError("/type", _unknown_type(str(envelope.type))), *errors]
    settled = {"time": envelope.time, "traceparent": envelope.traceparent, "source": envelope.source}
    patients, others = problems_in_texts(
        event,
        settled=frozenset(name for name, value in settled.items() if value is not None),
        tokens=_TOKEN_POINTERS.get(event_type.kind, frozenset()) if event_type else frozenset(),
        wrong=frozenset(e.pointer for e in errors),
    )
    if mentions_bsn(system_of(envelope)):
        patients.append(FieldError("/source", BSN_DETAIL))
    if event_type is not None and event_type.kind in _NAMES_A_KIND and _is_of_patient(event.get("data")):
        patients.append(FieldError("/data/kind", PATIENT_DETAIL))
    found: dict[str, FieldError] = {}
    for problem in (*patients, *errors, *others):
        found.setdefault(problem.pointer, problem)  # of each field the gravest
    if not found:
        return None
    named = list(found.values())
    if len(named) > _MOST_PROBLEMS:
        named[_MOST_PROBLEMS:] = [FieldError("", "There are more problems than these; mend these first.")]
    return Invalid("patient_data" if patients else "unknown_type" if unknown else "schema", named)


def _is_of_patient(data: Any) -> bool:
    return isinstance(data, dict) and is_patient_kind(data.get("kind"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]  JSON


def _unknown_type(type_: str) -> str:
    kind = type_[: type_.rindex(".v")]
    versions = [name for name in TYPES if name.startswith(f"{kind}.v")]
    close = versions or difflib.get_close_matches(type_, TYPES, n=3, cutoff=0.75)
    if close:
        return f"The book does not know this {'version' if versions else 'type'}; did you mean {' or '.join(close)}?"
    return "The book does not know this type; `relatieboek schema` lists those that it takes."
