"""The HTTP door: `POST /v1/events` hands what came to intake and says what intake says (INTERFACE section 3).

It judges only what intake cannot see: size before reading, media type, token, and how CloudEvents' three HTTP forms
become one. In the order of INTERFACE: 413, 415, 401, 403, then the verdict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from events import tables
from events.errors import FieldError, Invalid, NotFound, Unavailable
from events.ledger import survivor_of
from events.verdict import Verdict
from services.access import Publisher
from services.api.answering import json_response, problem_response
from services.api.asking import Asked, Credentials, HasParts, NoKeys, PublisherToken, identity_of, publisher_of
from services.api.parts import Parts
from services.api.reading import declared_bytes, read_body, said_bytes
from services.problems import Answer, Refused, answer_to, describe, refuse, seconds
from services.strict_json import is_json, read_json

MAX_EVENTS: Final = 1_000
MAX_EVENT_BYTES: Final = 64 * 1024
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
SUBMIT_TIMEOUT_S: Final = 15.0

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
_JSON_TYPE: Final = re.compile(r"(application|text)/([a-z0-9.!#$&^_-]+\+)?json")
_STATUS: Final[Mapping[str, int]] = {"accepted": 201, "duplicate": 200, "parked": 202}

_AGAIN: Final = {"Retry-After": "1"}

router = APIRouter(prefix="/v1", tags=["publish"])


@router.post("/events", operation_id="publishEvents")
async def publish(request: Request, parts: HasParts, credentials: Credentials, _: NoKeys) -> Response:
    """Publish one event (structured or binary) or up to 1,000 (batch). Every event gets a verdict.

    An error is a problem document that also has the verdict's fields. A batch is judged one by one and answers 200
    with the verdicts in the order of the events.
    """
    seen: dict[str, str | None] = {"id": None, "source": None}
    department: Publisher | Refused | None = None
    try:
        department = await _department(request, parts, credentials)
        media = _media_type(request)
        most = MAX_BATCH_BYTES if media == BATCH else MAX_EVENT_BYTES
        size = declared_bytes(request, most)
        if isinstance(department, Refused):
            await read_body(request, most, keep=False)
            _mode(request, media)
            raise department
        with _room(parts, department.name, size):
            body = await read_body(request, most)
            subject, mode = f"submit.{department.name}", _mode(request, media)
            if mode == BATCH:
                return await _publish_batch(parts, subject, body)
            event = _from_binary(request, media, body, seen) if mode == "binary" else _from_structured(body, seen)
            reply = await parts.bus.request(subject, event, timeout_s=SUBMIT_TIMEOUT_S)
            return verdict_response(verdicts_in(reply)[0])
    except (Refused, Invalid, Unavailable) as error:
        answer = answer_to(error)
        if isinstance(department, Publisher) and not isinstance(error, Unavailable) and error.code != "busy":
            # No event that intake could keep: a part of a body, or a body that is none. Its sender hears why.
            parts.refusals.of_department(
                department.name, code=error.code, status=answer.status, size=said_bytes(request)
            )  # fmt: skip
        return _refusal(answer, seen, error)


async def _department(request: Request, parts: Parts, credentials: Credentials) -> Publisher | Refused:
    """Who publishes, or why nobody does: that is told only after what is wrong with the body."""
    try:
        return await publisher_of(await identity_of(request, parts, credentials))
    except Refused as refused:
        return refused


@contextmanager
def _room(parts: Parts, department: str, size: int) -> Generator[None]:
    """Memory for a body from its first byte to its verdict. Raises Refused (429) when this department has its share."""
    if not parts.bodies.has(department, size):
        raise Refused("busy", [FieldError("", "too much of this department is under way; try again")], _AGAIN)
    parts.bodies.take(department, size)
    try:
        yield
    finally:
        parts.bodies.give_back(department, size)


async def _publish_batch(parts: Parts, subject: str, body: bytes) -> Response:
    events = read_json(body)
    if not isinstance(events, list):
        raise Invalid("schema", [FieldError("", f"a batch is a JSON array; one event goes as {STRUCTURED}")])
    count = len(cast("list[Any]", events))
    if count > MAX_EVENTS:
        raise Invalid("too_large", [FieldError("", f"{count} events; at most {MAX_EVENTS} go together")])
    if not events:
        return json_response([])
    verdicts = verdicts_in(await parts.bus.request(subject, body, timeout_s=SUBMIT_TIMEOUT_S))
    if len(verdicts) != count:
        raise Unavailable("Intake did not answer every event; send the same again.", 2)
    return json_response(verdicts)


def _refusal(answer: Answer, seen: Mapping[str, str | None], error: Exception) -> Response:
    """What was refused before any verdict still has a verdict's fields."""
    more: dict[str, Any] = {**seen, "verdict": "rejected"}
    if isinstance(error, Unavailable):
        more |= {"verdict": "busy", "retry_after_s": error.retry_after_s}
    elif isinstance(error, Refused) and error.code == "busy":
        more |= {"verdict": "busy", "retry_after_s": 1.0}
    return problem_response(answer, {**more, "problem": answer.problem})


def verdict_response(verdict: dict[str, Any]) -> Response:
    """One verdict as an HTTP answer; an error is a problem document that also has the verdict's fields."""
    name: str = verdict["verdict"]
    if name in _STATUS:
        return json_response(verdict, _STATUS[name])
    if name == "busy":
        wait_s = float(verdict.get("retry_after_s", 1.0))
        problem = verdict.get("problem") or describe("busy", [FieldError("", "The queues are full; try again.")])
        problem = {**problem, "status": 503 if problem.get("status") == 503 else 429}
        return problem_response(Answer(problem["status"], problem, {"Retry-After": seconds(wait_s)}), verdict)
    problem = verdict.get("problem") or describe("rule", [])
    return problem_response(Answer(int(problem["status"]), problem), verdict)


def verdicts_in(reply: bytes) -> list[dict[str, Any]]:
    """The verdicts in intake's reply, to one event or to an array. Raises Unavailable when it makes no sense."""
    try:
        answer: dict[str, Any] | list[dict[str, Any]] = msgspec.json.decode(
            reply, type=dict[str, Any] | list[dict[str, Any]]
        )
    except msgspec.MsgspecError as error:
        raise Unavailable("Intake's answer could not be read; send the same again.", 2) from error
    return answer if isinstance(answer, list) else [answer]


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _mode(request: Request, media: str) -> str:
    """`structured`, `binary` or BATCH. Raises Refused (415) naming the three media types."""
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", request.headers.get("content-type", ""), re.IGNORECASE)
    if charset and charset[1].lower() not in {"utf-8", "utf8", "us-ascii"}:
        raise refuse("unsupported_media_type", "/header/Content-Type", "JSON is sent in UTF-8")
    if media == BATCH:
        return BATCH
    if media == STRUCTURED:
        return "structured"
    if _JSON_TYPE.fullmatch(media) and any(name.startswith("ce-") for name in request.headers):
        return "binary"
    detail = f"send {STRUCTURED}, {BATCH}, or application/json with the event's attributes in ce-* headers"
    raise refuse("unsupported_media_type", "/header/Content-Type", detail)


def _from_structured(body: bytes, seen: dict[str, str | None]) -> bytes:
    """The bytes as they came; intake judges them. Raises Invalid for JSON that two readers may take differently.

    What is no JSON at all goes to intake too: there it is kept with its problem, as everything that is rejected.
    """
    try:
        event = read_json(body)
    except Invalid:
        if body.strip() and not is_json(body):
            return body
        raise
    if not isinstance(event, dict):
        raise Invalid("schema", [FieldError("", f"one event is a JSON object; an array goes as {BATCH}")])
    _note(cast("dict[str, Any]", event), seen)
    return body


def _note(attributes: Mapping[str, Any], seen: dict[str, str | None]) -> None:
    for name in seen:
        value = attributes.get(name)
        seen[name] = value if isinstance(value, str) else None


def _from_binary(request: Request, media: str, body: bytes, seen: dict[str, str | None]) -> bytes:
    """The structured form of an event whose attributes came as `ce-*` headers, percent-decoded, and `data` as body.

    Header values are text; `expectedversion` is made a number again. Raises Invalid for a header given twice.
    """
    read_json(body)
    attributes: dict[str, Any] = {}
    errors: list[FieldError] = []
    for header, value in request.headers.items():
        if not header.startswith("ce-"):
            continue
        name = header[3:]
        if name in attributes or name in {"data", "data_base64", "datacontenttype"}:
            errors.append(FieldError(f"/{name}", f"the header ce-{name} is given twice, or may not be given"))
            continue
        try:
            # RFC 3986 on top of the octets that HTTP carries (CloudEvents HTTP binding 3.1.3.2).
            attributes[name] = unquote(value.encode("latin-1"), encoding="utf-8", errors="strict")
        except UnicodeDecodeError:
            errors.append(FieldError(f"/{name}", "not percent-encoded UTF-8"))
    _note(attributes, seen)
    if errors:
        raise Invalid("schema", errors)
    version = attributes.get("expectedversion")
    if isinstance(version, str) and re.fullmatch(r"[0-9]{1,18}", version):
        attributes["expectedversion"] = int(version)
    attributes["datacontenttype"] = media
    return json.dumps(attributes)[:-1].encode() + b', "data": ' + body + b"}"


class VerdictKey(Asked):
    source: str = Field(max_length=512, description="the event's source")
    id: str = Field(max_length=512, description="the event's id")


@router.get("/verdicts", operation_id="findVerdict")
async def find_verdict(parts: HasParts, department: PublisherToken, asked: VerdictKey = Query()) -> Response:  # noqa: B008
    """The verdict on an event of this department, again: accepted, parked, or its last rejection."""
    async with parts.reading() as conn:
        verdict = await _known_verdict(conn, department.name, asked.source, asked.id)
    if verdict is None:
        raise NotFound("No event of this department with that source and id.")
    return json_response(verdict.as_json())


async def _known_verdict(conn: AsyncConnection, department: str, source: str, id_: str) -> Verdict | None:
    e, p, r = tables.entry.c, tables.parked.c, tables.rejected.c
    stored = (
        await conn.execute(
            select(e.position, e.relation, e.version, e.leaf).where(
                e.source == source, e.id == id_, e.department == department
            )
        )
    ).one_or_none()
    if stored is not None:
        return Verdict(
            "accepted", id_, source, stored.position, stored.relation, stored.version, bytes(stored.leaf).hex(),
            survivor=await survivor_of(conn, stored.relation),
        )  # fmt: skip
    waiting = select(p.problem).where(p.source == source, p.id == id_, p.department == department)
    problem: dict[str, Any] | None = await conn.scalar(waiting)
    if problem is not None:
        return Verdict("parked", id_, source, problem=problem)
    last = select(r.problem).where(r.source == source, r.id == id_, r.department == department)
    problem = await conn.scalar(last.order_by(r.rejected_id.desc()).limit(1))
    return None if problem is None else Verdict("rejected", id_, source, problem=problem)
