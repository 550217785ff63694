"""What one event is as it comes to the desk: checked by what needs no state, or refused with a reason. Pure.

What cannot be taken keeps what it says of itself (source, id, type), so that its sender finds the verdict again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec
import orjson

from events.book import Reject
from events.catalog import check
from events.contracts.tier import DEFAULT_TIERS
from events.deciding import Arrival
from events.errors import FieldError, Invalid
from events.patient import mentions_bsn_in
from events.verdict import Verdict, problem
from services.intake.departments import Department, authority
from services.strict_json import read_json

MOST_BYTES: Final = 64 * 1024
_TOLD: Final = 50


def arrive(department: Department, sent: Any, tiers: frozenset[str] = DEFAULT_TIERS) -> Arrival:
    """One event as it came, checked by what needs no state: size, JSON, contract, authority. Never raises."""
    if isinstance(sent, bytes):
        if len(sent) > MOST_BYTES:
            return _too_large(department, sent, _named_in(sent))
        try:
            parsed: Any = read_json(sent)
        except Invalid as invalid:
            return _refused(department, sent[:MOST_BYTES], {}, invalid.code, invalid.errors, of_patient=_mentions(sent))
    else:
        parsed = sent
    attributes = _attributes(parsed)
    forbidden = authority(department, attributes.get("source"), attributes.get("type"))
    try:
        submission = check(parsed, tiers=tiers)
    except Invalid as invalid:
        if not isinstance(sent, bytes):
            sent = orjson.dumps(sent)
            if len(sent) > MOST_BYTES:
                return _too_large(department, sent, attributes)
        code = "authority" if forbidden else invalid.code
        of_patient = invalid.code == "patient_data"  # whatever else is wrong: nothing of it may be kept
        return _refused(department, sent, attributes, code, [*forbidden, *invalid.errors], of_patient=of_patient)
    if forbidden:
        raw = sent if isinstance(sent, bytes) else orjson.dumps(sent)
        return _refused(department, raw, attributes, "authority", forbidden)
    return Arrival(department.name, sent, submission)


def _too_large(department: Department, raw: bytes, attributes: dict[str, Any]) -> Arrival:
    detail = f"the event has {len(raw)} bytes; at most {MOST_BYTES} go into the book: shorten its texts"
    kept = raw[:MOST_BYTES]
    errors = [FieldError("", detail)]
    return _refused(department, kept, attributes, "too_large", errors, of_patient=_mentions(kept))


def _refused(
    department: Department, raw: bytes, attributes: dict[str, Any], code: str, errors: Sequence[FieldError],
    *, of_patient: bool = False,
) -> Arrival:  # fmt: skip
    def text(name: str) -> str | None:
        value = attributes.get(name)
        return value[:512].replace("\x00", "") if isinstance(value, str) else None

    refusal = Reject(code, _tellable(errors), of_patient=of_patient)
    return Arrival(department.name, raw, None, refusal, text("source"), text("id"), text("type"))


def _mentions(raw: bytes) -> bool:
    """Whether a BSN stands in what was never read as an event."""
    return mentions_bsn_in(raw.decode("utf-8", "replace").encode())


def _tellable(errors: Sequence[FieldError]) -> tuple[FieldError, ...]:
    """What is wrong, as it can be kept and sent: a member's own name may hold NUL, which PostgreSQL takes in no text,
    and an event of 64 KiB may be wrong in 10,000 places, which would be more than NATS carries."""
    told = [FieldError(e.pointer.replace("\x00", "\ufffd"), e.detail.replace("\x00", "\ufffd")) for e in errors[:_TOLD]]
    if len(errors) > _TOLD:
        told.append(FieldError("", f"and {len(errors) - _TOLD} more"))
    return tuple(told)


def _attributes(sent: Any) -> dict[str, Any]:
    """What an event says of itself, when it is not judged; nothing when it cannot be read."""
    if isinstance(sent, bytes):
        try:
            sent = orjson.loads(sent)
        except orjson.JSONDecodeError:
            sent = None
    return cast("dict[str, Any]", sent) if isinstance(sent, dict) else {}


class _Named(msgspec.Struct):
    id: str | None = None
    source: str | None = None
    type: str | None = None


def _named_in(sent: bytes) -> dict[str, Any]:
    """What an event that is too large says of itself; the rest of it is passed over, not read: a thousandth of the time
    that a document of a million objects takes otherwise, in which nobody else is served."""
    try:
        named = msgspec.json.decode(sent, type=_Named)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return msgspec.structs.asdict(named)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def stranger(department: str, sent: Any) -> Verdict:
    """The verdict on what a department sends that is not registered, or no longer."""
    detail = f"department {department} is not registered, or was revoked; ask operations"
    attributes = _attributes(sent)
    document = problem("authority", [FieldError("/source", detail)])
    return Verdict("rejected", _text(attributes.get("id")), _text(attributes.get("source")), problem=document)


def busy(sent: Any, code: str, detail: str) -> Verdict:
    """The verdict on an event that is not stored now, and may be sent again. `code`: `busy` or `unavailable`."""
    attributes = _attributes(sent)
    return _busy_verdict(_text(attributes.get("id")), _text(attributes.get("source")), code, detail)


def busy_for(arrival: Arrival, code: str, detail: str) -> Verdict:
    """`busy` for an event that was checked already."""
    sub = arrival.submission
    return _busy_verdict(sub.id if sub else arrival.id, sub.source if sub else arrival.source, code, detail)


def _busy_verdict(id_: str | None, source: str | None, code: str, detail: str) -> Verdict:
    document = problem(code, [FieldError("", f"{detail}; try again")])
    return Verdict("busy", id_, source, problem=document, retry_after_s=1.0 if code == "busy" else 2.0)
