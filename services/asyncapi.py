"""The AsyncAPI 3 document: every event type, every subject and every answer that a department or dashboard meets.

Server and information come from FastStream's own generation for our broker; channels, messages and schemas from the
catalogue of contracts, which the services' subscribers take as bytes and judge themselves.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, cast, get_args

import orjson
from faststream.nats import NatsBroker
from faststream.nats.security import NatsNKey
from faststream.specification import AsyncAPI

from events.catalog import TYPES, EventType, json_schema
from events.envelope import EVENT_LIMIT_BYTES, VISIBILITIES
from events.verdict import PROBLEMS, VerdictName
from services.settings import SERVICES

Json = dict[str, Any]

DEPARTMENT: Final = "^[a-z][a-z0-9-]{1,30}$"
_SOURCE: Final = "^urn:nld:(oin:[0-9]{20}|kvk:[0-9]{8}):systeem:[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_POSITION: Final = "^[0-9]{20}$"
_HASH: Final = "^[0-9a-f]{64}$"
_CLOUDEVENT: Final = "application/cloudevents+json"
_ABOUT: Final = """\
Departments publish CloudEvents by three doors, and one function decides about all of them: a request on
`submit.<department>`, a stored message on `inbox.<department>.>`, or HTTP `POST /v1/events` (see the OpenAPI document).
Every accepted event comes out on the stream RELATIEBOEK, in one order, where its stream sequence is its position.
Fields with `x-privacy` are personal: in the stream they hold an opaque token.
"""


def document() -> Json:
    """A valid AsyncAPI 3.0.0 document, a new one each time. No address, no name of a department, no secret in it."""
    return orjson.loads(_text())


@cache
def _text() -> bytes:
    # The seed only says that the server wants an nkey; it is never used to connect and never shown.
    broker = NatsBroker(
        "nats://nats:4222", security=NatsNKey.from_seed("shown-nowhere"), protocol_version="2.15", logger=None,
        description="NATS with JetStream. One account per department; a department's key opens its own subjects only.",
    )  # fmt: skip
    made: Json = (
        AsyncAPI(broker, title="Relatieboek", version="1.0.0", description=_ABOUT, schema_version="3.0.0")
        .to_specification()
        .to_jsonable()
    )
    components = cast("Json", made.get("components", {}))
    components["schemas"] = _schemas()
    components["messages"] = _messages()
    made |= {
        "servers": {"nats": made["servers"]["development"]},
        "defaultContentType": _CLOUDEVENT,
        "channels": _channels(),
        "operations": _operations(),
        "components": components,
    }
    return orjson.dumps(made)


def _schemas() -> Json:
    schemas: Json = {
        "Event": _envelope(stored=False), "StoredEvent": _envelope(stored=True), "Verdict": _verdict(),
        "Problem": _problem(), "Live": _live(), "Health": _health(), "StreamHeaders": _stream_headers(),
    }  # fmt: skip
    for name in TYPES:
        for key, stored in ((name, False), (f"{name}.stored", True)):
            schema = json_schema(name)
            parts: Json = schema.pop("$defs", {})
            for noise in ("$schema", "$id"):
                schema.pop(noise, None)
            for part, body in {"": schema, **{f".{part}": body for part, body in parts.items()}}.items():
                schemas[f"{key}{part}"] = _adapt(body, key, stored)
    return schemas


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


def _messages() -> Json:
    submitted = [
        {"properties": {"type": {"const": name}, "data": {"$ref": f"#/components/schemas/{name}"}}} for name in TYPES
    ]
    event = {"allOf": [{"$ref": "#/components/schemas/Event"}, {"oneOf": submitted}]}
    verdict = {"$ref": "#/components/schemas/Verdict"}
    messages: Json = {
        "event": _message("One event", "A structured CloudEvent of any type that the department may send.", event),
        "events": _message(
            "Several events", "Up to 1,000 structured CloudEvents, together at most 4 MiB.",
            {"type": "array", "maxItems": 1000, "items": event},
        ),
        "verdict": _message("A verdict", "The answer to one event.", verdict, "application/json"),
        "verdicts": _message(
            "Verdicts", "One per event, in the order sent.", {"type": "array", "items": verdict}, "application/json"
        ),
        "live": _message(
            "Something new", "Position, relation and type.", {"$ref": "#/components/schemas/Live"}, "application/json"
        ),
        "ask": _message("Are you ready", "An empty request.", {"type": "string", "maxLength": 0}, "text/plain"),
        "health": _message(
            "What a service says of itself", "", {"$ref": "#/components/schemas/Health"}, "application/json"
        ),
    }  # fmt: skip
    return messages | {name: _recorded(event_type) for name, event_type in TYPES.items()}


def _message(title: str, summary: str, payload: Json, content_type: str = _CLOUDEVENT) -> Json:
    return {"title": title, "summary": summary, "contentType": content_type, "payload": payload}


def _recorded(event_type: EventType) -> Json:
    about = "the institution" if event_type.about == "organisation" else "one relation"
    data = {"$ref": f"#/components/schemas/{event_type.name}.stored"}
    schema = {"properties": {"type": {"const": event_type.name}, "data": data}}
    return {
        "name": event_type.name,
        "title": event_type.kind,
        "summary": json_schema(event_type.name).get("description", ""),
        "description": f"About {about}. Subject `relatieboek.{event_type.kind}.<department>`.",
        "contentType": _CLOUDEVENT,
        "headers": {"$ref": "#/components/schemas/StreamHeaders"},
        "payload": {"allOf": [{"$ref": "#/components/schemas/StoredEvent"}, schema]},
        "tags": [{"name": event_type.family}],
    }


def _channels() -> Json:
    department = {"department": {"description": f"The department's name, {DEPARTMENT}."}}
    families = sorted({t.family for t in TYPES.values()})
    return {
        "stream": _channel(
            "relatieboek.{family}.{event}.{department}",
            "Stream RELATIEBOEK (JetStream): every accepted event, in order, without gaps.",
            list(TYPES),
            {"family": {"enum": families}, "event": {"enum": sorted({t.event for t in TYPES.values()})}, **department},
        ),
        "submit": _channel("submit.{department}", "Request and reply, at once.", ["event", "events"], department),
        "inbox": _channel(
            "inbox.{department}.{rest}",
            "Stream INBOX_<department>: kept until judged, also while the book is down. One event a message.",
            ["event"],
            {**department, "rest": {"description": "One or more tokens of the sender's own."}},
        ),
        "verdicts": _channel(
            "verdicts.{department}", "Stream VERDICTS_<department>, kept 30 days: verdicts of the inbox, and of parked "
            "events once they are decided.", ["verdict"], department,
        ),
        "liveRelation": _channel(
            "live.relation.{relation}", "News of one relation.", ["live"], {"relation": {"description": "Its UUID."}}
        ),
        "liveTeam": _channel(
            "live.team.{team}", "News on a team's timeline.", ["live"], {"team": {"description": "The team's id."}}
        ),
        "liveAlerts": _channel("live.alerts", "Alerts raised, resolved and reopened.", ["live"]),
        "liveOps": _channel("live.ops", "News for operators.", ["live"]),
        "health": _channel(
            "health.{service}", "Whether a service takes work now; for operators.", ["ask"],
            {"service": {"enum": list(SERVICES)}},
        ),
        "verdictReply": _channel(None, "The sender's own inbox.", ["verdict", "verdicts"]),
        "healthReply": _channel(None, "The asker's own inbox.", ["health"]),
    }  # fmt: skip


def _channel(address: str | None, about: str, messages: list[str], parameters: Json | None = None) -> Json:
    channel: Json = {
        "address": address,
        "description": about,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }
    return channel | ({"parameters": parameters} if parameters else {})


def _operations() -> Json:
    return {
        "submit": _operation("receive", "submit", "Judges events at once.", reply="verdictReply"),
        "takeInbox": _operation("receive", "inbox", "Judges stored messages, in order, each at least once."),
        "publishVerdict": _operation("send", "verdicts", "Tells what became of an event."),
        "publish": _operation("send", "stream", "Makes an accepted event known to all."),
        "announceRelation": _operation("send", "liveRelation", "For dashboards."),
        "announceTeam": _operation("send", "liveTeam", "For dashboards."),
        "announceAlert": _operation("send", "liveAlerts", "For dashboards."),
        "announceOps": _operation("send", "liveOps", "For dashboards."),
        "health": _operation("receive", "health", "Tells whether it takes work.", reply="healthReply"),
    }


def _operation(action: str, channel: str, summary: str, *, reply: str | None = None) -> Json:
    operation: Json = {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}
    if reply is not None:
        operation["reply"] = {
            "address": {"location": "$message.header#/reply-to", "description": "The reply subject of the request."},
            "channel": {"$ref": f"#/channels/{reply}"},
        }
    return operation
