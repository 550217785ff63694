"""Loops: bad scores that are to be followed up, what a reader may do about them, and question 4."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import NAMESPACE_URL, uuid5

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from events.clock import book_now
from events.errors import NotFound
from events.identity import is_uuid
from events.recorded import iso, local_date
from projections.viewer import Viewer
from projections.workflows import projection as workflows
from projections.workflows.completeness_queries import incomplete_relations
from projections.workflows.loop_queries import Found, find_loop, list_loops
from services.api.acting import body_of, said, send
from services.api.answering import json_response, list_response, render
from services.api.asking import HasParts, NoKeys, Paging, Reader, UpTo, relation_asked
from services.api.parts import Parts
from services.api.publish import verdict_response
from services.api.reading import read_body
from services.problems import refuse
from services.rules import thresholds_of

_MAX_BODY_BYTES = 8 * 1024

router = APIRouter(prefix="/v1", tags=["loops"])
_workflows = Depends(UpTo(workflows.PROJECTION))


class LoopsAsked(Paging):
    state: Literal["open", "late", "closed", "all"] | None = Field(None, description="`late`: open after its due date")
    relation: str | None = Field(None, max_length=150, description="of this relation: its UUID or `<scheme>:<value>`")
    team: str | None = Field(None, max_length=100, description="loops of relations that this team has now")
    owner: str | None = Field(None, max_length=100, description="id of the employee who owns it")


@router.get("/loops", operation_id="listLoops", dependencies=[_workflows])
async def list_all(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[LoopsAsked, Query()]
) -> Response:
    """Loops, last opened first: bad scores that are to be followed up. An anonymous score shows no respondent."""
    async with parts.reading() as conn:
        owner = None
        if asked.owner is not None:
            owner = await parts.privacy.ref_of(conn, "employee", asked.owner)
            if owner is None:
                return list_response(request, [], None)
        relation = await relation_asked(conn, asked.relation)
        page = await list_loops(
            conn, await book_now(conn), state=asked.state, relation=relation, team=asked.team, owner_ref=owner,
            cursor=asked.cursor, limit=asked.limit, viewer=viewer, calendar=parts.calendar,
        )  # fmt: skip
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next)


@router.get("/loops/{id}", operation_id="showLoop", dependencies=[_workflows])
async def show_one(id: str, parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """One loop: its score, its due date, and what came of it."""
    found, _now = await _found(parts, viewer, id)
    async with parts.reading() as conn:
        document = await parts.privacy.reveal(conn, found.shown)
    return json_response(document)


class Closed(BaseModel):
    """Nothing needs to be said; an empty body will do."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FollowedUp(Closed):
    """What came of it, if there is something to say."""

    note: str | None = Field(None, min_length=1, max_length=1000, pattern=r"\S", description="what came of it")
    evidence: list[Annotated[int, Field(ge=1)]] = Field([], max_length=20, description="positions of what was done")


@router.post(
    "/loops/{id}/_followup",
    operation_id="followUpLoop",
    dependencies=[_workflows],
    openapi_extra=body_of(FollowedUp, required=False),
)
async def follow_up(id: str, request: Request, parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """Says that the score was followed up; the loop is closed for it. Answers the verdict on `loop.followed_up`."""
    done = said(FollowedUp, await read_body(request, _MAX_BODY_BYTES))
    found, now = await _open_loop(parts, viewer, id)
    data: dict[str, Any] = {"evidence": sorted(set(done.evidence)), "occurred_at": iso(now)}
    if done.note is not None:
        data["note"] = done.note
    return await _publish(parts, viewer, found, "followed_up", data)


@router.post(
    "/loops/{id}/_close",
    operation_id="closeLoop",
    dependencies=[_workflows],
    openapi_extra=body_of(Closed, required=False),
)
async def close(id: str, request: Request, parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """Closes the loop without a follow-up. Answers the verdict on the event `loop.closed`, reason `manual`."""
    said(Closed, await read_body(request, _MAX_BODY_BYTES))
    found, now = await _open_loop(parts, viewer, id)
    data: dict[str, Any] = {"reason": "manual", "evidence": [], "occurred_on": local_date(now).isoformat()}
    return await _publish(parts, viewer, found, "closed", data)


class IncompleteAsked(Paging):
    relation: str | None = Field(None, max_length=150, description="this relation: its UUID or `<scheme>:<value>`")
    tier: str = Field("A", max_length=20, description="relations of this tier")
    team: str | None = Field(None, max_length=100, description="relations that this team has now")


@router.get("/questions/4", operation_id="answerQuestion4", dependencies=[_workflows], tags=["questions"])
async def incomplete(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[IncompleteAsked, Query()]
) -> Response:
    """Which A relations lack a schedule, a board line, an approved plan, fresh knowledge or satisfaction?"""
    async with parts.reading() as conn:
        page = await incomplete_relations(
            conn, await book_now(conn), relation=await relation_asked(conn, asked.relation), tier=asked.tier,
            team=asked.team, cursor=asked.cursor, limit=asked.limit, viewer=viewer,
            thresholds=thresholds_of(parts.settings),
        )  # fmt: skip
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next, {"question": 4})


async def _found(parts: Parts, viewer: Viewer, id_: str) -> tuple[Found, datetime]:
    async with parts.reading() as conn:
        now = await book_now(conn)
        found = await find_loop(conn, id_, now, viewer, parts.calendar) if is_uuid(id_) else None
    if found is None:
        raise NotFound("No such loop, or not one of yours.")
    return found, now


async def _open_loop(parts: Parts, viewer: Viewer, id_: str) -> tuple[Found, datetime]:
    """The loop and the book's now. Raises Refused (409) when it is closed."""
    found, now = await _found(parts, viewer, id_)
    if found.shown["state"] != "open":
        raise refuse("state", "/id", "this loop is closed; there is nothing left to do about it")
    return found, now


async def _publish(parts: Parts, viewer: Viewer, found: Found, event: str, data: Mapping[str, Any]) -> Response:
    """Sends one event about a loop, as the book's own, and answers its verdict.

    The id is made of the loop, what is done, by whom and what is said: the same request sent twice is one event.
    """
    loop = found.shown["id"]
    cause = render([loop, event, viewer.name, data.get("note"), data["evidence"]])
    id_ = str(uuid5(NAMESPACE_URL, f"urn:relatieboek:loop:{cause.decode()}"))
    return verdict_response(await send(parts, viewer, f"loop.{event}", found.relation, {"loop": loop, **data}, id_=id_))
