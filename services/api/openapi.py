"""The OpenAPI 3.1 document: what FastAPI finds in the routes, plus what the NL API Design Rules ask of every answer."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from events.envelope import EVENT_LIMIT_BYTES
from services.api import shapes
from services.problems import PROBLEM_JSON
from services.security_headers import API_VERSION

Json = dict[str, Any]

SERVER: Final = "/v1"
_REF: Final = "#/components/schemas/"
_ABOUT: Final = """\
Relatieboek is the book of relations of a care institution. Departments publish what happened as CloudEvents and hear a
verdict on each; relation managers, team leads, the board and auditors read what follows from it.

`{id}` of a relation is its UUID or `<scheme>:<value>`. Lists are `{"items", "next"}`, or CSV with `Accept: text/csv`.
Who just published may send `If-Position: <sequence>`: the answer waits, at most 5 seconds, until the read model is
that far. Restricted contacts show with their date only. Times are answered with offset; any offset is accepted.
Every event type is in the AsyncAPI document, `/v1/asyncapi.json`.
"""
_TAGS: Final = ("publish", "relations", "timelines", "alerts", "questions", "audit", "operations")
_VERSION_HEADER: Final[Json] = {
    "description": "full version of this API", "schema": {"type": "string"}, "example": API_VERSION,
}  # fmt: skip
_RETRY_HEADER: Final[Json] = {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 1}}
_LINK_HEADER: Final[Json] = {"description": 'the next page, rel="next"', "schema": {"type": "string"}}
_CONTACT: Final[Json] = {
    "name": "Relatieboek, functional management",
    "email": "relatieboek@example.org",
    "url": "https://example.org/relatieboek",
}
_HEAD: Final = "431"  # told before anything looks at what is asked
_ERRORS: Final[dict[str, str]] = {
    "400": "the request, or the event, breaks its contract; every error is named",
    "401": "no token, or one that nobody has",
    "403": "this token is not for this",
    "404": "not there, or not for you to know of",
    _HEAD: "address and headers are larger than 16 KiB together",
    "500": "a fault of ours",
    "503": "an engine is out, the read model is not that far yet, or what is read cannot be logged",
}
_PUBLISH_ERRORS: Final[dict[str, str]] = {
    "408": "the body took too long",
    "409": "`expectedversion`, other content under the same source and id, or an identifier that is taken",
    "413": "more than 1,000 events, 64 KiB for one or 4 MiB together",
    "415": "not one of the three forms of CloudEvents over HTTP",
    "429": "the queues are full",
}
_EDIT_ERRORS: Final[dict[str, str]] = {
    "408": "the body took too long",
    "409": "someone else was first: the answer that stands now is in `current`, its tag in `ETag`",
    "412": "a tag that this question never had",
    "413": "too large",
    "415": "a body that is compressed",
    "428": "no If-Match: say which answer this one replaces",
    "429": "the queues are full",
}
_ETAG_HEADER: Final[Json] = {"description": "strong tag of the answer that stands", "schema": {"type": "string"}}
_TAGGED: Final = frozenset({"showPlanQuestion", "answerPlanQuestion"})
# operationId -> the shape of its answer, and whether it is a list.
_ANSWERS: Final[dict[str, tuple[type[BaseModel], bool]]] = {
    "listRelations": (shapes.RelationSummary, True),
    "showRelation": (shapes.Relation, False),
    "showRelationTimeline": (shapes.TimelineEntry, True),
    "showRelationHistory": (shapes.HistoryEntry, True),
    "compareRelation": (shapes.Difference, True),
    "showRelationMatrix": (shapes.RelationMatrix, False),
    "showRelationAttention": (shapes.RelationAttention, False),
    "showRelationPlan": (shapes.Plan, False),
    "showPlanQuestion": (shapes.PlanQuestion, False),
    "answerPlanQuestion": (shapes.PlanQuestion, False),
    "showRelationSatisfaction": (shapes.Satisfaction, True),
    "showRelationAgreements": (shapes.RelationAgreements, False),
    "showRelationChain": (shapes.RelationChains, False),
    "showRelationPartnership": (shapes.RelationPartnership, False),
    "listRelationOpportunities": (shapes.Opportunity, True),
    "countContributors": (shapes.Contributors, False),
    "listStaffSatisfaction": (shapes.StaffSatisfaction, True),
    "showRelationSchedule": (shapes.ScheduleLine, True),
    "showTeamTimeline": (shapes.TimelineEntry, True),
    "listAlerts": (shapes.Alert, True),
    "showAlert": (shapes.Alert, False),
    "findVerdict": (shapes.Verdict, False),
    "showStatus": (shapes.Status, False),
    "showSession": (shapes.Session, False),
    "answerQuestion1": (shapes.OverdueLine, True),
    "answerQuestion3": (shapes.HistoryEntry, True),
    "answerQuestion2": (shapes.LayerContact, True),
    "listLoops": (shapes.Loop, True),
    "showLoop": (shapes.Loop, False),
    "answerQuestion4": (shapes.IncompleteRelation, True),
    "answerQuestion5": (shapes.Promise, True),
    "answerQuestion6": (shapes.Attention, True),
    "answerQuestion7": (shapes.Satisfaction, True),
    "answerQuestion8": (shapes.ProgrammeAnswer, True),
    "answerQuestion9": (shapes.Pocket, True),
    "answerQuestion10": (shapes.Explanation, False),
    "listAccesses": (shapes.AccessRecord, True),
    "listRelationAccesses": (shapes.AccessRecord, True),
    "listPersonAccesses": (shapes.AccessRecord, True),
    "exportPerson": (shapes.PersonExport, False),
}
_VERDICT_OPERATIONS: Final = frozenset(
    {"publishEvents", "acknowledgeAlert", "snoozeAlert", "resolveAlert", "followUpLoop", "closeLoop"}
)


def install(app: FastAPI) -> None:
    """Makes `app.openapi()` give this document, made once."""

    def document() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = build(app)
        return app.openapi_schema

    app.openapi = document  # FastAPI's own way to replace it


def build(app: FastAPI) -> Json:
    """A new document, with paths relative to the server `/v1`. Holds no name of a department, person or relation."""
    found: Json = get_openapi(
        title="Relatieboek",
        version=API_VERSION,
        openapi_version="3.1.0",
        description=_ABOUT,
        routes=app.routes,
        servers=[{"url": SERVER, "description": "this server"}],
        license_info={"name": "EUPL-1.2", "identifier": "EUPL-1.2"},
        tags=[{"name": name} for name in _TAGS],
    )
    found["info"]["contact"] = dict(_CONTACT)
    found["paths"] = {path.removeprefix(SERVER): item for path, item in found["paths"].items()}
    schemas: Json = found.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= _shape_schemas()
    for item in found["paths"].values():
        for operation in item.values():
            _complete(operation)
    return found


def _shape_schemas() -> Json:
    models = [
        model for model in vars(shapes).values()
        if isinstance(model, type) and issubclass(model, shapes.Shape) and model is not shapes.Shape
    ]  # fmt: skip
    _, whole = models_json_schema([(m, "serialization") for m in models], ref_template=_REF + "{model}")
    return whole["$defs"]


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": _REF + model.__name__}


def _complete(operation: Json) -> None:
    name: str = operation["operationId"]
    publishes = name in _VERDICT_OPERATIONS
    edits = name == "answerPlanQuestion"
    errors = {**_ERRORS, **(_PUBLISH_ERRORS if publishes else _EDIT_ERRORS if edits else {})}
    shape = shapes.VerdictProblem if name == "publishEvents" else shapes.PlanConflict if edits else shapes.Problem
    responses: Json = _successes(name)
    for code, text in sorted(errors.items()):
        headers: Json = {"API-Version": _VERSION_HEADER}
        if code in {"429", "503"}:
            headers["Retry-After"] = _RETRY_HEADER
        schema = _ref(shapes.Problem if code == _HEAD else shape)
        responses[code] = {"description": text, "headers": headers, "content": {PROBLEM_JSON: {"schema": schema}}}
    operation["responses"] = responses
    if name == "publishEvents":
        operation["requestBody"] = _events_body()


def _successes(name: str) -> Json:
    headers: Json = {"API-Version": _VERSION_HEADER}

    def one(text: str, content: Json, more: Json | None = None) -> Json:
        return {"description": text, "headers": {**headers, **(more or {})}, "content": content}

    if name in _VERDICT_OPERATIONS:
        verdict: Json = {"application/json": {"schema": _ref(shapes.Verdict)}}
        either: Json = {"application/json": {"schema": {"anyOf": [
            _ref(shapes.Verdict), {"type": "array", "items": _ref(shapes.Verdict), "maxItems": 1000},
        ]}}}  # fmt: skip
        return {
            "200": one("a duplicate, or a batch's verdicts in order", either if name == "publishEvents" else verdict),
            "201": one("accepted", verdict),
            "202": one("parked: valid, and accepted by itself once what it waits for appears", verdict),
        }
    if name == "followTeamTimeline":
        entry: Json = {"text/event-stream": {"schema": {"type": "string"}}}
        return {"200": one("server-sent events: `id` is the position, `data` a timeline entry as JSON", entry)}
    if name == "openapi":
        return {"200": one("the document", {"application/json": {"schema": {"type": "object"}}})}
    shape, is_list = _ANSWERS[name]
    if not is_list:
        tag = {"ETag": _ETAG_HEADER} if name in _TAGGED else None
        return {"200": one("found", {"application/json": {"schema": _ref(shape)}}, tag)}
    page: Json = {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": _ref(shape)},
            "next": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "cursor of the next page"},
        },
    }
    content: Json = {"application/json": {"schema": page}, "text/csv": {"schema": {"type": "string"}}}
    return {"200": one("a page", content, {"Link": _LINK_HEADER})}


def _events_body() -> Json:
    event: Json = {
        "type": "object",
        "description": f"a CloudEvent 1.0, at most {EVENT_LIMIT_BYTES} bytes; the types are in /v1/asyncapi.json",
        "required": ["specversion", "id", "source", "type", "subject", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1, "maxLength": 200},
            "source": {"type": "string"},
            "type": {"type": "string"},
            "subject": {"type": "string"},
            "time": {"type": "string", "format": "date-time"},
            "data": {"type": "object"},
        },
    }
    return {
        "required": True,
        "content": {
            "application/cloudevents+json": {"schema": event},
            "application/cloudevents-batch+json": {"schema": {"type": "array", "items": event, "maxItems": 1000}},
            "application/json": {"schema": {"type": "object", "description": "`data` alone; attributes in ce-*"}},
        },
    }
