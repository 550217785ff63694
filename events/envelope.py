"""The envelope: CloudEvents 1.0 in the NL GOV profile (SPEC section 2).

`read` judges the attributes of one event and adds every problem that it finds; `data` is judged by its contract.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from events.errors import FieldError, Invalid
from events.identifiers import reference_problem
from events.recorded import ORGANISATION
from events.values import read_date_time
from events.wording import MOST_PROBLEMS, close_to, pointer, quoted

EVENT_LIMIT_BYTES: Final = 64 * 1024
REQUIRED: Final = ("id", "source", "specversion", "type", "subject", "data")
VISIBILITIES: Final = ("organisation", "department", "team", "named")
OF_THE_BOOK: Final = frozenset({"sequence", "recordedtime", "department", "relation", "absorbed", "withdraws"})
ATTRIBUTES: Final = frozenset(
    {*REQUIRED, "time", "datacontenttype", "dataschema", "actor", "visibility", "correlationid", "causationid",
     "expectedversion", "traceparent"}
)  # fmt: skip

SOURCE_FORM: Final = re.compile(r"urn:nld:(?:oin:[0-9]{20}|kvk:[0-9]{8}):systeem:[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_ID: Final = re.compile(r"[^\s\x00-\x1f\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]{0,198}[^\s\x00-\x1f\x7f-\x9f])?\Z")
_TYPE: Final = re.compile(r"nl\.relatieboek\.[a-z_]{1,40}\.[a-z_]{1,40}\.v[0-9]{1,4}\Z")
_ACTOR: Final = re.compile(r"[A-Za-z0-9._:/-]{1,64}\Z")
_MEDIA_TYPE: Final = re.compile(r"application/json(?:\s*;\s*charset=\"?utf-8\"?)?\s*\Z", re.IGNORECASE)
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,240}\Z")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")
_DECIMAL: Final = re.compile(r"[0-9]{1,10}\Z")
_LAST_VERSION: Final = 2**31 - 1  # an Integer of CloudEvents
_SOURCE_WANTED: Final = "have the form urn:nld:oin:<20 digits>:systeem:<name> or urn:nld:kvk:<8 digits>:systeem:<name>"
_ID_WANTED: Final = "be a text of 1 to 200 visible characters"

# attribute -> (form, what it must look like)
_FORMS: Final[dict[str, tuple[re.Pattern[str], str]]] = {
    "id": (_ID, _ID_WANTED),
    "actor": (_ACTOR, "be a pseudonymous reference of 1 to 64 letters, digits and ._:/-, never a name or address"),
    "correlationid": (_ID, _ID_WANTED),
    "causationid": (_ID, _ID_WANTED),
    "datacontenttype": (_MEDIA_TYPE, "be application/json"),
    "dataschema": (_URI, "be a URI of at most 256 characters"),
    "traceparent": (_TRACEPARENT, "have the form of W3C Trace Context, 00-<32 hex>-<16 hex>-<2 hex>"),
}
_OPTIONAL_FORMS: Final = ("actor", "correlationid", "causationid", "datacontenttype", "dataschema", "traceparent")


class Envelope(NamedTuple):
    """The attributes as sent, None where absent or wrong; `expectedversion` is an integer whatever it came as."""

    id: str | None
    source: str | None
    type: str | None
    subject: str | None
    time: str | None
    actor: str | None
    visibility: str | None
    correlationid: str | None
    causationid: str | None
    expectedversion: int | None
    traceparent: str | None
    datacontenttype: str | None
    dataschema: str | None


def parse(body: bytes | str) -> Any:
    """The JSON value of a body. Raises Invalid (`schema`) when it is none: not UTF-8, NaN, cut off, nested too deep."""
    try:
        return orjson.loads(body)
    except ValueError as error:
        detail = f"The body is not JSON ({str(error).split(':', 1)[0]}); send one JSON object in UTF-8."
        raise Invalid("schema", (FieldError("", detail),)) from error


def check_size(size: int) -> None:
    """Raises Invalid (`too_large`) when an event has more bytes than `EVENT_LIMIT_BYTES`."""
    if size > EVENT_LIMIT_BYTES:
        detail = f"The event has {size} bytes; the limit is {EVENT_LIMIT_BYTES}: shorten its texts or lists."
        raise Invalid("too_large", (FieldError("", detail),))


def read(raw: dict[str, Any], errors: list[FieldError]) -> Envelope:
    """The attributes of an event. Adds every problem of one to `errors`; `data` is only checked to be an object.

    An attribute that is null is one that is not there (CloudEvents JSON format, 2.2).
    """
    if None in raw.values():
        raw = {name: value for name, value in raw.items() if value is not None}
    if not raw.keys() <= ATTRIBUTES:
        _unknown(raw, errors)
    specversion = raw.get("specversion")
    if specversion != "1.0":
        _wrong(raw, "specversion", 'be "1.0", as text', errors)
    if not isinstance(raw.get("data"), dict):
        _wrong(raw, "data", "be one JSON object, the payload", errors)
    type_ = raw.get("type")
    if type(type_) is not str or not _TYPE.match(type_):
        _wrong(raw, "type", "have the form nl.relatieboek.<family>.<event>.v<N>", errors)
        type_ = None
    attributes = {name: _text(raw, name, errors) for name in _OPTIONAL_FORMS if name in raw}
    visibility = raw.get("visibility")
    if visibility not in VISIBILITIES and "visibility" in raw:
        _wrong(raw, "visibility", f"be one of {', '.join(VISIBILITIES)}", errors)
        visibility = None
    get = attributes.get
    source = raw.get("source")
    if type(source) is not str or not _is_source(source):
        _wrong(raw, "source", _SOURCE_WANTED, errors)
        source = None
    return Envelope(
        _text(raw, "id", errors), source, type_, _subject(raw, errors), _time(raw, errors),
        get("actor"), visibility, get("correlationid"), get("causationid"), _version(raw, errors), get("traceparent"),
        get("datacontenttype"), get("dataschema"),
    )  # fmt: skip


def check_subject(envelope: Envelope, about: str, errors: list[FieldError]) -> None:
    """Whether the subject is a relation, or `organisation`, as the event's type wants it."""
    if envelope.subject is None:
        return
    if about == ORGANISATION and envelope.subject != ORGANISATION:
        errors.append(FieldError("/subject", "This event is about no relation; give 'organisation' as subject."))
    elif about == "relation" and envelope.subject == ORGANISATION:
        errors.append(FieldError("/subject", "This event is about a relation; give its UUID or <scheme>:<value>."))


@lru_cache(1024)
def _is_source(value: str) -> bool:
    return SOURCE_FORM.match(value) is not None


def system_of(envelope: Envelope) -> str:
    """The name of the system in a source, `:crm`: the only text in it. Empty where the source is wrong."""
    return "" if envelope.source is None else envelope.source[envelope.source.rindex(":") :]


def is_own(source: str) -> bool:
    """Whether a source is one of the book's own services: no department may have it, or it could take their ids."""
    return source.rpartition(":")[2].startswith("relatieboek-")


def _wrong(raw: dict[str, Any], name: str, wanted: str, errors: list[FieldError]) -> None:
    if name not in raw:
        detail = f"Add the required attribute '{name}'; it must {wanted}."
    else:
        detail = f"The attribute '{name}' must {wanted}" + ("." if name in REQUIRED else ", or be left out.")
    errors.append(FieldError(f"/{name}", detail))


def _text(raw: dict[str, Any], name: str, errors: list[FieldError]) -> str | None:
    form, wanted = _FORMS[name]
    value = raw.get(name)
    if type(value) is str and form.match(value):
        return value
    _wrong(raw, name, wanted, errors)
    return None


def _subject(raw: dict[str, Any], errors: list[FieldError]) -> str | None:
    value = raw.get("subject")
    if type(value) is not str:
        _wrong(raw, "subject", "be the relation's UUID, <scheme>:<value>, or 'organisation'", errors)
        return None
    if value == ORGANISATION or (problem := reference_problem(value)) is None:
        return value
    errors.append(FieldError("/subject", problem))
    return None


def _time(raw: dict[str, Any], errors: list[FieldError]) -> str | None:
    value = raw.get("time")
    if value is None:
        return None
    read = read_date_time(value)
    if isinstance(read, str):
        errors.append(FieldError("/time", read))
        return None
    return value.upper()  # `t` and `z` may be small, and whoever reads the book need not know


def _version(raw: dict[str, Any], errors: list[FieldError]) -> int | None:
    """HTTP headers carry every attribute as text, so decimals in a string are an integer too."""
    if "expectedversion" not in raw:
        return None
    value = raw["expectedversion"]
    if (type(value) is float and value.is_integer()) or (type(value) is str and _DECIMAL.match(value)):
        value = int(value)
    if type(value) is int and 0 <= value <= _LAST_VERSION:
        return value
    _wrong(raw, "expectedversion", f"be an integer of 0 to {_LAST_VERSION}", errors)
    return None


def _unknown(raw: dict[str, Any], errors: list[FieldError]) -> None:
    for name in sorted(map(str, raw.keys() - ATTRIBUTES))[:MOST_PROBLEMS]:
        if name in OF_THE_BOOK:
            detail = f"The attribute '{name}' is set by the book; leave it out."
        elif name == "data_base64":
            detail = "The book takes no binary payloads; send 'data' as a JSON object."
        else:
            detail = f"Unknown attribute {quoted(name)}; remove it{close_to(name, ATTRIBUTES)}."
        errors.append(FieldError(pointer((name,)), detail))
