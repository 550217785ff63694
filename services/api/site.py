"""The application: every route, every answer to an error, and the layer around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from events.errors import FieldError, Invalid, KeyMissing, RelatieboekError
from services import asyncapi
from services.api import (
    accesses,
    accesses_page,
    alerts,
    insight,
    insight_questions,
    loops,
    openapi,
    operations,
    page,
    persons,
    plans,
    publish,
    questions,
    relation_page,
    relations,
    sign_in_elsewhere,
    teams,
)
from services.api.access_layer import AccessLog
from services.api.answering import json_response, problem_response
from services.api.asking import NoKeys
from services.api.edge import Edge
from services.api.html import notice, page_for, wants_a_page
from services.api.parts import Parts
from services.problems import Refused, answer_to, refuse
from services.security_headers import API_VERSION

_log = structlog.get_logger(__name__)

STATIC: Final = Path(__file__).parent / "static"
_OPEN: Final = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}

_documents = APIRouter(prefix="/v1", tags=["operations"])


@_documents.get("/openapi.json", operation_id="openapi")
async def openapi_document(request: Request, _: NoKeys) -> Response:
    """This document. Anybody may read it."""
    return json_response(request.app.openapi(), headers=_OPEN)


# Not in the OpenAPI document: only openapi.json is exempt from the rule that paths are kebab-case.
@_documents.get("/asyncapi.json", include_in_schema=False)
async def asyncapi_document(_: NoKeys) -> Response:
    """The AsyncAPI 3 document: every event type, subject and verdict. Anybody may read it."""
    return json_response(asyncapi.document(), headers=_OPEN)


ROUTERS: Final = (
    publish.router, relations.router, plans.router, insight.router, teams.router, alerts.router, loops.router,
    insight_questions.router,
    questions.router, accesses.router, persons.router, operations.v1, _documents,
    operations.router, page.router, relation_page.router, sign_in_elsewhere.router, accesses_page.router,
)  # fmt: skip


def build(parts: Parts) -> ASGIApp:
    """The whole application, to be served by any ASGI server."""
    app = application()
    app.state.parts = parts
    logged = AccessLog(app, parts.access_log, parts.security, filters_of(app.openapi()))
    return Edge(logged, parts.registry, parts.security)


def filters_of(document: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Of each operation in an OpenAPI document the names of its query keys."""
    return {
        operation["operationId"]: frozenset(p["name"] for p in operation.get("parameters", ()) if p["in"] == "query")
        for item in document["paths"].values()
        for operation in item.values()
    }


def application() -> FastAPI:
    """Every route and every answer to an error. Its documents need nothing; to answer it needs `state.parts`."""
    app = FastAPI(
        title="Relatieboek",
        version=API_VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for kind in (RelatieboekError, SQLAlchemyError, OSError, TimeoutError, Exception):
        app.add_exception_handler(kind, _on_error)
    app.add_exception_handler(RequestValidationError, _on_bad_request)
    app.add_exception_handler(HTTPException, _on_http)
    openapi.install(app)
    return app


async def _on_error(request: Request, error: Exception) -> Response:
    if isinstance(error, Invalid) and request.method == "GET":
        # A query found it, so its pointers are into the query string.
        error = Refused("request", [FieldError(f"/query{e.pointer}", e.detail) for e in error.errors])
    if isinstance(error, KeyMissing):  # what of, says the log alone
        _log.error("http.key_missing", what=error.what)
    answer = answer_to(error)
    return page_for(request, answer) or problem_response(answer)


async def _on_bad_request(request: Request, error: Exception) -> Response:
    """400 with every error, never 422, and without repeating what was sent."""
    found: list[dict[str, Any]] = list(error.errors()) if isinstance(error, RequestValidationError) else []
    errors = [FieldError("/" + "/".join(map(str, e["loc"])), _sentence(str(e["type"]), str(e["msg"]))) for e in found]
    return problem_response(answer_to(Refused("request", errors)))


def _sentence(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "is not known here; leave it out"
    return message.removeprefix("Value error, ")


async def _on_http(request: Request, error: Exception) -> Response:
    """What the router itself turns down: unknown paths and methods."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    match status:
        case 404:
            if wants_a_page(request):
                return notice(request, "nowhere", 404, None)
            refused = refuse("not_found", "/path", "There is nothing at this address.")
        case 405:
            allowed = headers.get("Allow", headers.get("allow", ""))
            refused = refuse("method", "/method", f"only {allowed} here" if allowed else "not with this method")
        case _:
            refused = refuse("request", "", "The request is not understood.")
    answer = answer_to(refused)
    return problem_response(type(answer)(answer.status, answer.problem, {**answer.headers, **headers}))
