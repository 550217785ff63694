"""For operations: status, metrics, and whether the process lives and is ready."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from events.errors import FieldError
from projections.registry import PROJECTIONS
from projections.viewer import Viewer
from services import status as book
from services.api.answering import json_response, problem_response
from services.api.asking import HasParts, NoKeys, Reader
from services.api.parts import Parts
from services.api.signing import session_id
from services.health import engine_answers
from services.identity import sessions
from services.problems import Answer, answer_to, describe

STATUS_TIMEOUT_S: Final = 8.0

v1 = APIRouter(prefix="/v1", tags=["operations"])
router = APIRouter()


@v1.get("/status", operation_id="showStatus")
async def show_status(parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """How the book is doing: log, projections, intake, departments, services, and whether all of it is well."""
    async with asyncio.timeout(STATUS_TIMEOUT_S):
        return json_response(await book.status(parts.engine, parts.bus))


@v1.get("/session", operation_id="showSession")
async def show_session(request: Request, viewer: Reader, _: NoKeys) -> Response:
    """Who asks: name, roles, teams and department; with a session's cookie also `csrf`, which goes as the header
    X-CSRF-Token with every call that changes something."""
    known: Viewer = request.state.identity
    by_cookie = "authorization" not in request.headers
    return json_response(
        {
            "name": known.name, "everything": known.everything, "roles": sorted(known.roles),
            "teams": sorted(known.teams), "department": known.department,
            "csrf": sessions.csrf_of(session_id(request)) if by_cookie else None,
        }
    )  # fmt: skip


@router.get("/metrics", include_in_schema=False)
async def metrics(parts: HasParts, viewer: Reader) -> Response:
    """Prometheus text: this process's own, and the state of the whole book."""
    async with asyncio.timeout(STATUS_TIMEOUT_S):
        state = await book.status(parts.engine, parts.bus)
    text = generate_latest(parts.registry) + generate_latest(_gauges(state))
    return Response(text, 200, media_type=CONTENT_TYPE_LATEST)


def _gauges(state: dict[str, Any]) -> CollectorRegistry:
    """The status as gauges; labels are names of projections, departments and services only."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"relatieboek_{name}", text, labels, registry=registry)

    gauge("healthy", "1 when all is well").set(state["healthy"])
    gauge("log_head", "last position of the ledger").set(state["log"]["head"])
    if state["log"]["stream"] is not None:
        gauge("log_stream", "last sequence of the stream").set(state["log"]["stream"])
    gauge("recorded_events_per_second", "events recorded per second, over the last minute").set(state["log"]["rate_1m"])
    for name, value in state["intake"].items():
        gauge(f"intake_{name}_events", f"events {name}").set(value)
    by_projection = {
        field: gauge(f"projection_{field}", text, ("projection", "version", "state"))
        for field, text in {
            "position": "last position that the read model holds",
            "lag": "events that the read model is behind",
            "lag_seconds": "how long its next event has waited",
            "parked": "events that it could not apply",
        }.items()
    }
    for projection in state["projections"]:
        for field, one in by_projection.items():
            one.labels(projection["name"], projection["version"], projection["state"]).set(projection[field])
    by_department = {
        field: gauge(f"department_{field}_events", f"events {field}", ("department",))
        for field in ("accepted", "rejected", "late", "duplicates")
    }
    for department in state["departments"]:
        for field, one in by_department.items():
            one.labels(department["name"]).set(department[field])
    ready = gauge("service_ready", "1 when the service takes work", ("service",))
    for service in state["services"]:
        ready.labels(service["service"]).set(service["state"] == "ready")
    return registry


@router.get("/healthz", include_in_schema=False)
async def alive() -> Response:
    """The process lives; says nothing about its engines."""
    return json_response({"state": "alive"})


@router.get("/readyz", include_in_schema=False)
async def ready(request: Request, parts: HasParts) -> Response:
    """200 when both engines answer and every read model has a live build that moves; else 503 that says which not."""
    checks = await _checks(parts)
    wrong = [FieldError(f"/checks/{name}", said) for name, said in checks.items() if said not in {"ok", "live"}]
    if not wrong:
        return json_response({"state": "ready", "checks": checks})
    return problem_response(Answer(503, describe("unavailable", wrong), {"Retry-After": "2"}), {"checks": checks})


async def _checks(parts: Parts) -> dict[str, str]:
    checks = {"nats": "ok" if parts.bus.connected else "not connected"}
    checks["postgresql"] = "ok" if await engine_answers(parts.engine) else "does not answer"
    if checks["postgresql"] != "ok":
        return checks
    try:
        async with asyncio.timeout(2.0):
            builds = await book.builds(parts.engine)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        return {**checks, "postgresql": answer_to(error).problem["title"]}
    for name in PROJECTIONS:
        states = [b["state"] for b in builds if b["name"] == name and b["state"] != "building"]
        checks[name] = states[0] if states else "not built"
    return checks
