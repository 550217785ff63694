"""The OpenAPI 3.1 document: what FastAPI finds in the routes, plus what the NL API Design Rules ask of every answer."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from events.envelope import EVENT_LIMIT_BYTES
from services.api.shapes.agreements import ProgrammeAnswer, RelationAgreements
from services.api.shapes.alerts import Alert, Explanation, IncompleteRelation, LayerContact, Loop, OverdueLine
from services.api.shapes.building_blocks import Problem, Verdict, VerdictProblem
from services.api.shapes.chains import Pocket, RelationChains
from services.api.shapes.partnership import Contributors, Opportunity, Promise, RelationPartnership
from services.api.shapes.plans import PlanConflict, PlanQuestion, RelationPlan
from services.api.shapes.privacy import AccessRecord, PersonExport
from services.api.shapes.relations import (
    Attention,
    Difference,
    HistoryEntry,
    Relation,
    RelationAttention,
    RelationMatrix,
    RelationSummary,
    ScheduleLine,
    TimelineEntry,
)
from services.api.shapes.running import Session, Status
from services.api.shapes.satisfaction import RelationSatisfaction, Satisfaction, StaffSatisfaction
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
ANSWERS: Final[dict[str, tuple[type[BaseModel], bool]]] = {
    "listRelations": (RelationSummary, True),
    "showRelation": (Relation, False),
    "showRelationTimeline": (TimelineEntry, True),
    "showRelationHistory": (HistoryEntry, True),
    "compareRelation": (Difference, True),
    "showRelationMatrix": (RelationMatrix, False),
    "showRelationAttention": (RelationAttention, False),
    "showRelationPlan": (RelationPlan, False),
    "showPlanQuestion": (PlanQuestion, False),
    "answerPlanQuestion": (PlanQuestion, False),
    "showRelationSatisfaction": (RelationSatisfaction, False),
    "showRelationAgreements": (RelationAgreements, False),
    "showRelationChain": (RelationChains, False),
    "showRelationPartnership": (RelationPartnership, False),
    "listRelationOpportunities": (Opportunity, True),
    "countContributors": (Contributors, False),
    "listStaffSatisfaction": (StaffSatisfaction, True),
    "showRelationSchedule": (ScheduleLine, True),
    "showTeamTimeline": (TimelineEntry, True),
    "listAlerts": (Alert, True),
    "showAlert": (Alert, False),
    "findVerdict": (Verdict, False),
    "showStatus": (Status, False),
    "showSession": (Session, False),
    "answerQuestion1": (OverdueLine, True),
    "answerQuestion3": (HistoryEntry, True),
    "answerQuestion2": (LayerContact, True),
    "listLoops": (Loop, True),
    "showLoop": (Loop, False),
    "answerQuestion4": (IncompleteRelation, True),
    "answerQuestion5": (Promise, True),
    "answerQuestion6": (Attention, True),
    "answerQuestion7": (Satisfaction, True),
    "answerQuestion8": (ProgrammeAnswer, True),
    "answerQuestion9": (Pocket, True),
    "answerQuestion10": (Explanation, False),
    "listAccesses": (AccessRecord, True),
    "listRelationAccesses": (AccessRecord, True),
    "listPersonAccesses": (AccessRecord, True),
    "exportPerson": (PersonExport, False),
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
    models = {Problem, PlanConflict, Verdict, VerdictProblem, *(shape for shape, _ in ANSWERS.values())}
    named = sorted(models, key=lambda model: model.__name__)
    _, whole = models_json_schema([(m, "serialization") for m in named], ref_template=_REF + "{model}")
    return whole["$defs"]


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": _REF + model.__name__}


def _complete(operation: Json) -> None:
    name: str = operation["operationId"]
    publishes = name in _VERDICT_OPERATIONS
    edits = name == "answerPlanQuestion"
    errors = {**_ERRORS, **(_PUBLISH_ERRORS if publishes else _EDIT_ERRORS if edits else {})}
    shape = VerdictProblem if name == "publishEvents" else PlanConflict if edits else Problem
    responses: Json = _successes(name)
    for code, text in sorted(errors.items()):
        headers: Json = {"API-Version": _VERSION_HEADER}
        if code in {"429", "503"}:
            headers["Retry-After"] = _RETRY_HEADER
        schema = _ref(Problem if code == _HEAD else shape)
        responses[code] = {"description": text, "headers": headers, "content": {PROBLEM_JSON: {"schema": schema}}}
    operation["responses"] = responses
    if name == "publishEvents":
        operation["requestBody"] = _events_body()


def _successes(name: str) -> Json:
    headers: Json = {"API-Version": _VERSION_HEADER}

    def one(text: str, content: Json, more: Json | None = None) -> Json:
        return {"description": text, "headers": {**headers, **(more or {})}, "content": content}

    if name in _VERDICT_OPERATIONS:
        verdict: Json = {"application/json": {"schema": _ref(Verdict)}}
        either: Json = {"application/json": {"schema": {"anyOf": [
            _ref(Verdict), {"type": "array", "items": _ref(Verdict), "maxItems": 1000},
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
    shape, is_list = ANSWERS[name]
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
