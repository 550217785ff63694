"""Relations over HTTP: the list, one at a glance or as of a day, and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from events.clock import book_now
from events.errors import NotFound
from projections import relation_view, team_timeline
from projections.history import history, relation_as_of
from projections.relation_queries import list_relations, matrix, show
from projections.timeline_queries import relation_page
from projections.viewer import Viewer
from services.api.answering import json_response, list_response
from services.api.asking import AsOf, HasParts, NoKeys, Paging, Reader, UpTo, relation_named
from services.api.parts import Parts
from services.api.timelines import TimelineAsked, filters

Kind = Literal[
    "municipality", "province", "care_office", "health_insurer", "primary_care_provider", "care_partner",
    "non_care_partner", "other_funder",
]  # fmt: skip

router = APIRouter(prefix="/v1", tags=["relations"])
_view = Depends(UpTo(relation_view.PROJECTION))
_timeline = Depends(UpTo(team_timeline.PROJECTION))


class RelationsAsked(Paging):
    kind: Kind | None = Field(None, description="relation kind")
    tier: str | None = Field(None, max_length=20, description="tier, as in `A`")
    team: str | None = Field(None, max_length=100, description="relations that this team has now")
    q: str | None = Field(None, max_length=100, description="a part of the name, whatever its case and accents")


@router.get("/relations", operation_id="listRelations", dependencies=[_view])
async def list_all(
    request: Request, parts: HasParts, viewer: Reader, asked: Annotated[RelationsAsked, Query()]
) -> Response:
    """Relations by name."""
    async with parts.reading() as conn:
        page = await list_relations(
            conn, kind=asked.kind, tier=asked.tier, team=asked.team, q=asked.q, cursor=asked.cursor,
            limit=asked.limit, now=await book_now(conn), viewer=viewer,
        )  # fmt: skip
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next)


@router.get("/relations/{id}", operation_id="showRelation", dependencies=[_view])
async def show_one(id: str, parts: HasParts, viewer: Reader, asked: Annotated[AsOf, Query()]) -> Response:
    """One relation at a glance; with `asOf` or `knownAt` as it was then, folded from the ledger."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        if asked.as_of is None and asked.known_at is None:
            seen = await _seen(parts, conn, relation, viewer)
        else:
            seen = await relation_as_of(conn, relation, asked.as_of, asked.known_at, viewer=viewer, rules=parts.rules)
            if seen is None:
                raise NotFound("The book did not know this relation then.")
        document = await parts.privacy.reveal(conn, seen)
    return json_response(document)


@router.get("/relations/{id}/timeline", operation_id="showRelationTimeline", dependencies=[_timeline])
async def timeline(
    id: str, request: Request, parts: HasParts, viewer: Reader, asked: Annotated[TimelineAsked, Query()]
) -> Response:
    """Every fact of one relation, newest first. What is restricted shows as such, with its date only."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id)
        page = await relation_page(conn, relation, viewer, **filters(asked))
        items = await parts.privacy.reveal(conn, page.items)
    return list_response(request, items, page.next)


@router.get("/relations/{id}/history", operation_id="showRelationHistory")
async def full_history(
    id: str, request: Request, parts: HasParts, viewer: Reader, asked: Annotated[AsOf, Query()]
) -> Response:
    """What happened up to `asOf`, as known at `knownAt`, from the ledger, in the order of the book."""
    return await history_response(request, parts, viewer, id, asked)


@router.get("/relations/{id}/matrix", operation_id="showRelationMatrix", dependencies=[_view])
async def show_matrix(id: str, parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """Who has contact with whom: layer by layer, what is asked for, what happened, and where the gaps are."""
    async with parts.reading() as conn:
        found = await matrix(conn, await relation_named(conn, id), await book_now(conn), viewer, parts.rules)
        if found is None:
            raise NotFound("No such relation, or not one of yours.")
        document = await parts.privacy.reveal(conn, found)
    return json_response(document)


@router.get("/relations/{id}/plan", operation_id="showRelationPlan", dependencies=[_view])
async def show_plan(id: str, parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """The relation plan: answers to the questions, actions, approval."""
    seen = await _revealed(parts, viewer, id)
    return json_response({"relation": seen["id"], **seen["plan"], "position": seen["position"]})


@router.get("/relations/{id}/satisfaction", operation_id="showRelationSatisfaction", dependencies=[_view])
async def show_satisfaction(id: str, request: Request, parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """Figures per instrument and wording; none where fewer than `min_n` answered."""
    seen = await _revealed(parts, viewer, id)
    return list_response(request, seen["satisfaction"], None, {"relation": seen["id"], "position": seen["position"]})


@router.get("/relations/{id}/schedule", operation_id="showRelationSchedule", dependencies=[_view])
async def show_schedule(id: str, request: Request, parts: HasParts, viewer: Reader, _: NoKeys) -> Response:
    """The lines of the contact schedule with their states today."""
    seen = await _revealed(parts, viewer, id)
    return list_response(request, seen["schedule"], None, {"relation": seen["id"], "position": seen["position"]})


async def history_response(
    request: Request, parts: Parts, viewer: Viewer, id_: str, asked: AsOf, more: Mapping[str, Any] | None = None
) -> Response:
    """Also the answer to question 3, with `more` beside it."""
    async with parts.reading() as conn:
        relation = await relation_named(conn, id_)
        found = await history(conn, relation, asked.as_of, asked.known_at, viewer=viewer)
        items = await parts.privacy.reveal(conn, found)
    return list_response(request, items, None, {**(more or {}), "relation": relation})


async def _seen(parts: Parts, conn: AsyncConnection, relation: str, viewer: Viewer) -> dict[str, Any]:
    """The relation as this viewer sees it now. Raises NotFound for what is not there or not this viewer's."""
    found = await show(conn, relation, await book_now(conn), viewer, parts.rules)
    if found is None:
        raise NotFound("No such relation, or not one of yours.")
    return found


async def _revealed(parts: Parts, viewer: Viewer, id_: str) -> Mapping[str, Any]:
    async with parts.reading() as conn:
        seen = await _seen(parts, conn, await relation_named(conn, id_), viewer)
        return await parts.privacy.reveal(conn, seen)
