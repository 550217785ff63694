"""The AsyncAPI 3 document: every event type, every subject and every answer that a department or dashboard meets.

Server and information come from FastStream's own generation for our broker; channels, messages and schemas from the
catalogue of contracts, which the services' subscribers take as bytes and judge themselves.
"""

from __future__ import annotations

from functools import cache
from typing import Final, cast

import orjson
from faststream.nats import NatsBroker
from faststream.nats.security import NatsNKey
from faststream.specification import AsyncAPI

from events.catalog import TYPES, EventType, json_schema
from services.asyncapi_schemas import DEPARTMENT, Json, schemas
from services.settings import SERVICES

_CLOUDEVENT: Final = "application/cloudevents+json"
_ABOUT: Final = """\
Departments publish CloudEvents by three doors, and one function decides about all of them: a request on
`submit.<department>`, a stored message on `inbox.<department>.>`, or HTTP `POST /v1/events` (see the OpenAPI document).
Every accepted event comes out on the stream RELATIEBOEK, in one order, where its stream sequence is its position.
Fields with `x-privacy` are personal: in the stream they hold an opaque token.
"""
_SUBJECTS: Final = {
    "organisation": "the institution",
    "relation": "one relation",
    "either": "what the event that it names is about",
}

_INFORMATION: Final[Json] = {
    "contact": {
        "name": "Relatieboek, functional management",
        "email": "relatieboek@example.org",
        "url": "https://example.org/relatieboek",
    },
    "license": {"name": "EUPL-1.2", "url": "https://joinup.ec.europa.eu/collection/eupl/eupl-text-eupl-12"},
    "tags": [{"name": name} for name in ("publish", "verdicts", "stream", "live")],
}


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
    components["schemas"] = schemas()
    components["messages"] = _messages()
    made |= {
        "info": made["info"] | _INFORMATION,
        "servers": {"nats": made["servers"]["development"]},
        "defaultContentType": _CLOUDEVENT,
        "channels": _channels(),
        "operations": _operations(),
        "components": components,
    }
    return orjson.dumps(made)


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
        "digest": _message(
            "A digest was made", "For whom, for which working day, and the events in it.",
            {"$ref": "#/components/schemas/Digest"}, "application/json",
        ),
        "status": _message(
            "How the book is", "A short status, every 5 seconds from each api.",
            {"$ref": "#/components/schemas/Status"}, "application/json",
        ),
        "checkpoint": _message(
            "A checkpoint", "A C2SP signed note: origin, size, root, heads, signature.", {"type": "string"},
            "text/plain; charset=utf-8",
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
    about = _SUBJECTS[event_type.about]
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
        "liveAlerts": _channel(
            "live.alerts", "What interrupts (alerts and loops of A relations, and escalations), and each digest that "
            "was made: one a recipient a working day.", ["live", "digest"],
        ),
        "liveOps": _channel("live.ops", "How the book is, again and again.", ["status"]),
        "checkpoints": _channel("live.checkpoints", "Signed checkpoints of the book; keep some.", ["checkpoint"]),
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
        "submit": _operation("receive", "submit", "Judges events at once; the reply is their verdict.", "verdictReply"),
        "takeInbox": _operation("receive", "inbox", "Judges stored messages, in order, each at least once."),
        "publishVerdict": _operation("send", "verdicts", "Tells what became of a department's event."),
        "publish": _operation("send", "stream", "Makes an accepted event known to all."),
        "announceRelation": _operation("send", "liveRelation", "Tells dashboards that a relation changed."),
        "announceTeam": _operation("send", "liveTeam", "Tells dashboards that a relation of the team changed."),
        "announceAlert": _operation("send", "liveAlerts", "Tells what interrupts, and which digests were made."),
        "announceCheckpoint": _operation("send", "checkpoints", "Tells what the notary signed."),
        "announceOps": _operation("send", "liveOps", "Tells operations how the book is."),
        "health": _operation("receive", "health", "Tells whether a service takes work.", "healthReply"),
    }


def _operation(action: str, channel: str, description: str, reply: str | None = None) -> Json:
    operation: Json = {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "description": description}
    if reply is not None:
        operation["reply"] = {
            "address": {"location": "$message.header#/reply-to", "description": "The reply subject of the request."},
            "channel": {"$ref": f"#/channels/{reply}"},
        }
    return operation
