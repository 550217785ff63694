"""The schemas of the AsyncAPI document: envelopes, verdict, problem, and every contract as sent and as stored."""

from __future__ import annotations

from typing import Any, Final, cast, get_args

from events.catalog import TYPES, json_schema
from events.envelope import EVENT_LIMIT_BYTES, VISIBILITIES
from events.verdict import PROBLEMS, VerdictName

Json = dict[str, Any]

DEPARTMENT: Final = "^[a-z][a-z0-9-]{1,30}$"
_SOURCE: Final = "^urn:nld:(oin:[0-9]{20}|kvk:[0-9]{8}):systeem:[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_POSITION: Final = "^[0-9]{20}$"
_HASH: Final = "^[0-9a-f]{64}$"


def schemas() -> Json:
    """By name under `components/schemas`; a type as it is in the stream has `.stored` behind its name."""
    found: Json = {
        "Event": _envelope(stored=False), "StoredEvent": _envelope(stored=True), "Verdict": _verdict(),
        "Problem": _problem(), "Live": _live(), "Digest": _digest(), "Status": _status(), "Health": _health(),
        "StreamHeaders": _stream_headers(),
    }  # fmt: skip
    for name in TYPES:
        for key, stored in ((name, False), (f"{name}.stored", True)):
            schema = json_schema(name)
            parts: Json = schema.pop("$defs", {})
            for noise in ("$schema", "$id"):
                schema.pop(noise, None)
            for part, body in {"": schema, **{f".{part}": body for part, body in parts.items()}}.items():
                found[f"{key}{part}"] = _adapt(body, key, stored)
    return found


def _adapt(node: Any, key: str, stored: bool) -> Any:
    """The schema with its references moved under `components`, and with tokens for personal fields when stored."""
    if isinstance(node, list):
        return [_adapt(one, key, stored) for one in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    fields = cast("Json", node)
    if stored and "x-privacy" in fields and fields.get("type") == "string":
        kept = {k: v for k, v in fields.items() if k in ("description", "x-privacy")}
        return {"type": "string", "pattern": "^(ref|enc)~", **kept}
    match fields.get("discriminator"):
        case {"propertyName": str(name), "mapping": _}:  # AsyncAPI wants the property's name only
            fields["discriminator"] = name
        case _:
            pass
    return {
        name: (
            value.replace("#/$defs/", f"#/components/schemas/{key}.")
            if name == "$ref" and isinstance(value, str)
            else _adapt(value, key, stored)
        )
        for name, value in fields.items()
    }


def _envelope(*, stored: bool) -> Json:
    properties: Json = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1, "maxLength": 200, "description": "With source, unique for ever."},
        "source": {"type": "string", "pattern": _SOURCE, "description": "The sending system; the department's own."},
        "type": {"type": "string", "enum": list(TYPES)},
        "subject": {
            "type": "string",
            "description": "The relation, as UUID or <scheme>:<value>, or `organisation`: about no relation.",
        },
        "time": {"type": "string", "format": "date-time", "description": "When the source logged it."},
        "datacontenttype": {"type": "string"},
        "dataschema": {"type": "string", "format": "uri"},
        "actor": {"type": "string", "pattern": "^[A-Za-z0-9._:/-]{1,64}$", "description": "Pseudonymous reference."},
        "visibility": {"type": "string", "enum": list(VISIBILITIES), "default": "organisation"},
        "correlationid": {"type": "string"},
        "causationid": {"type": "string"},
        "expectedversion": {
            "type": "integer",
            "minimum": 0,
            "description": "Rejected as a conflict when an event with a higher version touched the same thing.",
        },
        "traceparent": {"type": "string"},
        "data": {"type": "object"},
    }
    required = ["specversion", "id", "source", "type", "subject", "data"]
    if stored:
        properties |= {
            "sequence": {"type": "string", "pattern": _POSITION, "description": "Position in the book, from 1."},
            "recordedtime": {"type": "string", "format": "date-time", "description": "When the book took it."},
            "department": {"type": "string", "pattern": DEPARTMENT},
            "relation": {"type": "string", "description": "The relation's UUID, or `organisation`."},
            "absorbed": {"type": "string", "description": "Merges: the UUID of the relation that was absorbed."},
            "withdraws": {"type": "string", "description": "Withdrawals: the position of the event withdrawn."},
        }
        required += ["sequence", "recordedtime", "department", "relation"]
    else:
        properties["expectedversion"] = {
            **properties["expectedversion"], "type": ["integer", "string"], "pattern": "^[0-9]{1,10}$",
        }  # fmt: skip
    return {
        "type": "object",
        "description": f"CloudEvents 1.0, structured, NL GOV profile; at most {EVENT_LIMIT_BYTES} bytes.",
        "properties": properties,
        "required": required,
    }


def _verdict() -> Json:
    return {
        "type": "object",
        "description": "The answer to one event. `duplicate` carries the first one's sequence, version and hash.",
        "properties": {
            "id": {"type": ["string", "null"]},
            "source": {"type": ["string", "null"]},
            "verdict": {"type": "string", "enum": list(get_args(VerdictName))},
            "sequence": {"type": "string", "pattern": _POSITION},
            "relation": {"type": "string"},
            "version": {"type": "integer", "minimum": 1},
            "leaf_hash": {"type": "string", "pattern": _HASH},
            "survivor": {"type": "string", "format": "uuid"},
            "retry_after_s": {"type": "number", "description": "Only with busy: nothing was stored, send it again."},
            "problem": {"$ref": "#/components/schemas/Problem"},
        },
        "required": ["id", "source", "verdict"],
    }


def _problem() -> Json:
    error = {
        "type": "object",
        "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
        "required": ["pointer", "detail"],
    }
    return {
        "type": "object",
        "description": "RFC 9457. `errors` names every field that is wrong, by JSON pointer into the event.",
        "properties": {
            "type": {"type": "string", "enum": [f"urn:relatieboek:problem:{code}" for code in PROBLEMS]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {"type": "array", "items": error},
        },
        "required": ["type", "title", "status", "errors"],
    }


def _live() -> Json:
    return {
        "type": "object",
        "description": "A hint that there is something new; read it by HTTP. May be missed, never relied upon.",
        "properties": {
            "position": {"type": "integer", "minimum": 1},
            "relation": {"type": "string"},
            "type": {"type": "string"},
        },
    }


def _digest() -> Json:
    position: Json = {"type": "integer", "minimum": 1}
    return {
        "type": "object",
        "description": "A digest was made for a recipient. A restart may tell it again, under the same `id`. May be "
        "missed, never relied upon: the outbox has it.",
        "properties": {
            "type": {"const": "digest"},
            "id": {"type": "string", "description": "Of this digest, for ever; also in the Message-ID of its mail."},
            "recipient": {"type": "string", "description": "An opaque reference of an employee, or `board`."},
            "on": {"type": "string", "format": "date", "description": "The working day that it is for."},
            "count": {"type": "integer", "minimum": 1, "description": "How many events are in it."},
            "positions": {
                "type": "array", "items": position, "maxItems": 1000,
                "description": "Of the events in it that raised, reopened, opened or escalated something, ascending; "
                "of more than 1,000 the first.",
            },
        },
        "required": ["type", "id", "recipient", "on", "count", "positions"],
        "additionalProperties": False,
    }  # fmt: skip


def _status() -> Json:
    count: Json = {"type": "integer", "minimum": 0}
    projection = {
        "name": {"type": "string"}, "version": count, "state": {"type": "string"}, "position": count, "lag": count,
        "lag_seconds": {"type": "number", "minimum": 0}, "parked": count,
    }  # fmt: skip
    log = {"head": count, "stream": {"type": ["integer", "null"]}, "rate_1m": {"type": "number", "minimum": 0}}
    states = {"service": {"type": "string"}, "state": {"type": "string"}}
    return {
        "type": "object",
        "description": "As GET /v1/status, without departments. May be missed, never relied upon.",
        "properties": {
            "type": {"const": "status"},
            "position": count,
            "healthy": {"type": "boolean"},
            "log": {"type": "object", "properties": log},
            "intake": {"type": "object", "additionalProperties": count},
            "projections": {"type": "array", "items": {"type": "object", "properties": projection}},
            "services": {"type": "array", "items": {"type": "object", "properties": states}},
        },
    }


def _health() -> Json:
    states = ["ready", "starting", "paused", "diverged"]
    return {
        "type": "object",
        "properties": {
            "service": {"type": "string"},
            "state": {"type": "string", "enum": states},
            "detail": {"type": "string"},
        },
        "required": ["service", "state"],
    }


def _stream_headers() -> Json:
    names = {
        "Relatieboek-Relation": {"type": "string"},
        "Relatieboek-Version": {"type": "string", "pattern": "^[0-9]+$"},
        "Relatieboek-Prev": {"type": "string", "pattern": _HASH, "description": "Leaf hash of the entry before."},
        "Relatieboek-Leaf": {"type": "string", "pattern": _HASH},
    }
    return {"type": "object", "properties": names, "required": list(names)}
