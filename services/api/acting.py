"""What a viewer does by a POST or PUT: the body is read strictly, and one event goes in as the book's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from events.clock import system_now
from events.errors import FieldError
from events.recorded import TYPE_PREFIX, iso
from projections.viewer import Viewer
from services.api.answering import render
from services.api.parts import Parts
from services.api.publish import SUBMIT_TIMEOUT_S, verdicts_in
from services.problems import Refused
from services.strict_json import read_json

Body = TypeVar("Body", bound=BaseModel)


def body_of(model: type[BaseModel], *, required: bool) -> dict[str, Any]:
    """What OpenAPI says of the body."""
    schema = {"schema": {**model.model_json_schema(), "title": model.__name__}}
    return {"requestBody": {"required": required, "content": {"application/json": schema}}}


def said(model: type[Body], body: bytes) -> Body:
    """What the body says; nothing sent is an empty object. Raises Invalid for no JSON, Refused with every error."""
    document: Any = read_json(body) if body.strip() else {}
    try:
        return model.model_validate(document)
    except ValidationError as error:
        errors = [FieldError("/" + "/".join(map(str, e["loc"])), e["msg"]) for e in error.errors()]
        raise Refused("request", errors) from None


async def send(
    parts: Parts, viewer: Viewer, kind: str, subject: str, data: Mapping[str, Any], *, id_: str, **attributes: Any
) -> dict[str, Any]:
    """Sends one event of this kind about a relation and gives its verdict; `attributes` go over the usual ones.

    The same `id_` sent twice is one event. Raises Unavailable when intake does not answer in time.
    """
    event = {
        "specversion": "1.0",
        "id": id_,
        "source": parts.settings.source_of("api"),
        "type": f"{TYPE_PREFIX}{kind}.v1",
        "subject": subject,
        "time": iso(system_now()),
        "actor": f"viewer:{viewer.ref or viewer.name}",
        "datacontenttype": "application/json",
        "data": data,
        **attributes,
    }
    reply = await parts.bus.request("submit.relatieboek", render(event), timeout_s=SUBMIT_TIMEOUT_S)
    return verdicts_in(reply)[0]
